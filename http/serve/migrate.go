package serve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"caac-hub/config"
	"caac-hub/hub"
	"caac-hub/hub/notify"
)

// Moved is what Migrate moved of one class.
type Moved struct {
	Class string
	Count int
	// Digest is of all there is of the class, the same on both sides: SHA-256 of
	// each piece, added up; hexadecimal, shortened.
	Digest string
}

const (
	migrateBatch  = 500
	migrateReads  = 32 // pieces that are compared at once
	migrateUnread = 1 << 20
)

// Migrate copies the state in the configured data folder, on which no hub may
// run, to the configured Redis, and compares what then stands there with what
// was to be copied. It may be done again. It refuses a Redis with the state of
// another deployment.
func Migrate(ctx context.Context, c config.Config) ([]Moved, error) {
	if !onRedis(c) {
		return nil, errors.New("migrate: there is no Redis to move to; name one with --to redis://…")
	}
	quiet := slog.New(slog.DiscardHandler)
	from, err := openEmbedded(ctx, c, quiet)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	to, err := openTarget(ctx, c, from)
	if err != nil {
		return nil, err
	}
	defer to.close()
	into, ok := to.store.(interface {
		Import(ctx context.Context, entries []notify.Entry) error
	})
	if !ok {
		return nil, errors.New("migrate: this store takes nothing in")
	}
	if err := inBatches(ctx, from.Export, into.Import); err != nil {
		return nil, fmt.Errorf("migrate: %w; nothing was lost, run it again", err)
	}
	return compare(ctx, from, to.store, from.Export)
}

