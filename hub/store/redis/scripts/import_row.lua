-- Brings in a row at its revision; what stands at the same or a newer one stays.
-- KEYS: identity, revision, rows, and up to two indexes. ARGV: field, revision, the
-- row behind it, and for each index the score.
local field, at, row = take(), take(), take()
local stored = redis.call('HGET', KEYS[3], field)
if stored and tonumber(revOf(stored)) >= tonumber(at) then return {'ok'} end
redis.call('HSET', KEYS[3], field, at .. ' ' .. row)
for i = 4, #KEYS do redis.call('ZADD', KEYS[i], take(), field) end
last = math.max(last, tonumber(at))
keepRev()
return {'ok'}
