// Package redis is the store that many nodes share: one Redis, standalone,
// behind Sentinel or a Cluster.
//
// What must change together lies in one slot, and one script changes it. The keys
// of partition n are under the tag {pn}: the agents, teams, devices and facts whose
// ids hash there, with the agents' unread, delivery records and due work; the
// conversations that hash there, with their messages and due work.
//
// Not one step: the text of messages named by Batch.Settled goes after the commit;
// the claim on an endpoint is made before the device is written and settled after it;
// and what lies in several partitions is removed one after the other by Sweep.
//
// No command is sent twice. Where an answer is lost, the error wraps
// notify.ErrUnavailable and the write may have happened: a repeated message is
// then a duplicate, and a repeated batch or document a conflict, after which the
// caller reads and decides again.
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"caac-hub/hub/notify"
	"caac-hub/hub/redisconn"
)

// partitions is how many there are, for ever: keys depend on it.
const partitions = 64

// Options of Open. The zero value of everything but Conn is a default.
type Options struct {
	Conn      *redisconn.Conn  // stays the caller's to close
	Now       func() time.Time // nil: the server's clock
	Retention Retention
	Log       *slog.Logger // default: discard
}

// Retention bounds what is kept for looking back. Whichever of Traces and Bytes
// is reached first counts; work that has not ended is never removed.
type Retention struct {
	Traces time.Duration // messages and their deliveries; default 7 days
	Bytes  int64         // memory that Redis uses, all masters together; default 2 GiB
	Dedupe time.Duration // message ids, whatever the size; default 24 h
}

// Store is a node's way to the shared state. Its methods may be called at once
// from many goroutines and many nodes.
type Store struct {
	conn   *redisconn.Conn
	opt    Options
	log    *slog.Logger
	keys   [partitions]partitionKeys
	closed atomic.Bool

	look   chan struct{} // full while the identity is looked up
	looked time.Time     // guarded by look, with what was found
	found  error
	id     atomic.Pointer[identity]
}

// Open returns a store on o.Conn. A Redis without an identity is not refused:
// Ready and every write answer notify.ErrUnavailable until Init was called.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Conn == nil {
		return nil, errors.New("redis store: the connection is missing")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Retention.Traces <= 0 {
		o.Retention.Traces = 7 * 24 * time.Hour
	}
	if o.Retention.Bytes <= 0 {
		o.Retention.Bytes = 2 << 30
	}
	if o.Retention.Dedupe <= 0 {
		o.Retention.Dedupe = 24 * time.Hour
	}
	s := &Store{conn: o.Conn, opt: o, log: o.Log, look: make(chan struct{}, 1)}
	for p := range s.keys {
		s.keys[p] = newPartitionKeys(o.Conn.Prefix(), p)
	}
	s.id.Store(&identity{})
	if _, err := s.identified(ctx); err != nil && ctx.Err() != nil {
		return nil, err
	}
	return s, nil
}

// Close makes later calls of any method answer notify.ErrUnavailable. It leaves
// the connection open.
func (s *Store) Close() error {
	s.closed.Store(true)
	return nil
}

// Partitions implements hub.Ledger.
func (s *Store) Partitions() int { return partitions }

func part(id string) int { return notify.Partition(id, partitions) }

func checkPartition(p int) error {
	if p < 0 || p >= partitions {
		return fmt.Errorf("partition %d: this store has %d, from 0", p, partitions)
	}
	return nil
}

var errClosed = fmt.Errorf("%w: it is closed", notify.ErrUnavailable)

// clock is what scripts are given as their time: 0 for the server's.
func (s *Store) clock() int64 {
	if s.opt.Now == nil {
		return 0
	}
	return s.opt.Now().UnixMicro()
}

// usable answers an error if the store is closed or ctx has ended.
func (s *Store) usable(ctx context.Context) error {
	if s.closed.Load() {
		return errClosed
	}
	if err := ctx.Err(); err != nil {
		return redisconn.Unavailable(err)
	}
	return nil
}

// write runs a script that begins with the prelude, in one partition. keys and
// args are what follows the prelude's own. The answer is what stands behind 'ok'.
func (s *Store) write(ctx context.Context, script *redisconn.Script, p int, keys []string, args ...any) ([]any, error) {
	answers, err := s.writeEach(ctx, script, []run{{p, keys, args}})
	if err != nil {
		return nil, err
	}
	return answers[0].values, answers[0].err
}

// run is one run of a script in a partition.
type run struct {
	partition int
	keys      []string
	args      []any
}

type answer struct {
	values []any
	err    error
}

// writeEach is write in several partitions at once, each for itself.
func (s *Store) writeEach(ctx context.Context, script *redisconn.Script, runs []run) ([]answer, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	id, err := s.identified(ctx)
	if err != nil {
		return nil, err
	}
	clock := s.clock()
	all := make([]redisconn.Invocation, len(runs))
	for i, r := range runs {
		k := &s.keys[r.partition]
		all[i] = redisconn.Invocation{
			Script: script,
			Keys:   append([]string{k.identity, k.revision}, r.keys...),
			Args:   append([]any{id, clock}, r.args...),
		}
	}
	answers := make([]answer, len(runs))
	for i, cmd := range s.conn.RunEach(ctx, all...) {
		answers[i].values, answers[i].err = s.said(cmd, id)
	}
	return answers, nil
}

// errStatus is an answer of a script other than 'ok' that its caller looks at.
type errStatus struct {
	status string
	values []any
}

func (e *errStatus) Error() string { return "the script answered " + e.status }

// said takes a script's answer apart.
func (s *Store) said(cmd *redis.Cmd, id string) ([]any, error) {
	values, err := cmd.Slice()
	if err != nil {
		if redis.HasErrorPrefix(err, "NOIDENTITY") {
			return nil, s.lost(id)
		}
		return nil, redisconn.Unavailable(err)
	}
	status, rest := "", values
	if len(values) > 0 {
		status, _ = values[0].(string)
		rest = values[1:]
	}
	switch status {
	case "ok":
		return rest, nil
	case "conflict":
		return nil, notify.ErrConflict
	case "content":
		return nil, notify.ErrContent
	case "missing":
		return nil, notify.ErrNotFound
	}
	return nil, &errStatus{status, rest}
}

// each runs commands that have nothing to do with each other; a missing key is
// no error.
func (s *Store) each(ctx context.Context, cmds ...redis.Cmder) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	return redisconn.Unavailable(s.conn.Each(ctx, cmds...))
}

// number is an integer of a script's answer, which may stand there as text.
func number(v any) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case string:
		n, _ := strconv.ParseInt(v, 10, 64)
		return n
	}
	return 0
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func str(v any) string {
	t, _ := v.(string)
	return t
}

// Ready answers nil if the store can take a write now: it makes one, in a
// Cluster one in every partition.
func (s *Store) Ready(ctx context.Context) error {
	n := 1
	if s.conn.Sharded() {
		n = partitions
	}
	runs := make([]run, n)
	for p := range runs {
		runs[p] = run{p, []string{s.keys[p].ready}, nil}
	}
	answers, err := s.writeEach(ctx, touchScript, runs)
	if err != nil {
		return err
	}
	for _, a := range answers {
		if a.err != nil {
			return a.err
		}
	}
	return nil
}
