-- ARGV: …, ticket. Returns whether it had a place.
expire_tickets()
local rank = redis.call('ZRANK', LINE, ARGV[3])
if rank then
  redis.call('ZREM', LINE, ARGV[3])
  redis.call('ZREM', UNTIL, ARGV[3])
end
if redis.call('ZCARD', LINE) == 0 then
  redis.call('DEL', LINE, UNTIL, LIMIT)
  forget(MEMBER)
  return rank and 1 or 0
end
resize(MEMBER, size_of_line())
if rank and rank < limit then
  call_holders(limit - 1, limit - 1)
end
return rank and 1 or 0
