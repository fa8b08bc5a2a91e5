-- KEYS: webhook, messages that wait. ARGV: prefix of webhook keys, prefix of message keys, most messages that wait,
-- id of the webhook, name of the event.
-- Returns {'ok', message}, {'missing'}, {'disabled'} or {'full'}.
local enabled = redis.call('HGET', KEYS[1], 'enabled')
if not enabled then
  return {'missing'}
end
if enabled ~= '1' then
  return {'disabled'}
end
local id = enqueue(KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'webhook.test', ARGV[5], digits(now()),
  {webhook_id = ARGV[4]})
if not id then
  return {'full'}
end
return {'ok', picked(ARGV[2] .. id, MESSAGE)}
