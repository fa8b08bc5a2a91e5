-- KEYS: item, index of its kind, once.
-- ARGV: lifetime of the first answer, fingerprint, revision that it takes the place of (-1 for any), most of the
-- kind, name, then fields and values.
-- Returns {'ok' or 'existing', {revision and times}}, {'reused'}, {'exists'}, {'missing'}, {'changed', revision}
-- or {'full'}.
local known = answered(KEYS[3], ARGV[2])
if known then
  return known
end
local held = redis.call('HMGET', KEYS[1], 'revision', 'created')
local revision, previous = tonumber(held[1] or 0), tonumber(ARGV[3])
if previous ~= -1 and previous ~= revision then
  if previous == 0 then
    return {'exists'}
  end
  return revision == 0 and {'missing'} or {'changed', digits(revision)}
end
if revision == 0 and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[4]) then
  return {'full'}
end
local now = redis.call('TIME')
now = digits(tonumber(now[1]) * 1000000 + tonumber(now[2]))
redis.call('HSET', KEYS[1], 'revision', digits(revision + 1), 'created', held[2] or now, 'updated', now,
  unpack(ARGV, 6))
redis.call('ZADD', KEYS[2], 0, ARGV[5])
local fields = picked(KEYS[1], {'revision', 'created', 'updated'})
remember(KEYS[3], ARGV[2], ARGV[1], fields)
return {'ok', fields}
