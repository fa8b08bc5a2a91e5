-- KEYS: session, index, runs of the session, once.
-- ARGV: lifetime, session id, fingerprint, prefix of session keys, then fields and values.
-- Returns {'ok' or 'existing', fields} or {'reused'}.
local known = answered(KEYS[4], ARGV[3])
if known then
  return known
end
local now = moment_after(KEYS[2])
write_session(KEYS, ARGV[1], ARGV[2], now,
  {'session_id', ARGV[2], 'messages', 0, 'created', digits(now), unpack(ARGV, 5)})
local fields = picked(KEYS[1], SESSION)
remember(KEYS[4], ARGV[3], ARGV[1], fields)
prune(KEYS[2], ARGV[4])
return {'ok', fields}
