-- KEYS: run, index of all runs.
-- ARGV: lifetime, state or '', agent or '', sequence of the first event, most events kept,
-- most bytes kept, channel, signal, then records. The first 8 bytes of a record are the event's
-- time, which does not count when a repeated event is compared.
-- Returns {'ok', last sequence}, {'missing'}, {'ended'} or {'conflict', expected, sequence}.
-- An event lies in the field e and its sequence.
local run = redis.call('HMGET', KEYS[1], 'state', 'first', 'last', 'bytes')
if not run[1] then
  return {'missing'}
end
local kept, last, bytes, first = tonumber(run[2]), tonumber(run[3]), tonumber(run[4]), tonumber(ARGV[4])
local final = first + #ARGV - 9
local function record(sequence)
  return ARGV[9 + sequence - first]
end

local from, to = math.max(first, kept), math.min(final, last)
if from <= to then
  for place, stored in ipairs(redis.call('HMGET', KEYS[1], unpack(numbered('e', from, to)))) do
    local sequence = from + place - 1
    if stored:sub(9) ~= record(sequence):sub(9) then
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
  set('e' .. digits(sequence), record(sequence))
  bytes = bytes + #record(sequence)
end
local oldest, newest = kept, math.max(last, final)
while kept < newest and (newest - kept >= tonumber(ARGV[5]) or bytes > tonumber(ARGV[6])) do
  bytes = bytes - (kept > last and #record(kept) or redis.call('HSTRLEN', KEYS[1], 'e' .. digits(kept)))
  kept = kept + 1
end
set('first', kept)
set('last', newest)
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
redis.call('PEXPIRE', KEYS[1], ARGV[1])
if oldest < kept then
  redis.call('HDEL', KEYS[1], unpack(numbered('e', oldest, kept - 1)))
end
keep_index(ARGV[1], KEYS[2])
redis.call('PUBLISH', ARGV[7], ARGV[8])
return {'ok', newest}
