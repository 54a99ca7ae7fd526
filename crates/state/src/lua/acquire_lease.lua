-- KEYS: lease, term, last lease. ARGV: leader, at_least, ttl in ms.
-- Returns the term and who was given the one before it; the term is 0 if somebody else holds the lease, or -1 if no
-- term is left.
local holder = redis.call('GET', KEYS[1])
local last = redis.call('GET', KEYS[3]) or ''
local at_least = tonumber(ARGV[2])
if holder then
  local term, leader = string.match(holder, '^(%d+):(.+)$')
  if leader ~= ARGV[1] then
    return {0, false}
  end
  if tonumber(term) > at_least then
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    return {tonumber(term), string.match(last, '^%S+ (%S+)$') or false}
  end
end
local counter = redis.call('GET', KEYS[2])
local before = string.match(last, '^%S+')
-- Older leaders count terms and do not say who they are.
if before and string.match(before, '^%d+') ~= counter then
  before = nil
end
-- Not below the clock: a server that lost its counter gives no term again that it gave before.
local now = tonumber(redis.call('TIME')[1])
local term = math.max(tonumber(counter or '0') + 1, at_least + 1, now)
if term > 4294967295 then
  return {-1, false}
end
local text = string.format('%.0f', term)
local fence = text .. ':' .. ARGV[1]
redis.call('SET', KEYS[2], text)
redis.call('SET', KEYS[3], before and fence .. ' ' .. before or fence)
redis.call('SET', KEYS[1], fence, 'PX', ARGV[3])
return {term, before or false}
