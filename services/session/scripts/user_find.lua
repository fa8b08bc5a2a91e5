-- KEYS: ids by name or provider. ARGV: what to look for, prefix of users. Returns {'ok', all of the user} or {'missing'}.
local id = redis.call('HGET', KEYS[1], ARGV[1])
if not id then
  return {'missing'}
end
return {'ok', redis.call('HGETALL', ARGV[2] .. id)}
