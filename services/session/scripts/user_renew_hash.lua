-- KEYS: user. ARGV: hash as it was found, hash of the same password. Returns {'ok'}.
if redis.call('HGET', KEYS[1], 'password') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'password', ARGV[2])
end
return {'ok'}
