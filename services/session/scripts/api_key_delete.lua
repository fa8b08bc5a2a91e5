-- KEYS: key, keys of the user, log. ARGV: id, deed. Returns {'ok'} or {'missing'}.
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('UNLINK', KEYS[1]) == 0 then
  return {'missing'}
end
note(KEYS[3], ARGV[2])
return {'ok'}
