-- KEYS: webhook. ARGV: '1' when it begins anew, then fields and values.
-- Returns {'ok', fields} or {'missing'}.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'missing'}
end
if ARGV[1] == '1' then
  redis.call('HSET', KEYS[1], 'failing', 0)
end
redis.call('HSET', KEYS[1], 'updated', digits(now()), unpack(ARGV, 2))
return {'ok', picked(KEYS[1], WEBHOOK)}
