-- KEYS: lease. ARGV: fence, ttl in ms. Returns {1, nil} when renewed, else {0, holder}.
local holder = redis.call('GET', KEYS[1])
if holder ~= ARGV[1] then
  return {0, holder}
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {1, false}
