-- KEYS: family, log. ARGV: deed. Returns {'ok'}.
if redis.call('UNLINK', KEYS[1]) == 1 then
  note(KEYS[2], ARGV[1])
end
return {'ok'}
