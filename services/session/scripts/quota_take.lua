-- KEYS: quota, once.
-- ARGV: lifetime of the first answer, fingerprint, limit, amount, seconds of a window, '1' when all of the amount
-- must be left.
-- Returns {'ok' or 'existing', {remaining and reset}}, {'reused'} or {'exhausted', remaining, reset}. Windows
-- begin with the epoch, so days are those of UTC.
local known = answered(KEYS[2], ARGV[2])
if known then
  return known
end
local window, amount = tonumber(ARGV[5]), tonumber(ARGV[4])
local number = math.floor(now() / 1000000 / window)
local reset = digits((number + 1) * window * 1000000)
local held = redis.call('HMGET', KEYS[1], 'window', 'used')
local used = held[1] == digits(number) and tonumber(held[2]) or 0
local left = math.max(0, tonumber(ARGV[3]) - used)
if left == 0 or (ARGV[6] == '1' and amount > left) then
  return {'exhausted', digits(left), reset}
end
redis.call('HSET', KEYS[1], 'window', digits(number), 'used', digits(used + amount))
redis.call('PEXPIRE', KEYS[1], digits(window * 2000))
local fields = {'remaining', digits(math.max(0, left - amount)), 'reset', reset}
remember(KEYS[2], ARGV[2], ARGV[1], fields)
return {'ok', fields}
