-- KEYS: webhook, index of webhooks, spaces that have webhooks, messages that wait, messages of the webhook.
-- ARGV: id, space, prefix of message keys.
-- Returns {'ok'} or {'missing'}. A message that waits and is listed no more goes when its turn comes.
if redis.call('UNLINK', KEYS[1]) == 0 then
  return {'missing'}
end
redis.call('ZREM', KEYS[2], ARGV[1])
for _, id in ipairs(redis.call('ZRANGE', KEYS[5], 0, -1)) do
  redis.call('ZREM', KEYS[4], id)
  redis.call('UNLINK', ARGV[3] .. id)
end
redis.call('UNLINK', KEYS[5])
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('SREM', KEYS[3], ARGV[2])
end
return {'ok'}
