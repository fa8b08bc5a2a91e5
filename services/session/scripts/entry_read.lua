-- KEYS: session or run. ARGV: bytes, names of fields that are the head of a session.
-- Returns {'whole', when it expires, all fields}, {'head', when it expires, the head} when there are more
-- bytes or more than 2,000 fields, or {'missing'}. Times are milliseconds since 1970.
-- Looks at lengths first: what is too large is not copied. -1 bytes means however many.
local left = redis.call('PTTL', KEYS[1])
if left == -2 then
  return {'missing'}
end
-- 0 for what never expires.
local time = redis.call('TIME')
local expires = digits(tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + left)
if left == -1 then
  expires = '0'
end
local room = tonumber(ARGV[1])
if room >= 0 then
  local large = redis.call('HLEN', KEYS[1]) > 2000
  for _, name in ipairs(large and {} or redis.call('HKEYS', KEYS[1])) do
    room = room - redis.call('HSTRLEN', KEYS[1], name)
  end
  if large or room < 0 then
    return {'head', expires, picked(KEYS[1], {unpack(ARGV, 2)})}
  end
end
return {'whole', expires, redis.call('HGETALL', KEYS[1])}
