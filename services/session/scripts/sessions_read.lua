-- KEYS: index.
-- ARGV: place to go on from ('' for the newest; one of those below), bytes, prefix of session keys, names of fields.
-- Returns {place to go on from or '', {place of the session, fields, sequence of its oldest record here, records from
-- the newest back}, ...}. A place is one in the index, below which to go on, or one with ":" and a sequence, from which
-- to go back in the session that is there. Records end before their attributes.
-- Gives records until the bytes are spent, attributes counted, so at most one more; a call looks at 2,000 sessions at
-- most. Those that have expired are skipped and leave the index.
local place, sequence = ARGV[1]:match('^(%d+):?(%d*)$')
local room = tonumber(ARGV[2])
local names = {unpack(ARGV, 4)}
local found, seen, last = {}, 0, ''
local below = '+inf'
if place then
  below = (sequence == '' and '(' or '') .. place
end

-- A record up to its attributes, which may be many times as large as its text. See records.py for the form.
local function spoken(record)
  local at = 10
  for _ = 1, 5 do
    if at + 3 > #record then
      return record
    end
    at = at + 4 + struct.unpack('>I4', record, at)
  end
  return record:sub(1, at - 1)
end

while seen < 2000 do
  local entries = redis.call('ZREVRANGEBYSCORE', KEYS[1], below, '-inf', 'WITHSCORES', 'LIMIT', 0, 100)
  if #entries == 0 then
    return {'', found}
  end
  for position = 1, #entries, 2 do
    local key = ARGV[3] .. entries[position]
    local here = entries[position + 1]
    if room <= 0 then
      return {last, found}
    end
    local fields = picked(key, names)
    if #fields == 0 then
      redis.call('ZREM', KEYS[1], entries[position])
    else
      local next = tonumber(redis.call('HGET', key, 'messages'))
      if here == place and sequence ~= '' then
        next = math.min(next, tonumber(sequence))
      end
      for _, field in ipairs(fields) do
        room = room - #field
      end
      local records = {}
      while next >= 1 and (room > 0 or #records == 0) do
        local stored = redis.call('HMGET', key, unpack(numbered('m', math.max(next - 15, 1), next)))
        for at = #stored, 1, -1 do
          if room <= 0 and #records > 0 then
            break
          end
          room = room - #stored[at]
          records[#records + 1] = spoken(stored[at])
          next = next - 1
        end
      end
      found[#found + 1] = {here, fields, next + 1, records}
      if next >= 1 then
        return {here .. ':' .. digits(next), found}
      end
    end
    last = here
    below = '(' .. here
    seen = seen + 1
  end
end
return {last, found}
