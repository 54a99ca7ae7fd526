-- ARGV: …, names, bytes, ttl, ttl when empty, request, most items, whether the oldest make room, items.
-- Returns `ok` or `full` and the length, or the bound that is reached.
local id, most, drops_oldest = ARGV[7], tonumber(ARGV[8]), ARGV[9] == '1'
local FIRST = 10
local length, count = redis.call('LLEN', ITEMS), #ARGV - FIRST + 1
if count == 0 or redis.call('HEXISTS', ANSWERS, id) == 1 then
  return {'ok', length}
end
if count > most or (length + count > most and not drops_oldest) then
  return {'full', length}
end
local added = 0
for number = FIRST, #ARGV do
  added = added + #ARGV[number] + OVERHEAD
end
local refused = refusal(added, ARGV[3], ARGV[4])
if refused then
  return {refused, 0}
end
for _ = 1, length + count - most do
  take()
end
redis.call('RPUSH', ITEMS, unpack(ARGV, FIRST))
size = size + added
remember(id, '')
return {'ok', close(ARGV[5], ARGV[6])}
