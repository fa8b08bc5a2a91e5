-- KEYS: session, index, runs of the session.
-- ARGV: lifetime, session id, request id, fingerprint of 32 bytes, then records.
-- Returns {'ok' or 'existing', first sequence, stored records}, {'reused'} or {'missing'}.
local name = 'r' .. ARGV[3]
local session = redis.call('HMGET', KEYS[1], 'messages', name)
if not session[1] then
  return {'missing'}
end
if session[2] then
  if session[2]:sub(1, 32) ~= ARGV[4] then
    return {'reused'}
  end
  local first, last = session[2]:match('^(%d+):(%d+)$', 33)
  return {'existing', first, redis.call('HMGET', KEYS[1], unpack(numbered('m', first, last)))}
end
local now = moment_after(KEYS[2])
local first = tonumber(session[1]) + 1
local last = first + #ARGV - 5
local records = {}
local fields = {'messages', last, name, ARGV[4] .. digits(first) .. ':' .. digits(last)}
for sequence = first, last do
  local record = struct.pack('>d', now) .. ARGV[sequence - first + 5]
  records[#records + 1] = record
  fields[#fields + 1] = 'm' .. digits(sequence)
  fields[#fields + 1] = record
end
write_session(KEYS, ARGV[1], ARGV[2], now, fields)
return {'ok', first, records}
