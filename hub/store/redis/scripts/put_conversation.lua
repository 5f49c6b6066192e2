-- Puts a conversation at its revision, with due work. KEYS: identity, revision,
-- conversations, due work, its times, its kinds.
-- ARGV: conversation, revision, row, count of due work, the due work.
local convs, dues, times, kinds = KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local conv, at, row = take(), take(), take()
if revOf(redis.call('HGET', convs, conv)) ~= at then return {'conflict'} end
local puts = {}
for i = 1, number() do
  puts[i] = takeDue()
  if not dueStands(dues, puts[i]) then return {'conflict'} end
end
for _, d in ipairs(puts) do putDue(dues, times, kinds, d) end
local r = rev()
redis.call('HSET', convs, conv, r .. ' ' .. row)
keepRev()
return {'ok', r}
