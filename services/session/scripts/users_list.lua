-- KEYS: index by name, ids by name. ARGV: name after which to begin ('' for the first), count, prefix of users.
-- Returns {name to go on after or '', users as names and values}, by name as it is compared.
local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local found, last, count = {}, '', tonumber(ARGV[2])
for _, name in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], from, '+', 'LIMIT', 0, count + 1)) do
  if #found == count then
    return {last, found}
  end
  found[#found + 1] = picked(ARGV[3] .. redis.call('HGET', KEYS[2], name), USER)
  last = name
end
return {'', found}
