-- KEYS: log. ARGV: place before which to begin (0 for the newest), count. Returns {'ok', entries}.
local below = ARGV[1] == '0' and '+inf' or '(' .. ARGV[1]
return {'ok', redis.call('ZREVRANGEBYSCORE', KEYS[1], below, '-inf', 'LIMIT', 0, ARGV[2])}
