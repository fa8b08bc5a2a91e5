-- KEYS: quota.
-- ARGV: seconds of a window.
-- Returns {'ok', used in this window, when it ends}; windows are those of quota_take.
local window = tonumber(ARGV[1])
local number = math.floor(now() / 1000000 / window)
local held = redis.call('HMGET', KEYS[1], 'window', 'used')
local used = held[1] == digits(number) and held[2] or '0'
return {'ok', used, digits((number + 1) * window * 1000000)}
