-- KEYS: webhook. ARGV: secret, microseconds for which the one before holds.
-- Returns {'ok', fields} or {'missing'}.
local before = redis.call('HGET', KEYS[1], 'secret')
if not before then
  return {'missing'}
end
local time = now()
redis.call('HSET', KEYS[1], 'secret', ARGV[1], 'old_secret', before, 'old_until', digits(time + tonumber(ARGV[2])),
  'updated', digits(time))
return {'ok', picked(KEYS[1], WEBHOOK)}
