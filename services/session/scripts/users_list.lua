-- KEYS: index by name, ids by name. ARGV: name after which to begin ('' for the first), count, bytes, prefix of
-- users.
-- Returns {name to go on after or '', users as names and values}, by name as it is compared.
local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local found, last, count, room = {}, '', tonumber(ARGV[2]), tonumber(ARGV[3])
for _, name in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], from, '+', 'LIMIT', 0, count + 1)) do
  local fields = picked(ARGV[4] .. redis.call('HGET', KEYS[2], name), USER)
  for _, field in ipairs(fields) do
    room = room - #field
  end
  if #found == count or (room < 0 and #found > 0) then
    return {last, found}
  end
  found[#found + 1] = fields
  last = name
end
return {'', found}
