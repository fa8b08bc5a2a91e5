-- KEYS: a hash. ARGV: names of fields.
-- Returns {'ok', the fields that it has, as names and values}.
return {'ok', picked(KEYS[1], ARGV)}
