-- KEYS: run, index of all runs; in a session also: session, index, runs of the session.
-- ARGV: lifetime, lifetime of sessions, run id, fingerprint, prefix of run keys, session id, count of names of fields
-- to return, these names, then fields and values.
-- Returns {'ok' or 'existing', fields}, {'reused'} or {'missing'} for the session.
local lifetime, id, names = ARGV[1], ARGV[3], {unpack(ARGV, 8, 7 + ARGV[7])}
local known = redis.call('HGET', KEYS[1], 'fingerprint')
if known then
  return known == ARGV[4] and {'existing', picked(KEYS[1], names)} or {'reused'}
end
if KEYS[3] and redis.call('EXISTS', KEYS[3]) == 0 then
  return {'missing'}
end
local now = moment_after(KEYS[2])
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[4], 'run_id', id, 'session_id', ARGV[6], 'state', 'running',
  'created', digits(now), 'first', 1, 'last', 0, 'bytes', 0, unpack(ARGV, 8 + #names))
redis.call('PEXPIRE', KEYS[1], lifetime)
redis.call('ZADD', KEYS[2], digits(now), id)
keep_index(lifetime, KEYS[2])
if KEYS[3] then
  redis.call('ZADD', KEYS[5], digits(now), id)
  write_session({unpack(KEYS, 3)}, ARGV[2], ARGV[6], moment_after(KEYS[4]), {})
  prune(KEYS[5], ARGV[5])
end
prune(KEYS[2], ARGV[5])
return {'ok', picked(KEYS[1], names)}
