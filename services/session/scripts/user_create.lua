-- KEYS: user, index by name, ids by name, owners, ids by provider, log, once.
-- ARGV: lifetime of the first answer, fingerprint, most users, '1' for the first user only, name as it is
-- compared, what a provider calls the user ('' for none), deed, then fields and values.
-- Returns {'ok' or 'existing', user}, {'reused'}, {'done'}, {'exists'} or {'full'}.
local known = answered(KEYS[7], ARGV[2])
if known then
  return known
end
local users = redis.call('ZCARD', KEYS[2])
if ARGV[4] == '1' and users > 0 then
  return {'done'}
end
if redis.call('HEXISTS', KEYS[3], ARGV[5]) == 1 or
    (ARGV[6] ~= '' and redis.call('HEXISTS', KEYS[5], ARGV[6]) == 1) then
  return {'exists'}
end
if users >= tonumber(ARGV[3]) then
  return {'full'}
end
local time = digits(now())
redis.call('HSET', KEYS[1], 'folded', ARGV[5], 'external', ARGV[6], 'version', '1', 'disabled', '0',
  'created', time, 'updated', time, unpack(ARGV, 8))
local user = redis.call('HMGET', KEYS[1], 'user_id', 'role')
redis.call('ZADD', KEYS[2], 0, ARGV[5])
redis.call('HSET', KEYS[3], ARGV[5], user[1])
if user[2] == 'owner' then
  redis.call('SADD', KEYS[4], user[1])
end
if ARGV[6] ~= '' then
  redis.call('HSET', KEYS[5], ARGV[6], user[1])
end
note(KEYS[6], ARGV[7])
local fields = picked(KEYS[1], USER)
remember(KEYS[7], ARGV[2], ARGV[1], fields)
return {'ok', fields}
