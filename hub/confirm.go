package hub

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"caac-hub/hub/notify"
)

// confirmTime is how long a page has to confirm what it was asked to show.
const confirmTime = 3 * time.Second

// flight is a delivery that a page may still confirm, or a push held until
// another device's page does. Memory only: after a crash the deadline finds it
// unconfirmed, and doubt ends in a push.
type flight struct {
	id       string
	ref      notify.Ref
	seq      int64
	agent    string
	device   string
	channel  notify.Channel
	reason   notify.Reason
	eligible []string     // sockets whose state justified the decision
	until    time.Time    // when it is settled unconfirmed
	home     string       // the node that waits for the page's word, where it is another
	acked    atomic.Int64 // Unix ns, 0: not yet; the one field that pages' goroutines set
}

func (fl *flight) isAcked() bool { return fl.acked.Load() != 0 }

func (fl *flight) fold(d *notify.Delivery) {
	at := time.Unix(0, fl.acked.Load())
	d.End, d.EndReason, d.Ended = notify.Acknowledged, d.Reason, at
	noteAt(d, at, notify.EventAcknowledged, "")
}

func (p *partition) launch(fl *flight) {
	if old := p.flights[fl.id]; old != nil {
		p.land(fl.id)
	}
	p.flights[fl.id] = fl
	p.byAgent[fl.agent] = append(p.byAgent[fl.agent], fl)
}

func (p *partition) land(id string) {
	fl := p.flights[id]
	if fl == nil {
		return
	}
	delete(p.flights, id)
	all := p.byAgent[fl.agent]
	if i := slices.Index(all, fl); i >= 0 {
		last := len(all) - 1
		all[i], all[last] = all[last], nil
		if last == 0 {
			delete(p.byAgent, fl.agent)
		} else {
			p.byAgent[fl.agent] = all[:last]
		}
	}
}

// await has the socket take its page's word for a delivery.
func (s *socket) await(fl *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.awaited) >= maxAwaited {
		now := time.Now()
		s.awaited = slices.DeleteFunc(s.awaited, func(old *flight) bool { return old.until.Before(now) })
	}
	s.awaited = append(s.awaited, fl)
}

// maxAwaited is how many deliveries a socket awaits before those past their
// deadline are forgotten.
const maxAwaited = 32

// acknowledge takes a page's word for a delivery that it was asked to show. That
// it was shown needs no turn of the partition: late turns must not make it late.
func (s *socket) acknowledge(delivery string, rendered bool, detail string) {
	s.mu.Lock()
	i := slices.IndexFunc(s.awaited, func(fl *flight) bool { return fl.id == delivery })
	if i < 0 {
		s.mu.Unlock()
		return
	}
	fl := s.awaited[i]
	s.awaited = slices.Delete(s.awaited, i, i+1)
	if len(s.awaited) == 0 {
		s.awaited = nil
	}
	s.mu.Unlock()
	h := s.hub
	presence, viewing := h.sockets.presence(s)
	if fl.home != "" {
		h.peers.send(fl.home, part{Ack: &awayAck{
			Agent: s.agent, Delivery: delivery, Socket: s.id, Rendered: rendered, Detail: detail,
			Presence: int(presence), Viewing: viewing,
		}})
		return
	}
	o := &ackOp{
		delivery: delivery, socket: s.id, rendered: rendered, detail: detail,
		presence: presence, viewing: viewing, at: time.Now(),
	}
	p := h.partitionOf(s.agent)
	if o.suffices(fl) && h.peers.owns(p.n) {
		fl.acked.CompareAndSwap(0, o.at.UnixNano())
		return
	}
	p.post(o)
}

// ackOp is a page's word for a delivery.
type ackOp struct {
	delivery string
	socket   string
	rendered bool
	detail   string
	presence notify.Presence // of the socket when it said so
	viewing  string
	at       time.Time
}

func (o *ackOp) done(*partition, error) {}

// suffices reports whether the word ends the delivery and nothing more follows.
func (o *ackOp) suffices(fl *flight) bool {
	return o.rendered && fl.reason != notify.ViewingConversation && (fl.channel == notify.Local || o.presence >= notify.Visible)
}

