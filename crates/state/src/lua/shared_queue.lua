-- In front of every script about queues. KEYS: …, items, answers, ids of answered requests, oldest first.
local ITEMS, ANSWERS, ORDER = KEYS[3], KEYS[4], KEYS[5]
local size = size_of(MEMBER)

local function take()
  local item = redis.call('LPOP', ITEMS)
  size = size - #item - OVERHEAD
  return item
end

local function remember(id, answer)
  redis.call('HSET', ANSWERS, id, answer)
  redis.call('RPUSH', ORDER, id)
  size = size + #answer + OVERHEAD
  if redis.call('LLEN', ORDER) > REMEMBERED then
    local oldest = redis.call('LPOP', ORDER)
    size = size - #(redis.call('HGET', ANSWERS, oldest) or '') - OVERHEAD
    redis.call('HDEL', ANSWERS, oldest)
  end
end

-- An empty queue goes soon.
local function close(ttl, empty_ttl)
  local length = redis.call('LLEN', ITEMS)
  note(math.max(size, 1), tonumber(length > 0 and ttl or empty_ttl), {ITEMS, ANSWERS, ORDER})
  redis.call('PUBLISH', CHANNEL, MEMBER)
  return length
end