// openTarget opens the Redis to move to. One without any state is taken into
// use; one that holds the state of another deployment is refused.
func openTarget(ctx context.Context, c config.Config, from hub.Store) (*state, error) {
	mine, _, err := from.Meta(ctx, metaVAPID)
	if errors.Is(err, notify.ErrNotFound) {
		return nil, fmt.Errorf("migrate: %s holds no deployment's state", c.DataDir)
	}
	if err != nil {
		return nil, err
	}
	to, err := openRedis(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if err := to.confirm(ctx); err != nil {
		return nil, errors.Join(err, to.close())
	}
	theirs, _, err := to.store.Meta(ctx, metaVAPID)
	if err == nil && string(theirs) != string(mine) {
		err = fmt.Errorf("migrate: the Redis holds the state of another deployment under the prefix %q (it has other VAPID keys); choose another redis.prefix, or empty it", c.Redis.Prefix)
	}
	if err != nil && !errors.Is(err, notify.ErrNotFound) {
		return nil, errors.Join(err, to.close())
	}
	return to, nil
}

type export = func(ctx context.Context, entry func(notify.Entry) error) error

func inBatches(ctx context.Context, from export, do func(ctx context.Context, entries []notify.Entry) error) error {
	var batch []notify.Entry
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := do(ctx, batch)
		batch = nil
		return err
	}
	err := from(ctx, func(e notify.Entry) error {
		if batch = append(batch, e); len(batch) < migrateBatch {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// compare reads every piece from both stores, as the hub does.
func compare(ctx context.Context, from, to hub.Store, pieces export) ([]Moved, error) {
	sums := map[string]*sum{}
	var mu sync.Mutex
	err := inBatches(ctx, pieces, func(ctx context.Context, entries []notify.Entry) error {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(migrateReads)
		for _, e := range entries {
			g.Go(func() error {
				class, id, read := reader(e)
				if read == nil {
					return nil
				}
				want, err := read(ctx, from)
				if err != nil {
					return fmt.Errorf("%s %q: %w", class, id, err)
				}
				got, err := read(ctx, to)
				if err != nil && !errors.Is(err, notify.ErrNotFound) {
					return fmt.Errorf("%s %q in Redis: %w", class, id, err)
				}
				a, b := digest(want), digest(got)
				mu.Lock()
				defer mu.Unlock()
				s := sums[class]
				if s == nil {
					s = &sum{}
					sums[class] = s
				}
				s.add(id, a, b)
				return nil
			})
		}
		return g.Wait()
	})
	if err != nil {
		return nil, fmt.Errorf("migrate: what was moved could not be compared: %w; run it again", err)
	}
	var moved []Moved
	var wrong []string
	for _, class := range classes {
		s := sums[class]
		if s == nil {
			s = &sum{}
		}
		moved = append(moved, Moved{class, s.count, hex.EncodeToString(s.from[:6])})
		if s.differ > 0 {
			wrong = append(wrong, fmt.Sprintf("%d of %d %s differ, such as %q", s.differ, s.count, class, s.example))
		}
	}
	if wrong != nil {
		return moved, fmt.Errorf("migrate: Redis does not hold what the data folder holds (%s); where a node already runs on it, it has moved on", strings.Join(wrong, "; "))
	}
	return moved, nil
}

var classes = []string{"agents", "teams", "devices", "conversations", "messages", "delivery records", "unread counts", "pieces of due work", "keys and secrets"}

// sum is of one class.
type sum struct {
	count, differ int
	example       string
	from          [sha256.Size]byte
}

func (s *sum) add(id string, from, to [sha256.Size]byte) {
	s.count++
	if from != to {
		s.differ++
		s.example = id
	}
	carry := 0
	for i := len(s.from) - 1; i >= 0; i-- {
		carry += int(s.from[i]) + int(from[i])
		s.from[i] = byte(carry)
		carry >>= 8
	}
}

// revised is a document with its revision, which its JSON leaves out.
type revised struct {
	Rev int64
	Doc any
}

func digest(v any) [sha256.Size]byte {
	b, err := json.Marshal(v)
	if err != nil {
		b = fmt.Append(nil, err)
	}
	return sha256.Sum256(b)
}

// reader tells a piece's class and id, and how a store's version of it is read;
// nil for what is compared as a part of something else.
func reader(e notify.Entry) (class, id string, read func(context.Context, hub.Store) (any, error)) {
	switch {
	case e.Agent != nil:
		return "agents", e.Agent.ID, func(ctx context.Context, s hub.Store) (any, error) {
			return revise(first(s.Agents(ctx, []string{e.Agent.ID})))(func(a notify.Agent) int64 { return a.Rev })
		}
	case e.Team != nil:
		return "teams", e.Team.ID, func(ctx context.Context, s hub.Store) (any, error) {
			return revise(s.Team(ctx, e.Team.ID))(func(t notify.Team) int64 { return t.Rev })
		}
	case e.Device != nil:
		return "devices", e.Device.ID, func(ctx context.Context, s hub.Store) (any, error) {
			return revise(first(s.Devices(ctx, []string{e.Device.ID})))(func(d notify.Device) int64 { return d.Rev })
		}
	case e.Conversation != nil:
		return "conversations", e.Conversation.ID, func(ctx context.Context, s hub.Store) (any, error) {
			return revise(s.Conversation(ctx, e.Conversation.ID))(func(c notify.Conversation) int64 { return c.Rev })
		}
	case e.Message != nil:
		ref := e.Message.Ref()
		return "messages", ref.Conversation + "/" + ref.Message, func(ctx context.Context, s hub.Store) (any, error) {
			m, err := s.Message(ctx, ref)
			m.Sent, m.Accepted = m.Sent.UTC(), m.Accepted.UTC()
			return m, err
		}
	case e.Fanout != nil:
		return "delivery records", e.Fanout.Conversation + "/" + e.Fanout.Message, func(ctx context.Context, s hub.Store) (any, error) {
			return deliveries(ctx, s, e.Fanout.Ref)
		}
	case e.Version != nil:
		return "unread counts", e.Version.Agent, func(ctx context.Context, s hub.Store) (any, error) {
			return s.Unread(ctx, e.Version.Agent, migrateUnread)
		}
	case e.Due != nil:
		return "pieces of due work", e.Due.Key, func(ctx context.Context, s hub.Store) (any, error) {
			return work(ctx, s, e.Due.Key)
		}
	case e.Meta != nil:
		return "keys and secrets", e.Meta.Name, func(ctx context.Context, s hub.Store) (any, error) {
			value, rev, err := s.Meta(ctx, e.Meta.Name)
			return revised{rev, value}, err
		}
	}
	return "", "", nil
}

func first[T any](all []T, err error) (T, error) {
	var none T
	if err != nil {
		return none, err
	}
	if len(all) == 0 {
		return none, notify.ErrNotFound
	}
	return all[0], nil
}

func revise[T any](v T, err error) func(rev func(T) int64) (any, error) {
	return func(rev func(T) int64) (any, error) { return revised{rev(v), v}, err }
}

// deliveries are all of a message's, of whatever partitions its records are in.
func deliveries(ctx context.Context, s hub.Store, ref notify.Ref) (any, error) {
	records, err := s.Fanouts(ctx, ref)
	var all []notify.Delivery
	for _, f := range records {
		all = append(all, f.Deliveries...)
	}
	slices.SortFunc(all, func(a, b notify.Delivery) int { return strings.Compare(a.ID, b.ID) })
	return all, err
}

// work is a piece of due work, in whatever partition it is.
func work(ctx context.Context, s hub.Store, key string) (any, error) {
	for p := range s.Partitions() {
		found, err := s.Due(ctx, p, []string{key})
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			d := found[0]
			d.Partition = 0
			d.At = d.At.UTC().Truncate(time.Microsecond)
			return revised{d.Rev, d}, nil
		}
	}
	return nil, notify.ErrNotFound
}
