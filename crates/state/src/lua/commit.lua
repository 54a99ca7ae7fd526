-- Applies one batch of the leader's writes, or nothing.
-- KEYS: the fixed keys below, then nine keys per job (offsets generated from JobKey) and single keys.
-- ARGV: fence, expected journal_seq, event channel, limits, then operations: name, position in KEYS, arguments.
-- Returns {1, journal_seq} when applied, {0, holder} when fenced, {2, journal_seq} when out of sequence.
local LEASE, SEQ, INDEX, ACTIVE, EXPIRING, WORKERS = 1, 2, 3, 4, 5, 6
local MAX_EVENTS, MAX_LOGS, MAX_LOG_BYTES, MAX_ERRORS =
  ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local FIRST_OPERATION = 8
local call = redis.call

local holder = call('GET', KEYS[LEASE])
if holder ~= ARGV[1] then
  return {0, holder}
end
-- A delayed copy of a script whose caller gave up and went on must not be applied late.
local seq = tonumber(call('GET', KEYS[SEQ]) or '0')
if seq ~= tonumber(ARGV[2]) then
  return {2, seq}
end

local clock
local function now()
  if not clock then
    local time = call('TIME')
    clock = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return clock
end

local jobs = {}
local lifecycle_changed = false

local function load(base)
  local job = jobs[base]
  if not job then
    local fields = call('HMGET', KEYS[base], 'index', 'expires')
    job = { stored = fields[1] and true, index = fields[1], expires = fields[2] and tonumber(fields[2]) }
    jobs[base] = job
  end
  return job
end

local function id_of(job)
  return string.sub(job.index, -36)
end

local function make_live(base, job)
  if job.expires then
    call('HDEL', KEYS[base], 'expires')
    call('ZREM', KEYS[EXPIRING], job.index)
    call('SADD', KEYS[ACTIVE], id_of(job))
    job.expires = nil
    job.revived = true
  end
end

local function make_expire(base, job, ttl)
  job.expires = now() + tonumber(ttl)
  call('HSET', KEYS[base], 'expires', job.expires)
  call('ZADD', KEYS[EXPIRING], job.expires, job.index)
  call('SREM', KEYS[ACTIVE], id_of(job))
  lifecycle_changed = true
end

local operations = {}

function operations.put_job(base, i)
  local job = load(base)
  local index = ARGV[i + 2]
  if job.stored then
    make_live(base, job)
    if job.index ~= index then
      call('ZREM', KEYS[INDEX], job.index)
    end
  end
  job.stored, job.index = true, index
  call('HSET', KEYS[base], 'meta', ARGV[i], 'index', index)
  call('SET', KEYS[base + GRAPH], ARGV[i + 1])
  call('ZADD', KEYS[INDEX], 0, index)
  call('SADD', KEYS[ACTIVE], id_of(job))
  lifecycle_changed = true
  return i + 3
end

-- An empty time to live means that the job lives.
function operations.set_meta(base, i)
  local job = load(base)
  if job.stored then
    call('HSET', KEYS[base], 'meta', ARGV[i])
    if ARGV[i + 1] == '' then
      make_live(base, job)
    else
      make_expire(base, job, ARGV[i + 1])
    end
  end
  return i + 2
end

function operations.expire_job(base, i)
  local job = load(base)
  if job.stored then
    make_expire(base, job, ARGV[i])
  end
  return i + 1
end

function operations.delete_job(base, i)
  local job = load(base)
  if job.stored then
    call('UNLINK', unpack(KEYS, base, base + JOB_KEYS - 1))
    call('ZREM', KEYS[INDEX], job.index)
    call('ZREM', KEYS[EXPIRING], job.index)
    call('SREM', KEYS[ACTIVE], id_of(job))
    jobs[base] = { stored = false, announce = id_of(job) }
  end
  return i
end

function operations.cancel(base, i)
  if load(base).stored then
    call('HSET', KEYS[base], 'cancel', '1')
  end
  return i
end

function operations.put_extension(base, i)
  local key = KEYS[base + EXTENSIONS]
  if load(base).stored and call('HEXISTS', key, ARGV[i]) == 0 then
    call('HSET', key, ARGV[i], struct.pack('>I4', call('HLEN', key)) .. ARGV[i + 1])
  end
  return i + 2
end

function operations.set_pages(base, i)
  local key = KEYS[base + PAGES]
  local after = i + 1 + 2 * tonumber(ARGV[i])
  if load(base).stored then
    for page = i + 1, after - 1, 2 do
      call('SETRANGE', key, ARGV[page], ARGV[page + 1])
    end
  end
  return after
