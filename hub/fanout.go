package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// fanoutOp decides a message for its recipients in one partition and applies it
// to their unread. Done again, it does nothing.
type fanoutOp struct {
	msg        *notify.Message
	assignment notify.Assignment
	recipients []string       // in this partition; none: nobody is to be told
	from, to   int64          // seqs applied to the recipients' unread
	parts      []int          // all partitions of the message's recipients, sorted
	takeover   bool           // recipients of a new assignment, for a message decided before
	silent     bool           // unread only: a newer message tells
	replay     bool           // it may have been done before
	finished   *notify.DueRef // the due work this finishes, where it lives in this partition
	told       func(error)    // may be nil
}

func (o *fanoutOp) call() call {
	return call{Fanout: &fanoutCall{
		Message: o.msg, Assignment: o.assignment, Recipients: o.recipients, From: o.from, To: o.to, Parts: o.parts,
		Takeover: o.takeover, Silent: o.silent, Replay: o.replay, Finished: o.finished,
	}}
}

func (o *fanoutOp) again() { o.replay = true }

func (o *fanoutOp) conflicted(p *partition) {
	for _, id := range o.recipients {
		p.h.dir.forget(id, "", "")
	}
	o.replay = true
}

func (o *fanoutOp) done(p *partition, err error) {
	if err != nil && p != nil && !errors.Is(err, notify.ErrConflict) {
		p.h.log.Warn("fan-out not done; it will be tried again", "conversation", o.msg.Conversation, "message", o.msg.ID, "error", err)
	}
	if o.told != nil {
		o.told(err)
	}
}

