-- Moves leases. KEYS: identity, revision, due work, its times. ARGV: until in
-- µs, how many, keys.
local dues, times = KEYS[3], KEYS[4]
local til = number()
for _ = 1, number() do
  local key = take()
  if redis.call('ZSCORE', times, key) then
    local at = tonumber(string.match(redis.call('HGET', dues, key), '^%d+ %d+ (%-?%d+)'))
    redis.call('ZADD', times, int(math.max(at, til)), key)
  end
end
return {'ok'}
