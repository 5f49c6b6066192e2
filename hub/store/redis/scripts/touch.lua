-- Writes, to learn whether that is possible. KEYS: identity, revision, a key.
redis.call('SET', KEYS[3], int(now))
return {'ok'}
