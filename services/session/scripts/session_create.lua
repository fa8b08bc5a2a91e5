-- KEYS: session, index, once.
-- ARGV: lifetime, session id, fingerprint, prefix of session keys, then fields and values.
-- Returns {'ok' or 'existing', fields} or {'reused'}.
local lifetime, id = ARGV[1], ARGV[2]
local known = answered(KEYS[3], ARGV[3])
if known then
  return known
end
local now = moment_after(KEYS[2])
redis.call('HSET', KEYS[1], 'session_id', id, 'messages', 0, 'created', digits(now), 'updated', digits(now),
  'expires', digits(now + lifetime * 1000), unpack(ARGV, 5))
redis.call('ZADD', KEYS[2], digits(now), id)
keep(lifetime, {KEYS[1]})
keep_index(lifetime, KEYS[2])
local fields = redis.call('HGETALL', KEYS[1])
remember(KEYS[3], ARGV[3], lifetime, fields)
prune(KEYS[2], ARGV[4])
return {'ok', fields}