func (o *ackOp) stage(s *step) error {
	p := s.p
	fl := p.flights[o.delivery]
	if fl == nil || fl.isAcked() || !slices.Contains(fl.eligible, o.socket) {
		return nil
	}
	if o.suffices(fl) {
		s.then(func(notify.Result) {
			fl.acked.CompareAndSwap(0, o.at.UnixNano())
			if !p.h.peers.owns(p.n) { // the owner would take it for unconfirmed
				p.next = append(p.next, &foldOp{fl.ref})
			}
		})
		return nil
	}
	if !o.rendered || o.presence < notify.Visible {
		return s.lost(fl, o.socket, "the page could not show it: "+o.detail)
	}
	d, err := s.delivery(fl.ref, fl.id)
	if err != nil || d == nil {
		return err
	}
	if d.End == "" {
		s.end(d, notify.Acknowledged, d.Reason)
		s.note(d, notify.EventAcknowledged, "")
	}
	for _, other := range p.byAgent[fl.agent] {
		if other.ref == fl.ref && other.channel == notify.Push {
			held, err := s.delivery(other.ref, other.id)
			if err != nil {
				return err
			}
			if held != nil && held.End == "" {
				s.end(held, notify.Dropped, notify.ReadElsewhere)
			}
		}
	}
	if o.viewing != fl.ref.Conversation {
		return nil
	}
	return s.read(fl.agent, fl.ref.Conversation, fl.seq, notify.Read)
}

// flushAcks has what pages acknowledged written before its deadline: the next
// node would take it for unconfirmed.
func (p *partition) flushAcks() {
	acked := map[notify.Ref]bool{}
	for _, fl := range p.flights {
		if fl.isAcked() && !acked[fl.ref] {
			acked[fl.ref] = true
			p.next = append(p.next, &foldOp{fl.ref})
		}
	}
}

// handOverOp has what is kept in memory written: another node owns the partition
// now.
type handOverOp struct{}

func (o *handOverOp) done(*partition, error) {}

func (o *handOverOp) stage(s *step) error {
	s.then(func(notify.Result) { s.p.flushAcks() })
	return nil
}

// tidy has the acknowledgements written that nobody's deadline will, and lets go
// of deliveries that another node has decided again.
func (p *partition) tidy(now time.Time) {
	folding := map[notify.Ref]bool{}
	for id, fl := range p.flights {
		switch late := now.Sub(fl.until); {
		case fl.isAcked() && (late > leaseFor || !p.h.peers.owns(p.n)) && !folding[fl.ref]:
			folding[fl.ref] = true
			p.next = append(p.next, &foldOp{fl.ref})
		case !fl.isAcked() && late > 6*leaseFor:
			p.land(id)
		}
	}
}

// foldOp writes what pages have acknowledged of a message so far.
type foldOp struct{ ref notify.Ref }

func (o *foldOp) stage(s *step) error {
	_, err := s.record(o.ref)
	if errors.Is(err, notify.ErrNotFound) { // it is past its retention
		for id, fl := range s.p.flights {
			if fl.ref == o.ref {
				s.folded = append(s.folded, id)
			}
		}
		return nil
	}
	return err
}

// done gives up in a drain on what could not be written: nothing is tried again.
func (o *foldOp) done(p *partition, err error) {
	if err == nil || p == nil {
		return
	}
	select {
	case <-p.h.ended:
	default:
		return
	}
	p.h.log.Warn("acknowledgements not written before the end; they will count as unconfirmed", "error", err)
	for id, fl := range p.flights {
		if fl.ref == o.ref {
			p.land(id)
		}
	}
}

// lostOp says that a socket is gone or no longer visible: it can confirm nothing.
type lostOp struct {
	agent  string
	socket string
	why    string
}

func (o *lostOp) done(*partition, error) {}

func (o *lostOp) stage(s *step) error {
	for _, fl := range slices.Clone(s.p.byAgent[o.agent]) {
		if !fl.isAcked() && slices.Contains(fl.eligible, o.socket) {
			if err := s.lost(fl, o.socket, o.why); err != nil {
				return err
			}
		}
	}
	return nil
}

