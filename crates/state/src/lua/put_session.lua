-- KEYS: session, sessions. ARGV: name, ttl in ms, data; without data an existing session is renewed.
-- Returns whether the session exists now.
if ARGV[3] then
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])
elseif redis.call('PEXPIRE', KEYS[1], ARGV[2]) == 0 then
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[2]), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. now)
return 1
