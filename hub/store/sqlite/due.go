package sqlite

import (
	"container/heap"
	"context"
	"slices"
	"strings"
	"time"

	"caac-hub/hub/notify"
)

// item is a piece of due work in memory.
type item struct {
	notify.Due
	until time.Time // end of the lease, while in the leased queue
	queue *queue    // nil: dead
	index int       // in the queue
}

// queue is a heap of items, the next one first.
type queue struct {
	leased bool // by the end of the lease, else by At
	items  []*item
}

func (q *queue) Len() int { return len(q.items) }
func (q *queue) Less(i, j int) bool {
	a, b := q.items[i], q.items[j]
	if q.leased {
		return a.until.Before(b.until)
	}
	return older(&a.Due, &b.Due) < 0
}
func (q *queue) Swap(i, j int) {
	q.items[i], q.items[j] = q.items[j], q.items[i]
	q.items[i].index, q.items[j].index = i, j
}
func (q *queue) Push(x any) {
	it := x.(*item)
	it.queue, it.index = q, len(q.items)
	q.items = append(q.items, it)
}
func (q *queue) Pop() any {
	last := len(q.items) - 1
	it := q.items[last]
	q.items[last] = nil
	q.items = q.items[:last]
	it.queue = nil
	return it
}

// older orders work: by time, then as it was put.
func older(a, b *notify.Due) int {
	if c := a.At.Compare(b.At); c != 0 {
		return c
	}
	if a.Rev != b.Rev {
		return int(min(max(a.Rev-b.Rev, -1), 1))
	}
	return strings.Compare(a.Key, b.Key)
}

func (m *memory) putDue(d notify.Due) {
	it := m.due[d.Key]
	if it == nil {
		it = &item{}
		m.due[d.Key] = it
	} else if it.queue != nil {
		heap.Remove(it.queue, it.index)
	}
	it.Due = d
	if d.Dead == "" {
		heap.Push(&m.ready, it)
	}
}

func (m *memory) deleteDue(key string) {
	it := m.due[key]
	if it == nil {
		return
	}
	if it.queue != nil {
		heap.Remove(it.queue, it.index)
	}
	delete(m.due, key)
}

// lease covers an item of a queue.
func (m *memory) lease(it *item, until time.Time) {
	heap.Remove(it.queue, it.index)
	it.until = until
	heap.Push(&m.leased, it)
}

// dueNow returns the item as the transaction sees it.
func (t *tx) dueNow(key string) *notify.Due {
	if d, ok := t.due[key]; ok {
		return d
	}
	if it := t.s.mem.due[key]; it != nil {
		return &it.Due
	}
	return nil
}

// checkDue answers ErrConflict unless the item stands at the revision.
func (t *tx) checkDue(key string, rev int64) error {
	d := t.dueNow(key)
	if d == nil && rev == 0 || d != nil && rev == d.Rev && rev != 0 {
		return nil
	}
	return notify.ErrConflict
}

// putDue stages an item and returns it as it will stand.
func (t *tx) putDue(d notify.Due) notify.Due {
	d.Partition, d.Rev = 0, t.rev()
	d.At = notify.KeepTime(d.At)
	if t.due == nil {
		t.due = map[string]*notify.Due{}
	}
	t.due[d.Key] = &d
	return d
}

func (t *tx) deleteDue(key string) {
	if t.due == nil {
		t.due = map[string]*notify.Due{}
	}
	t.due[key] = nil
}

// flushDue writes what became of an item; one that came and went within the
// batch is never written.
func (t *tx) flushDue(key string, d *notify.Due) error {
	_, stored := t.s.mem.due[key]
	var err error
	switch {
	case d != nil:
		var body driverValue
		if d.Body != nil {
			body = d.Body
		}
		_, err = t.c.exec("INSERT OR REPLACE INTO due (key, kind, at, attempt, body, dead, rev) VALUES (?, ?, ?, ?, ?, ?, ?)",
			d.Key, string(d.Kind), notify.Nanos(d.At), int64(d.Attempt), body, d.Dead, d.Rev)
	case stored:
		_, err = t.c.exec("DELETE FROM due WHERE key = ?", key)
	}
	return err
}

func scanDue(row []driverValue) notify.Due {
	return notify.Due{
		Key: text(row[0]), Kind: notify.DueKind(text(row[1])), At: notify.FromNanos(row[2].(int64)),
		Attempt: int(row[3].(int64)), Body: blob(row[4]), Dead: text(row[5]), Rev: row[6].(int64),
	}
}

// Claim implements hub.Store. Leases live in memory: a restart voids them.
func (s *Store) Claim(ctx context.Context, partitions []int, now time.Time, limit int, lease time.Duration) ([]notify.Due, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	if !slices.Contains(partitions, 0) {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.mem
	for len(m.leased.items) > 0 && !m.leased.items[0].until.After(now) {
		heap.Push(&m.ready, heap.Pop(&m.leased))
	}
	var claimed []notify.Due
	for len(claimed) < limit && len(m.ready.items) > 0 {
		it := m.ready.items[0]
		if it.At.After(now) {
			break
		}
		m.lease(it, now.Add(lease))
		claimed = append(claimed, it.Due)
	}
	return claimed, nil
}

// Lease implements hub.Store.
func (s *Store) Lease(ctx context.Context, partition int, keys []string, until time.Time) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.mem
	for _, key := range keys {
		if it := m.due[key]; it != nil && it.queue != nil {
			m.lease(it, until)
		}
	}
	return nil
}

// Due implements hub.Store.
func (s *Store) Due(ctx context.Context, partition int, keys []string) ([]notify.Due, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []notify.Due
	for _, key := range keys {
		if it := s.mem.due[key]; it != nil {
			found = append(found, it.Due)
		}
	}
	return found, nil
}

// Pending implements hub.Store.
func (s *Store) Pending(ctx context.Context, now time.Time) (map[notify.DueKind]notify.Backlog, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	pending := map[notify.DueKind]notify.Backlog{}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, it := range s.mem.due {
		if it.queue == nil {
			continue
		}
		b := pending[it.Kind]
		b.Count++
		b.Oldest = max(b.Oldest, now.Sub(it.At))
		pending[it.Kind] = b
	}
	return pending, nil
}

// Dead implements hub.Store.
func (s *Store) Dead(ctx context.Context, limit int) ([]notify.Due, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	var dead []notify.Due
	s.mu.RLock()
	for _, it := range s.mem.due {
		if it.queue == nil {
			dead = append(dead, it.Due)
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(dead, func(a, b notify.Due) int { return older(&a, &b) })
	return dead[:min(max(limit, 0), len(dead))], nil
}

// usable answers an error if the store is closed or ctx has ended.
func (s *Store) usable(ctx context.Context) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return errClosed
	}
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	return nil
}
