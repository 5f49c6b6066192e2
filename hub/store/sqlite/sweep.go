package sqlite

import (
	"context"
	"math"
	"slices"
	"time"

	"caac-hub/hub/notify"
)

const (
	sweepMessages = 250  // messages looked at in one transaction
	sweepThreads  = 1000 // conversations whose unread is looked at in one transaction
)

// Sweep implements hub.Store. It works in small transactions, so that messages
// are taken meanwhile; ctx ends it between two.
func (s *Store) Sweep(ctx context.Context, now time.Time) (int, error) {
	dedupe := now.Add(-s.opt.Retention.Dedupe)
	old := now.Add(-s.opt.Retention.Traces)
	if dedupe.Before(old) {
		old = dedupe
	}
	swept, err := s.sweepTraces(ctx, notify.Nanos(old), notify.Nanos(old), nil)
	if err != nil {
		return swept, err
	}
	n, err := s.sweepTraces(ctx, math.MaxInt64, notify.Nanos(dedupe), func(t *tx) (bool, error) {
		used, err := t.c.int("SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size")
		return used > s.opt.Retention.Bytes, err
	})
	swept += n
	if err != nil {
		return swept, err
	}
	return swept, s.sweepUnread(ctx, dedupe)
}

// sweepTraces removes messages accepted before the given time with their
// deliveries, the oldest first, as long as needed answers true; of those not
// accepted before keep, the deliveries only. Work that has not ended stays.
func (s *Store) sweepTraces(ctx context.Context, before, keep int64, needed func(*tx) (bool, error)) (swept int, err error) {
	type trace struct {
		n, accepted int64
		notify.Ref
	}
	from, fromN := int64(math.MinInt64), int64(0)
	for {
		var traces []trace
		removed := 0
		err := s.do(ctx, func(t *tx) error {
			traces, removed = traces[:0], 0
			if needed != nil {
				if more, err := needed(t); err != nil || !more {
					return err
				}
			}
			err := t.c.query(func(row []driverValue) error {
				traces = append(traces, trace{row[0].(int64), row[1].(int64), notify.Ref{Conversation: text(row[2]), Message: text(row[3])}})
				return nil
			}, "SELECT n, accepted, conversation, id FROM messages WHERE (accepted, n) > (?, ?) AND accepted < ? ORDER BY accepted, n LIMIT ?",
				from, fromN, before, int64(sweepMessages))
			if err != nil {
				return err
			}
			for _, m := range traces {
				held, err := t.held(m.Ref)
				if err != nil {
					return err
				}
				if held {
					continue
				}
				if _, err := t.c.exec("DELETE FROM fanouts WHERE message = ? AND conversation = ?", m.Message, m.Conversation); err != nil {
					return err
				}
				if m.accepted >= keep {
					continue
				}
				if _, err := t.c.exec("DELETE FROM messages WHERE n = ?", m.n); err != nil {
					return err
				}
				removed++
			}
			return nil
		})
		if err != nil {
			return swept, err
		}
		swept += removed
		if len(traces) < sweepMessages {
			return swept, nil
		}
		last := traces[len(traces)-1]
		from, fromN = last.accepted, last.n
	}
}

// held reports whether work on the message has not ended.
func (t *tx) held(ref notify.Ref) (bool, error) {
	for _, kind := range []notify.DueKind{notify.DueFanout, notify.DueDeadline} {
		if t.dueNow(dueKey(kind, ref.Conversation, ref.Message)) != nil {
			return true, nil
		}
	}
	open, err := t.c.int("SELECT count(*) FROM fanouts WHERE message = ? AND conversation = ? AND ended = 0", ref.Message, ref.Conversation)
	return open > 0, err
}

// sweepUnread forgets cursors and fences where nothing is unread and nothing
// changed since the given time: what they guard against would be a repetition
// older than that. While work that old still waits, nothing is forgotten.
func (s *Store) sweepUnread(ctx context.Context, before time.Time) error {
	cutoff := before.UnixMicro()
	s.mu.RLock()
	for _, it := range s.mem.due {
		if it.queue != nil && it.At.Before(before) {
			s.mu.RUnlock()
			return nil
		}
	}
	var ids []string
	for id, th := range s.mem.threads {
		if slices.ContainsFunc(th.entries, func(e entry) bool { return e.forgettable(cutoff) }) {
			ids = append(ids, id)
		}
	}
	s.mu.RUnlock()
	for chunk := range slices.Chunk(ids, sweepThreads) {
		err := s.do(ctx, func(t *tx) error {
			for _, id := range chunk {
				st := t.threadNow(id)
				st.entries = slices.DeleteFunc(st.entries, func(e entry) bool { return e.forgettable(cutoff) })
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *entry) forgettable(cutoff int64) bool {
	return e.first.lo == 0 && e.stamp < cutoff
}
