-- KEYS: blob. ARGV: ttl in ms. Returns whether the blob exists.
local left = redis.call('PTTL', KEYS[1])
if left == -2 then
  return 0
end
if left ~= -1 and left < tonumber(ARGV[1]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return 1
