-- KEYS: item, index of its kind. ARGV: name. Returns {'ok'} or {'missing'}.
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('UNLINK', KEYS[1]) == 1 and {'ok'} or {'missing'}
