-- Claims an endpoint for a device. KEYS: identity, revision, endpoints.
-- ARGV: endpoint, device, the claim that was found not to hold ('': none), µs.
-- A claim is "device stamp state": pending until its device's document has it.
local endpoints = KEYS[3]
local endpoint, device, void, patience = take(), take(), take(), number()
local held = redis.call('HGET', endpoints, endpoint)
if held then
  local by, stamp, state = string.match(held, '^(%S+) (%d+) (%a)$')
  if by ~= device then
    if held ~= void then return {'held', held} end
    if state == 'p' and now <= tonumber(stamp) + patience then return {'conflict'} end
  end
end
local claim = device .. ' ' .. int(now) .. ' p'
redis.call('HSET', endpoints, endpoint, claim)
return {'ok', claim, now}
