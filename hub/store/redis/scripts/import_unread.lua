-- Brings in an agent's unread of a conversation, or only its version. KEYS:
-- identity, revision, versions, holders, the agent's unread. ARGV: agent,
-- version, conversation ('': only the version), stamp, count, entry.
local agent, version, conv, stamp, count, entry = take(), number(), take(), number(), number(), take()
local v = redis.call('HGET', KEYS[3], agent)
local total = 0
if v then
  local had, sum = string.match(v, '^(%d+) (%d+)$')
  version, total = math.max(version, tonumber(had)), tonumber(sum)
end
if conv ~= '' then
  local stored, had = redis.call('HGET', KEYS[5], conv), 0
  if stored then
    local n = {}
    for word in string.gmatch(stored, '%d+') do n[#n + 1] = tonumber(word) end
    if n[4] >= stamp then return {'ok'} end
    for i = 5, #n, 2 do had = had + n[i + 1] - n[i] + 1 end
  end
  redis.call('HSET', KEYS[5], conv, entry)
  total = total + count - had
  if count > 0 then
    redis.call('ZADD', KEYS[4], 0, conv .. '/' .. agent)
  else
    redis.call('ZREM', KEYS[4], conv .. '/' .. agent)
  end
end
redis.call('HSET', KEYS[3], agent, int(version) .. ' ' .. int(total))
return {'ok'}
