-- KEYS: session, index, messages, requests, runs, once, index of all runs.
-- ARGV: lifetime, session id, fingerprint, prefix of run keys, channel, prefix of signals.
-- Returns {'ok' or 'existing', fields}, {'reused'} or {'missing'}.
local known = answered(KEYS[6], ARGV[3])
if known then
  return known
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'missing'}
end
local messages = redis.call('LLEN', KEYS[3])
local runs = 0
for _, run in ipairs(redis.call('ZRANGE', KEYS[5], 0, -1)) do
  local key = ARGV[4] .. run
  runs = runs + redis.call('UNLINK', key)
  redis.call('UNLINK', key .. ':events')
  redis.call('ZREM', KEYS[7], run)
  redis.call('PUBLISH', ARGV[5], ARGV[6] .. run)
end
redis.call('UNLINK', KEYS[1], KEYS[3], KEYS[4], KEYS[5])
redis.call('ZREM', KEYS[2], ARGV[2])
local fields = {'messages', messages, 'runs', runs}
remember(KEYS[6], ARGV[3], ARGV[1], fields)
return {'ok', fields}
