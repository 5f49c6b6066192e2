-- Carries out one batch. KEYS: identity, revision, agents, fan-outs, due work,
-- its times, its kinds, versions, holders, then the unread of each agent named.
-- ARGV: see Commit in commit.go. All is checked before anything is written.
local agents, fanouts, dues, times, kinds, versions, holders = KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]
for _ = 1, number() do
  local id, at = take(), take()
  if revOf(redis.call('HGET', agents, id)) ~= at then return {'conflict'} end
end
local records = {}
for i = 1, number() do
  local f = {ref = take(), rev = take(), doc = take()}
  if revOf(redis.call('HGET', fanouts, f.ref)) ~= f.rev then return {'conflict'} end
  records[i] = f
end
local puts = {}
for i = 1, number() do
  puts[i] = takeDue()
  if not dueStands(dues, puts[i]) then return {'conflict'} end
end
local done = {}
for i = 1, number() do
  local key, at = take(), take()
  local stored = redis.call('HGET', dues, key)
  if not stored or revOf(stored) ~= at then return {'conflict'} end
  done[i] = key
end

local fanoutRevs, dueRevs, fenced, counts = {}, {}, {}, {}
for i, f in ipairs(records) do
  fanoutRevs[i] = rev()
  redis.call('HSET', fanouts, f.ref, fanoutRevs[i] .. ' ' .. f.doc)
end
for _, key in ipairs(done) do dropDue(dues, times, kinds, key) end
for i, d in ipairs(puts) do dueRevs[i] = putDue(dues, times, kinds, d) end
if last > 0 then keepRev() end

-- Unread. An entry is "cursor fence assigned stamp lo hi lo hi …": the runs of
-- applied seqs lie above the cursor, apart and in order.
local function size(e)
  local n = 0
  for i = 1, #e.runs, 2 do n = n + e.runs[i + 1] - e.runs[i] + 1 end
  return n, e.runs[#e.runs] or 0
end
local named, entries, touched = {}, {}, {}
for i = 1, number() do named[i] = {id = take(), key = KEYS[9 + i]} end
local function entry()
  local a, conv = named[number()], take()
  local of = entries[a]
  if not of then
    of = {}
    entries[a] = of
  end
  local e = of[conv]
  if not e then
    e = {agent = a, conv = conv, cursor = 0, fence = 0, assigned = 0, stamp = now, runs = {}}
    local stored = redis.call('HGET', a.key, conv)
    if stored then
      local n = {}
      for word in string.gmatch(stored, '%d+') do n[#n + 1] = tonumber(word) end
      e.cursor, e.fence, e.assigned, e.stamp = n[1], n[2], n[3], n[4]
      for i = 5, #n do e.runs[i - 4] = n[i] end
    end
    e.had, e.newest = size(e)
    of[conv] = e
    touched[#touched + 1] = e
  end
  return e
end
local function add(e, from, to)
  from = math.max(from, e.cursor + 1, 1)
  if from > to then return false end
  local before, merged, placed = size(e), {}, false
  for i = 1, #e.runs, 2 do
    local lo, hi = e.runs[i], e.runs[i + 1]
    if hi + 1 < from then
      merged[#merged + 1], merged[#merged + 2] = lo, hi
    elseif to + 1 < lo then
      if not placed then
        merged[#merged + 1], merged[#merged + 2] = from, to
        placed = true
      end
      merged[#merged + 1], merged[#merged + 2] = lo, hi
    else
      from, to = math.min(from, lo), math.max(to, hi)
    end
  end
  if not placed then merged[#merged + 1], merged[#merged + 2] = from, to end
  e.runs = merged
  return size(e) ~= before
end

for i = 1, number() do
  local e = entry()
  local from, to, assignment = number(), number(), number()
  if assignment < e.fence then
    fenced[#fenced + 1] = i - 1
  elseif add(e, from, to) then
    e.assigned = math.max(e.assigned, assignment)
  end
end
for _ = 1, number() do
  local e = entry()
  local upto = number()
  if upto > e.cursor then
    e.cursor = upto
    local left = {}
    for i = 1, #e.runs, 2 do
      if e.runs[i + 1] > upto then
        left[#left + 1], left[#left + 2] = math.max(e.runs[i], upto + 1), e.runs[i + 1]
      end
    end
    e.runs = left
  end
end
for _ = 1, number() do
  local e = entry()
  local assignment = number()
  e.fence = math.max(e.fence, assignment)
  if e.assigned <= assignment then e.runs = {} end
end

for _, e in ipairs(touched) do
  local n, newest = size(e)
  local a = e.agent
  if n == e.had and newest == e.newest then
    if n == 0 then e.stamp = math.max(e.stamp, now) end
  else
    if not a.version then
      local v = redis.call('HGET', versions, a.id)
      a.version, a.total = 0, 0
      if v then
        local version, total = string.match(v, '^(%d+) (%d+)$')
        a.version, a.total = tonumber(version), tonumber(total)
      end
    end
    local prev = a.version
    a.version = math.max(prev + 1, now)
    a.total = a.total + n - e.had
    if n == 0 or newest > e.newest then e.stamp = a.version end
    if n == 0 then
      redis.call('ZREM', holders, e.conv .. '/' .. a.id)
    elseif e.had == 0 then
      redis.call('ZADD', holders, 0, e.conv .. '/' .. a.id)
    end
    for _, v in ipairs({a.id, e.conv, n, newest, e.cursor, prev, a.version, a.total}) do counts[#counts + 1] = v end
  end
  local words = {int(e.cursor), int(e.fence), int(e.assigned), int(e.stamp)}
  for _, v in ipairs(e.runs) do words[#words + 1] = int(v) end
  redis.call('HSET', a.key, e.conv, table.concat(words, ' '))
end
for _, a in ipairs(named) do
  if a.version then redis.call('HSET', versions, a.id, int(a.version) .. ' ' .. int(a.total)) end
end
return {'ok', fanoutRevs, dueRevs, fenced, counts}
