-- KEYS: blob. ARGV: data, ttl in ms. A kept blob stays kept, and no expiry gets shorter.
local left = redis.call('PTTL', KEYS[1])
if left == -1 then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', math.max(left, tonumber(ARGV[2])))
end
return 1
