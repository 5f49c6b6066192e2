package redis

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"caac-hub/hub/notify"
	"caac-hub/hub/redisconn"
)

const (
	sweepMessages = 256 // messages looked at in one step
	sweepAgents   = 16  // agents whose unread one script looks at
	sweepClaims   = 256 // claims on endpoints looked at in one step
)

// claimStays is how long a claim stays that no device came to have: far longer
// than its writing may take.
const claimStays = time.Hour

// Sweep implements hub.Store. It works in small steps, so that others get in
// between; ctx ends it between two. Several nodes may sweep at once.
func (s *Store) Sweep(ctx context.Context, now time.Time) (int, error) {
	dedupe := now.Add(-s.opt.Retention.Dedupe)
	old := now.Add(-s.opt.Retention.Traces)
	if dedupe.Before(old) {
		old = dedupe
	}
	swept, err := s.sweepTraces(ctx, micros(old), micros(old), nil)
	if err != nil {
		return swept, err
	}
	n, err := s.sweepTraces(ctx, math.MaxInt64, micros(dedupe), func() (bool, error) {
		used, err := s.memory(ctx)
		return used > s.opt.Retention.Bytes, err
	})
	swept += n
	if err != nil {
		return swept, err
	}
	if err := s.sweepUnread(ctx, now, dedupe); err != nil {
		return swept, err
	}
	return swept, s.sweepClaims(ctx, now.Add(-claimStays).UnixMicro())
}

// memory is what Redis uses, all masters together.
func (s *Store) memory(ctx context.Context) (bytes int64, err error) {
	var sum atomic.Int64
	of := func(ctx context.Context, c *redis.Client) error {
		info, err := c.Info(ctx, "memory").Result()
		if err != nil {
			return redisconn.Unavailable(err)
		}
		_, rest, _ := strings.Cut(info, "used_memory:")
		n, _, _ := strings.Cut(rest, "\r\n")
		bytes, err := strconv.ParseInt(n, 10, 64)
		sum.Add(bytes)
		return err
	}
	switch c := s.conn.Client().(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, of)
	case *redis.Client:
		err = of(ctx, c)
	}
	return sum.Load(), err
}

// sweepTraces removes messages accepted before the given time, in µs, with
// their deliveries, the oldest of every partition first, as long as needed answers true;
// of those not accepted before keep, the deliveries only. Work that has not ended
// stays.
func (s *Store) sweepTraces(ctx context.Context, before, keep int64, needed func() (bool, error)) (swept int, err error) {
	var passed [partitions]int // how many of the oldest were looked at and stay
	var ended [partitions]bool
	for {
		if needed != nil {
			if more, err := needed(); err != nil || !more {
				return swept, err
			}
		}
		step := sweepMessages / partitions
		if needed == nil {
			step = sweepMessages
		}
		var cmds []redis.Cmder
		var of []int
		for p := range partitions {
			if ended[p] {
				continue
			}
			cmds = append(cmds, redis.NewZSliceCmd(ctx, "zrange", s.keys[p].messageTimes, passed[p], passed[p]+step-1, "withscores"))
			of = append(of, p)
			if needed == nil {
				break
			}
		}
		if len(cmds) == 0 {
			return swept, nil
		}
		if err := s.each(ctx, cmds...); err != nil {
			return swept, err
		}
		var traces []trace
		for i, cmd := range cmds {
			zs := cmd.(*redis.ZSliceCmd).Val()
			ended[of[i]] = len(zs) < step
			for _, z := range zs {
				if int64(z.Score) >= before {
					ended[of[i]] = true
					break
				}
				traces = append(traces, newTrace(of[i], str(z.Member), int64(z.Score)))
			}
		}
		gone, err := s.dropTraces(ctx, traces, keep, &passed)
		swept += gone
		if err != nil {
			return swept, err
		}
	}
}

// trace is a message that may go.
type trace struct {
	partition int
	ref       string
	accepted  int64
	fanout    string // keys of its work
	deadline  string
}

func newTrace(p int, ref string, accepted int64) trace {
	r := parseRef(ref)
	return trace{p, ref, accepted, dueKey(notify.DueFanout, r.Conversation, r.Message), dueKey(notify.DueDeadline, r.Conversation, r.Message)}
}

