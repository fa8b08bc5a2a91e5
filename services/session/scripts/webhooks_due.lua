-- KEYS: spaces that have webhooks. ARGV: what stands before and after a space in the key of its waiting messages.
-- Returns {the spaces in which a message is due}.
local time = digits(now())
local found = {}
for _, space in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if redis.call('ZCOUNT', ARGV[1] .. space .. ARGV[2], '-inf', time) > 0 then
    found[#found + 1] = space
  end
end
return {found}
