package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"caac-hub/hub/notify"
)

// Times of due work.
const (
	pollEvery = 100 * time.Millisecond
	leaseFor  = 5 * time.Second
	maxClaim  = 512
)

// workLoop claims due work until ctx ends. Work that fails keeps its lease and
// is claimed again when that ends.
func (h *Hub) workLoop(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var helped time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		mine, others := h.peers.split()
		h.claim(ctx, mine, 0)
		if now := time.Now(); len(others) > 0 && now.Sub(helped) >= overdueAfter {
			helped = now
			h.claim(ctx, others, overdueAfter)
		}
	}
}

// overdueAfter is how late work is when any node may take it.
const overdueAfter = time.Second

// claim carries out what has been due for as long as given in some partitions.
func (h *Hub) claim(ctx context.Context, partitions []int, overdue time.Duration) {
	for len(partitions) > 0 {
		due, err := h.store.Claim(ctx, partitions, time.Now().Add(-overdue), maxClaim, leaseFor+overdue)
		if err != nil {
			if ctx.Err() == nil {
				h.log.Warn("due work not claimed", "error", err)
			}
			return
		}
		for _, d := range due {
			carryOut := func() {
				if err := h.carryOut(ctx, d); err != nil && ctx.Err() == nil {
					h.log.Warn("due work not done; it will be tried again", "kind", d.Kind, "key", d.Key, "error", err)
				}
			}
			if waits := d.Kind == notify.DueAssign || d.Kind == notify.DueAnswered; !waits {
				carryOut()
			} else if h.open(1) {
				go func() { defer h.wg.Done(); carryOut() }()
			}
		}
		if len(due) < maxClaim {
			return
		}
	}
}

// carryOut begins one piece of due work. Done twice, every kind does nothing the
// second time.
func (h *Hub) carryOut(ctx context.Context, d notify.Due) error {
	switch d.Kind {
	case notify.DueRing:
		h.partitions[d.Partition].post(&ringOp{key: d.Key})
		return nil
	case notify.DueDeadline:
		if end := d.At.Add(overdueAfter); !h.peers.settled(d.Partition) && time.Now().Before(end) {
			return h.store.Lease(ctx, d.Partition, []string{d.Key}, end)
		}
		h.partitions[d.Partition].post(&deadlineOp{due: d})
		return nil
	case notify.DueFanout:
		return h.fanoutAgain(ctx, d)
	case notify.DueAssign:
		return h.reassign(ctx, d)
	case notify.DueAnswered:
		return h.answered(ctx, d)
	case notify.DueSend:
		return h.sendScheduled(ctx, d)
	}
	return h.giveUp(ctx, d, "no work of kind "+string(d.Kind)+" is known")
}

// giveUp lists work that can never be done in the outbox.
func (h *Hub) giveUp(ctx context.Context, d notify.Due, why string) error {
	h.log.Error("due work failed for good", "kind", d.Kind, "key", d.Key, "why", why)
	d.Dead = why
	_, err := h.store.Commit(ctx, d.Partition, notify.Batch{Due: []notify.Due{d}})
	return err
}

// fanoutAgain does the fan-out of a message that its node did not finish.
func (h *Hub) fanoutAgain(ctx context.Context, d notify.Due) error {
	var ref notify.Ref
	if err := json.Unmarshal(d.Body, &ref); err != nil {
		return h.giveUp(ctx, d, err.Error())
	}
	msg, err := h.store.Message(ctx, ref)
	if errors.Is(err, notify.ErrNotFound) {
		return h.giveUp(ctx, d, "its message is not there")
	}
	if err != nil {
		return err
	}
	return h.fanout(ctx, &msg, d, true)
}

// reassign withdraws a conversation from the agents no longer responsible and
// has the new ones take over what is unanswered.
func (h *Hub) reassign(ctx context.Context, d notify.Due) error {
	var b notify.AssignBody
	if err := json.Unmarshal(d.Body, &b); err != nil {
		return h.giveUp(ctx, d, err.Error())
	}
	c, err := h.store.Conversation(ctx, b.Conversation)
	if err != nil {
		return err
	}
	if c.Assignment.Version > b.To.Version {
		// A newer assignment came: its own work takes over. Only withdraw.
		b.To = c.Assignment
	}
	responsible, err := h.recipients(ctx, b.To)
	if err != nil {
		return err
	}
	before, err := h.recipients(ctx, b.From)
	if err != nil {
		return err
	}
	holders, err := h.store.Holders(ctx, b.Conversation)
	if err != nil {
		return err
	}
	// The takeover goes first: as long as the message has a delivery that has not
	// ended, its text is kept.
	gained := slices.DeleteFunc(slices.Clone(responsible), func(id string) bool { return slices.Contains(before, id) })
	if err := h.takeOver(ctx, &b, c, gained); err != nil {
		return err
	}
	lost := append(slices.Clone(before), holders...)
	slices.Sort(lost)
	lost = slices.DeleteFunc(slices.Compact(lost), func(id string) bool { return slices.Contains(responsible, id) })
	err = h.all(ctx, lost, func(id string, r opResult) owned {
		return &withdrawOp{opResult: r, agent: id, conversation: b.Conversation, assignment: b.To.Version}
	})
	if err != nil {
		return err // the lease ends and it is done again
	}
	h.finish(d.Partition, notify.DueRef{Key: d.Key, Rev: d.Rev})
	return nil
}

