-- Changes a claim on an endpoint if it stands as given. KEYS: identity,
-- revision, endpoints. ARGV: endpoint, claim, what it becomes ('': nothing).
local endpoints = KEYS[3]
local endpoint, held, becomes = take(), take(), take()
if redis.call('HGET', endpoints, endpoint) ~= held then return {'conflict'} end
if becomes == '' then
  redis.call('HDEL', endpoints, endpoint)
else
  redis.call('HSET', endpoints, endpoint, becomes)
end
return {'ok'}
