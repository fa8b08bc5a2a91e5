-- KEYS: run. ARGV: position after which to begin, count, bytes.
-- Returns {'ok', last position, records in order} or {'missing'}.
-- At least one record comes, however large, so that a reader gets on.
local run = redis.call('HMGET', KEYS[1], 'state', 'journal_last')
if not run[1] then
  return {'missing'}
end
local last = tonumber(run[2] or 0)
local start, room = tonumber(ARGV[1]) + 1, tonumber(ARGV[3])
local final = math.min(last, start + ARGV[2] - 1)
local found = {}
while start <= final and room >= 0 do
  local to = math.min(start + 15, final)
  for _, record in ipairs(redis.call('HMGET', KEYS[1], unpack(numbered('j', start, to)))) do
    room = room - #record
    if room < 0 and #found > 0 then
      break
    end
    found[#found + 1] = record
  end
  start = to + 1
end
return {'ok', last, found}
