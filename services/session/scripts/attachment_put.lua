-- KEYS: attachment, index of all, bytes of all, once; in a session also: session, index, runs of the session,
-- attachments of the session.
-- ARGV: lifetime of sessions, lifetime of attachments, most bytes of all, attachment id, session id, fingerprint,
-- bytes, then the other fields and values.
-- Returns {'ok' or 'existing', fields}, {'reused'}, {'missing'} for the session or {'full'}.
local known = answered(KEYS[4], ARGV[6])
if known then
  return known
end
if KEYS[5] and redis.call('EXISTS', KEYS[5]) == 0 then
  return {'missing'}
end
if tonumber(redis.call('GET', KEYS[3]) or 0) + weight(ARGV[7]) > tonumber(ARGV[3]) then
  return {'full'}
end
local now = moment_after(KEYS[2])
local expires = KEYS[5] and 0 or now + ARGV[2] * 1000
redis.call('HSET', KEYS[1], 'attachment_id', ARGV[4], 'session_id', ARGV[5], 'bytes', ARGV[7], 'created', digits(now),
  'expires', digits(expires), unpack(ARGV, 8))
redis.call('ZADD', KEYS[2], digits(now), ARGV[4])
redis.call('INCRBY', KEYS[3], weight(ARGV[7]))
if KEYS[5] then
  redis.call('ZADD', KEYS[8], digits(now), ARGV[4])
  write_session({unpack(KEYS, 5, 7)}, ARGV[1], ARGV[5], moment_after(KEYS[6]), {})
end
local fields = picked(KEYS[1], ATTACHMENT)
if KEYS[5] then
  fields[#fields] = redis.call('HGET', KEYS[5], 'expires')
end
remember(KEYS[4], ARGV[6], ARGV[1], fields)
return {'ok', fields}
