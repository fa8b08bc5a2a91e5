-- KEYS: run. ARGV: sequence after which to begin, count, bytes.
-- Returns {'ok', state, last sequence, first sequence kept, records} or {'missing'}.
-- At least one record comes, however large, so that a reader gets on.
local run = redis.call('HMGET', KEYS[1], 'state', 'first', 'last')
if not run[1] then
  return {'missing'}
end
local kept, last = tonumber(run[2]), tonumber(run[3])
local start, room = tonumber(ARGV[1]) + 1, tonumber(ARGV[3])
local final = math.min(last, start + ARGV[2] - 1)
local found = {}
while start >= kept and start <= final and room >= 0 do
  local to = math.min(start + 15, final)
  for _, record in ipairs(redis.call('HMGET', KEYS[1], unpack(numbered('e', start, to)))) do
    room = room - #record
    if room < 0 and #found > 0 then
      break
    end
    found[#found + 1] = record
  end
  start = to + 1
end
return {'ok', run[1], last, kept, found}
