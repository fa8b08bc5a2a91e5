-- KEYS: session.
-- ARGV: sequence to begin with (0: at the edge), count, bytes, 'up' or 'down'.
-- Returns {'ok', first sequence, messages in all, records in order} or {'missing'}.
-- At least one record comes, however large, so that a reader gets on.
local messages = redis.call('HGET', KEYS[1], 'messages')
if not messages then
  return {'missing'}
end
local total = tonumber(messages)
local start, count, room = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local down = ARGV[4] == 'down'
if start == 0 then
  start = down and total or 1
end
local found = {}
local full = false
local step = 16
while not full and #found < count and start >= 1 and start <= total do
  local from, to = start, math.min(start + step, start + count - #found, total + 1) - 1
  if down then
    from, to = math.max(start - step, start - count + #found, 0) + 1, start
  end
  local records = redis.call('HMGET', KEYS[1], unpack(numbered('m', from, to)))
  for position = 1, #records do
    local record = records[down and #records - position + 1 or position]
    room = room - #record
    if room < 0 and #found > 0 then
      full = true
      break
    end
    found[#found + 1] = record
    start = start + (down and -1 or 1)
  end
end
if down then
  for position = 1, math.floor(#found / 2) do
    local other = #found - position + 1
    found[position], found[other] = found[other], found[position]
  end
  return {'ok', start + 1, total, found}
end
return {'ok', start - #found, total, found}
