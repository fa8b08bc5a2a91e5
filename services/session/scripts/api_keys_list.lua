-- KEYS: keys of a user. ARGV: prefix of keys. Returns {'ok', keys as names and values}, oldest first.
local found = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  found[#found + 1] = redis.call('HGETALL', ARGV[1] .. id)
end
return {'ok', found}
