package hub

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"caac-hub/hub/notify"
)

// callTime is how long an owner has to answer before the operation is carried
// out here.
const callTime = 2 * time.Second

// maxMail bounds what waits for one node; what comes later is lost, as the bus
// may lose anything.
const maxMail = 50000

// mailbox is what waits to be sent to one node. At most one goroutine sends it,
// and while it does, what comes gathers.
type mailbox struct {
	parts   []part
	sending bool
}

// send has a part sent to a node.
func (p *peers) send(node string, x part) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.out[node]
	if m == nil {
		m = &mailbox{}
		p.out[node] = m
	}
	if p.closed || len(m.parts) >= maxMail {
		p.h.metrics.lettersLost.Inc()
		return
	}
	m.parts = append(m.parts, x)
	if !m.sending {
		m.sending = true
		p.posting.Go(func() { p.deliver(node, m) })
	}
}

// deliver sends what waits for a node until nothing does.
func (p *peers) deliver(node string, m *mailbox) {
	for {
		p.mu.Lock()
		parts := m.parts
		m.parts = nil
		if len(parts) == 0 {
			m.sending = false
			delete(p.out, node)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		for len(parts) > 0 {
			n, size := 0, 0
			for n < len(parts) && (n == 0 || size < maxLetter) {
				size += parts[n].size()
				n++
			}
			p.publish(p.h.storeCtx, node, &letter{Parts: parts[:n]})
			parts = parts[n:]
		}
	}
}

// tell has the pages' nodes pass something on to them. It names, where pages are
// to acknowledge it, those whose word counts.
func (p *peers) tell(pages []awayPage, t tell, eligible []string) {
	for i, page := range pages {
		if slices.ContainsFunc(pages[:i], func(o awayPage) bool { return o.node == page.node }) {
			continue
		}
		one := t
		one.Agent, one.Sockets = page.agent, nil
		for _, o := range pages[i:] {
			if o.node == page.node {
				one.Sockets = append(one.Sockets, o.ID)
			}
		}
		if t.Await != nil {
			w := *t.Await
			for _, id := range one.Sockets {
				if slices.Contains(eligible, id) {
					w.Sockets = append(w.Sockets, id)
				}
			}
			one.Await = &w
		}
		p.send(page.node, part{Tell: &one})
	}
}

// toldBy passes on to pages what another node has to tell them.
func (h *Hub) toldBy(from string, t *tell) {
	for _, s := range h.sockets.of(t.Agent, "") {
		switch {
		case !slices.Contains(t.Sockets, s.id):
		case t.Counts != nil:
			s.sendCounts(*t.Counts)
		case len(t.Frame) == 0:
		case t.Await != nil && time.Now().After(t.Await.Until):
			// It has been decided again: shown now, it would ring twice.
			h.peers.check([]*socket{s})
		case t.Await != nil:
			if slices.Contains(t.Await.Sockets, s.id) {
				s.await(&flight{id: t.Await.Delivery, agent: t.Agent, device: s.device, channel: t.Await.Channel, until: t.Await.Until, home: from})
			}
			s.ask(t.Frame)
			s.told(t.Version)
		default:
			s.send(t.Frame)
		}
	}
}

// take does what another node says to this one alone.
func (p *peers) take(from string, x *part) {
	h := p.h
	switch {
	case x.Tell != nil:
		h.toldBy(from, x.Tell)
	case x.Ack != nil:
		a := x.Ack
		h.partitionOf(a.Agent).offer(&ackOp{
			delivery: a.Delivery, socket: a.Socket, rendered: a.Rendered, detail: a.Detail,
			presence: notify.Presence(a.Presence), viewing: a.Viewing, at: time.Now(),
		})
	case x.Doubt != nil:
		h.sockets.doubt(x.Doubt.Agent, x.Doubt.Sockets)
	case x.Call != nil:
		p.called(from, x.Call)
	case x.Answer != nil:
		p.calls.answered(x.Answer)
	case x.Ask:
		p.mu.Lock()
		p.asked = append(p.asked, from)
		p.mu.Unlock()
		poke(p.hurry)
	case x.All != nil:
		p.took(from, x.All)
	}
}

// calls are the operations that other nodes have not answered yet.
type calls struct {
	next    atomic.Int64
	mu      sync.Mutex
	waiting map[int64]chan *answer
}

func (c *calls) answered(a *answer) {
	c.mu.Lock()
	ch := c.waiting[a.ID]
	delete(c.waiting, a.ID)
	c.mu.Unlock()
	if ch != nil {
		ch <- a
	}
}

// errNoAnswer: the operation may have been carried out, or not.
var errNoAnswer = errors.New("the owner of the partition did not answer in time")

// call has a node carry out an operation.
func (p *peers) call(ctx context.Context, node string, c call) (*answer, error) {
	ch := make(chan *answer, 1)
	c.ID = p.calls.next.Add(1)
	p.calls.mu.Lock()
	p.calls.waiting[c.ID] = ch
	p.calls.mu.Unlock()
	p.send(node, part{Call: &c})
	timer := time.NewTimer(callTime)
	defer timer.Stop()
	select {
	case a := <-ch:
		return a, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	p.calls.mu.Lock()
	delete(p.calls.waiting, c.ID)
	p.calls.mu.Unlock()
	p.h.metrics.callsUnanswered.Inc()
	return nil, errNoAnswer
}

// called carries out an operation for another node.
func (p *peers) called(from string, c *call) {
	if c.Partition < 0 || c.Partition >= len(p.h.partitions) {
		return
	}
	reply := func(err error) { p.send(from, part{Answer: answerOf(c.ID, err)}) }
	if slices.ContainsFunc(c.agents(), func(id string) bool { return p.h.partitionOf(id).n != c.Partition }) || c.Fanout != nil && c.Fanout.Message == nil {
		reply(errors.New("the call makes no sense"))
		return
	}
	var o op
	switch {
	case c.Fanout != nil:
		f := c.Fanout
		o = &fanoutOp{
			msg: f.Message, assignment: f.Assignment, recipients: f.Recipients, from: f.From, to: f.To, parts: f.Parts,
			takeover: f.Takeover, silent: f.Silent, replay: f.Replay, finished: f.Finished, told: reply,
		}
	case c.Read != nil:
		r := c.Read
		o = &readOp{opResult: opResult{told: reply}, agent: r.Agent, conversation: r.Conversation, upto: r.Upto, reason: r.Reason}
	case c.Withdraw != nil:
		w := c.Withdraw
		o = &withdrawOp{opResult: opResult{told: reply}, agent: w.Agent, conversation: w.Conversation, assignment: w.Assignment}
	case c.Trace != nil:
		t := &traceOp{ref: *c.Trace}
		t.told = func(err error) {
			a := answerOf(c.ID, err)
			a.Fanout = t.found
			p.send(from, part{Answer: a})
		}
		o = t
	default:
		reply(errors.New("no such operation is known here"))
		return
	}
	p.h.partitions[c.Partition].offer(o)
}

// agents are those whose partition must be the call's.
func (c *call) agents() []string {
	switch {
	case c.Fanout != nil:
		return c.Fanout.Recipients
	case c.Read != nil:
		return []string{c.Read.Agent}
	case c.Withdraw != nil:
		return []string{c.Withdraw.Agent}
	}
	return nil
}

// owned is an operation that belongs to the owner of its partition.
type owned interface {
	op
	call() call
	// again makes the operation one that may have been carried out before.
	again()
}

// at has an operation carried out where its partition is owned, and here where
// that is not known or does not answer: every write is compared, so that it is
// done once.
func (h *Hub) at(partition int, o owned) {
	p := h.partitions[partition]
	node := h.peers.owner(partition)
	if node == h.peers.id || node == "" || !h.open(1) {
		p.post(o)
		return
	}
	go func() {
		defer h.wg.Done()
		c := o.call()
		c.Partition = partition
		a, err := h.peers.call(h.storeCtx, node, c)
		if err == nil {
			err = a.err()
		}
		if errors.Is(err, errNoAnswer) || errors.Is(err, errEnded) {
			o.again()
			p.post(o)
			return
		}
		if t, ok := o.(*traceOp); ok && err == nil {
			t.found = a.Fanout
		}
		o.done(nil, err)
	}()
}