// lost takes a socket from those that can confirm a delivery; without any left,
// the delivery is decided once more.
func (s *step) lost(fl *flight, socket, why string) error {
	left := slices.DeleteFunc(slices.Clone(fl.eligible), func(id string) bool { return id == socket })
	if len(left) > 0 {
		s.then(func(notify.Result) { fl.eligible = left })
		return nil
	}
	d, err := s.delivery(fl.ref, fl.id)
	if err != nil || d == nil || d.End != "" {
		return err
	}
	return s.redecide(fl.ref, fl.seq, d, why)
}

// redecide decides an unconfirmed delivery once more: push or none.
func (s *step) redecide(ref notify.Ref, seq int64, d *notify.Delivery, why string) error {
	if d.Channel != notify.InApp && d.Channel != notify.Local {
		return nil
	}
	p := s.p
	if fl := p.flights[d.ID]; fl != nil && !fl.isAcked() {
		eligible := fl.eligible
		s.then(func(notify.Result) {
			for _, node := range p.h.sockets.doubt(d.Agent, eligible) {
				p.h.peers.send(node, part{Doubt: &doubt{Agent: d.Agent, Sockets: eligible}})
			}
		})
	}
	snap, err := p.h.dir.view(s.ctx, []string{d.Agent})
	if err != nil {
		return err
	}
	a, l, ok := snap.login(d.Agent, d.Device)
	s.note(d, notify.EventRedecided, why)
	was := d.Decision
	if !ok {
		s.end(d, notify.Dropped, notify.LoggedOut)
		return s.releaseHeld(ref, seq, d.Agent)
	}
	if read, err := s.readElsewhere(ref, seq, d); err != nil || read {
		return err
	}
	s.instead(d, notify.DecideUnconfirmed(a, l))
	p.h.metrics.decided(d.Decision)
	s.folded = append(s.folded, d.ID)
	switch {
	case d.Channel == notify.Push:
		r, err := s.ring(d.Agent, d.Device, ref.Conversation)
		if err != nil {
			return err
		}
		if was.Channel == notify.Local && r.Taken == "" {
			r.Until, r.at = time.Time{}, s.now // nothing rang
		}
		s.enqueue(r, ref, seq, d)
	case d.Reason == notify.Unconfirmed:
		s.end(d, notify.Failed, notify.Unconfirmed)
	default:
		s.end(d, notify.EndNone, d.Reason)
	}
	if was.Reason == notify.ViewingConversation {
		return s.releaseHeld(ref, seq, d.Agent)
	}
	return nil
}

// readElsewhere ends a delivery whose message is not unread any more: what moved
// the cursor, here before a crash or on another node, did not know its flight.
func (s *step) readElsewhere(ref notify.Ref, seq int64, d *notify.Delivery) (bool, error) {
	if s.p.flights[d.ID] != nil && s.p.h.peers.alone() {
		return false, nil
	}
	u, err := s.p.h.store.Unread(s.ctx, d.Agent, math.MaxInt32)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(u.Conversations, func(c notify.ConversationUnread) bool {
		return c.Conversation == ref.Conversation && c.Cursor < seq
	}) {
		return false, nil
	}
	s.end(d, notify.Dropped, notify.Read)
	return true, nil
}

// release has a held push sent.
func (s *step) release(ref notify.Ref, seq int64, d *notify.Delivery) error {
	if read, err := s.readElsewhere(ref, seq, d); err != nil || read {
		return err
	}
	d.Held = false
	r, err := s.ring(d.Agent, d.Device, ref.Conversation)
	if err != nil {
		return err
	}
	s.folded = append(s.folded, d.ID)
	s.enqueue(r, ref, seq, d)
	return nil
}

