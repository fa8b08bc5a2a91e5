-- KEYS: session, index, runs of the session, once.
-- ARGV: lifetime, session id, fingerprint, time of its last change or '' for any, then fields and values to
-- change.
-- Returns {'ok' or 'existing', fields}, {'reused'}, {'missing'} or {'changed'}.
local known = answered(KEYS[4], ARGV[3])
if known then
  return known
end
local updated = redis.call('HGET', KEYS[1], 'updated')
if not updated then
  return {'missing'}
end
if ARGV[4] ~= '' and ARGV[4] ~= updated then
  return {'changed'}
end
write_session(KEYS, ARGV[1], ARGV[2], moment_after(KEYS[2]), {unpack(ARGV, 5)})
local fields = picked(KEYS[1], SESSION)
remember(KEYS[4], ARGV[3], ARGV[1], fields)
return {'ok', fields}
