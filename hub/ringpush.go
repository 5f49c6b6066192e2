package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"caac-hub/hub/notify"
)

// ringOp is a ring whose time may have come.
type ringOp struct {
	key string
}

func (o *ringOp) done(p *partition, err error) {
	if err != nil && p != nil {
		p.h.log.Warn("ring not started; it will be tried again", "error", err)
	}
}

func (o *ringOp) stage(s *step) error {
	p := s.p
	if p.sending[o.key] {
		return nil
	}
	r, err := s.ringByKey(o.key)
	if err != nil {
		return err
	}
	if r.gone || r.at.After(s.now) {
		return nil
	}
	if len(r.Waiting) == 0 {
		s.rest(r)
		return nil
	}
	key, agent, device, team, partition := o.key, r.Agent, r.Device, r.Team, p
	newest := r.ref(r.Waiting[newest(r.Waiting)])
	s.then(func(notify.Result) {
		if p.sending[key] {
			return
		}
		p.sending[key] = true
		host := p.h.pushHost(device)
		p.h.lanes.submit(host, team, func(ctx context.Context) { partition.sendRing(ctx, key, agent, device, newest) })
	})
	return nil
}

// sendRing runs in a lane: it takes what the ring has to tell now, sends it, and
// reports the answer. newest is the newest message it told of a moment ago.
func (p *partition) sendRing(ctx context.Context, key, agent, device string, newest notify.Ref) {
	take := &takeOp{key: key, newest: newest, opResult: awaited()}
	p.post(take)
	if err := take.wait(p.h.storeCtx); err != nil || take.out == nil {
		p.post(&idleOp{key})
		return
	}
	out := take.out
	pushed := &pushedOp{key: key, out: out}
	letGo := p.keepLease(key, out)
	pushed.sub, pushed.answer, pushed.err = p.h.sendPush(ctx, out)
	letGo()
	if pushed.err == nil {
		p.h.pushAnswered(ctx, device, pushed.sub, pushed.answer)
	}
	p.post(pushed)
}

