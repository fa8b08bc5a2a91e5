-- KEYS: attachment. ARGV: prefix of session keys. Returns {'ok', fields} or {'missing'}.
local fields = living(KEYS[1], ARGV[1])
return #fields > 0 and {'ok', fields} or {'missing'}
