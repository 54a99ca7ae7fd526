-- KEYS: …, cell. ARGV: …, names, bytes, ttl in ms, expected version or `any` or `absent`, value.
-- Returns `ok` and the new version, `conflict` and the version (0 without a cell), or the bound that is reached.
local cell, expected, value = KEYS[3], ARGV[6], ARGV[7]
local version = redis.call('HGET', cell, 'version')
if expected ~= 'any' and expected ~= (version or 'absent') then
  return {'conflict', tonumber(version or 0)}
end
local size = #value + OVERHEAD
local refused = refusal(size - size_of(MEMBER), ARGV[3], ARGV[4])
if refused then
  return {refused, 0}
end
-- By the clock, so that a version never comes back after the cell was removed or the store was rolled back.
local fresh = math.max(time[1] * 1000000 + time[2], tonumber(version or 0) + 1)
redis.call('HSET', cell, 'version', string.format('%.0f', fresh), 'value', value)
note(size, tonumber(ARGV[5]), {cell})
redis.call('PUBLISH', CHANNEL, MEMBER)
return {'ok', fresh}
