-- KEYS: run. ARGV: lifetime, owner that is expected, new owner, then names of fields to return.
-- Returns {'ok', fields}, {'missing'}, {'ended'} or {'taken', owner}.
local run = redis.call('HMGET', KEYS[1], 'state', 'owner', 'takeovers')
if not run[1] then
  return {'missing'}
end
if run[1] ~= 'running' then
  return {'ended'}
end
local owner = run[2] or ''
if owner ~= ARGV[3] then
  if owner ~= ARGV[2] then
    return {'taken', owner}
  end
  redis.call('HSET', KEYS[1], 'owner', ARGV[3], 'takeovers', tonumber(run[3] or 0) + 1)
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return {'ok', picked(KEYS[1], {unpack(ARGV, 4)})}
