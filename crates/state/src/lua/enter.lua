-- ARGV: …, names, bytes, ttl of the semaphore, ticket, ttl of the ticket, limit, most tickets.
-- Returns `ok` and the ticket's rank, `limit` and the one in use, or the bound that is reached.
local ticket, ttl, wanted, most = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
expire_tickets()
local length = redis.call('ZCARD', LINE)
if length > 0 and limit ~= wanted then
  return {'limit', limit}
end
local rank = redis.call('ZRANK', LINE, ticket)
if not rank then
  if length >= most then
    return {'tickets', length}
  end
  local refused = refusal(2 * OVERHEAD, ARGV[3], ARGV[4])
  if refused then
    return {refused, 0}
  end
  local last = redis.call('ZRANGE', LINE, -1, -1, 'WITHSCORES')
  redis.call('ZADD', LINE, tonumber(last[2] or 0) + 1, ticket)
  rank = length
end
redis.call('ZADD', UNTIL, now + ttl, ticket)
redis.call('SET', LIMIT, wanted)
note(size_of_line(), tonumber(ARGV[5]), {LINE, UNTIL, LIMIT})
return {'ok', rank}
