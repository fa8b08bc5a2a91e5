-- Stands after the prelude. The keys lie in a generation, which a snapshot may have replaced since the
-- caller last heard of it: then nothing is done, and the answer is {'moved', the one that counts}.
-- Inside the script, because only so a write cannot fall between the look and the replacement.
local counts = redis.call('HGET', 'meld:generation', 'name') or ''
if KEYS[1]:match('^meld:([^{]*){') ~= (counts == '' and '' or counts .. ':') then
  return {'moved', counts}
end
