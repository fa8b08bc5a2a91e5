-- KEYS: user, index by name, ids by name, owners, ids by provider, keys of the user, log, once,
-- index of the user's webhooks, spaces that have webhooks, messages that wait.
-- ARGV: lifetime of the first answer, fingerprint, '1' when the caller is an owner, deed, prefix of API keys, space
-- of the user, prefix of webhook keys, prefix of message keys.
-- Returns {'ok' or 'existing', {}}, {'reused'}, {'missing'}, {'owner'} when only an owner may, or {'last'}.
local known = answered(KEYS[8], ARGV[2])
if known then
  return known
end
local user = redis.call('HMGET', KEYS[1], 'user_id', 'role', 'folded', 'external')
if not user[1] then
  return {'missing'}
end
if user[2] == 'owner' and ARGV[3] ~= '1' then
  return {'owner'}
end
if redis.call('SISMEMBER', KEYS[4], user[1]) == 1 and redis.call('SCARD', KEYS[4]) <= 1 then
  return {'last'}
end
for _, id in ipairs(redis.call('ZRANGE', KEYS[6], 0, -1)) do
  redis.call('UNLINK', ARGV[5] .. id)
end
redis.call('UNLINK', KEYS[6])
for _, id in ipairs(redis.call('ZRANGE', KEYS[9], 0, -1)) do
  local hook = ARGV[7] .. id
  remove_webhook({hook, KEYS[9], KEYS[10], KEYS[11], hook .. ':messages'}, id, ARGV[6], ARGV[8])
end
redis.call('ZREM', KEYS[2], user[3])
redis.call('HDEL', KEYS[3], user[3])
redis.call('HDEL', KEYS[5], user[4])
redis.call('SREM', KEYS[4], user[1])
redis.call('UNLINK', KEYS[1])
note(KEYS[7], ARGV[4])
remember(KEYS[8], ARGV[2], ARGV[1], {'user_id', user[1]})
return {'ok', {}}
