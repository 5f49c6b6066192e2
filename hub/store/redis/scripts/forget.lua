-- Forgets cursors and fences where nothing is unread and nothing changed since a
-- time. KEYS: identity, revision, unread of agents. ARGV: the time in µs.
local cutoff = number()
for i = 3, #KEYS do
  local all = redis.call('HGETALL', KEYS[i])
  for j = 1, #all, 2 do
    local stamp = string.match(all[j + 1], '^%d+ %d+ %d+ (%d+)$')
    if stamp and tonumber(stamp) < cutoff then redis.call('HDEL', KEYS[i], all[j]) end
  end
end
return {'ok'}
