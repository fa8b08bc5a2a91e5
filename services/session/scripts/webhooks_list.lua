-- KEYS: index of webhooks. ARGV: prefix of webhook keys.
-- Returns {webhooks as names and values}, oldest first.
local found = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  found[#found + 1] = picked(ARGV[1] .. id, WEBHOOK)
end
return {found}
