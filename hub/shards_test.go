package hub_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/hub/store/sqlite"
)

// shards is a store of several partitions, each a store of its own: what a
// cluster's store is to its nodes, with SQLite's promises within a partition.
// Documents without a partition live in the first.
type shards struct {
	hub.Store
	all []hub.Store
}

func openStore(ctx context.Context, dir string, partitions int, log *slog.Logger) (hub.Store, error) {
	first, err := sqlite.Open(ctx, sqlite.Options{Dir: dir, Now: time.Now, Log: log})
	if err != nil || partitions < 2 {
		return first, err
	}
	s := &shards{Store: first, all: []hub.Store{first}}
	for n := 1; n < partitions; n++ {
		one, err := sqlite.Open(ctx, sqlite.Options{Dir: filepath.Join(dir, fmt.Sprint(n)), Now: time.Now, Log: log})
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.all = append(s.all, one)
	}
	return s, nil
}

func (s *shards) of(id string) hub.Store { return s.all[s.no(id)] }
func (s *shards) no(id string) int       { return notify.Partition(id, len(s.all)) }
func (s *shards) Partitions() int        { return len(s.all) }

func (s *shards) Close() error {
	var err error
	for _, one := range s.all {
		err = errors.Join(err, one.Close())
	}
	return err
}

