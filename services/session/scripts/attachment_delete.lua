-- KEYS: attachment, index of all, bytes of all. ARGV: attachment id, prefix of session keys.
-- Returns {'ok', name of the bytes} or {'missing'}.
if #living(KEYS[1], ARGV[2]) == 0 then
  return {'missing'}
end
return {'ok', forget(KEYS, ARGV[2], ARGV[1])}
