-- KEYS: run, events. ARGV: sequence after which to begin, count, bytes.
-- Returns {'ok', state, last sequence, first sequence kept, records} or {'missing'}.
-- At least one record comes, however large, so that a reader gets on.
local run = redis.call('HMGET', KEYS[1], 'state', 'last')
if not run[1] then
  return {'missing'}
end
local last, after = tonumber(run[2]), tonumber(ARGV[1])
local kept = last - redis.call('LLEN', KEYS[2]) + 1
local found, room = {}, tonumber(ARGV[3])
if after + 1 >= kept then
  for _, record in ipairs(redis.call('LRANGE', KEYS[2], after + 1 - kept, after - kept + ARGV[2])) do
    room = room - #record
    if room < 0 and #found > 0 then
      break
    end
    found[#found + 1] = record
  end
end
return {'ok', run[1], last, kept, found}