// keepLease keeps the ring covered while its push is under way: another node
// would send it too.
func (p *partition) keepLease(key string, out *outgoing) (letGo func()) {
	if out.token == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(p.h.storeCtx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for sleep(ctx, leaseFor/2); ctx.Err() == nil && out.held(); sleep(ctx, leaseFor/2) {
			until := time.Now().Add(leaseFor)
			if err := p.h.store.Lease(ctx, p.n, []string{key}, until); err == nil {
				out.until.Store(until.UnixNano())
			} else if ctx.Err() == nil {
				p.h.log.Warn("lease of a push under way not kept up", "error", err)
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// idleOp ends a ring's time in a lane without a push.
type idleOp struct{ key string }

func (o *idleOp) stage(s *step) error {
	s.then(func(notify.Result) { delete(s.p.sending, o.key) })
	return nil
}
func (o *idleOp) done(*partition, error) {}

// outgoing is a push about to be made and sent.
type outgoing struct {
	agent, device string
	conversation  string
	waiting       []waiting
	merged        int
	bare          bool
	accepted      time.Time // the newest message
	expires       time.Time
	token         string       // with which it was taken; empty where no other node could
	until         atomic.Int64 // Unix ns: before, no other node takes it
}

// held reports whether no other node can have taken the ring meanwhile: this one
// may have stood still.
func (o *outgoing) held() bool {
	return o.token == "" || time.Now().UnixNano() < o.until.Load()
}

// errTakenOver: another node may be sending the push.
var errTakenOver = errors.New("this node stood still for too long")

// takeOp checks a ring right before it is sent, and takes what it tells of.
type takeOp struct {
	opResult
	key    string
	newest notify.Ref // the message it will most likely need
	out    *outgoing
}

func (o *takeOp) stage(s *step) error {
	o.out = nil
	r, err := s.ringByKey(o.key)
	if err != nil {
		return err
	}
	if r.gone || len(r.Waiting) == 0 || r.at.After(s.now) {
		return nil
	}
	snap, err := s.p.h.dir.view(s.ctx, []string{r.Agent})
	if err != nil {
		return err
	}
	a, l, ok := snap.login(r.Agent, r.Device)
	if !ok {
		return s.endWaiting(r, notify.Dropped, notify.LoggedOut, nil)
	}
	for _, reason := range notify.Silences(a, l) {
		if reason != notify.NoSubscription {
			return s.endWaiting(r, notify.Dropped, reason, nil)
		}
	}
	msg, err := s.messageOf(r.ref(r.Waiting[newest(r.Waiting)]))
	if errors.Is(err, notify.ErrNotFound) {
		return s.endWaiting(r, notify.Expired, notify.PushExpired, nil)
	}
	if err != nil {
		return err
	}
	expires := msg.Accepted.Add(PushTTL)
	if !expires.After(s.now) {
		return s.endWaiting(r, notify.Expired, notify.PushExpired, nil)
	}
	if err := s.trim(r); err != nil {
		return err
	}
	if done, err := s.ringAgain(r, &msg, snap); err != nil || done {
		return err
	}
	o.out = &outgoing{
		agent: r.Agent, device: r.Device, conversation: r.Conversation,
		waiting: slices.Clone(r.Waiting), merged: r.Merged, bare: r.Bare, accepted: msg.Accepted, expires: expires,
	}
	if !s.p.h.peers.alone() {
		// Written at its revision: of two nodes, one takes it.
		r.at, r.Taken = s.now.Add(leaseFor), newID()
		o.out.token = r.Taken
		o.out.until.Store(r.at.UnixNano())
	}
	return nil
}

// ringAgain decides a ring that waited, by what the pages are now: where one
// would show the message itself, it is asked to, in place of the push. It
// reports whether the ring is done with.
func (s *step) ringAgain(r *ring, msg *notify.Message, snap snapshot) (bool, error) {
	n := newest(r.Waiting)
	d, err := s.peek(msg.Ref(), r.Waiting[n].Delivery)
	if err != nil {
		return false, err
	}
	if d == nil || d.End != "" {
		return true, s.endWaiting(r, notify.Dropped, notify.Read, nil)
	}
	a, l, _ := snap.login(r.Agent, r.Device)
	if d.Channel == notify.Push && r.Until.IsZero() && l.Subscribed {
		return false, nil // it did not wait for the end of a burst
	}
	again := d.Decision
	if d.First == nil {
		views := snap.withSockets(s.p.h.sockets)
		_, l, _ = snap.login(r.Agent, r.Device)
		for _, x := range notify.Decide(notify.View{Assignment: notify.Assignment{Agent: r.Agent}, Agents: views}, msg) {
			if x.Device == r.Device {
				again = x
				again.Held = false
			}
		}
	} else if !l.Subscribed {
		again = notify.Decision{Agent: r.Agent, Device: r.Device, Channel: notify.None, Reason: notify.NoSubscription}
	}
	if again.Channel == notify.InApp || again.Channel == notify.Local {
		// What a page did not confirm is not asked of a page again.
		doubted, err := s.unconfirmed(r)
		if err != nil {
			return false, err
		}
		if doubted {
			again = notify.DecideUnconfirmed(a, l)
		}
	}
	if again.Channel == notify.Push {
		if d.Channel != notify.Push {
			if d, err = s.delivery(msg.Ref(), d.ID); err != nil {
				return false, err
			}
			s.instead(d, again)
			s.note(d, notify.EventRedecided, "it waited, and no page can show it now")
		}
		return false, nil
	}
	if again.Channel == notify.None {
		if r.Lost {
			again.Reason = notify.SubscriptionGone
		}
		return true, s.endWaiting(r, notify.Failed, again.Reason, nil)
	}
	if d, err = s.delivery(msg.Ref(), d.ID); err != nil {
		return false, err
	}
	if again.Channel != d.Channel || again.Reason != d.Reason {
		s.instead(d, again)
		s.note(d, notify.EventRedecided, "the burst ended")
	}
	for i, w := range r.Waiting {
		if i == n {
			continue
		}
		if err := s.merge(r, w, d.ID); err != nil {
			return false, err
		}
	}
	count := len(r.Waiting) + r.Merged
	r.Waiting = nil
	if again.Channel == notify.Local {
		r.Until = s.now.Add(burstWindow)
	}
	s.rest(r)
	s.show(msg, d, snap, l, count)
	return true, s.deadline(msg.Ref(), s.now.Add(confirmTime))
}

// unconfirmed reports whether the ring also tells of what a page did not confirm.
func (s *step) unconfirmed(r *ring) (bool, error) {
	for _, w := range r.Waiting {
		if d, err := s.peek(r.ref(w), w.Delivery); err != nil || d != nil && d.Reason == notify.Unconfirmed {
			return err == nil, err
		}
	}
	return false, nil
}

// pushedOp carries a push service's answer to the deliveries it was for.
type pushedOp struct {
	key    string
	out    *outgoing
	sub    notify.Subscription
	answer notify.PushAnswer
	err    error // it could not be made
}

func (o *pushedOp) done(p *partition, err error) {
	if err == nil || p == nil {
		return
	}
	p.h.log.Warn("push answer not kept; it will be tried again", "error", err)
	time.AfterFunc(time.Second, func() { p.post(o) })
}

func (o *pushedOp) stage(s *step) error {
	p := s.p
	s.then(func(notify.Result) { delete(p.sending, o.key) })
	r, err := s.ring(o.out.agent, o.out.device, o.out.conversation)
	if err != nil {
		return err
	}
	sent := o.out.waiting
	wasSent := func(w waiting) bool {
		return slices.ContainsFunc(sent, func(x waiting) bool { return x.Delivery == w.Delivery })
	}
	lead := sent[newest(sent)]
	ref := notify.Ref{Conversation: r.Conversation, Message: lead.Message}
	d, err := s.delivery(ref, lead.Delivery)
	if err != nil {
		return err
	}
	if d == nil {
		r.Waiting = slices.DeleteFunc(r.Waiting, wasSent)
		s.rest(r)
		return nil
	}
	answer := o.answer
	if o.err != nil {
		answer = notify.PushAnswer{Class: notify.AnswerServerError, Detail: "not made: " + o.err.Error()}
	}
	s.note(d, notify.EventPushAnswer, answerText(answer))

	if answer.Class == notify.AnswerAccepted {
		p.h.metrics.pushed(o.out.accepted)
		if d.End == "" {
			s.end(d, notify.PushAccepted, d.Reason)
		}
		for _, w := range sent {
			if w == lead {
				continue
			}
			if err := s.merge(r, w, lead.Delivery); err != nil {
				return err
			}
		}
		r.Until = s.now.Add(burstWindow)
		r.Waiting = slices.DeleteFunc(r.Waiting, wasSent)
		if r.Taken == o.out.token || len(r.Waiting) == 0 {
			s.rest(r)
		}
		return nil
	}
	if r.Taken != o.out.token {
		return nil // another node has it now
	}
	r.Taken = ""
	if len(r.Waiting) == 0 {
		s.rest(r) // read or withdrawn while it was under way
		return nil
	}
	switch answer.Class {
	case notify.AnswerGone:
		// The subscription is gone by now, unless the page brought a newer one:
		// taking the ring again finds out which.
		r.Lost, r.at = true, s.now
		return nil
	case notify.AnswerTooLarge:
		if !r.Bare {
			r.Bare, r.at = true, s.now
			return nil
		}
		return s.endSent(r, notify.Failed, notify.PushRejected, wasSent)
	case notify.AnswerKeyMismatch:
		return s.endSent(r, notify.Failed, notify.PushRejected, wasSent)
	case notify.AnswerBadRequest, notify.AnswerRedirect, notify.AnswerRefused:
		if err := s.bury(r, lead, answerText(answer)); err != nil {
			return err
		}
		return s.endSent(r, notify.Failed, notify.PushRejected, wasSent)
	}
	r.attempt++
	delay := retryDelay(r.attempt, answer.RetryAfter)
	s.note(d, notify.EventRetry, fmt.Sprintf("in %.1f s", delay.Seconds()))
	r.at = s.now.Add(delay)
	if msg, err := p.h.store.Message(s.ctx, ref); err == nil && r.at.After(msg.Accepted.Add(PushTTL)) {
		return s.endSent(r, notify.Expired, notify.PushExpired, wasSent)
	}
	return nil
}

func (s *step) endSent(r *ring, end notify.End, reason notify.Reason, sent func(waiting) bool) error {
	if err := s.endWaiting(r, end, reason, func(w waiting) bool { return !sent(w) }); err != nil {
		return err
	}
	if len(r.Waiting) > 0 {
		r.at, r.attempt = s.now, 0
	}
	return nil
}

// bury lists a push that failed for good in the outbox.
func (s *step) bury(r *ring, lead waiting, why string) error {
	dead := &ring{key: dueKey("dead", lead.Delivery), ringBody: r.ringBody, at: s.now, attempt: r.attempt}
	dead.Waiting = []waiting{lead}
	due, err := dead.due(s.p.n)
	if err != nil {
		return err
	}
	stored, err := s.p.h.store.Due(s.ctx, s.p.n, []string{due.Key})
	if err != nil {
		return err
	}
	if len(stored) == 1 {
		due.Rev = stored[0].Rev
	}
	due.Dead = why
	s.batch.Due = append(s.batch.Due, due)
	return nil
}

// exhumeOp puts dead work back: its delivery is open again and rings, unless the
// message was read, answered or withdrawn meanwhile.
type exhumeOp struct {
	opResult
	due notify.Due
}

func (o *exhumeOp) stage(s *step) error {
	var b ringBody
	if err := json.Unmarshal(o.due.Body, &b); err != nil {
		return err
	}
	s.batch.Done = append(s.batch.Done, notify.DueRef{Key: o.due.Key, Rev: o.due.Rev})
	if len(b.Waiting) == 0 {
		return nil
	}
	w := b.Waiting[0]
	ref := notify.Ref{Conversation: b.Conversation, Message: w.Message}
	d, err := s.delivery(ref, w.Delivery)
	if err != nil || d == nil {
		return err
	}
	s.note(d, notify.EventRetry, "asked for by the operator")
	unread, err := s.p.h.store.Unread(s.ctx, b.Agent, math.MaxInt32)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(unread.Conversations, func(c notify.ConversationUnread) bool {
		return c.Conversation == b.Conversation && c.Cursor < w.Seq
	}) {
		s.end(d, notify.Dropped, notify.Read)
		return nil
	}
	d.End, d.EndReason, d.Ended = "", "", time.Time{}
	r, err := s.ring(b.Agent, b.Device, b.Conversation)
	if err != nil {
		return err
	}
	s.enqueue(r, ref, w.Seq, d)
	return nil
}

// retryDelay is full jitter between nothing and a bound that doubles from 1 s to
// 60 s, but never less than the push service asked for.
func retryDelay(attempt int, after time.Duration) time.Duration {
	bound := min(time.Second<<min(attempt-1, 6), time.Minute)
	return max(after, time.Duration(rand.Int64N(int64(bound)))+50*time.Millisecond)
}

func answerText(a notify.PushAnswer) string {
	var b strings.Builder
	b.WriteString(string(a.Class))
	if a.Status != 0 {
		fmt.Fprintf(&b, " (%d)", a.Status)
	}
	if a.Host != "" {
		b.WriteString(" from " + a.Host)
	}
	if a.Detail != "" {
		b.WriteString(": " + a.Detail)
	}
	return b.String()
}
