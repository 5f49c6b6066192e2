package redis

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"caac-hub/hub/notify"
	"caac-hub/hub/redisconn"
)

// A row of due work is "rev attempt µs exact kind dead", tokens with spaces
// between, and then nothing, or a line end and the body. The body of a DueAssign
// that Accept made is kept as tokens, behind assignMark.
const assignMark = "\x01"

// kinds are the classes of due work from 1; dead work of any kind is class 0.
var kinds = []notify.DueKind{notify.DueFanout, notify.DueAssign, notify.DueAnswered, notify.DueDeadline, notify.DueRing, notify.DueSend}

// classWidth is how far the scores of two classes lie apart, in ms.
const classWidth = 10_000_000_000_000

// kindScore sorts work by class and, within, by At in ms.
func kindScore(d *notify.Due) int64 {
	class := 0
	if d.Dead == "" {
		class = 1 + slices.Index(kinds, d.Kind)
	}
	ms := micros(d.At) / 1000
	return int64(class)*classWidth + min(max(ms, 0), classWidth-1)
}

// dueKey joins the parts so that no two keys mean the same.
func dueKey(kind notify.DueKind, parts ...string) string {
	key := string(kind)
	for _, p := range parts {
		key += "/" + url.QueryEscape(p)
	}
	return key
}

func dueHead(d *notify.Due) string {
	return fmt.Sprintf("%d %d %s %s %s", d.Attempt, micros(d.At), exact(d.At), d.Kind, token(d.Dead))
}

// dueArgs is a put of due work as scripts take it.
func dueArgs(args []any, d *notify.Due) ([]any, error) {
	if !slices.Contains(kinds, d.Kind) {
		return nil, fmt.Errorf("due work %q: kind %q; allowed: %v", d.Key, d.Kind, kinds)
	}
	body := ""
	if d.Body != nil {
		body = "\n" + string(d.Body)
	}
	dead := 0
	if d.Dead != "" {
		dead = 1
	}
	return append(args, d.Key, d.Rev, micros(d.At), kindScore(d), dueHead(d), body, dead), nil
}

func parseDue(p int, key, row string) (notify.Due, error) {
	d := notify.Due{Partition: p, Key: key}
	head := row
	if i := strings.IndexAny(row, "\n"+assignMark); i >= 0 {
		head = row[:i]
		if row[i] == '\n' {
			d.Body = []byte(row[i+1:])
		} else if body, err := assignBody(row[i+1:]); err == nil {
			d.Body = body
		} else {
			return d, damaged("due work", key, err)
		}
	}
	f := strings.Split(head, " ")
	if len(f) != 6 {
		return d, damaged("due work", key, fmt.Errorf("%d fields", len(f)))
	}
	d.Rev, d.Attempt, d.At = number(f[0]), int(number(f[1])), parseExact(f[3])
	d.Kind, d.Dead = notify.DueKind(f[4]), untoken(f[5])
	return d, nil
}

// assignBody writes the body that accept.lua kept as tokens.
func assignBody(tokens string) ([]byte, error) {
	f := strings.Split(tokens, " ")
	if len(f) != 8 {
		return nil, fmt.Errorf("%d fields", len(f))
	}
	return json.Marshal(notify.AssignBody{
		Conversation: unescape(f[0]),
		From:         notify.Assignment{Agent: untoken(f[1]), Team: untoken(f[2]), Version: number(f[3])},
		To:           notify.Assignment{Agent: untoken(f[4]), Team: untoken(f[5]), Version: number(f[6])},
		Upto:         number(f[7]),
	})
}

// older orders work: by time, then as it was put.
func older(a, b notify.Due) int {
	if c := a.At.Compare(b.At); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.Rev, b.Rev), strings.Compare(a.Key, b.Key))
}

