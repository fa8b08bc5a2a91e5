-- KEYS: session, index, messages, requests, runs, once.
-- ARGV: lifetime, session id, fingerprint, then fields and values to change.
-- Returns {'ok' or 'existing', fields}, {'reused'} or {'missing'}.
local known = answered(KEYS[6], ARGV[3])
if known then
  return known
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'missing'}
end
if #ARGV > 3 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 4))
end
touch(KEYS, ARGV[1], ARGV[2], moment_after(KEYS[2]))
local fields = redis.call('HGETALL', KEYS[1])
remember(KEYS[6], ARGV[3], ARGV[1], fields)
return {'ok', fields}
