-- KEYS: store, generation. ARGV: schema version, random bytes.
-- Returns the version, the page token key and the generation that are stored. Schema 2 knows generations, schema 3
-- journals of runs, schema 4 things and files, schema 5 users, schema 6 seeds of secrets; what schema 1 wrote is its first generation.
local schema = redis.call('HGET', KEYS[1], 'schema')
if not schema then
  redis.call('HSET', KEYS[1], 'schema', ARGV[1], 'page_token_key', ARGV[2])
elseif tonumber(schema) < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'schema', ARGV[1])
end
local store = redis.call('HMGET', KEYS[1], 'schema', 'page_token_key')
return {store[1], store[2], redis.call('HGET', KEYS[2], 'name')}
