-- Reads an agent's unread. KEYS: versions, the agent's unread. ARGV: agent.
return {redis.call('HGET', KEYS[1], ARGV[1]) or '', redis.call('HGETALL', KEYS[2])}
