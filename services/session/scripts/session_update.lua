-- KEYS: session, index, runs of the session, once.
-- ARGV: lifetime, session id, fingerprint, then fields and values to change.
-- Returns {'ok' or 'existing', fields}, {'reused'} or {'missing'}.
local known = answered(KEYS[4], ARGV[3])
if known then
  return known
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'missing'}
end
write_session(KEYS, ARGV[1], ARGV[2], moment_after(KEYS[2]), {unpack(ARGV, 4)})
local fields = picked(KEYS[1], SESSION)
remember(KEYS[4], ARGV[3], ARGV[1], fields)
return {'ok', fields}
