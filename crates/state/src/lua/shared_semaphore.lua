-- In front of every script about semaphores. KEYS: …, tickets by arrival, tickets by expiry, limit.
-- The first tickets by arrival, as many as the limit says, hold; the others wait.
local LINE, UNTIL, LIMIT = KEYS[3], KEYS[4], KEYS[5]
local limit = tonumber(redis.call('GET', LIMIT) or 0)

-- Tells tickets that they may hold now.
local function call_holders(from, to)
  for _, ticket in ipairs(redis.call('ZRANGE', LINE, from, to)) do
    redis.call('PUBLISH', CHANNEL, MEMBER .. '/' .. ticket)
  end
end

local function expire_tickets()
  local gone = redis.call('ZRANGEBYSCORE', UNTIL, '-inf', now)
  for _, ticket in ipairs(gone) do
    redis.call('ZREM', LINE, ticket)
    redis.call('ZREM', UNTIL, ticket)
  end
  if #gone > 0 and limit > 0 then
    call_holders(0, limit - 1)
  end
end

local function size_of_line()
  return redis.call('ZCARD', LINE) * 2 * OVERHEAD
end