func (o *fanoutOp) stage(s *step) error {
	p, h := s.p, s.p.h
	ref := o.msg.Ref()
	if o.finished != nil {
		finished := *o.finished
		if o.replay {
			stored, err := s.dueOf(finished.Key)
			if err != nil {
				return err
			}
			if stored == nil {
				return nil
			}
			finished.Rev = stored.Rev
		}
		s.batch.Done = append(s.batch.Done, finished)
	}
	recipients, answered := o.recipients, false
	var rec *notify.Fanout
	if o.replay || o.takeover {
		var err error
		rec, err = s.record(ref)
		if errors.Is(err, notify.ErrNotFound) {
			rec = nil
		} else if err != nil {
			return err
		} else if !o.takeover {
			if recipients = untold(rec, recipients); len(recipients) == 0 {
				return nil
			}
		}
	}
	if o.replay {
		c, err := h.store.Conversation(s.ctx, ref.Conversation)
		if err != nil {
			return err
		}
		answered = c.Answered >= o.to
	}
	snap, err := h.dir.view(s.ctx, recipients)
	if err != nil {
		return err
	}
	s.rev(snap)
	for _, a := range snap.views {
		if o.from <= o.to {
			s.batch.Add = append(s.batch.Add, notify.Add{
				Agent: a.ID, Conversation: ref.Conversation, From: o.from, To: o.to, Assignment: o.assignment.Version,
			})
		}
	}
	if o.silent {
		return nil
	}
	views := snap.withSockets(h.sockets)
	decisions := notify.Decide(notify.View{Assignment: o.assignment, Members: recipients, Agents: views}, o.msg)
	if rec == nil {
		if _, ok := s.records[ref]; ok {
			return nil
		}
		rec = &notify.Fanout{
			Ref: ref, Partition: p.n, Seq: o.msg.Seq, Assignment: o.assignment.Version, Parts: o.parts,
			Decided: s.now, Deliveries: make([]notify.Delivery, 0, len(decisions)),
		}
		s.records[ref] = rec
	} else {
		rec.Parts = union(rec.Parts, o.parts)
		rec.Deliveries = slices.Grow(rec.Deliveries, len(decisions))
	}
	confirm := false
	var frames []frame
	base := len(rec.Deliveries)
	for _, dec := range decisions {
		h.metrics.decided(dec)
		d := notify.Delivery{ID: notify.DeliveryID(ref, dec.Agent, dec.Device), Decision: dec}
		if o.takeover {
			d.ID = fmt.Sprintf("%s.%d", d.ID, o.assignment.Version)
			if find(rec, d.ID) != nil {
				continue
			}
		}
		rec.Deliveries = append(rec.Deliveries, d)
	}
	if err := s.want(wants{due: ringKeys(rec.Deliveries[base:], ref.Conversation)}); err != nil {
		return err
	}
	for i := base; i < len(rec.Deliveries); i++ {
		d := &rec.Deliveries[i]
		_, v, _ := snap.login(d.Agent, d.Device)
		if answered && d.Channel != notify.None {
			s.end(d, notify.Dropped, notify.Answered)
			continue
		}
		switch d.Channel {
		case notify.None:
			d.End, d.EndReason, d.Ended = notify.EndNone, d.Reason, s.now
		case notify.Push:
			if d.Held {
				confirm = true
				s.hold(rec.Ref, rec.Seq, d)
				continue
			}
			r, err := s.ring(d.Agent, d.Device, ref.Conversation)
			if err != nil {
				return err
			}
			r.Team = o.assignment.Agent == ""
			s.enqueue(r, ref, rec.Seq, d)
		case notify.Local:
			r, err := s.ring(d.Agent, d.Device, ref.Conversation)
			if err != nil {
				return err
			}
			if len(r.Waiting) > 0 || r.Until.After(s.now) {
				s.enqueue(r, ref, rec.Seq, d)
				continue
			}
			r.Until = s.now.Add(burstWindow)
			r.at = r.Until
			confirm = true
			s.fresh[d.ID] = true
			frames = append(frames, frame{delivery: *d, view: v})
		case notify.InApp:
			confirm = true
			s.fresh[d.ID] = true
			frames = append(frames, frame{delivery: *d, view: v})
		}
	}
	if confirm {
		if err := s.deadline(ref, s.now.Add(confirmTime)); err != nil {
			return err
		}
	}
	if base > 0 {
		slices.SortFunc(rec.Deliveries, func(a, b notify.Delivery) int {
			return cmp.Or(cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.Device, b.Device))
		})
	}
	s.then(func(res notify.Result) {
		if len(res.Fenced) > 0 {
			frames = o.fence(p, res.Fenced, frames)
		}
		s.send(o.msg, frames, snap, 1)
	})
	return nil
}

// ringKeys are the keys of the rings that deliveries may wait in.
func ringKeys(ds []notify.Delivery, conversation string) (keys []string) {
	for i := range ds {
		if d := &ds[i]; d.Channel == notify.Local || d.Channel == notify.Push && !d.Held {
			keys = append(keys, dueKey(notify.DueRing, d.Agent, d.Device, conversation))
		}
	}
	return keys
}

// frame is a notify frame to be sent for a delivery.
type frame struct {
	delivery notify.Delivery
	view     notify.LoginView
}

// hold keeps a push until another device's page acknowledges the message.
func (s *step) hold(ref notify.Ref, seq int64, d *notify.Delivery) {
	fl := &flight{id: d.ID, ref: ref, seq: seq, agent: d.Agent, device: d.Device, channel: notify.Push, reason: d.Reason, until: s.now.Add(confirmTime)}
	s.fresh[d.ID] = true
	s.note(d, notify.EventPushQueued, "held: another page of the agent views the conversation")
	s.then(func(notify.Result) { s.p.launch(fl) })
}

// show sends one delivery to its pages, outside a fan-out.
func (s *step) show(msg *notify.Message, d *notify.Delivery, snap snapshot, l notify.LoginView, count int) {
	frames := []frame{{delivery: *d, view: l}}
	s.fresh[d.ID] = true
	s.then(func(notify.Result) { s.send(msg, frames, snap, count) })
}