func (s *shards) Sweep(ctx context.Context, now time.Time) (int, error) {
	total := 0
	for _, one := range s.all {
		n, err := one.Sweep(ctx, now)
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}

func (s *shards) Agents(ctx context.Context, ids []string) ([]notify.Agent, error) {
	var out []notify.Agent
	for _, one := range s.all {
		as, err := one.Agents(ctx, ids)
		if err != nil {
			return nil, err
		}
		out = append(out, as...)
	}
	return out, nil
}

func (s *shards) ListAgents(ctx context.Context, after string, limit int) ([]notify.Agent, error) {
	var out []notify.Agent
	for _, one := range s.all {
		as, err := one.ListAgents(ctx, after, limit)
		if err != nil {
			return nil, err
		}
		out = append(out, as...)
	}
	slices.SortFunc(out, func(a, b notify.Agent) int { return compare(a.ID, b.ID) })
	return out[:min(limit, len(out))], nil
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (s *shards) PutAgent(ctx context.Context, a notify.Agent) (int64, error) {
	return s.of(a.ID).PutAgent(ctx, a)
}

func (s *shards) Conversation(ctx context.Context, id string) (notify.Conversation, error) {
	return s.of(id).Conversation(ctx, id)
}

func (s *shards) PutConversation(ctx context.Context, c notify.Conversation, due ...notify.Due) (int64, error) {
	return s.of(c.ID).PutConversation(ctx, c, due...)
}

// Accept also tells the other partitions how far the conversation has come:
// SQLite bounds a read by it.
func (s *shards) Accept(ctx context.Context, a notify.Accept) (notify.Accepted, error) {
	home := s.no(a.Message.Conversation)
	for n, one := range s.all {
		if n == home {
			continue
		}
		shadow := a
		shadow.Conversation, shadow.DueAt = nil, a.DueAt.Add(1000*time.Hour)
		acc, err := one.Accept(ctx, shadow)
		if err != nil {
			return notify.Accepted{}, err
		}
		var b notify.Batch
		for _, d := range acc.Due {
			b.Done = append(b.Done, notify.DueRef{Key: d.Key, Rev: d.Rev})
		}
		if _, err := one.Commit(ctx, 0, b); err != nil {
			return notify.Accepted{}, err
		}
	}
	acc, err := s.all[home].Accept(ctx, a)
	for i := range acc.Due {
		acc.Due[i].Partition = home
	}
	return acc, err
}

func (s *shards) Message(ctx context.Context, ref notify.Ref) (notify.Message, error) {
	return s.of(ref.Conversation).Message(ctx, ref)
}

func (s *shards) Messages(ctx context.Context, f notify.TraceFilter) ([]notify.Message, error) {
	var out []notify.Message
	for n, one := range s.all {
		ms, err := one.Messages(ctx, f)
		if err != nil {
			return nil, err
		}
		out = append(out, slices.DeleteFunc(ms, func(m notify.Message) bool { return s.no(m.Conversation) != n })...)
	}
	slices.SortStableFunc(out, func(a, b notify.Message) int { return b.Accepted.Compare(a.Accepted) })
	return out[:min(f.Limit, len(out))], nil
}

func (s *shards) Commit(ctx context.Context, partition int, b notify.Batch) (notify.Result, error) {
	settled := b.Settled
	b.Settled = nil
	r, err := s.all[partition].Commit(ctx, 0, b)
	if err != nil {
		return r, err
	}
	for _, x := range settled {
		whole := true
		for _, part := range x.Parts {
			f, err := s.all[part].Fanout(ctx, 0, x.Ref)
			whole = whole && err == nil && f.Ended()
		}
		if whole {
			if _, err := s.of(x.Ref.Conversation).Commit(ctx, 0, notify.Batch{Settled: []notify.Settled{{Ref: x.Ref, Parts: []int{0}}}}); err == nil {
				r.Whole = append(r.Whole, x.Ref)
			}
		}
	}
	return r, nil
}

func (s *shards) Unread(ctx context.Context, agent string, limit int) (notify.Unread, error) {
	return s.of(agent).Unread(ctx, agent, limit)
}

func (s *shards) Versions(ctx context.Context, agents []string) ([]int64, error) {
	out := make([]int64, len(agents))
	for i, id := range agents {
		v, err := s.of(id).Versions(ctx, []string{id})
		if err != nil {
			return nil, err
		}
		out[i] = v[0]
	}
	return out, nil
}

func (s *shards) Holders(ctx context.Context, conversation string) ([]string, error) {
	var out []string
	for _, one := range s.all {
		ids, err := one.Holders(ctx, conversation)
		if err != nil {
			return nil, err
		}
		out = append(out, ids...)
	}
	slices.Sort(out)
	return out, nil
}

func (s *shards) Fanouts(ctx context.Context, ref notify.Ref) ([]notify.Fanout, error) {
	var out []notify.Fanout
	for n := range s.all {
		f, err := s.Fanout(ctx, n, ref)
		if errors.Is(err, notify.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

func (s *shards) Fanout(ctx context.Context, partition int, ref notify.Ref) (notify.Fanout, error) {
	f, err := s.all[partition].Fanout(ctx, 0, ref)
	f.Partition = partition
	return f, err
}

func (s *shards) Claim(ctx context.Context, partitions []int, now time.Time, limit int, lease time.Duration) ([]notify.Due, error) {
	var out []notify.Due
	for _, n := range partitions {
		due, err := s.all[n].Claim(ctx, []int{0}, now, limit-len(out), lease)
		if err != nil {
			return out, err
		}
		for _, d := range due {
			d.Partition = n
			out = append(out, d)
		}
	}
	return out, nil
}

func (s *shards) Lease(ctx context.Context, partition int, keys []string, until time.Time) error {
	return s.all[partition].Lease(ctx, 0, keys, until)
}

func (s *shards) Due(ctx context.Context, partition int, keys []string) ([]notify.Due, error) {
	due, err := s.all[partition].Due(ctx, 0, keys)
	for i := range due {
		due[i].Partition = partition
	}
	return due, err
}

func (s *shards) Pending(ctx context.Context, now time.Time) (map[notify.DueKind]notify.Backlog, error) {
	all := map[notify.DueKind]notify.Backlog{}
	for _, one := range s.all {
		some, err := one.Pending(ctx, now)
		if err != nil {
			return nil, err
		}
		for kind, b := range maps.All(some) {
			have := all[kind]
			all[kind] = notify.Backlog{Count: have.Count + b.Count, Oldest: max(have.Oldest, b.Oldest)}
		}
	}
	return all, nil
}

func (s *shards) Dead(ctx context.Context, limit int) ([]notify.Due, error) {
	var out []notify.Due
	for n, one := range s.all {
		due, err := one.Dead(ctx, limit)
		if err != nil {
			return nil, err
		}
		for _, d := range due {
			d.Partition = n
			out = append(out, d)
		}
	}
	return out, nil
}
