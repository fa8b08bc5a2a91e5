-- KEYS: user, owners, log, once.
-- ARGV: lifetime of the first answer, fingerprint, '1' when the caller is an owner, deed, then fields and values.
-- Returns {'ok' or 'existing', user}, {'reused'}, {'missing'}, {'owner'} when only an owner may, or {'last'}.
-- A new password, and being disabled, end the tokens of a user: they carry the version.
local known = answered(KEYS[4], ARGV[2])
if known then
  return known
end
local user = redis.call('HMGET', KEYS[1], 'user_id', 'role', 'disabled', 'version')
if not user[1] then
  return {'missing'}
end
local role, disabled, version = user[2], user[3], tonumber(user[4])
for place = 5, #ARGV, 2 do
  if ARGV[place] == 'role' then
    role = ARGV[place + 1]
  elseif ARGV[place] == 'disabled' then
    disabled = ARGV[place + 1]
  elseif ARGV[place] == 'password' then
    version = version + 1
  end
end
if disabled == '1' and user[3] == '0' then
  version = version + 1
end
if ARGV[3] ~= '1' and (user[2] == 'owner' or role == 'owner') then
  return {'owner'}
end
local reigns = role == 'owner' and disabled == '0'
if user[2] == 'owner' and user[3] == '0' and not reigns and redis.call('SCARD', KEYS[2]) <= 1 then
  return {'last'}
end
redis.call('HSET', KEYS[1], 'version', digits(version), 'updated', digits(now()), unpack(ARGV, 5))
redis.call(reigns and 'SADD' or 'SREM', KEYS[2], user[1])
note(KEYS[3], ARGV[4])
local fields = picked(KEYS[1], USER)
remember(KEYS[4], ARGV[2], ARGV[1], fields)
return {'ok', fields}
