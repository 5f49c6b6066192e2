-- Erases the text and thumbnail of messages. KEYS: identity, revision,
-- messages. ARGV: how many, references.
for _ = 1, number() do
  local ref = take()
  local stored = redis.call('HGET', KEYS[3], ref)
  local head = stored and string.match(stored, '^([^\n]*)\n')
  if head then redis.call('HSET', KEYS[3], ref, head) end
end
return {'ok'}
