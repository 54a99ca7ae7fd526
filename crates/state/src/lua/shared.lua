-- In front of every script about shared things, behind the constants OVERHEAD and REMEMBERED. KEYS: their index by expiry, their sizes, then the thing's own keys.
-- ARGV: the thing's member of the index, the channel of changes, then the script's own arguments.
local INDEX, SIZES = KEYS[1], KEYS[2]
local MEMBER, CHANNEL = ARGV[1], ARGV[2]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function size_of(member)
  return tonumber(redis.call('HGET', SIZES, member) or 0)
end

-- The empty member holds the sum.
local function resize(member, size)
  redis.call('HINCRBY', SIZES, '', size - size_of(member))
  if size == 0 then
    redis.call('HDEL', SIZES, member)
  else
    redis.call('HSET', SIZES, member, size)
  end
end

local function forget(member)
  resize(member, 0)
  redis.call('ZREM', INDEX, member)
end

-- Which bound a new name, or so many bytes more, would be beyond, if any.
local function refusal(more, names, bytes)
  if not redis.call('ZSCORE', INDEX, MEMBER) and redis.call('ZCARD', INDEX) >= tonumber(names) then
    return 'names'
  end
  if more > 0 and size_of('') + more > tonumber(bytes) then
    return 'bytes'
  end
  return nil
end

-- Records the thing's new size, and that it stays for `ttl` milliseconds.
local function note(size, ttl, keys)
  resize(MEMBER, size)
  redis.call('ZADD', INDEX, now + ttl, MEMBER)
  for _, key in ipairs(keys) do
    redis.call('PEXPIREAT', key, now + ttl)
  end
end

-- Keys expire by themselves; their names follow here, a few with each script.
for _, member in ipairs(redis.call('ZRANGEBYSCORE', INDEX, '-inf', now, 'LIMIT', 0, 100)) do
  forget(member)
end
