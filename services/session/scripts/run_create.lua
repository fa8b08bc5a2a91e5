-- KEYS: run, events, index of all runs; in a session also: session, index, messages, requests, runs.
-- ARGV: lifetime, run id, fingerprint, prefix of run keys, session id, then fields and values.
-- Returns {'ok' or 'existing', fields}, {'reused'} or {'missing'} for the session.
local lifetime, id = ARGV[1], ARGV[2]
local known = answered(KEYS[1], ARGV[3])
if known then
  return known
end
if KEYS[4] and redis.call('EXISTS', KEYS[4]) == 0 then
  return {'missing'}
end
local now = moment_after(KEYS[3])
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[3], 'run_id', id, 'session_id', ARGV[5], 'state', 'running',
  'created', digits(now), 'last', 0, 'bytes', 0, unpack(ARGV, 6))
keep(lifetime, {KEYS[1]})
redis.call('ZADD', KEYS[3], digits(now), id)
keep_index(lifetime, KEYS[3])
if KEYS[4] then
  redis.call('ZADD', KEYS[8], digits(now), id)
  touch({unpack(KEYS, 4)}, lifetime, ARGV[5], moment_after(KEYS[5]))
  prune(KEYS[8], ARGV[4])
end
prune(KEYS[3], ARGV[4])
return {'ok', redis.call('HGETALL', KEYS[1])}
