-- KEYS: webhook, index of webhooks, spaces that have webhooks, messages that wait.
-- ARGV: most webhooks, id, space, then fields and values.
-- Returns {'ok', fields} or {'full'}.
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[1]) then
  return {'full'}
end
local time = digits(moment_after(KEYS[2]))
redis.call('HSET', KEYS[1], 'webhook_id', ARGV[2], 'enabled', '1', 'reason', '', 'failing', 0, 'dropped', 0,
  'old_until', 0, 'created', time, 'updated', time, unpack(ARGV, 4))
redis.call('ZADD', KEYS[2], time, ARGV[2])
redis.call('SADD', KEYS[3], ARGV[3])
keep_hearing(KEYS[2], KEYS[1]:sub(1, -#ARGV[2] - 1), KEYS[4])
return {'ok', picked(KEYS[1], WEBHOOK)}
