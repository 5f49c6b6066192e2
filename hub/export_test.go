package hub

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"caac-hub/hub/notify"
)

// CountPushAnswers counts two answers of each of so many hosts, as the hub does.
func CountPushAnswers(r prometheus.Registerer, hosts int) {
	m := newMetrics()
	r.MustRegister(m.pushAnswers)
	for range 2 {
		for i := range hosts {
			m.answered(notify.PushAnswer{Host: fmt.Sprint("host-", i), Class: notify.AnswerAccepted})
		}
	}
}

// Sizes counts what the hub holds in memory for work and sockets. Once nothing
// waits and no page is open, all of it is gone.
func (h *Hub) Sizes() map[string]int {
	n := map[string]int{}
	for _, p := range h.partitions {
		o := &sizesOp{opResult: awaited(), n: n}
		p.post(o)
		<-o.reply
	}
	h.sockets.mu.Lock()
	n["sockets"] = h.sockets.count
	n["sockets' agents"] = len(h.sockets.agents)
	n["sockets' addresses"] = len(h.sockets.remotes)
	h.sockets.mu.Unlock()
	h.sockets.mu.Lock()
	n["logins moved"] = len(h.sockets.moved)
	for _, pages := range h.sockets.away.agents {
		n["pages away"] += len(pages)
	}
	for id, node := range h.sockets.away.nodes {
		n["logins away"] += len(node.logins)
		n["ended logins away"] += len(node.ended)
		h.peers.mu.Lock()
		if h.peers.nodes[id] == nil {
			n["nodes away"]++
		}
		h.peers.mu.Unlock()
	}
	h.sockets.mu.Unlock()
	h.peers.mu.Lock()
	n["mail"] = len(h.peers.out)
	n["asked"] = len(h.peers.asked)
	for _, node := range h.peers.nodes {
		n["pieces"] += len(node.pieces)
	}
	h.peers.mu.Unlock()
	h.peers.calls.mu.Lock()
	n["calls"] = len(h.peers.calls.waiting)
	h.peers.calls.mu.Unlock()
	h.lanes.mu.Lock()
	n["lanes"] = len(h.lanes.hosts)
	h.lanes.mu.Unlock()
	h.flush.mu.Lock()
	n["sockets to flush"] = len(h.flush.sockets)
	h.flush.mu.Unlock()
	h.watch.mu.Lock()
	n["watchers"] = len(h.watch.all)
	h.watch.mu.Unlock()
	return n
}

// Remembered counts what is kept within bounds: tags to close and Push tests.
func (h *Hub) Remembered() (tags, tests int) {
	h.closed.mu.Lock()
	defer h.closed.mu.Unlock()
	for _, t := range h.closed.agents {
		tags += len(t)
	}
	h.tests.mu.Lock()
	defer h.tests.mu.Unlock()
	return tags, len(h.tests.byID)
}

type sizesOp struct {
	opResult
	n map[string]int
}

func (o *sizesOp) stage(s *step) error {
	p := s.p
	o.n["records"] += len(p.records)
	o.n["flights"] += len(p.flights)
	o.n["flights' agents"] += len(p.byAgent)
	o.n["rings"] += len(p.rings)
	o.n["rings being sent"] += len(p.sending)
	o.n["receipts"] += len(p.seen)
	return nil
}

// SweepLogins ends the logins without a sign of life for idle.
func (h *Hub) SweepLogins(ctx context.Context, idle time.Duration) error {
	h.limits.LoginIdle = idle
	return h.sweepLogins(ctx)
}

// HoldReachSummary has others wait for the summary until letGo.
func (h *Hub) HoldReachSummary() (letGo func()) {
	h.reachable.turn <- struct{}{}
	return func() { <-h.reachable.turn }
}
