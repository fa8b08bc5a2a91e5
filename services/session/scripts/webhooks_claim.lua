-- KEYS: messages that wait, the user whose they are (any place for none).
-- ARGV: lease in microseconds, token, most messages, prefix of webhook keys, prefix of message keys.
-- Returns {messages as {fields, data, url, secret, old secret or ''}}. Each is the claimer's until its lease
-- ends; then whoever comes next takes it over, so what a dead process held is not lost. An old secret whose time is
-- over is kept no longer.
-- Of a user who is disabled nothing is sent, as if all webhooks were switched off.
local time = now()
local disabled = redis.call('HGET', KEYS[2], 'disabled') == '1'
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', digits(time), 'LIMIT', 0, ARGV[3])) do
  local key = ARGV[5] .. id
  local hook, state = unpack(redis.call('HMGET', key, 'webhook_id', 'state'))
  local known = hook and redis.call('HMGET', ARGV[4] .. hook, 'enabled', 'url', 'secret', 'old_secret', 'old_until')
  if state ~= 'waiting' then
    redis.call('ZREM', KEYS[1], id)
  elseif not known[1] then
    redis.call('ZREM', KEYS[1], id)
    redis.call('UNLINK', key)
  elseif disabled or known[1] ~= '1' then
    cancel(KEYS[1], key, id)
  else
    if known[4] and tonumber(known[5]) <= time then
      redis.call('HDEL', ARGV[4] .. hook, 'old_secret')
      known[4] = ''
    end
    local ends = digits(time + tonumber(ARGV[1]))
    redis.call('ZADD', KEYS[1], ends, id)
    redis.call('HSET', key, 'lease', ARGV[2], 'attempted', digits(time), 'next', ends)
    redis.call('HINCRBY', key, 'attempts', 1)
    found[#found + 1] = {picked(key, MESSAGE), redis.call('HGET', key, 'data') or '{}', known[2], known[3],
      known[4] or ''}
  end
end
return {found}
