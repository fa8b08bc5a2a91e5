-- KEYS: counter of a name, and of a source where there is one. The try was right: the name counts anew, the
-- source has one less. Returns {'ok'}.
redis.call('UNLINK', KEYS[1])
if KEYS[2] and tonumber(redis.call('GET', KEYS[2]) or 0) > 0 then
  redis.call('DECR', KEYS[2])
end
return {'ok'}
