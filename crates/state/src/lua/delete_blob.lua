-- KEYS: blob. Returns whether it was removed; a blob without expiry belongs to a live job.
if redis.call('PTTL', KEYS[1]) < 0 then
  return 0
end
return redis.call('UNLINK', KEYS[1])
