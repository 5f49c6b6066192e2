-- Notes that messages have come to their end in one partition each, and erases
-- the text and thumbnail of those that have in all of theirs. KEYS: identity,
-- revision, messages, ends. ARGV: how many, of each its reference, the partition,
-- how many it was fanned out to, and these. Answers the places, from 0, of those
-- that have come to their end everywhere.
--
-- A row of ends is "3d 17o": done in 3, open in 17.
local whole = {}
for i = 1, number() do
  local ref, own, open, stands = take(), take(), {}, 0
  local row = redis.call('HGET', KEYS[4], ref) or ''
  for p, state in string.gmatch(row, '(%d+)([do])') do open[p] = state == 'o' end
  for _ = 1, number() do
    local p = take()
    if open[p] == nil then open[p] = true end
  end
  open[own] = false
  local words = {}
  for p, is in pairs(open) do
    words[#words + 1] = p .. (is and 'o' or 'd')
    if is then stands = stands + 1 end
  end
  local stored = redis.call('HGET', KEYS[3], ref)
  if stands == 0 or not stored then
    if row ~= '' then redis.call('HDEL', KEYS[4], ref) end
    local head = stored and string.match(stored, '^([^\n]*)\n')
    if head then redis.call('HSET', KEYS[3], ref, head) end
    if stands == 0 then whole[#whole + 1] = i - 1 end
  else
    redis.call('HSET', KEYS[4], ref, table.concat(words, ' '))
  end
end
return {'ok', whole}
