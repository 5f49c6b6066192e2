-- Due work: the item at its revision, its next time (At, or the end of its
-- lease), and its kind and age. Dead work has no next time.
local function takeDue()
  return {key = take(), rev = take(), score = take(), class = take(), head = take(), body = take(), dead = take() == '1'}
end
local function dueStands(dues, d)
  return revOf(redis.call('HGET', dues, d.key)) == d.rev
end
local function putDue(dues, times, kinds, d)
  local r = rev()
  redis.call('HSET', dues, d.key, r .. ' ' .. d.head .. d.body)
  if d.dead then
    redis.call('ZREM', times, d.key)
  else
    redis.call('ZADD', times, d.score, d.key)
  end
  redis.call('ZADD', kinds, d.class, d.key)
  return r
end
local function dropDue(dues, times, kinds, key)
  redis.call('HDEL', dues, key)
  redis.call('ZREM', times, key)
  redis.call('ZREM', kinds, key)
end