// send launches the flights of deliveries and sends their frames, each with all
// that the durable step changed of its agent's counts.
func (s *step) send(msg *notify.Message, frames []frame, snap snapshot, count int) {
	p := s.p
	texts := p.h.composer(msg, count, false)
	for i := range frames {
		d := &frames[i].delivery
		sockets, away := p.h.sockets.of(d.Agent, d.Device), p.h.sockets.elsewhere(d.Agent, d.Device)
		fl := &flight{
			id: d.ID, ref: msg.Ref(), seq: msg.Seq, agent: d.Agent, device: d.Device,
			channel: d.Channel, reason: d.Reason, until: s.now.Add(confirmTime),
		}
		for _, sock := range sockets {
			if justified(d, msg.Conversation, frames[i].view, sock.id) {
				fl.eligible = append(fl.eligible, sock.id)
				sock.await(fl)
			}
		}
		for _, page := range away {
			if justified(d, msg.Conversation, frames[i].view, page.ID) {
				fl.eligible = append(fl.eligible, page.ID)
			}
		}
		p.launch(fl)
		data := encode(wire.Notify{
			Type: wire.TypeNotify, ID: d.ID, Channel: d.Channel, Reason: d.Reason,
			Conversation: msg.Conversation, Message: msg.ID, Seq: msg.Seq, At: msg.Sent.UnixMilli(),
			Show:   texts.show(snap.agents[d.Agent], snap.devices[d.Device]),
			Counts: s.counts[d.Agent],
		})
		counts := s.counts[d.Agent]
		for _, sock := range sockets {
			if d.Channel == notify.Local && !slices.Contains(fl.eligible, sock.id) {
				continue
			}
			sock.ask(data)
			if counts != nil {
				sock.told(counts.Version)
			}
			s.had[sock.id] = true
		}
		if d.Channel == notify.Local {
			away = slices.DeleteFunc(away, func(page awayPage) bool { return !slices.Contains(fl.eligible, page.ID) })
		}
		for _, page := range away {
			s.had[page.ID] = true
		}
		p.h.peers.tell(away, tell{Frame: data, Version: versionOf(counts), Await: &await{Delivery: d.ID, Channel: d.Channel, Until: fl.until}}, fl.eligible)
		p.h.metrics.framed(msg)
	}
}

// justified reports whether a socket's state is why the delivery was decided so.
func justified(d *notify.Delivery, conversation string, l notify.LoginView, socket string) bool {
	if d.Channel == notify.Local {
		return d.Socket == socket
	}
	for _, v := range l.Sockets {
		if v.ID == socket {
			switch d.Reason {
			case notify.ViewingConversation:
				return v.Presence == notify.Active && v.Viewing == conversation
			case notify.ActivelyViewing:
				return v.Presence == notify.Active
			}
			return v.Presence >= notify.Visible
		}
	}
	return false
}

// tell sends what the durable step changed of counts to every socket of every
// on-duty agent but those that had it with a frame. Off duty, unread grows
// silently, and a read shows.
func (s *step) tell() {
	h := s.p.h
	for id, c := range s.counts {
		if a, err := h.dir.agent(s.ctx, id); (err != nil || !a.OnDuty) && !s.cleared[id] {
			continue
		}
		for _, sock := range h.sockets.of(id, "") {
			if !s.had[sock.id] {
				sock.sendCounts(*c)
			}
		}
		away := slices.DeleteFunc(h.sockets.elsewhere(id, ""), func(page awayPage) bool { return s.had[page.ID] })
		h.peers.tell(away, tell{Counts: c}, nil)
	}
}

func versionOf(c *wire.Counts) int64 {
	if c == nil {
		return 0
	}
	return c.Version
}

func countsOf(c *notify.Count) wire.Counts {
	return wire.Counts{
		Version: c.Version, Prev: c.Prev, Total: c.Total,
		Changed: []wire.Change{{Conversation: c.Conversation, Unread: c.Unread, Seq: c.Seq}},
	}
}

