-- KEYS: session, index, runs of the session, once, index of all runs, attachments of the session, index of all
-- attachments, bytes of all.
-- ARGV: lifetime, session id, fingerprint, prefix of run keys, channel, prefix of signals, prefix of attachment keys,
-- prefix of session keys, time of its last change or '' for any.
-- Returns {'ok', fields, names of the bytes of attachments}, {'existing', fields}, {'reused'}, {'missing'} or
-- {'changed'}.
local known = answered(KEYS[4], ARGV[3])
if known then
  return known
end
local messages = redis.call('HGET', KEYS[1], 'messages')
if not messages then
  return {'missing'}
end
if ARGV[9] ~= '' and ARGV[9] ~= redis.call('HGET', KEYS[1], 'updated') then
  return {'changed'}
end
local ids = redis.call('ZRANGE', KEYS[3], 0, -1)
redis.call('UNLINK', KEYS[1], KEYS[3])
redis.call('ZREM', KEYS[2], ARGV[2])
local runs = 0
for _, id in ipairs(ids) do
  runs = runs + redis.call('UNLINK', ARGV[4] .. id)
  redis.call('ZREM', KEYS[5], id)
  redis.call('PUBLISH', ARGV[5], ARGV[6] .. id)
end
local files = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[6], 0, -1)) do
  files[#files + 1] = forget({ARGV[7] .. id, KEYS[7], KEYS[8]}, ARGV[8], id)
end
local fields = {'messages', messages, 'runs', runs}
remember(KEYS[4], ARGV[3], ARGV[1], fields)
return {'ok', fields, files}