end

function operations.put_error(base, i)
  local key = KEYS[base + ERRORS]
  if load(base).stored and (call('HLEN', key) < MAX_ERRORS or call('HEXISTS', key, ARGV[i]) == 1) then
    call('HSET', key, ARGV[i], ARGV[i + 1])
  end
  return i + 2
end

function operations.remove_error(base, i)
  call('HDEL', KEYS[base + ERRORS], ARGV[i])
  return i + 1
end

function operations.put_result(base, i)
  if load(base).stored then
    call('HSET', KEYS[base + RESULTS], ARGV[i], ARGV[i + 1])
  end
  return i + 2
end

function operations.remove_result(base, i)
  call('HDEL', KEYS[base + RESULTS], ARGV[i])
  return i + 1
end

function operations.put_log(base, i)
  if not load(base).stored then
    return i + 2
  end
  local logs, order, field = KEYS[base + LOGS], KEYS[base + LOGORDER], ARGV[i]
  local replaced = call('HSTRLEN', logs, field)
  if call('HSET', logs, field, ARGV[i + 1]) == 1 then
    call('RPUSH', order, field)
  end
  local count = call('LLEN', order)
  local bytes = call('HINCRBY', KEYS[base], 'log_bytes', #ARGV[i + 1] - replaced)
  while count > MAX_LOGS or bytes > MAX_LOG_BYTES do
    local oldest = call('LPOP', order)
    if not oldest then
      break
    end
    count = count - 1
    bytes = call('HINCRBY', KEYS[base], 'log_bytes', -call('HSTRLEN', logs, oldest))
    call('HDEL', logs, oldest)
  end
  return i + 2
end

function operations.append_event(base, i)
  local job = load(base)
  if job.stored then
    local id = call('XADD', KEYS[base + EVENTS], 'MAXLEN', '~', MAX_EVENTS, '*', 'event', ARGV[i])
    call('HSETNX', KEYS[base], 'first_event', id)
    job.announce = id_of(job)
  end
  return i + 1
end

function operations.put_worker(key, i)
  call('SET', KEYS[key], ARGV[i + 1], 'PX', ARGV[i + 2])
  call('ZADD', KEYS[WORKERS], now() + tonumber(ARGV[i + 2]), ARGV[i])
  call('ZREMRANGEBYSCORE', KEYS[WORKERS], '-inf', '(' .. now())
  return i + 3
end

function operations.remove_worker(key, i)
  call('DEL', KEYS[key])
  call('ZREM', KEYS[WORKERS], ARGV[i])
  return i + 1
end

function operations.put_record(key, i)
  call('HSET', KEYS[key], ARGV[i], ARGV[i + 1])
  return i + 2
end

function operations.remove_record(key, i)
  call('HDEL', KEYS[key], ARGV[i])
  return i + 1
end

function operations.put_blob(key, i)
  call('SET', KEYS[key], ARGV[i])
  return i + 1
end

function operations.keep_blob(key, i)
  call('PERSIST', KEYS[key])
  return i
end

function operations.expire_blob(key, i)
  call('PEXPIRE', KEYS[key], ARGV[i])
  return i + 1
end

function operations.delete_blob(key, i)
  call('UNLINK', KEYS[key])
  return i
end

local i = FIRST_OPERATION
while i <= #ARGV do
  i = operations[ARGV[i]](tonumber(ARGV[i + 1]), i + 2)
end

for base, job in pairs(jobs) do
  -- A write may have made a key that the job did not have when its expiry was set.
  if job.stored and job.expires then
    for key = base, base + JOB_KEYS - 1 do
      call('PEXPIREAT', KEYS[key], job.expires)
    end
  elseif job.stored and job.revived then
    for key = base, base + JOB_KEYS - 1 do
      call('PERSIST', KEYS[key])
    end
  end
  if job.announce then
    call('PUBLISH', ARGV[3], job.announce)
  end
end

if lifecycle_changed then
  -- At most as many as keeps this script short; the index still shrinks faster than it grows.
  local gone = call('ZRANGEBYSCORE', KEYS[EXPIRING], '-inf', '(' .. now(), 'LIMIT', 0, 100)
  for _, index in ipairs(gone) do
    call('ZREM', KEYS[EXPIRING], index)
    call('ZREM', KEYS[INDEX], index)
  end
end

-- Raised last: it needs memory, and a batch that only deletes must succeed when there is none.
return {1, call('INCR', KEYS[SEQ])}
