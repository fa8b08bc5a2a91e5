-- KEYS: run, index of all runs, webhooks, messages of webhooks that wait.
-- ARGV: lifetime, state or '', agent or '', sequence of the first event, most events kept,
-- most bytes of events kept, channel, signal, number of events, position of the first entry, most bytes of
-- entries, owner or '', what webhooks are told of the end as JSON or '', the answer, prefix of webhook keys, prefix
-- of message keys, most messages that wait, what it has used or '', then records of events, then records of
-- entries. The first 8 bytes of a record are a time, which does not count when what is repeated is compared.
-- Returns {'ok', last sequence, last position}, {'missing'}, {'ended'}, {'taken', owner}, {'full'} or
-- {'conflict', expected, place}.
-- An event lies in the field e and its sequence, an entry of the journal in j and its position.
local run = redis.call('HMGET', KEYS[1], 'state', 'first', 'last', 'bytes', 'journal_last', 'journal_bytes', 'owner')
if not run[1] then
  return {'missing'}
end
if ARGV[12] ~= '' and run[7] and run[7] ~= ARGV[12] then
  return {'taken', run[7]}
end
local kept, last, bytes, first = tonumber(run[2]), tonumber(run[3]), tonumber(run[4]), tonumber(ARGV[4])
local count = tonumber(ARGV[9])
local final = first + count - 1
local noted, noted_bytes, from_entry = tonumber(run[5] or 0), tonumber(run[6] or 0), tonumber(ARGV[10])
local final_entry = from_entry + #ARGV - 19 - count
local function record(sequence)
  return ARGV[19 + sequence - first]
end
local function entry(position)
  return ARGV[19 + count + position - from_entry]
end
-- The first place between these whose stored record is another one.
local function differing(prefix, from, to, given)
  if from <= to then
    for place, stored in ipairs(redis.call('HMGET', KEYS[1], unpack(numbered(prefix, from, to)))) do
      if stored:sub(9) ~= given(from + place - 1):sub(9) then
        return from + place - 1
      end
    end
  end
end

local other = differing('e', math.max(first, kept), math.min(final, last), record)
if other then
  return {'conflict', last + 1, other}
end
other = differing('j', math.max(from_entry, 1), math.min(final_entry, noted), entry)
if other then
  return {'conflict', noted + 1, other}
end
local ends = ARGV[2] ~= '' and ARGV[2] ~= 'running'
if run[1] ~= 'running' then
  if final > last or final_entry > noted or (ends and ARGV[2] ~= run[1]) then
    return {'ended'}
  end
  return {'ok', last, noted}
end
if count > 0 and first > last + 1 then
  return {'conflict', last + 1, first}
end
if final_entry >= from_entry and from_entry > noted + 1 then
  return {'conflict', noted + 1, from_entry}
end

local fields = {}
local function set(name, value)
  fields[#fields + 1] = name
  fields[#fields + 1] = value
end
for position = math.max(from_entry, noted + 1), final_entry do
  set('j' .. digits(position), entry(position))
  noted_bytes = noted_bytes + #entry(position)
end
if final_entry > noted then
  if noted_bytes > tonumber(ARGV[11]) then
    return {'full'}
  end
  noted = final_entry
  set('journal_last', noted)
  set('journal_bytes', noted_bytes)
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
  if ARGV[18] ~= '' then
    set('usage', ARGV[18])
  end
  set('ended', digits(tonumber(time[1]) * 1000000 + tonumber(time[2])))
end
redis.call('HSET', KEYS[1], unpack(fields))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
if oldest < kept then
  redis.call('HDEL', KEYS[1], unpack(numbered('e', oldest, kept - 1)))
end
keep_index(ARGV[1], KEYS[2])
if ends and ARGV[13] ~= '' then
  local told = redis.call('HMGET', KEYS[1], 'run_id', 'session_id', 'agent_id', 'ended', 'parent')
  if not told[5] then
    local data = cjson.decode(ARGV[13])
    data.run_id, data.agent, data.session_id = told[1], told[3], told[2] ~= '' and told[2] or cjson.null
    tell(KEYS[3], KEYS[4], ARGV[15], ARGV[16], ARGV[17], 'run.finished', told[1], told[4], data, ARGV[14])
  end
end
if newest > last or ends then
  redis.call('PUBLISH', ARGV[7], ARGV[8])
end
return {'ok', newest, noted}
