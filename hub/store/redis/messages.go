package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"caac-hub/hub/notify"
)

// maxMessages is the most messages one list has.
const maxMessages = 500

// Messages implements hub.Conversations. The partitions are read one after the other
// in one pipeline: what is accepted or removed meanwhile may be missing.
func (s *Store) Messages(ctx context.Context, f notify.TraceFilter) ([]notify.Message, error) {
	if f.Limit < 1 || f.Limit > maxMessages {
		return nil, errors.New("limit: 1 to 500")
	}
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	if f.Message != "" {
		refs, err := s.named(ctx, f)
		if err != nil {
			return nil, err
		}
		return s.newest(ctx, refs, f)
	}
	// Each partition is walked from its newest on, in steps, as long as it may
	// hold one of the newest.
	walks := make([]*walk, 0, partitions)
	for p := range partitions {
		if f.Conversation == "" || p == part(f.Conversation) {
			walks = append(walks, &walk{partition: p})
		}
	}
	step := max(16, 2*f.Limit/len(walks))
	if f.Conversation != "" {
		step = maxMessages
	}
	// Those of the µs that Before lies in are told apart once they are read.
	top, edge := "+inf", int64(-1)
	if !f.Before.IsZero() {
		edge = micros(f.Before)
		top = fmt.Sprint(edge)
	}
	suffix := "/" + escape(f.Conversation)
	var found []timed
	limit := f.Limit
	for {
		var cmds []redis.Cmder
		var of []*walk
		for _, w := range walks {
			if w.ended || len(found) >= limit && w.lowest < found[limit-1].micros {
				continue
			}
			cmds = append(cmds, redis.NewZSliceCmd(ctx, "zrevrangebyscore", s.keys[w.partition].messageTimes, top, "-inf", "withscores", "limit", w.seen, step))
			of = append(of, w)
		}
		if len(cmds) == 0 {
			break
		}
		if err := s.each(ctx, cmds...); err != nil {
			return nil, err
		}
		for i, cmd := range cmds {
			zs := cmd.(*redis.ZSliceCmd).Val()
			w := of[i]
			w.seen += len(zs)
			w.ended = len(zs) < step
			for _, z := range zs {
				w.lowest = int64(z.Score)
				if ref := str(z.Member); f.Conversation == "" || strings.HasSuffix(ref, suffix) {
					found = append(found, timed{ref, int64(z.Score)})
					if int64(z.Score) == edge {
						limit++
					}
				}
			}
		}
		slices.SortStableFunc(found, func(a, b timed) int { return cmp.Compare(b.micros, a.micros) })
	}
	end := len(found)
	for i := limit; i < len(found); i++ {
		if found[i].micros < found[limit-1].micros {
			end = i
			break
		}
	}
	refs := make([]notify.Ref, end)
	for i := range refs {
		refs[i] = parseRef(found[i].ref)
	}
	return s.newest(ctx, refs, f)
}

// timed is a message by the time it was accepted.
type timed struct {
	ref    string
	micros int64
}

// walk is how far a partition's messages were read.
type walk struct {
	partition int
	seen      int
	lowest    int64
	ended     bool
}

// named finds the messages with the filter's id.
func (s *Store) named(ctx context.Context, f notify.TraceFilter) ([]notify.Ref, error) {
	if f.Conversation != "" {
		return []notify.Ref{{Conversation: f.Conversation, Message: f.Message}}, nil
	}
	cmds := make([]redis.Cmder, partitions)
	id := escape(f.Message)
	for p := range cmds {
		cmds[p] = redis.NewStringSliceCmd(ctx, "zrangebylex", s.keys[p].messageIDs, "["+id+"/", "("+id+"0")
	}
	if err := s.each(ctx, cmds...); err != nil {
		return nil, err
	}
	var refs []notify.Ref
	for _, cmd := range cmds {
		for _, ref := range cmd.(*redis.StringSliceCmd).Val() {
			refs = append(refs, parseRef(ref))
		}
	}
	return refs, nil
}

// newest reads the messages and returns the newest ones that the filter lets by.
func (s *Store) newest(ctx context.Context, refs []notify.Ref, f notify.TraceFilter) ([]notify.Message, error) {
	type stamped struct {
		notify.Message
		stamp int64
	}
	var found []stamped
	err := s.messageRows(ctx, refs, func(ref notify.Ref, row string) error {
		m, stamp, err := parseMessage(ref, row)
		if err == nil && (f.Before.IsZero() || m.Accepted.Before(f.Before)) {
			found = append(found, stamped{m, stamp})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b stamped) int {
		return cmp.Or(b.Accepted.Compare(a.Accepted), cmp.Compare(b.stamp, a.stamp))
	})
	var messages []notify.Message
	for _, m := range found[:min(f.Limit, len(found))] {
		messages = append(messages, m.Message)
	}
	return messages, nil
}

// messageRows calls row with those of the messages that exist.
func (s *Store) messageRows(ctx context.Context, refs []notify.Ref, row func(notify.Ref, string) error) error {
	by := map[int][]notify.Ref{}
	for _, ref := range refs {
		by[part(ref.Conversation)] = append(by[part(ref.Conversation)], ref)
	}
	var cmds []redis.Cmder
	var of [][]notify.Ref
	for p, refs := range by {
		args := []any{"hmget", s.keys[p].messages}
		for _, ref := range refs {
			args = append(args, refKey(ref))
		}
		cmds, of = append(cmds, redis.NewSliceCmd(ctx, args...)), append(of, refs)
	}
	if len(cmds) == 0 {
		return nil
	}
	if err := s.each(ctx, cmds...); err != nil {
		return err
	}
	for i, cmd := range cmds {
		for j, v := range cmd.(*redis.SliceCmd).Val() {
			if v == nil {
				continue
			}
			if err := row(of[i][j], str(v)); err != nil {
				return err
			}
		}
	}
	return nil
}
