package redis

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"caac-hub/hub/notify"
)

// A document's row is its revision, for a device the digest of its endpoint, and
// itself, with spaces between.

func splitRow(row string) (rev int64, endpoint, doc string) {
	r, rest, _ := strings.Cut(row, " ")
	endpoint, doc, _ = strings.Cut(rest, " ")
	return number(r), endpoint, doc
}

// kind is where documents of one kind lie.
type kind[T any] struct {
	name string
	rows func(*partitionKeys) string
	ids  func(*partitionKeys) string
	set  func(v *T, id string, rev int64)
}

var (
	agents = kind[notify.Agent]{
		"agent", func(k *partitionKeys) string { return k.agents }, func(k *partitionKeys) string { return k.agentIDs },
		func(a *notify.Agent, id string, rev int64) { a.ID, a.Rev = id, rev },
	}
	teams = kind[notify.Team]{
		"team", func(k *partitionKeys) string { return k.teams }, func(k *partitionKeys) string { return k.teamIDs },
		func(t *notify.Team, id string, rev int64) { t.ID, t.Rev = id, rev },
	}
	devices = kind[notify.Device]{
		"device", func(k *partitionKeys) string { return k.devices }, func(k *partitionKeys) string { return k.deviceIDs },
		func(d *notify.Device, id string, rev int64) { d.ID, d.Rev = id, rev },
	}
)

// get reads those of the documents that exist, in the order of their ids.
func get[T any](ctx context.Context, s *Store, k kind[T], ids []string) ([]T, error) {
	if err := s.usable(ctx); err != nil || len(ids) == 0 {
		return nil, err
	}
	by := map[int][]any{}
	for _, id := range ids {
		by[part(id)] = append(by[part(id)], id)
	}
	var cmds []redis.Cmder
	for p, ids := range by {
		cmds = append(cmds, redis.NewSliceCmd(ctx, append([]any{"hmget", k.rows(&s.keys[p])}, ids...)...))
	}
	if err := s.each(ctx, cmds...); err != nil {
		return nil, err
	}
	var found []T
	for _, cmd := range cmds {
		for i, row := range cmd.(*redis.SliceCmd).Val() {
			if row == nil {
				continue
			}
			id := cmd.Args()[2+i].(string)
			rev, _, doc := splitRow(str(row))
			var v T
			if err := json.Unmarshal([]byte(doc), &v); err != nil {
				return nil, damaged(k.name, id, err)
			}
			k.set(&v, id, rev)
			found = append(found, v)
		}
	}
	return found, nil
}

func damaged(what, id string, err error) error {
	return fmt.Errorf("%w: the %s %q is damaged: %w", notify.ErrUnavailable, what, id, err)
}

func one[T any](found []T, err error) (T, error) {
	var none T
	if err != nil {
		return none, err
	}
	if len(found) == 0 {
		return none, notify.ErrNotFound
	}
	return found[0], nil
}

// page reads the documents after an id, in order.
func page[T any](ctx context.Context, s *Store, k kind[T], after string, limit int, id func(*T) string) ([]T, error) {
	if err := s.usable(ctx); err != nil || limit <= 0 {
		return nil, err
	}
	cmds := make([]redis.Cmder, partitions)
	for p := range cmds {
		cmds[p] = redis.NewStringSliceCmd(ctx, "zrangebylex", k.ids(&s.keys[p]), "("+after, "+", "limit", 0, limit)
	}
	if err := s.each(ctx, cmds...); err != nil {
		return nil, err
	}
	var ids []string
	for _, cmd := range cmds {
		ids = append(ids, cmd.(*redis.StringSliceCmd).Val()...)
	}
	slices.Sort(ids)
	found, err := get(ctx, s, k, ids[:min(limit, len(ids))])
	slices.SortFunc(found, func(a, b T) int { return cmp.Compare(id(&a), id(&b)) })
	return found, err
}

// put writes a document at its revision.
func put[T any](ctx context.Context, s *Store, k kind[T], id string, rev int64, v T) (int64, error) {
	doc, err := json.Marshal(v)
	if err != nil {
		return 0, err
	}
	p := part(id)
	keys := &s.keys[p]
	return revision(s.write(ctx, putScript, p, []string{k.rows(keys), k.ids(keys)}, id, rev, doc, "", 0))
}

// revision is the revision a put answered with.
func revision(values []any, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return number(values[0]), nil
}

// Agents implements hub.Directory.
func (s *Store) Agents(ctx context.Context, ids []string) ([]notify.Agent, error) {
	return get(ctx, s, agents, ids)
}

// ListAgents implements hub.Directory.
func (s *Store) ListAgents(ctx context.Context, after string, limit int) ([]notify.Agent, error) {
	return page(ctx, s, agents, after, limit, func(a *notify.Agent) string { return a.ID })
}

// PutAgent implements hub.Directory.
func (s *Store) PutAgent(ctx context.Context, a notify.Agent) (int64, error) {
	return put(ctx, s, agents, a.ID, a.Rev, a)
}

// Team implements hub.Directory.
func (s *Store) Team(ctx context.Context, id string) (notify.Team, error) {
	return one(get(ctx, s, teams, []string{id}))
}

// ListTeams implements hub.Directory.
func (s *Store) ListTeams(ctx context.Context, after string, limit int) ([]notify.Team, error) {
	return page(ctx, s, teams, after, limit, func(t *notify.Team) string { return t.ID })
}

// PutTeam implements hub.Directory.
func (s *Store) PutTeam(ctx context.Context, t notify.Team) (int64, error) {
	return put(ctx, s, teams, t.ID, t.Rev, t)
}

// Meta implements hub.Directory.
func (s *Store) Meta(ctx context.Context, name string) ([]byte, int64, error) {
	cmd := redis.NewStringCmd(ctx, "hget", s.keys[part(name)].meta, name)
	if err := s.each(ctx, cmd); err != nil {
		return nil, 0, err
	}
	if cmd.Err() == redis.Nil {
		return nil, 0, notify.ErrNotFound
	}
	rev, _, value := splitRow(cmd.Val())
	return []byte(value), rev, nil
}

// PutMeta implements hub.Directory.
func (s *Store) PutMeta(ctx context.Context, name string, value []byte, rev int64) (int64, error) {
	p := part(name)
	k := &s.keys[p]
	return revision(s.write(ctx, putScript, p, []string{k.meta, k.metaNames}, name, rev, value, "", 0))
}
