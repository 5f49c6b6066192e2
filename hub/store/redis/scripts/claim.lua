-- Claims work. KEYS: identity, revision, due work, its times.
-- ARGV: now in µs, now as work has it, how many, until in µs.
local dues, times = KEYS[3], KEYS[4]
local at, exact, limit, til = take(), take(), number(), take()
local items = {}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', times, '-inf', at, 'LIMIT', 0, limit)) do
  local doc = redis.call('HGET', dues, key)
  if not doc then
    redis.call('ZREM', times, key)
  elseif string.match(doc, '^%d+ %d+ %-?%d+ (%d+)') <= exact then
    redis.call('ZADD', times, til, key)
    items[#items + 1], items[#items + 2] = key, doc
  end
end
return {'ok', items}
