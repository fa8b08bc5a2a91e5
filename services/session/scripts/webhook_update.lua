-- KEYS: webhook, messages that wait, index of webhooks. ARGV: '1' when it begins anew, id, prefix of message keys, then fields and values.
-- Returns {'ok', fields} or {'missing'}. What waits while it is switched off or on is not sent; of all webhooks of a
-- person only so many messages wait (see enqueue).
local before = redis.call('HGET', KEYS[1], 'enabled')
if not before then
  return {'missing'}
end
if ARGV[1] == '1' then
  redis.call('HSET', KEYS[1], 'failing', 0)
end
redis.call('HSET', KEYS[1], 'updated', digits(now()), unpack(ARGV, 4))
if redis.call('HGET', KEYS[1], 'enabled') ~= before then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    local key = ARGV[3] .. id
    if redis.call('HGET', key, 'webhook_id') == ARGV[2] then
      cancel(KEYS[2], key, id)
    end
  end
end
keep_hearing(KEYS[3], KEYS[1]:sub(1, -#ARGV[2] - 1), KEYS[2])
return {'ok', picked(KEYS[1], WEBHOOK)}
