-- Removes the records of messages whose work in this partition has ended, or
-- only tells. KEYS: identity, revision, fan-outs, due work. ARGV: '1' to remove,
-- how many messages, of each its reference and the keys of its work. Answers
-- with the places of those whose work has not ended.
local remove, held = take() == '1', {}
for i = 1, number() do
  local ref, fanout, deadline = take(), take(), take()
  local record = redis.call('HGET', KEYS[3], ref)
  if record and string.match(record, '^%d+ 0') or redis.call('HEXISTS', KEYS[4], fanout) == 1 or redis.call('HEXISTS', KEYS[4], deadline) == 1 then
    held[#held + 1] = i - 1
  elseif remove and record then
    redis.call('HDEL', KEYS[3], ref)
  end
end
return {'ok', held}
