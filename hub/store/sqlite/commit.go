package sqlite

import (
	"context"
	"fmt"

	"caac-hub/hub/notify"
)

// Partitions implements hub.Ledger: one transaction covers everything here.
func (s *Store) Partitions() int { return 1 }

// Commit implements hub.Ledger. Within a batch Adds come first, then reads,
// then withdrawals.
func (s *Store) Commit(ctx context.Context, partition int, b notify.Batch) (notify.Result, error) {
	if partition != 0 {
		return notify.Result{}, fmt.Errorf("partition %d: this store has one, 0", partition)
	}
	docs := make([][]byte, len(b.Fanouts))
	for i := range b.Fanouts {
		for j := range i {
			if b.Fanouts[i].Ref == b.Fanouts[j].Ref {
				return notify.Result{}, fmt.Errorf("the batch names the record of message %q twice", b.Fanouts[i].Message)
			}
		}
		docs[i] = notify.PackFanout(&b.Fanouts[i])
	}
	var result notify.Result
	err := s.do(ctx, func(t *tx) (err error) {
		result, err = t.commit(b, docs)
		return err
	})
	if err != nil {
		return notify.Result{}, err
	}
	return result, nil
}

// commit checks the whole batch before it changes anything.
func (t *tx) commit(b notify.Batch, docs [][]byte) (notify.Result, error) {
	var r notify.Result
	for id, rev := range b.Revs {
		if t.agentRev(id) != rev {
			return r, notify.ErrConflict
		}
	}
	for i := range b.Due {
		if err := t.checkDue(b.Due[i].Key, b.Due[i].Rev); err != nil {
			return r, err
		}
	}
	for _, d := range b.Done {
		if have := t.dueNow(d.Key); have == nil || have.Rev != d.Rev {
			return r, notify.ErrConflict
		}
	}
	if len(b.Fanouts) > 1 {
		for i := range b.Fanouts {
			f := &b.Fanouts[i]
			rev, err := t.c.int("SELECT rev FROM fanouts WHERE message = ? AND conversation = ?", f.Message, f.Conversation)
			if err != nil {
				return r, err
			}
			if rev != f.Rev {
				return r, notify.ErrConflict
			}
		}
	}
	for i := range b.Fanouts {
		rev, err := t.putFanout(&b.Fanouts[i], docs[i])
		if err != nil {
			return r, err
		}
		r.Fanouts = append(r.Fanouts, rev)
	}
	for _, d := range b.Done {
		t.deleteDue(d.Key)
	}
	for _, d := range b.Due {
		r.Due = append(r.Due, t.putDue(d).Rev)
	}
	if err := t.changeUnread(&b, &r); err != nil {
		return r, err
	}
	for _, settled := range b.Settled { // in the one partition there is
		ref := settled.Ref
		r.Whole = append(r.Whole, ref)
		if _, err := t.c.exec("UPDATE messages SET text = '', thumbnail = '' WHERE id = ? AND conversation = ?", ref.Message, ref.Conversation); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (t *tx) changeUnread(b *notify.Batch, r *notify.Result) error {
	if len(b.Add)+len(b.Read)+len(b.Withdraw) == 0 {
		return nil
	}
	t.s.changes++
	u := unreadChange{t: t, id: t.s.changes, now: t.micros()}
	for _, a := range b.Add {
		e := u.entry(a.Agent, a.Conversation)
		if a.Assignment < e.fence {
			r.Fenced = append(r.Fenced, a)
			continue
		}
		if e.add(a.From, a.To) {
			e.assigned = max(e.assigned, a.Assignment)
		}
	}
	for _, a := range b.Read {
		c, _, err := t.conversation(a.Conversation)
		if err != nil {
			return err
		}
		if upto := min(a.Upto, c.Seq); upto > 0 {
			u.entry(a.Agent, a.Conversation).read(upto)
		}
	}
	for _, w := range b.Withdraw {
		u.entry(w.Agent, w.Conversation).withdraw(w.Assignment)
	}
	r.Counts = u.counts()
	return nil
}

// putFanout writes a fan-out at its revision; nothing is written on a conflict.
func (t *tx) putFanout(f *notify.Fanout, doc []byte) (int64, error) {
	rev := t.rev()
	var ended int64
	if f.Ended() {
		ended = 1
	}
	var n int64
	var err error
	if f.Rev == 0 {
		n, err = t.c.exec("INSERT INTO fanouts (message, conversation, rev, ended, doc) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			f.Message, f.Conversation, rev, ended, doc)
	} else {
		n, err = t.c.exec("UPDATE fanouts SET rev = ?, ended = ?, doc = ? WHERE message = ? AND conversation = ? AND rev = ?",
			rev, ended, doc, f.Message, f.Conversation, f.Rev)
	}
	if err == nil && n == 0 {
		err = notify.ErrConflict
	}
	return rev, err
}

// Fanouts implements hub.Ledger.
func (s *Store) Fanouts(ctx context.Context, ref notify.Ref) ([]notify.Fanout, error) {
	var found []notify.Fanout
	err := s.read(ctx, func(c *conn) error {
		return c.query(func(row []driverValue) error {
			f, err := notify.UnpackFanout(blob(row[1]))
			if err != nil {
				return unavailable(fmt.Errorf("the record of message %q is damaged: %w", ref.Message, err))
			}
			f.Ref, f.Partition, f.Rev = ref, 0, row[0].(int64)
			found = append(found, f)
			return nil
		}, "SELECT rev, doc FROM fanouts WHERE message = ? AND conversation = ?", ref.Message, ref.Conversation)
	})
	return found, err
}

// Fanout implements hub.Ledger.
func (s *Store) Fanout(ctx context.Context, partition int, ref notify.Ref) (notify.Fanout, error) {
	if partition != 0 {
		return notify.Fanout{}, notify.ErrNotFound
	}
	found, err := s.Fanouts(ctx, ref)
	if err != nil {
		return notify.Fanout{}, err
	}
	if len(found) == 0 {
		return notify.Fanout{}, notify.ErrNotFound
	}
	return found[0], nil
}
