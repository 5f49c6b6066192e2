package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"time"

	"caac-hub/hub/notify"
)

// burstWindow is how long after a ring the messages of the same login and
// conversation are kept for one further ring.
const burstWindow = 5 * time.Second

// maxWaiting bounds the messages one ring keeps apart; older ones are merged
// into the newest at once.
const maxWaiting = 50

// dueKey makes the key of a piece of due work.
func dueKey(kind notify.DueKind, parts ...string) string {
	var b strings.Builder
	b.WriteString(string(kind))
	for _, p := range parts {
		b.WriteByte('/')
		b.WriteString(url.QueryEscape(p))
	}
	return b.String()
}

// ring is the one place where the rings of a login and conversation wait: a
// push to be sent, a retry, the end of a burst. It is a DueRing.
type ring struct {
	ringBody
	key     string
	at      time.Time
	attempt int
	rev     int64
	gone    bool  // to be deleted
	stored  *ring // as it stands in the store, nil if it does not
}

// changed reports whether there is something to write.
func (r *ring) changed() bool {
	o := r.stored
	if o == nil {
		return !r.gone
	}
	return r.gone || !r.at.Equal(o.at) || r.attempt != o.attempt || !r.Until.Equal(o.Until) ||
		r.Bare != o.Bare || r.Lost != o.Lost || r.Merged != o.Merged || !slices.Equal(r.Waiting, o.Waiting)
}

type ringBody struct {
	Agent        string    `json:"agent"`
	Device       string    `json:"device"`
	Conversation string    `json:"conversation"`
	Team         bool      `json:"team,omitempty"` // assignees' pushes go first
	Waiting      []waiting `json:"waiting,omitempty"`
	Merged       int       `json:"merged,omitempty"` // messages merged early, which the ring tells of too
	Until        time.Time `json:"until,omitzero"`   // end of the burst window, once something rang
	Bare         bool      `json:"bare,omitempty"`   // without preview: it was too large
	Lost         bool      `json:"lost,omitempty"`   // the push service said that the subscription is gone
}

// waiting is a message that a ring will tell of.
type waiting struct {
	Message  string `json:"message"`
	Seq      int64  `json:"seq"`
	Delivery string `json:"delivery"`
}

func (r *ring) due(partition int) (notify.Due, error) {
	body, err := json.Marshal(r.ringBody)
	return notify.Due{
		Partition: partition, Key: r.key, Kind: notify.DueRing, At: r.at,
		Attempt: r.attempt, Body: body, Rev: r.rev,
	}, err
}

func (r *ring) waits(delivery string) bool {
	return slices.ContainsFunc(r.Waiting, func(w waiting) bool { return w.Delivery == delivery })
}

func (r *ring) ref(w waiting) notify.Ref {
	return notify.Ref{Conversation: r.Conversation, Message: w.Message}
}

// newest returns the index of the message of the greatest seq.
func newest(ws []waiting) int {
	n := 0
	for i := range ws {
		if ws[i].Seq > ws[n].Seq {
			n = i
		}
	}
	return n
}

// ring returns the step's copy of the ring of a login and conversation, a new
// one if there is none.
func (s *step) ring(agent, device, conversation string) (*ring, error) {
	r, err := s.ringByKey(dueKey(notify.DueRing, agent, device, conversation))
	if err != nil {
		return nil, err
	}
	if r.gone {
		r.gone = false
		r.ringBody = ringBody{Agent: agent, Device: device, Conversation: conversation}
		r.at, r.attempt = time.Time{}, 0
	}
	return r, nil
}

// ringByKey returns the step's copy; gone where there is none.
func (s *step) ringByKey(key string) (*ring, error) {
	if r, ok := s.rings[key]; ok {
		return r, nil
	}
	r := &ring{key: key, gone: true}
	if known, ok := s.p.rings[key]; ok {
		*r = *known
		r.Waiting, r.stored = slices.Clone(known.Waiting), known
	} else {
		stored, err := s.p.h.store.Due(s.ctx, s.p.n, []string{key})
		if err != nil {
			return nil, err
		}
		if len(stored) == 1 {
			r.at, r.attempt, r.rev, r.gone = stored[0].At, stored[0].Attempt, stored[0].Rev, false
			if err := json.Unmarshal(stored[0].Body, &r.ringBody); err != nil {
				return nil, fmt.Errorf("ring %s: %w", key, err)
			}
			was := *r
			was.Waiting = slices.Clone(r.Waiting)
			r.stored = &was
		}
	}
	s.rings[key] = r
	return r, nil
}

