-- KEYS: counters of what is tried, the log last. ARGV: most, milliseconds from the first try on, deed when a counter is full.
-- Returns {'ok', 0}, or {'wait', milliseconds} when one is full; then nothing is counted.
-- Counts before the password is looked at: of a thousand tries at once none comes in between.
local wait = 0
for place = 1, #KEYS - 1 do
  if tonumber(redis.call('GET', KEYS[place]) or 0) >= tonumber(ARGV[1]) then
    wait = math.max(wait, redis.call('PTTL', KEYS[place]))
  end
end
if wait > 0 then
  return {'wait', wait}
end
for place = 1, #KEYS - 1 do
  local count = redis.call('INCR', KEYS[place])
  if redis.call('PTTL', KEYS[place]) < 0 then
    redis.call('PEXPIRE', KEYS[place], ARGV[2])
  end
  if count == tonumber(ARGV[1]) then
    note(KEYS[#KEYS], ARGV[3])
  end
end
return {'ok', 0}
