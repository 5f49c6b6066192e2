-- Counts due work by kind. KEYS: the kinds. ARGV: width of a class, how many
-- classes. Answers count and oldest, in ms, of each.
local width, answer = tonumber(ARGV[1]), {}
for class = 1, tonumber(ARGV[2]) do
  local from, to = string.format('%.0f', class * width), string.format('(%.0f', (class + 1) * width)
  local n = redis.call('ZCOUNT', KEYS[1], from, to)
  answer[#answer + 1] = n
  answer[#answer + 1] = 0
  if n > 0 then
    local first = redis.call('ZRANGEBYSCORE', KEYS[1], from, to, 'WITHSCORES', 'LIMIT', 0, 1)
    answer[#answer] = tonumber(first[2]) - class * width
  end
end
return answer
