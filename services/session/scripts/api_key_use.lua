-- KEYS: key. Keeps the time of its use, unless it is gone. Returns {'ok'}.
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'used', digits(now()))
end
return {'ok'}
