-- KEYS: run, events, index of all runs.
-- ARGV: lifetime, state or '', agent or '', sequence of the first event, most events kept,
-- most bytes kept, channel, signal, then records. The first 8 bytes of a record are the event's
-- time, which does not count when a repeated event is compared.
-- Returns {'ok', last sequence}, {'missing'}, {'ended'} or {'conflict', expected, sequence}.
local run = redis.call('HMGET', KEYS[1], 'state', 'last', 'bytes')
if not run[1] then
  return {'missing'}
end
local last, bytes, first = tonumber(run[2]), tonumber(run[3]), tonumber(ARGV[4])
local final = first + #ARGV - 9
local kept = last - redis.call('LLEN', KEYS[2]) + 1
local from, to = math.max(first, kept), math.min(final, last)
if from <= to then
  for place, record in ipairs(redis.call('LRANGE', KEYS[2], from - kept, to - kept)) do
    local sequence = from + place - 1
    if record:sub(9) ~= ARGV[9 + sequence - first]:sub(9) then
      return {'conflict', last + 1, sequence}
    end
  end
end
local ends = ARGV[2] ~= '' and ARGV[2] ~= 'running'
if run[1] ~= 'running' then
  if final > last or (ends and ARGV[2] ~= run[1]) then
    return {'ended'}
  end
  return {'ok', last}
end
if #ARGV > 8 and first > last + 1 then
  return {'conflict', last + 1, first}
end
local fields = {}
local function set(name, value)
  fields[#fields + 1] = name
  fields[#fields + 1] = value
end
for sequence = math.max(first, last + 1), final do
  local record = ARGV[9 + sequence - first]
  redis.call('RPUSH', KEYS[2], record)
  bytes = bytes + #record
end
local length = redis.call('LLEN', KEYS[2])
while length > tonumber(ARGV[5]) or (bytes > tonumber(ARGV[6]) and length > 1) do
  bytes = bytes - #redis.call('LPOP', KEYS[2])
  length = length - 1
end
last = math.max(last, final)
set('last', last)
set('bytes', bytes)
if ARGV[3] ~= '' then
  set('agent_id', ARGV[3])
end
if ends then
  local time = redis.call('TIME')
  set('state', ARGV[2])
  set('ended', digits(tonumber(time[1]) * 1000000 + tonumber(time[2])))
end
redis.call('HSET', KEYS[1], unpack(fields))
keep(ARGV[1], {KEYS[1], KEYS[2]})
keep_index(ARGV[1], KEYS[3])
redis.call('PUBLISH', ARGV[7], ARGV[8])
return {'ok', last}
