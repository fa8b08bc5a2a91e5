-- KEYS: family, user, API key that is traded (any place for none), log.
-- ARGV: lifetime, version of the user, '1' when a key is traded, deed, then fields and values.
-- Returns {'ok', time} or {'gone'}.
local user = redis.call('HMGET', KEYS[2], 'version', 'disabled')
if user[1] ~= ARGV[2] or user[2] ~= '0' or (ARGV[3] == '1' and not key_stands(KEYS[3])) then
  return {'gone'}
end
local time = digits(now())
redis.call('HSET', KEYS[1], 'number', '1', 'rotated', time, unpack(ARGV, 5))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
note(KEYS[4], ARGV[4])
return {'ok', time}