// Claim implements hub.Store. One look in each partition, all in one pipeline; a
// script only where something is due. Leases end on a µs; of more lapsed ones than
// the limit those come first that ended first.
func (s *Store) Claim(ctx context.Context, parts []int, now time.Time, limit int, lease time.Duration) ([]notify.Due, error) {
	if err := s.usable(ctx); err != nil || limit <= 0 || len(parts) == 0 {
		return nil, err
	}
	at := micros(now)
	cmds := make([]redis.Cmder, len(parts))
	for i, p := range parts {
		if err := checkPartition(p); err != nil {
			return nil, err
		}
		cmds[i] = redis.NewZSliceCmd(ctx, "zrangebyscore", s.keys[p].dueTimes, "-inf", at, "withscores", "limit", 0, limit)
	}
	if err := s.each(ctx, cmds...); err != nil {
		return nil, err
	}
	type ripe struct {
		partition int
		score     float64
	}
	var found []ripe
	for i, cmd := range cmds {
		for _, z := range cmd.(*redis.ZSliceCmd).Val() {
			found = append(found, ripe{parts[i], z.Score})
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	slices.SortStableFunc(found, func(a, b ripe) int { return cmp.Compare(a.score, b.score) })
	share := map[int]int{}
	for _, r := range found[:min(limit, len(found))] {
		share[r.partition]++
	}
	var runs []run
	until := micros(now.Add(lease))
	for p, n := range share {
		runs = append(runs, run{p, []string{s.keys[p].due, s.keys[p].dueTimes}, []any{at, exact(now), n, until}})
	}
	answers, err := s.writeEach(ctx, claimScript, runs)
	if err != nil {
		return nil, err
	}
	var claimed []notify.Due
	for i, a := range answers {
		if a.err != nil {
			err = a.err
			continue
		}
		items := list(a.values[0])
		for j := 0; j+1 < len(items); j += 2 {
			d, e := parseDue(runs[i].partition, str(items[j]), str(items[j+1]))
			if e != nil {
				err = e
				continue
			}
			claimed = append(claimed, d)
		}
	}
	if len(claimed) == 0 {
		return nil, err
	}
	slices.SortFunc(claimed, older)
	return claimed, nil
}

// Lease implements hub.Store.
func (s *Store) Lease(ctx context.Context, p int, keys []string, until time.Time) error {
	if err := checkPartition(p); err != nil {
		return err
	}
	if len(keys) == 0 {
		return s.usable(ctx)
	}
	args := []any{micros(until), len(keys)}
	for _, key := range keys {
		args = append(args, key)
	}
	_, err := s.write(ctx, leaseScript, p, []string{s.keys[p].due, s.keys[p].dueTimes}, args...)
	return err
}

// Due implements hub.Store.
func (s *Store) Due(ctx context.Context, p int, keys []string) ([]notify.Due, error) {
	if err := checkPartition(p); err != nil {
		return nil, err
	}
	return s.dueRows(ctx, map[int][]string{p: keys})
}

// dueRows reads those of the keys that exist.
func (s *Store) dueRows(ctx context.Context, keys map[int][]string) ([]notify.Due, error) {
	var cmds []redis.Cmder
	var at []int
	for p, of := range keys {
		if len(of) == 0 {
			continue
		}
		args := []any{"hmget", s.keys[p].due}
		for _, key := range of {
			args = append(args, key)
		}
		cmds, at = append(cmds, redis.NewSliceCmd(ctx, args...)), append(at, p)
	}
	if len(cmds) == 0 {
		return nil, s.usable(ctx)
	}
	if err := s.each(ctx, cmds...); err != nil {
		return nil, err
	}
	var found []notify.Due
	for i, cmd := range cmds {
		for j, row := range cmd.(*redis.SliceCmd).Val() {
			if row == nil {
				continue
			}
			d, err := parseDue(at[i], keys[at[i]][j], str(row))
			if err != nil {
				return nil, err
			}
			found = append(found, d)
		}
	}
	return found, nil
}

// Pending implements hub.Store. Ages are counted in ms.
func (s *Store) Pending(ctx context.Context, now time.Time) (map[notify.DueKind]notify.Backlog, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	runs := make([]redisconn.Invocation, partitions)
	for p := range runs {
		runs[p] = redisconn.Invocation{Script: pendingScript, Keys: []string{s.keys[p].dueKinds}, Args: []any{int64(classWidth), len(kinds)}}
	}
	pending := map[notify.DueKind]notify.Backlog{}
	for _, cmd := range s.conn.RunEach(ctx, runs...) {
		values, err := cmd.Slice()
		if err != nil {
			return nil, redisconn.Unavailable(err)
		}
		for i, kind := range kinds {
			n, oldest := number(values[2*i]), number(values[2*i+1])
			if n == 0 {
				continue
			}
			b := pending[kind]
			b.Count += int(n)
			b.Oldest = max(b.Oldest, now.Sub(time.UnixMilli(oldest)))
			pending[kind] = b
		}
	}
	return pending, nil
}

// Dead implements hub.Store.
func (s *Store) Dead(ctx context.Context, limit int) ([]notify.Due, error) {
	if err := s.usable(ctx); err != nil || limit <= 0 {
		return nil, err
	}
	cmds := make([]redis.Cmder, partitions)
	for p := range cmds {
		cmds[p] = redis.NewZSliceCmd(ctx, "zrangebyscore", s.keys[p].dueKinds, "-inf", fmt.Sprintf("(%d", int64(classWidth)), "withscores", "limit", 0, limit)
	}
	if err := s.each(ctx, cmds...); err != nil {
		return nil, err
	}
	type item struct {
		partition int
		redis.Z
	}
	var found []item
	for p, cmd := range cmds {
		for _, z := range cmd.(*redis.ZSliceCmd).Val() {
			found = append(found, item{p, z})
		}
	}
	slices.SortStableFunc(found, func(a, b item) int { return cmp.Compare(a.Score, b.Score) })
	keys := map[int][]string{}
	for _, f := range found[:min(limit, len(found))] {
		keys[f.partition] = append(keys[f.partition], str(f.Member))
	}
	dead, err := s.dueRows(ctx, keys)
	if err != nil {
		return nil, err
	}
	dead = slices.DeleteFunc(dead, func(d notify.Due) bool { return d.Dead == "" })
	slices.SortFunc(dead, older)
	return dead, nil
}