// releaseHeld has the pushes sent that were held for a viewing page, which will
// not confirm any more, unless another one still may.
func (s *step) releaseHeld(ref notify.Ref, seq int64, agent string) error {
	f, err := s.record(ref)
	if err != nil {
		return err
	}
	for i := range f.Deliveries {
		if d := &f.Deliveries[i]; d.Agent == agent && d.Reason == notify.ViewingConversation && d.End == "" {
			return nil
		}
	}
	for i := range f.Deliveries {
		if d := &f.Deliveries[i]; d.Agent == agent && d.Held && d.End == "" {
			if err := s.release(ref, seq, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// instead puts another decision in the place of a delivery's. First stays what
// was decided first.
func (s *step) instead(d *notify.Delivery, dec notify.Decision) {
	if d.First == nil {
		first := d.Decision
		d.First = &first
	}
	d.Decision = dec
}

// deadlineBody is the body of a DueDeadline.
type deadlineBody struct {
	Conversation string `json:"c"`
	Message      string `json:"m"`
}

// deadline has what is still unconfirmed of a message settled at the time given,
// or earlier, if some of it is due before: then the deadline moves on by itself.
func (s *step) deadline(ref notify.Ref, at time.Time) error {
	key := dueKey(notify.DueDeadline, ref.Conversation, ref.Message)
	for i := range s.batch.Due {
		if s.batch.Due[i].Key == key {
			return nil
		}
	}
	body, err := json.Marshal(deadlineBody{ref.Conversation, ref.Message})
	if err != nil {
		return err
	}
	due := notify.Due{Partition: s.p.n, Key: key, Kind: notify.DueDeadline, At: at, Body: body}
	if f := s.records[ref]; f != nil && f.Rev != 0 {
		stored, err := s.p.h.store.Due(s.ctx, s.p.n, []string{key})
		if err != nil {
			return err
		}
		if len(stored) == 1 {
			due.Rev = stored[0].Rev
			settled := len(s.batch.Done)
			s.batch.Done = slices.DeleteFunc(s.batch.Done, func(d notify.DueRef) bool { return d.Key == key })
			if settled == len(s.batch.Done) && !stored[0].At.After(at) {
				return nil
			}
		}
	}
	s.batch.Due = append(s.batch.Due, due)
	return nil
}

// until is when a delivery in flight is settled unconfirmed; zero for others.
func (s *step) until(delivery string) time.Time {
	if s.fresh[delivery] {
		return s.now.Add(confirmTime)
	}
	if fl := s.p.flights[delivery]; fl != nil {
		return fl.until
	}
	return time.Time{}
}

// deadlineOp settles what no page confirmed.
type deadlineOp struct {
	due   notify.Due
	moved bool // put off meanwhile: it will be claimed again
}

func (o *deadlineOp) conflicted(*partition) { o.moved = true }

func (o *deadlineOp) done(p *partition, err error) {
	if err != nil && p != nil {
		p.h.log.Warn("deadline not settled; it will be tried again", "key", o.due.Key, "error", err)
	}
}

func (o *deadlineOp) stage(s *step) error {
	if o.moved {
		return nil
	}
	var b deadlineBody
	if err := json.Unmarshal(o.due.Body, &b); err != nil {
		return err
	}
	if !slices.ContainsFunc(s.batch.Due, func(d notify.Due) bool { return d.Key == o.due.Key }) {
		s.batch.Done = append(s.batch.Done, notify.DueRef{Key: o.due.Key, Rev: o.due.Rev})
	}
	ref := notify.Ref{Conversation: b.Conversation, Message: b.Message}
	var later time.Time
	f, err := s.record(ref)
	if errors.Is(err, notify.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	s.p.h.metrics.deadlines.Inc()
	for i := range f.Deliveries {
		d := &f.Deliveries[i]
		if d.End != "" {
			continue
		}
		if until := s.until(d.ID); until.After(s.now) {
			if later.IsZero() || until.Before(later) {
				later = until
			}
			continue
		}
		switch {
		case d.Channel == notify.Push && d.Held:
			if err := s.release(ref, f.Seq, d); err != nil {
				return err
			}
		case d.Channel == notify.InApp, d.Channel == notify.Local && s.p.flights[d.ID] != nil:
			if err := s.redecide(ref, f.Seq, d, "no page confirmed it in time"); err != nil {
				return err
			}
		case d.Channel == notify.Local:
			// It waits in a ring for the end of a burst, unless the page it was
			// sent to was forgotten in a crash.
			r, err := s.ring(d.Agent, d.Device, ref.Conversation)
			if err != nil {
				return err
			}
			if !r.waits(d.ID) {
				if err := s.redecide(ref, f.Seq, d, "no page confirmed it in time"); err != nil {
					return err
				}
			}
		}
	}
	if !later.IsZero() {
		return s.deadline(ref, later)
	}
	return nil
}
