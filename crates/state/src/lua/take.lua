-- ARGV: …, ttl, ttl when empty, request, most items, most bytes. Returns the items.
local id, most, most_bytes = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local answer = redis.call('HGET', ANSWERS, id)
if answer then
  return cmsgpack.unpack(answer)
end
local taken, bytes = {}, 0
while #taken < most do
  local next = redis.call('LINDEX', ITEMS, 0)
  if not next or (#taken > 0 and bytes + #next > most_bytes) then
    break
  end
  bytes = bytes + #next
  taken[#taken + 1] = take()
end
if #taken > 0 then
  remember(id, cmsgpack.pack(taken))
  close(ARGV[3], ARGV[4])
end
return taken
