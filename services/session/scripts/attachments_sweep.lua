-- KEYS: index of all, bytes of all. ARGV: place after which to begin ('' for the oldest), count, prefix of attachment
-- keys, prefix of session keys.
-- Forgets those that are gone. Returns {place to go on from or '', names of their bytes}.
local above, last = ARGV[1] == '' and '-inf' or '(' .. ARGV[1], ''
local files = {}
local entries = redis.call('ZRANGEBYSCORE', KEYS[1], above, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for position = 1, #entries, 2 do
  local key = ARGV[3] .. entries[position]
  if #living(key, ARGV[4]) == 0 then
    files[#files + 1] = forget({key, KEYS[1], KEYS[2]}, ARGV[4], entries[position])
  end
  last = entries[position + 1]
end
return {#entries < 2 * ARGV[2] and '' or last, files}
