-- Deletes a document at its revision. KEYS: identity, revision, documents, ids.
-- ARGV: id, revision.
local docs, ids = KEYS[3], KEYS[4]
local id, at = take(), take()
local stored = redis.call('HGET', docs, id)
if not stored then return {'missing'} end
if revOf(stored) ~= at then return {'conflict'} end
redis.call('HDEL', docs, id)
redis.call('ZREM', ids, id)
return {'ok'}
