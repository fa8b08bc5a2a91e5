-- KEYS: webhook, index of webhooks, spaces that have webhooks, messages that wait, messages of the webhook.
-- ARGV: id, space, prefix of message keys.
-- Returns {'ok'} or {'missing'}.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'missing'}
end
remove_webhook(KEYS, ARGV[1], ARGV[2], ARGV[3])
return {'ok'}
