package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync/atomic"

	"caac-hub/hub/notify"
)

type driverValue = driver.Value

// maxBatch is how many operations share a commit at most.
const maxBatch = 64

// reserve is how far ahead, in µs, versions are persisted as used.
const reserve = 10_000_000

// maxConvs bounds the cache of conversations.
const maxConvs = 50_000

// op is one operation for the writer. run may be called more than once, each
// time against a fresh transaction; its answer counts after the commit.
type op struct {
	ctx   context.Context
	run   func(*tx) error
	taken atomic.Bool // by the writer, or by the caller that gives up
	err   error
	done  chan struct{}
}

// tx is one transaction: what its operations staged, on top of the memory.
type tx struct {
	s      *Store
	c      *conn
	batch  uint64
	high   int64 // greatest version or revision given out
	revs   map[string]int64
	due    map[string]*notify.Due // nil: deleted
	convs  map[string]notify.Conversation
	thread map[string]*staged
	agents []*agent // with staged version and total
	joins  []join
}

// micros is the store's clock.
func (t *tx) micros() int64 { return t.s.opt.Now().UnixMicro() }

// rev returns a revision never used before, so that what was deleted and made
// anew is told from what it was.
func (t *tx) rev() int64 {
	t.s.lastRev = max(t.s.lastRev+1, t.micros())
	t.high = max(t.high, t.s.lastRev)
	return t.s.lastRev
}

// do has the writer run the operation and returns after it is durable.
func (s *Store) do(ctx context.Context, run func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	o := &op{ctx: ctx, run: run, done: make(chan struct{})}
	s.gate.RLock()
	if s.closed {
		s.gate.RUnlock()
		return errClosed
	}
	select {
	case s.ops <- o:
		s.gate.RUnlock()
	case <-ctx.Done():
		s.gate.RUnlock()
		return unavailable(ctx.Err())
	}
	select {
	case <-o.done:
	case <-ctx.Done():
		if o.taken.CompareAndSwap(false, true) {
			return unavailable(ctx.Err())
		}
		<-o.done
	}
	return o.err
}

// write is the writer: it ends when ops is closed and drained.
func (s *Store) write() {
	defer close(s.done)
	batch := make([]*op, 0, maxBatch)
	for first := range s.ops {
		batch = take(batch[:0], first)
	gather:
		for len(batch) < maxBatch {
			select {
			case o, ok := <-s.ops:
				if !ok {
					break gather
				}
				batch = take(batch, o)
			default:
				break gather
			}
		}
		if len(batch) > 0 {
			s.carryOut(batch)
		}
		clear(batch)
	}
}

func take(batch []*op, o *op) []*op {
	if !o.taken.CompareAndSwap(false, true) {
		return batch // the caller gave up
	}
	if err := o.ctx.Err(); err != nil {
		o.err = unavailable(err)
		close(o.done)
		return batch
	}
	return append(batch, o)
}

// carryOut commits the batch and answers. If a statement failed, each operation
// is tried alone, so that only the one at fault fails.
func (s *Store) carryOut(batch []*op) {
	committing, err := s.attempt(batch)
	if err != nil && !committing && len(batch) > 1 && !s.broken {
		for _, o := range batch {
			s.carryOut([]*op{o})
		}
		return
	}
	if err != nil && !s.failed {
		s.log.Error("store: a write failed", "error", err)
	}
	if err == nil && s.failed {
		s.log.Info("store: writes succeed again")
	}
	s.failed = err != nil
	for _, o := range batch {
		if err != nil {
			o.err = unavailable(err)
		}
		close(o.done)
	}
}

// attempt runs the operations in one transaction. An error means that none of
// it happened; committing tells that the commit itself failed.
func (s *Store) attempt(batch []*op) (committing bool, err error) {
	if s.broken {
		if err := s.recover(); err != nil {
			return false, err
		}
	}
	s.batches++
	t := &tx{s: s, c: s.w, batch: s.batches}
	if _, err := s.w.exec("BEGIN IMMEDIATE"); err != nil {
		return false, err
	}
	for _, o := range batch {
		o.err = o.run(t)
		if e := (*dbError)(nil); errors.As(o.err, &e) {
			s.rollback()
			return false, o.err
		}
	}
	high, err := t.flush()
	if err != nil {
		s.rollback()
		return false, err
	}
	if _, err := s.w.exec("COMMIT"); err != nil {
		s.rollback()
		s.broken = true
		return true, err
	}
	s.reserved = high
	t.apply()
	return false, nil
}

func (s *Store) rollback() {
	if _, err := s.w.exec("ROLLBACK"); err == nil {
		return
	}
	// Some errors have SQLite roll back by itself; a new transaction tells.
	if _, err := s.w.exec("BEGIN IMMEDIATE"); err != nil {
		s.broken = true
	} else if _, err := s.w.exec("ROLLBACK"); err != nil {
		s.broken = true
	}
}

// recover connects again and loads the memory from the database, once a write
// succeeds.
func (s *Store) recover() error {
	c, err := openConn(s.file, false)
	if err != nil {
		return err
	}
	if err := c.probe(); err != nil {
		c.close()
		return err
	}
	s.w.close()
	s.w = c
	clear(s.convs)
	if err := s.load(); err != nil {
		return err
	}
	s.broken = false
	return nil
}

// flush writes what was staged and returns the reservation that then holds.
func (t *tx) flush() (reserved int64, err error) {
	for id, c := range t.convs {
		if err := t.c.putConversation(id, c); err != nil {
			return 0, err
		}
	}
	for id, st := range t.thread {
		if err := t.c.putThread(id, st.entries); err != nil {
			return 0, err
		}
	}
	for key, d := range t.due {
		if err := t.flushDue(key, d); err != nil {
			return 0, err
		}
	}
	reserved = t.s.reserved
	if t.high > reserved {
		reserved = t.high + reserve
		_, err = t.c.exec("INSERT INTO state (name, value) VALUES ('reserved', ?1) ON CONFLICT (name) DO UPDATE SET value = ?1", reserved)
	}
	return reserved, err
}

// apply makes what was committed visible.
func (t *tx) apply() {
	s := t.s
	for id, c := range t.convs {
		s.convs[id] = c
	}
	for id := range s.convs {
		if len(s.convs) <= maxConvs {
			break
		}
		delete(s.convs, id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.mem
	for id, rev := range t.revs {
		m.revs[id] = rev
	}
	for key, d := range t.due {
		if d == nil {
			m.deleteDue(key)
		} else {
			m.putDue(*d)
		}
	}
	m.applyUnread(t)
}
