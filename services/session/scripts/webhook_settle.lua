-- KEYS: message, messages that wait, webhook, messages of the webhook.
-- ARGV: token, outcome (delivered, again, failed or gone), HTTP status, error, microseconds until the next try,
-- microseconds without a success after which a last failure switches the webhook off, id of the message.
-- Returns {'ok'}, or {'taken'} when the lease has ended and somebody else holds or has settled it.
if redis.call('HGET', KEYS[1], 'lease') ~= ARGV[1] then
  return {'taken'}
end
local time, outcome = now(), ARGV[2]
if outcome == 'again' then
  local next = digits(time + tonumber(ARGV[5]))
  redis.call('HSET', KEYS[1], 'lease', '', 'status', ARGV[3], 'error', ARGV[4], 'next', next)
  redis.call('ZADD', KEYS[2], next, ARGV[7])
else
  redis.call('HSET', KEYS[1], 'lease', '', 'status', ARGV[3], 'error', ARGV[4], 'next', 0,
    'state', outcome == 'delivered' and 'delivered' or 'failed')
  redis.call('HDEL', KEYS[1], 'data')
  redis.call('ZREM', KEYS[2], ARGV[7])
  if not redis.call('ZSCORE', KEYS[4], ARGV[7]) then
    redis.call('UNLINK', KEYS[1])
  end
end
local failing = tonumber(redis.call('HGET', KEYS[3], 'failing'))
if not failing then
  return {'ok'}
end
if outcome == 'delivered' then
  redis.call('HSET', KEYS[3], 'failing', 0)
elseif failing == 0 then
  redis.call('HSET', KEYS[3], 'failing', digits(time))
  failing = time
end
if outcome == 'gone' then
  redis.call('HSET', KEYS[3], 'enabled', '0', 'reason', 'gone')
elseif outcome == 'failed' and time - failing >= tonumber(ARGV[6]) then
  redis.call('HSET', KEYS[3], 'enabled', '0', 'reason', 'failing')
end
return {'ok'}