// fence leaves out the frames of agents who lost the conversation before the
// fan-out came, and has their deliveries withdrawn.
func (o *fanoutOp) fence(p *partition, fenced []notify.Add, frames []frame) []frame {
	for _, f := range fenced {
		if f.Conversation != o.msg.Conversation || f.From != o.from || f.To != o.to || f.Assignment != o.assignment.Version {
			continue
		}
		frames = slices.DeleteFunc(frames, func(x frame) bool { return x.delivery.Agent == f.Agent })
		p.next = append(p.next, &fencedOp{ref: o.msg.Ref(), agent: f.Agent})
	}
	return frames
}

func union(a, b []int) []int {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// untold returns the agents of whom the record has no delivery.
func untold(f *notify.Fanout, agents []string) []string {
	told := make(map[string]bool, len(f.Deliveries))
	for i := range f.Deliveries {
		told[f.Deliveries[i].Agent] = true
	}
	return slices.DeleteFunc(slices.Clone(agents), func(id string) bool { return told[id] })
}

// fencedOp ends what late work of an older assignment decided.
type fencedOp struct {
	ref   notify.Ref
	agent string
}

func (o *fencedOp) done(*partition, error) {}

func (o *fencedOp) stage(s *step) error {
	f, err := s.record(o.ref)
	if errors.Is(err, notify.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for i := range f.Deliveries {
		if d := &f.Deliveries[i]; d.Agent == o.agent && d.End == "" {
			s.end(d, notify.Withdrawn, notify.Reassigned)
		}
	}
	rings, err := s.ringsOf(o.agent, o.ref.Conversation)
	for _, r := range rings {
		if err := s.endWaiting(r, notify.Withdrawn, notify.Reassigned, func(w waiting) bool { return w.Message != o.ref.Message }); err != nil {
			return err
		}
	}
	return err
}

// read moves an agent's cursor and drops what still waits to tell of what was read.
func (s *step) read(agent, conversation string, upto int64, reason notify.Reason) error {
	s.batch.Read = append(s.batch.Read, notify.ReadUpto{Agent: agent, Conversation: conversation, Upto: upto})
	return s.clear(agent, conversation, upto, notify.Dropped, reason)
}

// clear ends everything under way for an agent and conversation up to a seq, and
// has the pages told once it is durable.
func (s *step) clear(agent, conversation string, upto int64, end notify.End, reason notify.Reason) error {
	p := s.p
	rings, err := s.ringsOf(agent, conversation)
	if err != nil {
		return err
	}
	for _, r := range rings {
		if err := s.endWaiting(r, end, reason, func(w waiting) bool { return w.Seq > upto }); err != nil {
			return err
		}
	}
	for _, fl := range p.byAgent[agent] {
		if fl.ref.Conversation != conversation || fl.seq > upto || fl.isAcked() {
			continue
		}
		d, err := s.delivery(fl.ref, fl.id)
		if err != nil {
			return err
		}
		if d != nil && d.End == "" {
			s.end(d, end, reason)
		}
	}
	s.cleared[agent] = true
	s.then(func(notify.Result) {
		c := s.counts[agent]
		if c == nil || !slices.ContainsFunc(c.Changed, func(x wire.Change) bool { return x.Conversation == conversation && x.Unread == 0 }) {
			return
		}
		w := encode(wire.WithdrawFrame{
			Type: wire.TypeWithdraw, Conversations: []string{conversation},
			Tags: []string{notify.Tag(agent, conversation)}, Reason: reason,
		})
		for _, sock := range p.h.sockets.of(agent, "") {
			sock.send(w)
		}
		p.h.peers.tell(p.h.sockets.elsewhere(agent, ""), tell{Frame: w}, nil)
		p.h.closed.add(agent, notify.Tag(agent, conversation))
	})
	return nil
}

// readOp is an explicit read, or an answer that counts as one.
type readOp struct {
	opResult
	agent        string
	conversation string
	upto         int64
	reason       notify.Reason
}

func (o *readOp) call() call {
	return call{Read: &readCall{Agent: o.agent, Conversation: o.conversation, Upto: o.upto, Reason: o.reason}}
}

func (o *readOp) again() {}

func (o *readOp) stage(s *step) error { return s.read(o.agent, o.conversation, o.upto, o.reason) }

// withdrawOp takes a conversation from an agent no longer responsible.
type withdrawOp struct {
	opResult
	agent        string
	conversation string
	assignment   int64
}

func (o *withdrawOp) call() call {
	return call{Withdraw: &withdrawCall{Agent: o.agent, Conversation: o.conversation, Assignment: o.assignment}}
}

func (o *withdrawOp) again() {}

func (o *withdrawOp) stage(s *step) error {
	c, err := s.p.h.store.Conversation(s.ctx, o.conversation)
	if err != nil {
		return err
	}
	if c.Assignment.Version > o.assignment {
		return nil // a newer assignment came: what is to be withdrawn is its own work's business
	}
	s.batch.Withdraw = append(s.batch.Withdraw, notify.Withdraw{
		Agent: o.agent, Conversation: o.conversation, Assignment: o.assignment,
	})
	return s.clear(o.agent, o.conversation, 1<<62, notify.Withdrawn, notify.Reassigned)
}

// doneOp deletes finished due work.
type doneOp struct {
	ref  notify.DueRef
	moot bool // somebody else deleted it, or put it anew
}

func (o *doneOp) conflicted(*partition) { o.moot = true }

func (o *doneOp) stage(s *step) error {
	if o.moot {
		return nil
	}
	s.batch.Done = append(s.batch.Done, o.ref)
	return nil
}

func (o *doneOp) done(p *partition, err error) {
	if err != nil && p != nil && !errors.Is(err, notify.ErrConflict) {
		p.h.log.Warn("finished work not removed; it will be looked at again", "key", o.ref.Key, "error", err)
	}
}

// fanout has a message decided in every partition its recipients live in.
func (h *Hub) fanout(ctx context.Context, msg *notify.Message, due notify.Due, replay bool) error {
	members, err := h.dir.members(ctx, msg.Assignment)
	if err != nil {
		return err
	}
	recipients := notify.Recipients(msg.Assignment, members)
	h.spread(&due, recipients, func(part []string, parts []int) *fanoutOp {
		return &fanoutOp{
			msg: msg, assignment: msg.Assignment, recipients: part, from: msg.Seq, to: msg.Seq, parts: parts, replay: replay,
		}
	})
	return nil
}

// spread posts one operation for each partition of the agents, the last of which
// finishes the due work. Nobody at all is the conversation's partition's business.
func (h *Hub) spread(due *notify.Due, agents []string, make func([]string, []int) *fanoutOp) {
	parts := h.byPartition(agents)
	home := due.Partition
	if len(parts) == 0 {
		parts[home] = nil
	}
	all := slices.Sorted(maps.Keys(parts))
	finished := notify.DueRef{Key: due.Key, Rev: due.Rev}
	if len(parts) == 1 {
		for n, part := range parts {
			o := make(part, all)
			if n == home {
				o.finished = &finished
			} else {
				o.told = func(err error) {
					if err == nil {
						h.finish(home, finished)
					}
				}
			}
			h.at(n, o)
		}
		return
	}
	done := newCountdown(len(parts), func(err error) {
		if err == nil {
			h.finish(home, finished)
		}
	})
	for n, part := range parts {
		o := make(part, all)
		o.told = done.tick
		h.at(n, o)
	}
}

func (h *Hub) byPartition(agents []string) map[int][]string {
	parts := map[int][]string{}
	for _, id := range agents {
		n := notify.Partition(id, h.store.Partitions())
		parts[n] = append(parts[n], id)
	}
	return parts
}
