-- KEYS: spaces that have webhooks.
-- ARGV: place to begin after or '', most spaces, what stands before a space in keys, what
-- stands behind it in the index of webhooks, in keys of webhooks, in messages that wait.
-- Returns {listeners as {space, cursor, since, role, groups}, place of the next page or ''}: people with a webhook that
-- is sent what happens to documents. Role and groups are '' where there is no such user. Who is disabled is not
-- listed and begins anew afterwards, like one whose last such webhook was switched off.
local spaces = redis.call('SMEMBERS', KEYS[1])
table.sort(spaces)
local found, last, most = {}, '', tonumber(ARGV[2])
for _, space in ipairs(spaces) do
  if space > ARGV[1] then
    if #found >= most then
      return {found, last}
    end
    local waiting = ARGV[3] .. space .. ARGV[6]
    local tenant, user = space:match('^(.*)%.(.*)$')
    local known = {false, false, false}
    if tenant then
      known = redis.call('HMGET', ARGV[3] .. tenant .. '}:user:' .. user, 'role', 'groups', 'disabled')
    end
    if known[3] == '1' then
      redis.call('UNLINK', heard(waiting))
    elseif keep_hearing(ARGV[3] .. space .. ARGV[4], ARGV[3] .. space .. ARGV[5], waiting) then
      local place = redis.call('HMGET', heard(waiting), 'cursor', 'since')
      found[#found + 1] = {space, place[1], place[2], known[1] or '', known[2] or ''}
    end
    last = space
  end
end
return {found, ''}
