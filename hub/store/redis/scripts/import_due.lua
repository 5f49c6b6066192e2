-- Brings in due work. KEYS: identity, revision, due work, its times, its kinds.
-- ARGV: the due work.
local d = takeDue()
local stored = redis.call('HGET', KEYS[3], d.key)
if stored and tonumber(revOf(stored)) >= tonumber(d.rev) then return {'ok'} end
redis.call('HSET', KEYS[3], d.key, d.rev .. ' ' .. d.head .. d.body)
if d.dead then
  redis.call('ZREM', KEYS[4], d.key)
else
  redis.call('ZADD', KEYS[4], d.score, d.key)
end
redis.call('ZADD', KEYS[5], d.class, d.key)
last = math.max(last, tonumber(d.rev))
keepRev()
return {'ok'}
