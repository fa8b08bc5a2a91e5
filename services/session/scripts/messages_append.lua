-- KEYS: session, index, messages, requests, runs.
-- ARGV: lifetime, session id, request id, fingerprint, then records.
-- Returns {'ok' or 'existing', first sequence, stored records}, {'reused'} or {'missing'}.
-- A message's sequence is its place in the list, so there is no gap to have.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'missing'}
end
local known = redis.call('HMGET', KEYS[4], 'fingerprint:' .. ARGV[3], 'first:' .. ARGV[3], 'last:' .. ARGV[3])
if known[1] then
  if known[1] ~= ARGV[4] then
    return {'reused'}
  end
  return {'existing', known[2], redis.call('LRANGE', KEYS[3], known[2] - 1, known[3] - 1)}
end
local now = moment_after(KEYS[2])
local records = {}
for position = 5, #ARGV do
  records[#records + 1] = struct.pack('>d', now) .. ARGV[position]
end
local last = redis.call('RPUSH', KEYS[3], unpack(records))
local first = last - #records + 1
redis.call('HSET', KEYS[4], 'fingerprint:' .. ARGV[3], ARGV[4], 'first:' .. ARGV[3], first, 'last:' .. ARGV[3], last)
redis.call('HSET', KEYS[1], 'messages', last)
touch(KEYS, ARGV[1], ARGV[2], now)
return {'ok', first, records}
