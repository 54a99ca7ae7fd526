-- KEYS: …, cell. ARGV: …, expected version or `any` or `absent`.
-- Returns `ok` and whether it was there, or `conflict` and the version (0 without a cell).
local version = redis.call('HGET', KEYS[3], 'version')
if ARGV[3] ~= 'any' and ARGV[3] ~= (version or 'absent') then
  return {'conflict', tonumber(version or 0)}
end
redis.call('DEL', KEYS[3])
forget(MEMBER)
redis.call('PUBLISH', CHANNEL, MEMBER)
return {'ok', version and 1 or 0}
