-- Removes messages. KEYS: identity, revision, messages, their times, their ids,
-- due work, ends. ARGV: how many, of each its reference and the key of its fan-out.
-- Answers how many went.
local gone = 0
for _ = 1, number() do
  local ref, fanout = take(), take()
  if redis.call('HEXISTS', KEYS[6], fanout) == 0 then
    redis.call('ZREM', KEYS[4], ref)
    redis.call('ZREM', KEYS[5], ref)
    redis.call('HDEL', KEYS[7], ref)
    gone = gone + redis.call('HDEL', KEYS[3], ref)
  end
end
return {'ok', gone}
