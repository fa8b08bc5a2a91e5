-- KEYS: family, user, API key that was traded (any place for none), log.
-- ARGV: lifetime, number that is shown, microseconds in which it may be shown again, '1' when a key was traded, deed.
-- Returns {'ok', newest number, when it was made} or {'gone'}; what is shown too late ends the family.
local family = redis.call('HMGET', KEYS[1], 'version', 'number', 'rotated')
if not family[1] then
  return {'gone'}
end
local user = redis.call('HMGET', KEYS[2], 'version', 'disabled')
if user[1] ~= family[1] or user[2] ~= '0' or (ARGV[4] == '1' and not key_stands(KEYS[3])) then
  redis.call('UNLINK', KEYS[1])
  return {'gone'}
end
local shown, newest, time = tonumber(ARGV[2]), tonumber(family[2]), now()
if shown == newest then
  redis.call('HSET', KEYS[1], 'number', digits(newest + 1), 'rotated', digits(time), 'left' .. ARGV[2], digits(time))
  -- Of many that are renewed within the time the first are late by then.
  redis.call('HDEL', KEYS[1], 'left' .. digits(newest - 16))
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  return {'ok', digits(newest + 1), digits(time)}
end
local left = redis.call('HGET', KEYS[1], 'left' .. ARGV[2])
if shown < newest and left and time - tonumber(left) <= tonumber(ARGV[3]) then
  return {'ok', family[2], family[3]}
end
redis.call('UNLINK', KEYS[1])
note(KEYS[4], ARGV[5])
return {'gone'}
