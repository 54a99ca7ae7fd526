-- KEYS: …, cell. ARGV: …, ttl in ms.
-- Returns `ok` and whether it was there.
if redis.call('EXISTS', KEYS[3]) == 0 then
  return {'ok', 0}
end
note(size_of(MEMBER), tonumber(ARGV[3]), {KEYS[3]})
return {'ok', 1}