// all has an operation carried out for each agent and waits for every one.
func (h *Hub) all(ctx context.Context, agents []string, make func(id string, r opResult) owned) error {
	results := slices.Grow([]opResult(nil), len(agents))
	for _, id := range agents {
		r := awaited()
		h.at(h.partitionOf(id).n, make(id, r))
		results = append(results, r)
	}
	return waitAll(ctx, results)
}

// takeOver gives the agents what is unanswered, with a decision for the newest
// message.
func (h *Hub) takeOver(ctx context.Context, b *notify.AssignBody, c notify.Conversation, gained []string) error {
	from, to := c.Answered+1, b.Upto
	if len(gained) == 0 || from > to {
		return nil
	}
	msg := notify.Message{Conversation: b.Conversation, ID: c.Newest, Seq: c.Seq}
	if c.Seq == to {
		stored, err := h.store.Message(ctx, notify.Ref{Conversation: b.Conversation, Message: c.Newest})
		switch {
		case err == nil:
			msg = stored
		case !errors.Is(err, notify.ErrNotFound):
			return err
		}
		msg.Contact = cmp.Or(msg.Contact, c.Contact)
	}
	// Where a newer message has come, its own fan-out rings; where the newest is
	// past its retention, nothing is left to show.
	silent := c.Seq > to || msg.Accepted.IsZero()
	parts := h.byPartition(gained)
	all := slices.Sorted(maps.Keys(parts))
	fs, err := h.store.Fanouts(ctx, msg.Ref())
	if err != nil {
		return err
	}
	for i := range fs {
		all = union(all, fs[i].Parts)
	}
	var results []opResult
	for n, part := range parts {
		r := awaited()
		h.at(n, &fanoutOp{
			msg: &msg, assignment: b.To, recipients: part, from: from, to: to, parts: all,
			takeover: true, silent: silent, told: func(err error) { r.reply <- err },
		})
		results = append(results, r)
	}
	return waitAll(ctx, results)
}

func (h *Hub) recipients(ctx context.Context, a notify.Assignment) ([]string, error) {
	members, err := h.dir.members(ctx, a)
	return notify.Recipients(a, members), err
}

// answered moves the cursor of everyone who may have unread messages.
func (h *Hub) answered(ctx context.Context, d notify.Due) error {
	var b notify.AnsweredBody
	if err := json.Unmarshal(d.Body, &b); err != nil {
		return h.giveUp(ctx, d, err.Error())
	}
	c, err := h.store.Conversation(ctx, b.Conversation)
	if err != nil {
		return err
	}
	who, err := h.store.Holders(ctx, b.Conversation)
	if err != nil {
		return err
	}
	responsible, err := h.recipients(ctx, c.Assignment)
	if err != nil {
		return err
	}
	who = append(who, responsible...)
	slices.Sort(who)
	who = slices.Compact(who)
	err = h.all(ctx, who, func(id string, r opResult) owned {
		return &readOp{opResult: r, agent: id, conversation: b.Conversation, upto: b.Upto, reason: notify.Answered}
	})
	if err != nil {
		return err
	}
	h.finish(d.Partition, notify.DueRef{Key: d.Key, Rev: d.Rev})
	return nil
}

// sendScheduled accepts a message whose time has come.
func (h *Hub) sendScheduled(ctx context.Context, d notify.Due) error {
	var b scheduledBody
	if err := json.Unmarshal(d.Body, &b); err != nil {
		return h.giveUp(ctx, d, err.Error())
	}
	_, err := h.accept(ctx, &b.Input)
	if e := AsError(err); e != nil {
		if e.Kind == Unavailable || e.Kind == Internal {
			return err
		}
		return h.giveUp(ctx, d, e.Message)
	}
	h.finish(d.Partition, notify.DueRef{Key: d.Key, Rev: d.Rev})
	return nil
}

// Dead lists the work that failed for good, oldest first.
func (h *Hub) Dead(ctx context.Context, limit int) ([]DeadWork, error) {
	due, err := h.store.Dead(ctx, limit)
	if err != nil {
		return nil, err
	}
	out := make([]DeadWork, 0, len(due))
	for _, d := range due {
		out = append(out, DeadWork{Key: d.Key, Kind: d.Kind, At: d.At, Attempt: d.Attempt, Why: d.Dead})
	}
	return out, nil
}

// RetryDead puts dead work back; key "" retries all. It reports how many.
func (h *Hub) RetryDead(ctx context.Context, key string) (int, error) {
	due, err := h.store.Dead(ctx, 10000)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, d := range due {
		if key != "" && d.Key != key {
			continue
		}
		if d.Kind == notify.DueRing {
			o := &exhumeOp{opResult: awaited(), due: d}
			h.partitions[d.Partition].post(o)
			err = o.wait(ctx)
		} else {
			d.Dead, d.At = "", time.Now()
			_, err = h.store.Commit(ctx, d.Partition, notify.Batch{Due: []notify.Due{d}})
		}
		if err != nil {
			return n, err
		}
		n++
	}
	if n == 0 && key != "" {
		return 0, missing("dead_work", key)
	}
	return n, nil
}

// sweepLoop removes what is past its retention, until ctx ends.
func (h *Hub) sweepLoop(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !h.peers.owns(0) {
			continue // one node sweeps
		}
		n, err := h.store.Sweep(ctx, time.Now())
		if err == nil {
			err = h.sweepLogins(ctx)
		}
		if err != nil && ctx.Err() == nil {
			h.log.Warn("sweep not finished", "error", err)
		} else if n > 0 {
			h.log.Info("swept", "messages", n)
		}
	}
}
