-- KEYS: index. ARGV: place before which to begin ('' for the newest), count, prefix of attachment keys, prefix of
-- session keys.
-- Returns {place to go on from or '', attachments as names and values}, newest first. A call looks at 2,000 at most,
-- so where many have expired a page may be empty and have one that follows.
local below, last = ARGV[1] == '' and '+inf' or '(' .. ARGV[1], ''
local count, found, seen = tonumber(ARGV[2]), {}, 0
while seen < 2000 do
  local entries = redis.call('ZREVRANGEBYSCORE', KEYS[1], below, '-inf', 'WITHSCORES', 'LIMIT', 0, 100)
  if #entries == 0 then
    return {'', found}
  end
  for position = 1, #entries, 2 do
    local fields = living(ARGV[3] .. entries[position], ARGV[4])
    if #fields > 0 then
      if #found == count then
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
