-- Puts a document at its revision. KEYS: identity, revision, documents, ids.
-- ARGV: id, revision, document, endpoint, when the claim on it ends ('0': none).
local docs, ids = KEYS[3], KEYS[4]
local id, at, doc, endpoint, claim = take(), take(), take(), take(), number()
local stored = redis.call('HGET', docs, id)
if revOf(stored) ~= at then return {'conflict'} end
if endpoint ~= '' then
  local had = stored and string.match(stored, '^%d+ (%S*) ') or ''
  if had ~= endpoint and now > claim then return {'claim'} end
end
local r = rev()
redis.call('HSET', docs, id, r .. ' ' .. endpoint .. ' ' .. doc)
redis.call('ZADD', ids, 0, id)
keepRev()
return {'ok', r}
