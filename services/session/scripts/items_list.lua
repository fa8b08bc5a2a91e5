-- KEYS: index of a kind. ARGV: name after which to begin ('' for the first), count, bytes, prefix of item keys,
-- then names of fields.
-- Returns {name to go on after or '', items as names and values}, by name.
-- At least one item comes, however large, so that a reader gets on.
local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local count, room = tonumber(ARGV[2]), tonumber(ARGV[3])
local names = {unpack(ARGV, 5)}
local found, last = {}, ''
for _, name in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], from, '+', 'LIMIT', 0, count + 1)) do
  local fields = picked(ARGV[4] .. name, names)
  for _, field in ipairs(fields) do
    room = room - #field
  end
  if #found == count or (room < 0 and #found > 0) then
    return {last, found}
  end
  if #fields > 0 then
    found[#found + 1] = fields
  end
  last = name
end
return {'', found}
