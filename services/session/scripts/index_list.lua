-- KEYS: index.
-- ARGV: place before which to begin ('' for the newest), count, bytes, prefix of entry keys, place at which to
-- end, name and value of a field that each must have ('' for any), then names of fields.
-- Returns {place to go on from or '', entries as names and values}, newest first.
-- Entries that have expired are skipped and leave the index; a call looks at 2,000 at most, so where few fit
-- a page may be empty and have one that follows.
local below = ARGV[1] == '' and '+inf' or '(' .. ARGV[1]
local count, room = tonumber(ARGV[2]), tonumber(ARGV[3])
local names = {unpack(ARGV, 8)}
local found, seen, last = {}, 0, ''
while seen < 2000 do
  local entries = redis.call('ZREVRANGEBYSCORE', KEYS[1], below, ARGV[5], 'WITHSCORES', 'LIMIT', 0, 100)
  if #entries == 0 then
    return {'', found}
  end
  for position = 1, #entries, 2 do
    local key = ARGV[4] .. entries[position]
    local fits = ARGV[7] == '' or redis.call('HGET', key, ARGV[6]) == ARGV[7]
    local fields = fits and picked(key, names) or {}
    if #fields == 0 then
      if fits or redis.call('EXISTS', key) == 0 then
        redis.call('ZREM', KEYS[1], entries[position])
      end
    else
      for _, field in ipairs(fields) do
        room = room - #field
      end
      if #found == count or (room < 0 and #found > 0) then
        return {last, found}
      end
      found[#found + 1] = fields
    end
    last = entries[position + 1]
    below = '(' .. last
    seen = seen + 1
  end
end
return {last, found}
