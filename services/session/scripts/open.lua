-- KEYS: store. ARGV: schema version, random bytes.
-- Returns the version and the page token key that are stored.
if redis.call('HEXISTS', KEYS[1], 'schema') == 0 then
  redis.call('HSET', KEYS[1], 'schema', ARGV[1], 'page_token_key', ARGV[2])
end
return redis.call('HMGET', KEYS[1], 'schema', 'page_token_key')
