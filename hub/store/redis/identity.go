package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/redis/go-redis/v9"

	"caac-hub/hub/redisconn"
)

// Every partition holds the deployment's identity, and every script that writes
// compares it first: an emptied Redis, or an emptied shard of one, takes nothing.
//
// A store takes on the first identity it finds in all partitions. Where one is
// missing it refuses until all have the same again: only Init writes them, and only
// an operator calls Init, so it then takes on whatever identity that is. Where the
// identity is another one without ever having been missing, this is some other
// deployment's Redis, and the store refuses until it is opened anew or its own Init
// is called.

// identity is what a store knows of the deployment's.
type identity struct {
	id      string // empty: none known that holds
	before  string // the one that held before
	missing bool   // it was found missing since
}

// lookEvery is how often a store that refuses looks whether it may go on.
const lookEvery = 250 * time.Millisecond

var (
	errNew   = redisconn.Refused("this Redis is new or was emptied; run `caac-hub redis-init`")
	errOther = redisconn.Refused("this Redis holds another deployment's state than before; point the hub to the right one, or restart its nodes")
)

// identified returns the identity to write under. Of many that ask while none
// is known one looks, and the others take its answer.
func (s *Store) identified(ctx context.Context) (string, error) {
	if known := s.id.Load(); known.id != "" {
		return known.id, nil
	}
	select {
	case s.look <- struct{}{}:
	case <-ctx.Done():
		return "", redisconn.Unavailable(ctx.Err())
	}
	defer func() { <-s.look }()
	known := s.id.Load()
	if known.id != "" {
		return known.id, nil
	}
	if time.Since(s.looked) < lookEvery {
		return "", s.found
	}
	ids, err := s.identities(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.looked, s.found = time.Now(), err
		}
		return "", err
	}
	now := *known
	id, whole := agreed(ids)
	switch {
	case !whole:
		now.missing = true
	case known.before == "" || known.missing || id == known.before:
		now = identity{id: id, before: id}
		s.log.Info("store: the deployment's identity is known", "identity", id)
	}
	s.id.Store(&now)
	s.looked, s.found = time.Now(), now.refusal()
	return now.id, s.found
}

func (i *identity) refusal() error {
	if i.id != "" {
		return nil
	}
	if i.before != "" && !i.missing {
		return errOther
	}
	return errNew
}

// lost says that a script did not find the identity, and has the store look.
func (s *Store) lost(id string) error {
	if known := s.id.Load(); known.id == id && s.id.CompareAndSwap(known, &identity{before: id}) {
		s.log.Error("store: the deployment's identity is missing from Redis", "identity", id)
		s.look <- struct{}{}
		s.looked = time.Time{}
		<-s.look
	}
	if _, err := s.identified(context.Background()); err != nil {
		return err
	}
	return errNew
}

// identities returns what each partition holds, "" where it holds none.
func (s *Store) identities(ctx context.Context) ([]string, error) {
	cmds := make([]redis.Cmder, partitions)
	for p := range cmds {
		cmds[p] = redis.NewStringCmd(ctx, "get", s.keys[p].identity)
	}
	if err := s.each(ctx, cmds...); err != nil {
		return nil, err
	}
	ids := make([]string, partitions)
	for p, cmd := range cmds {
		ids[p] = cmd.(*redis.StringCmd).Val()
	}
	return ids, nil
}

// agreed returns the identity if all partitions hold the same.
func agreed(ids []string) (string, bool) {
	for _, id := range ids {
		if id == "" || id != ids[0] {
			return "", false
		}
	}
	return ids[0], true
}

// Init gives the deployment an identity where it has none, and where only part of
// it has one (a shard was emptied) gives that to the rest; this store then takes
// on what stands there. It says that the operator knows what state this Redis
// holds. It may be repeated, and run by several at once.
func (s *Store) Init(ctx context.Context) error {
	ids, err := s.identities(ctx)
	if err != nil {
		return err
	}
	id, whole := agreed(ids)
	if !whole {
		for _, have := range ids {
			if have != "" {
				id = have
				break
			}
		}
		if id == "" {
			fresh := make([]byte, 8)
			rand.Read(fresh)
			id = hex.EncodeToString(fresh)
		}
		// Partition 0 decides between several that run this at once.
		first := redis.NewCmd(ctx, "set", s.keys[0].identity, id, "nx")
		decided := redis.NewStringCmd(ctx, "get", s.keys[0].identity)
		if err := redisconn.Unavailable(s.conn.Do(ctx, first, decided)); err != nil {
			return err
		}
		id = decided.Val()
		cmds := make([]redis.Cmder, partitions)
		for p := range cmds {
			cmds[p] = redis.NewStatusCmd(ctx, "set", s.keys[p].identity, id)
		}
		if err := s.each(ctx, cmds...); err != nil {
			return err
		}
	}
	s.look <- struct{}{}
	s.id.Store(&identity{id: id, before: id})
	<-s.look
	return nil
}
