-- Brings in the claim on an endpoint; of several devices that had it, the one put
-- last has it. KEYS: identity, revision, endpoints. ARGV: endpoint, device, its revision.
local endpoint, device, at = take(), take(), take()
local held = redis.call('HGET', KEYS[3], endpoint)
if held and tonumber(string.match(held, '^%S+ (%d+)')) >= tonumber(at) then return {'ok'} end
redis.call('HSET', KEYS[3], endpoint, device .. ' ' .. at .. ' s')
return {'ok'}
