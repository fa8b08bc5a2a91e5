-- KEYS: messages that wait, index of webhooks.
-- ARGV: cursor that these events follow, the next one, prefix of webhook keys, prefix of message keys, most messages
-- that wait, most of them when documents are told of, then type, name, time and data as JSON of each event.
-- Returns {'ok'}, {'other', cursor} when somebody else was here since, or {'full'}. All events are in the queue and the
-- cursor has moved, or nothing was done.
local key = heard(KEYS[1])
local cursor = redis.call('HGET', key, 'cursor')
if cursor ~= ARGV[1] then
  return {'other', cursor or ''}
end
local events = (#ARGV - 6) / 4
local room = tonumber(ARGV[6]) - redis.call('ZCARD', KEYS[1])
if events > 0 and events * redis.call('ZCARD', KEYS[2]) > room then
  return {'full'}
end
for place = 7, #ARGV, 4 do
  tell(KEYS[2], KEYS[1], ARGV[3], ARGV[4], ARGV[5], ARGV[place], ARGV[place + 1], ARGV[place + 2],
    cjson.decode(ARGV[place + 3]), nil)
end
redis.call('HSET', key, 'cursor', ARGV[2])
return {'ok'}
