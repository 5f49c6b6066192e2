-- In front of every script that writes. KEYS[1] is the identity of this
-- partition, KEYS[2] the last revision given out in it; ARGV[1] the identity the
-- caller knows, ARGV[2] its clock in µs, 0 for the server's.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('NOIDENTITY')
end
local now = tonumber(ARGV[2])
if now == 0 then
  local t = redis.call('TIME')
  now = tonumber(t[1]) * 1000000 + tonumber(t[2])
end
local function int(n) return string.format('%.0f', n) end

local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local function rev()
  last = math.max(last + 1, now)
  return int(last)
end
local function keepRev() redis.call('SET', KEYS[2], int(last)) end

-- revOf is the revision a stored value starts with, '0' if there is none.
local function revOf(value) return value and string.match(value, '^%d+') or '0' end

local arg = 2
local function take()
  arg = arg + 1
  return ARGV[arg]
end
local function number() return tonumber(take()) end
