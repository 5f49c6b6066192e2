-- Accepts a message. KEYS: identity, revision, conversations, messages, their
-- times, their ids, due work, its times, its kinds.
-- Strings that are compared or kept in a row are tokens: "=" and the text with
-- spaces and control characters escaped. ARGV: see accept in conversations.go.
local convs, messages, times, ids, dues, dueTimes, dueKinds = KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local conv, ref, id = take(), take(), take()
local hash, contact, tail, texts, accepted = take(), take(), take(), take(), take()
local inline, inVersion, inAgent, inTeam, inContact = take() == '1', number(), take(), take(), take()
local fanout = {key = take(), score = take(), class = take(), head = take(), body = take()}
local assign = {key = take(), score = fanout.score, class = take(), head = take()}

local stored = redis.call('HGET', messages, ref)
if stored then
  if string.match(stored, '^%d+ %d+ %-?%d+ %S+ %S+ %S+ (%S+)') ~= hash then return {'content'} end
  return {'duplicate', stored}
end

local row = redis.call('HGET', convs, conv)
local _, version, seq, answered, agent, team, newest, name
if row then
  _, version, seq, answered, agent, team, newest, name = string.match(row, '^(%d+) (%-?%d+) (%d+) (%-?%d+) (%S+) (%S+) (%S+) (%S+)$')
  version, seq = tonumber(version), tonumber(seq)
else
  version, seq, answered, agent, team, name = 0, 0, '0', '=', '=', '='
end
local from, stale = {agent, team, version}, false
if inline then
  local same = inAgent == agent and inTeam == team
  if inVersion == 0 then
    if not same then version, agent, team = version + 1, inAgent, inTeam end
  elseif inVersion > version then
    version, agent, team = inVersion, inAgent, inTeam
  else
    stale = not same or inVersion ~= version
  end
  if inContact ~= '=' then name = inContact end
end
local upto = seq
seq = seq + 1
if contact == '=' then contact = name end

local head = rev() .. ' ' .. int(seq) .. ' ' .. int(version) .. ' ' .. agent .. ' ' .. team .. ' ' .. contact .. ' ' .. hash .. ' ' .. tail
redis.call('HSET', messages, ref, head .. texts)
redis.call('ZADD', times, accepted, ref)
redis.call('ZADD', ids, 0, ref)
redis.call('HSET', convs, conv, rev() .. ' ' .. int(version) .. ' ' .. int(seq) .. ' ' .. answered .. ' ' .. agent .. ' ' .. team .. ' ' .. id .. ' ' .. name)
local answer = {'ok', head, stale and 1 or 0, '', '', '', ''}
if upto > 0 and (from[1] ~= agent or from[2] ~= team) then
  assign.key = assign.key .. int(version)
  assign.body = '\1' .. conv .. ' ' .. from[1] .. ' ' .. from[2] .. ' ' .. int(from[3]) .. ' ' .. agent .. ' ' .. team .. ' ' .. int(version) .. ' ' .. int(upto)
  answer[4] = assign.key
  answer[5] = putDue(dues, dueTimes, dueKinds, assign)
  answer[6] = assign.body
end
answer[7] = putDue(dues, dueTimes, dueKinds, fanout)
keepRev()
return answer