// rings returns the step's copies of the rings of an agent and conversation, on
// all devices, that have something waiting.
func (s *step) ringsOf(agent, conversation string) ([]*ring, error) {
	a, err := s.p.h.dir.agent(s.ctx, agent)
	if e := AsError(err); e != nil && e.Kind == NotFound {
		return nil, nil
	} else if e != nil {
		return nil, err
	}
	var out []*ring
	for _, l := range a.Logins {
		r, err := s.ringByKey(dueKey(notify.DueRing, agent, l.Device, conversation))
		if err != nil {
			return nil, err
		}
		if !r.gone && len(r.Waiting) > 0 {
			out = append(out, r)
		}
	}
	return out, nil
}

// enqueue has a delivery told by the ring: at once, or at the end of the burst.
func (s *step) enqueue(r *ring, ref notify.Ref, seq int64, d *notify.Delivery) {
	if r.waits(d.ID) {
		return
	}
	if len(r.Waiting) == 0 {
		r.at, r.attempt, r.Bare = s.now, 0, false
		if r.Until.After(s.now) {
			r.at = r.Until
		}
	}
	detail := ""
	if r.at.After(s.now) {
		detail = fmt.Sprintf("waits %.1f s: it rang a moment ago", r.at.Sub(s.now).Seconds())
	}
	s.note(d, notify.EventPushQueued, detail)
	r.Waiting = append(r.Waiting, waiting{Message: ref.Message, Seq: seq, Delivery: d.ID})
}

// trim merges the oldest of a ring that keeps too many.
func (s *step) trim(r *ring) error {
	for len(r.Waiting) > maxWaiting {
		n := newest(r.Waiting)
		i := 0
		if n == 0 {
			i = 1
		}
		old := r.Waiting[i]
		d, err := s.delivery(r.ref(old), old.Delivery)
		if err != nil {
			return err
		}
		if d != nil && d.End == "" {
			d.Into = r.Waiting[n].Delivery
			s.end(d, notify.Merged, d.Reason)
		}
		r.Waiting = slices.Delete(r.Waiting, i, i+1)
		r.Merged++
	}
	return nil
}

// endWaiting ends every delivery of the ring for which keep is false, and takes
// it out. keep nil ends all.
func (s *step) endWaiting(r *ring, end notify.End, reason notify.Reason, keep func(waiting) bool) error {
	var left []waiting
	for _, w := range r.Waiting {
		if keep != nil && keep(w) {
			left = append(left, w)
			continue
		}
		d, err := s.delivery(r.ref(w), w.Delivery)
		if err != nil {
			return err
		}
		if d != nil && d.End == "" {
			s.end(d, end, reason)
		}
	}
	r.Waiting = left
	if len(left) == 0 {
		s.rest(r)
	}
	return nil
}

// rest leaves a ring without anything waiting to its burst window, or deletes it.
func (s *step) rest(r *ring) {
	r.Merged, r.attempt, r.Bare, r.Lost = 0, 0, false, false
	r.gone = !r.Until.After(s.now)
	r.at = r.Until
}

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
	s.then(func(notify.Result) {
		if p.sending[key] {
			return
		}
		p.sending[key] = true
		host := p.h.pushHost(device)
		p.h.lanes.submit(host, team, func(ctx context.Context) { partition.sendRing(ctx, key, agent, device) })
	})
	return nil
}

// sendRing runs in a lane: it takes what the ring has to tell now, sends it, and
// reports the answer.
func (p *partition) sendRing(ctx context.Context, key, agent, device string) {
	take := &takeOp{key: key, opResult: awaited()}
	p.post(take)
	if err := take.wait(p.h.storeCtx); err != nil || take.out == nil {
		p.post(&idleOp{key})
		return
	}
	out := take.out
	pushed := &pushedOp{key: key, out: out}
	pushed.sub, pushed.answer, pushed.err = p.h.sendPush(ctx, out)
	if pushed.err == nil {
		p.h.pushAnswered(ctx, device, pushed.sub, pushed.answer)
	}
	p.post(pushed)
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
}

// takeOp checks a ring right before it is sent, and takes what it tells of.
type takeOp struct {
	opResult
	key string
	out *outgoing
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
	msg, err := s.p.h.store.Message(s.ctx, r.ref(r.Waiting[newest(r.Waiting)]))
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
		old, err := s.delivery(r.ref(w), w.Delivery)
		if err != nil {
			return false, err
		}
		if old != nil && old.End == "" {
			old.Into = d.ID
			s.end(old, notify.Merged, old.Reason)
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
		for _, w := range sent {
			x, err := s.delivery(notify.Ref{Conversation: r.Conversation, Message: w.Message}, w.Delivery)
			if err != nil {
				return err
			}
			if x == nil || x.End != "" {
				continue
			}
			if w == lead {
				s.end(x, notify.PushAccepted, x.Reason)
			} else {
				x.Into = lead.Delivery
				s.end(x, notify.Merged, x.Reason)
			}
		}
		r.Until = s.now.Add(burstWindow)
		r.Waiting = slices.DeleteFunc(r.Waiting, wasSent)
		s.rest(r)
		return nil
	}
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
