-- KEYS: lease, term. ARGV: leader, at_least, ttl in ms.
-- Returns the term, 0 if somebody else holds the lease, or -1 if no term is left.
local holder = redis.call('GET', KEYS[1])
local at_least = tonumber(ARGV[2])
if holder then
  local term, leader = string.match(holder, '^(%d+):(.+)$')
  if leader ~= ARGV[1] then
    return 0
  end
  if tonumber(term) > at_least then
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    return tonumber(term)
  end
end
local term = math.max(tonumber(redis.call('GET', KEYS[2]) or '0'), at_least) + 1
if term > 4294967295 then
  return -1
end
local text = string.format('%.0f', term)
redis.call('SET', KEYS[2], text)
redis.call('SET', KEYS[1], text .. ':' .. ARGV[1], 'PX', ARGV[3])
return term
