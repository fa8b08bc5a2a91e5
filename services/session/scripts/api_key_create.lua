-- KEYS: key, keys of the user, user, log.
-- ARGV: most keys, '1' when the caller is an owner or the user, deed, id, then fields and values.
-- Returns {'ok', time}, {'missing'}, {'owner'} when only an owner may, or {'full'}.
local role = redis.call('HGET', KEYS[3], 'role')
if not role then
  return {'missing'}
end
if role == 'owner' and ARGV[2] ~= '1' then
  return {'owner'}
end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[1]) then
  return {'full'}
end
local time = digits(moment_after(KEYS[2]))
redis.call('HSET', KEYS[1], 'created', time, 'used', '0', unpack(ARGV, 5))
redis.call('ZADD', KEYS[2], time, ARGV[4])
note(KEYS[4], ARGV[3])
return {'ok', time}
