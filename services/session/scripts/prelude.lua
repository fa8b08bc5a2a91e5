-- Stands before every script. Times are microseconds since 1970 by the clock of
-- Redis, which all replicas of the service share.

-- What a session is, without its messages (m1, m2, …) and the requests that
-- appended them (r and the request id), which lie in the same hash.
local SESSION = {'session_id', 'title', 'collection_ids', 'metadata', 'messages', 'created', 'updated', 'expires'}

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

-- The names first .. last of numbered fields.
local function numbered(prefix, first, last)
  local names = {}
  for number = first, last do
    names[#names + 1] = prefix .. digits(number)
  end
  return names
end

-- The fields of a hash as names and values, without those that are missing.
local function picked(key, names)
  local fields = {}
  for place, value in ipairs(redis.call('HMGET', key, unpack(names))) do
    if value then
      fields[#fields + 1] = names[place]
      fields[#fields + 1] = value
    end
  end
  return fields
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

-- Keeps the first answer to a request: a day at most, since nobody asks again later, however long what was made lives.
local function remember(key, fingerprint, lifetime, fields)
  if fingerprint ~= '' then
    redis.call('HSET', key, 'fingerprint', fingerprint, unpack(fields))
    redis.call('PEXPIRE', key, math.min(tonumber(lifetime), 86400000))
  end
end

-- A write to a session: fields, new times, a new life. keys: session, index, runs of the session.
local function write_session(keys, lifetime, id, now, fields)
  redis.call('HSET', keys[1], 'updated', digits(now), 'expires', digits(now + lifetime * 1000), unpack(fields))
  redis.call('PEXPIRE', keys[1], lifetime)
  redis.call('PEXPIRE', keys[3], lifetime)
  redis.call('ZADD', keys[2], digits(now), id)
  keep_index(lifetime, keys[2])
end

-- What an attachment is. One of a session has no time of its own (0): it is there as long as the session is.
local ATTACHMENT = {'attachment_id', 'session_id', 'run_id', 'filename', 'media_type', 'bytes', 'sha256', 'file',
  'created', 'expires'}

-- An attachment as names and values, with the time at which it will expire; empty when it is gone. It may be there
-- still: nobody removes a file at its time, the sweep does. sessions: prefix of session keys.
local function living(key, sessions)
  local values = redis.call('HMGET', key, unpack(ATTACHMENT))
  if not values[1] then
    return {}
  end
  if values[2] ~= '' then
    values[10] = redis.call('HGET', sessions .. values[2], 'expires')
  else
    local time = redis.call('TIME')
    if tonumber(values[10]) <= tonumber(time[1]) * 1000000 + tonumber(time[2]) then
      values[10] = false
    end
  end
  if not values[10] then
    return {}
  end
  local fields = {}
  for place, value in ipairs(values) do
    fields[2 * place - 1] = ATTACHMENT[place]
    fields[2 * place] = value
  end
  return fields
end

-- What a file counts: a disk and this record have their price for the smallest one too.
local function weight(bytes)
  return digits(math.max(tonumber(bytes), 4096))
end

-- Forgets an attachment; the name of its bytes, nil when it was not there. keys: attachment, index of all,
-- bytes of all.
local function forget(keys, sessions, id)
  local known = redis.call('HMGET', keys[1], 'bytes', 'file', 'session_id')
  redis.call('ZREM', keys[2], id)
  if not known[1] then
    return nil
  end
  redis.call('UNLINK', keys[1])
  redis.call('DECRBY', keys[3], weight(known[1]))
  if known[3] ~= '' then
    redis.call('ZREM', sessions .. known[3] .. ':attachments', id)
  end
  return known[2]
end

-- What others are told of a user.
local USER = {'user_id', 'name', 'role', 'groups', 'disabled', 'issuer', 'version', 'created', 'updated'}

local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- Whether an API key is there and its end has not come.
local function key_stands(key)
  local ends = redis.call('HGET', key, 'ends')
  return ends == '0' or tonumber(ends or 0) > now()
end

-- A line in the log of what was done to users and keys; the newest 10,000 stay.
local function note(log, deed)
  local newest = redis.call('ZREVRANGE', log, 0, 0, 'WITHSCORES')
  local place = digits(tonumber(newest[2] or 0) + 1)
  redis.call('ZADD', log, place, place .. ' ' .. digits(now()) .. ' ' .. deed)
  redis.call('ZREMRANGEBYRANK', log, 0, -10001)
end

-- What others are told of a webhook, and of a message.
local WEBHOOK = {'webhook_id', 'url', 'label', 'types', 'answers', 'enabled', 'reason', 'failing', 'dropped',
  'old_until', 'created', 'updated'}
local MESSAGE = {'message_id', 'webhook_id', 'type', 'state', 'attempts', 'status', 'error', 'event_time',
  'attempted', 'next'}
-- How long a message is known, in milliseconds; it is not tried for so long. How many are kept of a webhook.
local MESSAGE_LIFE, MESSAGES_KEPT = 1209600000, 100

-- Where it stands how far a person was told of documents: the cursor in what the vector service lists, and since when
-- it counts. waiting: messages that wait.
local function heard(waiting)
  return waiting:sub(1, -8) .. 'heard'
end

-- Whether a webhook is sent what happens to documents.
local function hears(hook)
  local known = redis.call('HMGET', hook, 'types', 'enabled')
  return known[2] == '1' and (' ' .. known[1]):find(' document.', 1, true) ~= nil
end

-- What happens to documents counts for a person from now on, if it did not already; or no more, when no webhook of
-- theirs is sent it. index: of webhooks. hooks: prefix of their keys. Returns whether it counts.
local function keep_hearing(index, hooks, waiting)
  local key = heard(waiting)
  for _, id in ipairs(redis.call('ZRANGE', index, 0, -1)) do
    if hears(hooks .. id) then
      if redis.call('HSETNX', key, 'since', digits(now())) == 1 then
        redis.call('HSET', key, 'cursor', '')
      end
      return true
    end
  end
  redis.call('UNLINK', key)
  return false
end

-- A message waits no more: its webhook is switched off. Whoever is sending it keeps the lease, and may still say
-- that the receiver has it. waiting: messages that wait. key: of the message.
local function cancel(waiting, key, id)
  redis.call('ZREM', waiting, id)
  redis.call('HSET', key, 'state', 'cancelled', 'next', 0)
  redis.call('HDEL', key, 'data')
end

-- Removes a webhook with the messages that are listed of it, also those that wait. One that waits and
-- is listed no more goes when its turn comes, or here with the last webhook. keys: webhook, index of
-- webhooks, spaces that have webhooks, messages that wait, messages of the webhook. messages: prefix of their keys.
local function remove_webhook(keys, id, space, messages)
  redis.call('UNLINK', keys[1])
  redis.call('ZREM', keys[2], id)
  for _, message in ipairs(redis.call('ZRANGE', keys[5], 0, -1)) do
    redis.call('ZREM', keys[4], message)
    redis.call('UNLINK', messages .. message)
  end
  redis.call('UNLINK', keys[5])
  keep_hearing(keys[2], keys[1]:sub(1, -#id - 1), keys[4])
  if redis.call('EXISTS', keys[2]) == 0 then
    for _, message in ipairs(redis.call('ZRANGE', keys[4], 0, -1)) do
      redis.call('UNLINK', messages .. message)
    end
    redis.call('UNLINK', keys[4])
    redis.call('SREM', keys[3], space)
  end
end

-- Puts a message into the queue, once; false when that is full. It is named by what it tells and to whom, so
-- whoever repeats the event finds it. prefixes: of webhook keys, of message keys. data: a table.
local function enqueue(due, webhooks, messages, most, hook, type, event, time, data)
  local id = 'msg_' .. redis.sha1hex(hook .. ' ' .. type .. ' ' .. event)
  local key = messages .. id
  if redis.call('EXISTS', key) == 1 then
    return id
  end
  if redis.call('ZCARD', due) >= tonumber(most) then
    redis.call('HINCRBY', webhooks .. hook, 'dropped', 1)
    return false
  end
  local list = webhooks .. hook .. ':messages'
  local place = digits(moment_after(list))
  redis.call('HSET', key, 'message_id', id, 'webhook_id', hook, 'type', type, 'state', 'waiting', 'attempts', 0,
    'status', 0, 'error', '', 'lease', '', 'event_time', time, 'attempted', 0, 'next', place,
    'data', cjson.encode(data))
  redis.call('PEXPIRE', key, MESSAGE_LIFE)
  redis.call('ZADD', due, place, id)
  redis.call('ZADD', list, place, id)
  redis.call('PEXPIRE', list, MESSAGE_LIFE)
  while redis.call('ZCARD', list) > MESSAGES_KEPT do
    local old = messages .. redis.call('ZPOPMIN', list)[1]
    -- One that waits is still sent.
    if redis.call('HGET', old, 'state') ~= 'waiting' then
      redis.call('UNLINK', old)
    end
  end
  return id
end

-- Tells all webhooks that listen of an event. answer: only for those that ask for it.
local function tell(index, due, webhooks, messages, most, type, event, time, data, answer)
  for _, hook in ipairs(redis.call('ZRANGE', index, 0, -1)) do
    local known = redis.call('HMGET', webhooks .. hook, 'types', 'enabled', 'answers')
    if known[2] == '1' and (' ' .. known[1] .. ' '):find(' ' .. type .. ' ', 1, true) then
      data.answer = known[3] == '1' and answer or nil
      enqueue(due, webhooks, messages, most, hook, type, event, time, data)
    end
  end
end
