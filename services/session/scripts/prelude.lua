-- Stands before every script. Times are microseconds since 1970 by the clock of
-- Redis, which all replicas of the service share.

-- Lua writes numbers of this size with an exponent.
local function digits(number)
  return string.format('%.0f', number)
end

-- Now, and after every moment in the index: a place in a list belongs to one entry.
local function moment_after(index)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local newest = redis.call('ZREVRANGE', index, 0, 0, 'WITHSCORES')
  if newest[2] and tonumber(newest[2]) >= now then
    now = tonumber(newest[2]) + 1
  end
  return now
end

local function keep(lifetime, keys)
  for _, key in ipairs(keys) do
    redis.call('PEXPIRE', key, lifetime)
  end
end

-- An index outlives each of its entries, also those written under a longer lifetime.
local function keep_index(lifetime, index)
  if redis.call('PTTL', index) < tonumber(lifetime) then
    redis.call('PEXPIRE', index, lifetime)
  end
end

-- Entries expire without a word to their index. Each new entry takes up to twenty
-- dead ones with it, oldest first, so an index does not grow for ever.
local function prune(index, prefix)
  for _, id in ipairs(redis.call('ZRANGE', index, 0, 19)) do
    if redis.call('EXISTS', prefix .. id) == 0 then
      redis.call('ZREM', index, id)
    end
  end
end

-- The first answer to a request, nil when it is new. fingerprint: '' when the
-- request has no id.
local function answered(key, fingerprint)
  if fingerprint == '' then
    return nil
  end
  local first = redis.call('HGET', key, 'fingerprint')
  if not first then
    return nil
  end
  if first ~= fingerprint then
    return {'reused'}
  end
  return {'existing', redis.call('HGETALL', key)}
end

local function remember(key, fingerprint, lifetime, fields)
  if fingerprint ~= '' then
    redis.call('HSET', key, 'fingerprint', fingerprint, unpack(fields))
    redis.call('PEXPIRE', key, lifetime)
  end
end

-- A write to a session: new times, a new life for it and what belongs to it.
-- keys: session, index, messages, requests, runs.
local function touch(keys, lifetime, id, now)
  redis.call('HSET', keys[1], 'updated', digits(now), 'expires', digits(now + lifetime * 1000))
  redis.call('ZADD', keys[2], digits(now), id)
  keep(lifetime, {keys[1], keys[3], keys[4], keys[5]})
  keep_index(lifetime, keys[2])
end
