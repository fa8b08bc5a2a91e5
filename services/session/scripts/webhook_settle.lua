-- KEYS: message, messages that wait, webhook, messages of the webhook.
-- ARGV: token, outcome (delivered, again, failed, gone or unsigned), HTTP status, error, microseconds until the next try,
-- microseconds without a success after which a last failure switches the webhook off, id of the message.
-- Returns {'ok'}, or {'taken'} when the lease has ended and somebody else holds or has settled it.
-- One that was cancelled meanwhile is not tried again.
local known = redis.call('HMGET', KEYS[1], 'lease', 'state')
if known[1] ~= ARGV[1] then
  return {'taken'}
end
local time, outcome = now(), ARGV[2]
if outcome == 'again' and known[2] == 'waiting' then
  local next = digits(time + tonumber(ARGV[5]))
  redis.call('HSET', KEYS[1], 'lease', '', 'status', ARGV[3], 'error', ARGV[4], 'next', next)
  redis.call('ZADD', KEYS[2], next, ARGV[7])
else
  local state = outcome == 'delivered' and outcome or known[2] == 'cancelled' and known[2] or 'failed'
  redis.call('HSET', KEYS[1], 'lease', '', 'status', ARGV[3], 'error', ARGV[4], 'next', 0, 'state', state)
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
elseif failing == 0 and outcome ~= 'unsigned' then
  redis.call('HSET', KEYS[3], 'failing', digits(time))
  failing = time
end
if outcome == 'unsigned' then
  redis.call('HSET', KEYS[3], 'enabled', '0', 'reason', 'key')
elseif outcome == 'gone' then
  redis.call('HSET', KEYS[3], 'enabled', '0', 'reason', 'gone')
elseif outcome == 'failed' and time - failing >= tonumber(ARGV[6]) then
  redis.call('HSET', KEYS[3], 'enabled', '0', 'reason', 'failing')
end
return {'ok'}