// dropTraces first asks every partition whether work on a message has not
// ended there, then removes the records of the others, then the messages.
func (s *Store) dropTraces(ctx context.Context, traces []trace, keep int64, passed *[partitions]int) (gone int, err error) {
	if len(traces) == 0 {
		return 0, nil
	}
	held, err := s.dropFanouts(ctx, traces, false)
	if err != nil {
		return 0, err
	}
	var free []trace
	for i, t := range traces {
		if held[i] {
			passed[t.partition]++
		} else {
			free = append(free, t)
		}
	}
	if len(free) == 0 {
		return 0, nil
	}
	if held, err = s.dropFanouts(ctx, free, true); err != nil {
		return 0, err
	}
	args := map[int][]any{}
	for i, t := range free {
		if held[i] || t.accepted >= keep {
			passed[t.partition]++
			continue
		}
		args[t.partition] = append(args[t.partition], t.ref, t.fanout)
	}
	var runs []run
	for p, of := range args {
		k := &s.keys[p]
		runs = append(runs, run{p, []string{k.messages, k.messageTimes, k.messageIDs, k.due, k.ends}, append([]any{len(of) / 2}, of...)})
	}
	if len(runs) == 0 {
		return 0, nil
	}
	answers, err := s.writeEach(ctx, dropMessagesScript, runs)
	if err != nil {
		return 0, err
	}
	for i, a := range answers {
		if a.err != nil {
			err = a.err
			continue
		}
		n := int(number(a.values[0]))
		gone += n
		passed[runs[i].partition] += len(args[runs[i].partition])/2 - n
	}
	return gone, err
}

// dropFanouts answers which of the messages have work that has not ended, and
// removes the records of the others if so asked.
func (s *Store) dropFanouts(ctx context.Context, traces []trace, remove bool) (held []bool, err error) {
	args := []any{0, len(traces)}
	if remove {
		args[0] = 1
	}
	for _, t := range traces {
		args = append(args, t.ref, t.fanout, t.deadline)
	}
	runs := make([]run, partitions)
	for p := range runs {
		runs[p] = run{p, []string{s.keys[p].fanouts, s.keys[p].due}, args}
	}
	answers, err := s.writeEach(ctx, dropFanoutsScript, runs)
	if err != nil {
		return nil, err
	}
	held = make([]bool, len(traces))
	for _, a := range answers {
		if a.err != nil {
			return nil, a.err
		}
		for _, i := range list(a.values[0]) {
			held[number(i)] = true
		}
	}
	return held, nil
}

// sweepUnread forgets cursors and fences where nothing is unread and nothing
// changed since the given time: what they guard against would be a repetition
// older than that. While work that old still waits, nothing is forgotten.
func (s *Store) sweepUnread(ctx context.Context, now, before time.Time) error {
	pending, err := s.Pending(ctx, now)
	if err != nil {
		return err
	}
	for _, b := range pending {
		if b.Oldest > now.Sub(before) {
			return nil
		}
	}
	for p := range partitions {
		agents := redis.NewStringSliceCmd(ctx, "hkeys", s.keys[p].versions)
		if err := s.each(ctx, agents); err != nil {
			return err
		}
		var keys []string
		for i, a := range agents.Val() {
			keys = append(keys, s.keys[p].unread+a)
			if len(keys) == sweepAgents || i == len(agents.Val())-1 {
				if _, err := s.write(ctx, forgetScript, p, keys, before.UnixMicro()); err != nil {
					return err
				}
				keys = nil
			}
		}
	}
	return nil
}

// sweepClaims removes claims on endpoints that no device came to have.
func (s *Store) sweepClaims(ctx context.Context, before int64) error {
	for p := range partitions {
		key, cursor := s.keys[p].endpoints, "0"
		for {
			scan := redis.NewSliceCmd(ctx, "hscan", key, cursor, "count", sweepClaims)
			if err := s.each(ctx, scan); err != nil {
				return err
			}
			page := scan.Val()
			if err := s.dropClaims(ctx, p, list(page[1]), before); err != nil {
				return err
			}
			if cursor = str(page[0]); cursor == "0" {
				break
			}
		}
	}
	return nil
}

// dropClaims takes digests and claims in turn; those made since the given time,
// in µs, stay.
func (s *Store) dropClaims(ctx context.Context, p int, pairs []any, before int64) error {
	var ids []string
	for i := 1; i < len(pairs); i += 2 {
		ids = append(ids, claimant(str(pairs[i])))
	}
	found, err := s.Devices(ctx, ids)
	if err != nil {
		return err
	}
	has := map[string]string{}
	for _, d := range found {
		if d.Subscription != nil {
			has[d.ID] = digest(d.Subscription.Endpoint)
		}
	}
	var runs []run
	for i := 0; i+1 < len(pairs); i += 2 {
		key, claim := str(pairs[i]), str(pairs[i+1])
		if stamp := strings.Fields(claim)[1]; number(stamp) < before && has[claimant(claim)] != key {
			runs = append(runs, run{p, []string{s.keys[p].endpoints}, []any{key, claim, ""}})
		}
	}
	if len(runs) == 0 {
		return nil
	}
	answers, err := s.writeEach(ctx, settleEndpointScript, runs)
	for _, a := range answers {
		if a.err != nil && !errors.Is(a.err, notify.ErrConflict) && err == nil {
			err = a.err
		}
	}
	return err
}
