package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"caac-hub/hub/notify"
)

// Times between nodes.
const (
	beatEvery  = 2 * time.Second
	goneAfter  = 5 * time.Second        // a node not heard of for this long is gone
	deafAfter  = 4 * time.Second        // a node that does not hear itself for this long trusts nothing it heard
	listenTime = 300 * time.Millisecond // how long a new node listens before it owns anything
	gatherTime = 50 * time.Millisecond  // between two letters that tell of presence
	askAgain   = 2 * time.Second        // a snapshot that was asked for and did not come
)

// maxSkew is how far the clocks of nodes may differ before it is said.
const maxSkew = 500 * time.Millisecond

// maxLetter is about how large a letter grows before another one is begun.
const maxLetter = 128 << 10

// peers is what this node knows of the others: who is there, who owns which
// partition, and what waits to be told them. Without a bus the node is alone and
// owns everything.
type peers struct {
	h   *Hub
	bus Bus
	id  string

	hearing   sync.Mutex // held while a letter is taken, so that none is of a node being forgotten; before mu
	mu        sync.Mutex
	nodes     map[string]*peer
	owners    []string // of each partition; "": not known
	gained    []time.Time
	ready     bool
	leaving   bool
	began     time.Time
	heardSelf time.Time
	hears     bool  // itself, since it joined
	no        int64 // of the last letter to all
	changes   []change
	events    []Event
	tests     []pushTest
	received  []string
	asked     []string // nodes that asked for a snapshot
	out       map[string]*mailbox
	closed    bool // no more mail
	posting   sync.WaitGroup

	stir   chan struct{} // something is to be told soon
	hurry  chan struct{} // something is to be told now
	deaf   chan struct{} // the bus must be joined anew
	calls  calls
	checks chan []*socket // sockets whose pages may not show the truth
}

// peer is another node.
type peer struct {
	heard    time.Time
	no       int64 // of its last letter to all
	ready    bool
	watching bool
	asked    time.Time    // for a snapshot that has not come; zero: none is missing
	pieces   []loginPages // of the snapshot
	next     int          // its piece to come
	of       int64        // its number
}

func newPeers(h *Hub, bus Bus, name string) *peers {
	p := &peers{
		h: h, bus: bus, id: strings.TrimPrefix(name+"-"+newID()[:8], "-"), nodes: map[string]*peer{}, out: map[string]*mailbox{},
		stir: make(chan struct{}, 1), hurry: make(chan struct{}, 1), deaf: make(chan struct{}, 1),
		calls: calls{waiting: map[int64]chan *answer{}}, checks: make(chan []*socket, 64),
	}
	p.owners = make([]string, h.store.Partitions())
	p.gained = make([]time.Time, len(p.owners))
	if bus == nil {
		p.ready = true
	} else {
		h.sockets.moved = map[loginKey]struct{}{}
		h.sockets.wake = func() { poke(p.stir) }
		h.dir.wrote, h.dir.shared = p.changed, true
	}
	p.ownLocked()
	return p
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// alone reports whether no other node is part of the deployment.
func (p *peers) alone() bool { return p.bus == nil }

// others reports whether another node is there to take over.
func (p *peers) others() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.nodes {
		if n.ready {
			return true
		}
	}
	return false
}

// count is how many nodes are there, this one among them.
func (p *peers) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return 1 + len(p.nodes)
}

// owner returns the node that owns a partition; "" where it is not known.
func (p *peers) owner(partition int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.owners[partition]
}

func (p *peers) owns(partition int) bool { return p.owner(partition) == p.id }

// handTime is how long the owner before gets to write what it keeps in memory:
// a delivery that it knows to be confirmed is not to be decided again.
const handTime = 3 * time.Second

// settled reports whether this node has owned a partition for handTime.
func (p *peers) settled(partition int) bool {
	if p.alone() {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.owners[partition] == p.id && time.Since(p.gained[partition]) >= handTime
}

// split returns the partitions this node owns, and the others.
func (p *peers) split() (mine, others []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n, owner := range p.owners {
		if owner == p.id {
			mine = append(mine, n)
		} else {
			others = append(others, n)
		}
	}
	return mine, others
}

// ownLocked finds the owner of each partition anew: of the nodes that are ready,
// the one with the greatest hash with the partition (rendezvous hashing). It
// returns the partitions this node lost.
func (p *peers) ownLocked() (lost []int) {
	var ready []string
	if p.ready && !p.leaving {
		ready = append(ready, p.id)
	}
	for id, n := range p.nodes {
		if n.ready {
			ready = append(ready, id)
		}
	}
	for n := range p.owners {
		best, most := "", uint64(0)
		for _, id := range ready {
			if w := weight(id, n); best == "" || w > most || w == most && id > best {
				best, most = id, w
			}
		}
		if !p.ready && p.bus != nil {
			best = "" // what it knows of the others may be wrong
		}
		switch {
		case p.owners[n] == p.id && best != p.id:
			lost = append(lost, n)
		case p.owners[n] != p.id && best == p.id:
			p.gained[n] = time.Now()
		}
		p.owners[n] = best
	}
	return lost
}

func weight(node string, partition int) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", node, partition)
	// FNV spreads what comes last badly over the high bits (splitmix64's finalizer).
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// handOver has what is kept in memory of partitions written, for their new owners.
func (p *peers) handOver(lost []int) {
	for _, n := range lost {
		p.h.partitions[n].offer(&handOverOp{})
	}
}

// run joins the bus and talks to the other nodes until ctx ends.
func (p *peers) run(ctx context.Context) {
	if p.alone() {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { p.talk(ctx) })
	defer wg.Wait()
	for ctx.Err() == nil {
		leave, err := p.bus.Join(ctx, p.id, p.receive)
		if err != nil {
			if ctx.Err() == nil {
				p.h.log.Warn("bus not joined; it will be tried again", "error", err)
			}
			sleep(ctx, 500*time.Millisecond+rand.N(time.Second))
			continue
		}
		p.joined()
		select {
		case <-p.deaf:
			p.h.log.Warn("this node does not hear itself on the bus; it joins anew")
		case <-ctx.Done():
		}
		leave()
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (p *peers) joined() {
	p.mu.Lock()
	now := time.Now()
	p.began, p.heardSelf, p.hears = now, now, false
	p.mu.Unlock()
	poke(p.hurry)
}

// talk tells the others what there is to tell, and watches over them.
func (p *peers) talk(ctx context.Context) {
	beat, watch := time.NewTicker(beatEvery), time.NewTicker(100*time.Millisecond)
	defer beat.Stop()
	defer watch.Stop()
	gather := time.NewTimer(time.Hour)
	gather.Stop()
	defer gather.Stop()
	gathering, told := false, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-watch.C:
			if p.watch(time.Now()) {
				p.broadcast(ctx, true)
			}
		case <-p.stir:
			if wait := gatherTime - time.Since(told); gathering {
				continue
			} else if wait > 0 {
				gathering = true
				gather.Reset(wait)
				continue
			}
			told = time.Now()
			p.broadcast(ctx, false)
		case <-gather.C:
			gathering, told = false, time.Now()
			p.broadcast(ctx, false)
		case <-p.hurry:
			p.broadcast(ctx, true)
		case <-beat.C:
			p.broadcast(ctx, true)
		}
	}
}

// watch finds out who is gone, whether this node still hears itself, and whether
// it is ready. It reports whether the others are to hear a change at once.
func (p *peers) watch(now time.Time) (changed bool) {
	p.mu.Lock()
	var gone, ask []string
	deaf := !p.began.IsZero() && now.Sub(p.heardSelf) > deafAfter
	missing := false
	for id, n := range p.nodes {
		switch {
		case deaf || now.Sub(n.heard) > goneAfter:
			gone = append(gone, id)
			delete(p.nodes, id)
		case !n.asked.IsZero():
			missing = true
			if now.Sub(n.asked) > askAgain {
				n.asked = now
				ask = append(ask, id)
			}
		}
	}
	if deaf {
		p.began, p.ready = time.Time{}, false
		poke(p.deaf)
	} else if !p.ready && !p.began.IsZero() {
		heard := now.Sub(p.began)
		p.ready = p.hears && (heard >= listenTime && !missing || heard >= deafAfter)
		changed = p.ready
	}
	lost := p.ownLocked()
	p.mu.Unlock()
	for _, id := range gone {
		p.h.log.Warn("peer gone", "peer", id)
		p.hearing.Lock()
		pages := p.h.sockets.forget(id)
		p.hearing.Unlock()
		p.lost(pages, string(notify.NodeLost))
	}
	if len(gone) > 0 {
		// It may have written what it could not tell any more.
		p.recheck()
	}
	for _, id := range ask {
		p.send(id, part{Ask: true})
	}
	p.handOver(lost)
	return changed
}

// health answers nil if this node hears the bus.
func (p *peers) health() error {
	if p.alone() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ready {
		return &Error{Kind: Unavailable, Code: "bus", Message: "this node does not hear the other nodes", RetryAfter: time.Second}
	}
	return nil
}

// leave says that this node owns nothing any more and takes no new pages.
func (p *peers) leave() {
	p.mu.Lock()
	p.leaving = true
	lost := p.ownLocked()
	p.mu.Unlock()
	p.handOver(lost)
	poke(p.hurry)
}

// end says that this node has ended, once what it has to say to single nodes is sent.
func (p *peers) end(ctx context.Context) {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.posting.Wait()
	if !p.alone() {
		p.publish(ctx, "", &letter{Beat: &beat{Gone: true, At: time.Now().UnixMilli()}})
	}
}

// changed has the other nodes read a document again.
func (p *peers) changed(c change) {
	p.mu.Lock()
	p.changes = append(p.changes, c)
	p.mu.Unlock()
	poke(p.hurry)
}

// maxGathered bounds what waits for the next letter.
const maxGathered = 1000

// event passes on what changed, if somebody watches on another node.
func (p *peers) event(e Event) {
	if p.alone() {
		return
	}
	p.mu.Lock()
	watched := false
	for _, n := range p.nodes {
		watched = watched || n.watching
	}
	if watched && len(p.events) < maxGathered && !slices.Contains(p.events, e) {
		p.events = append(p.events, e)
	}
	p.mu.Unlock()
	if watched {
		poke(p.stir)
	}
}

// test passes on the stage of a Push test.
func (p *peers) test(t pushTest) {
	if p.alone() {
		return
	}
	p.mu.Lock()
	p.tests = append(p.tests, t)
	p.mu.Unlock()
	poke(p.hurry)
}

// receipt passes on that a device received a Push test that this node does not know.
func (p *peers) receipt(test string) {
	if p.alone() {
		return
	}
	p.mu.Lock()
	if len(p.received) < maxGathered {
		p.received = append(p.received, test)
	}
	p.mu.Unlock()
	poke(p.hurry)
}

// maxLogins is how many logins one letter tells of.
const maxLogins = 500

// broadcast tells all nodes what there is to tell.
func (p *peers) broadcast(ctx context.Context, withBeat bool) {
	l := &letter{Logins: p.h.sockets.takeMoved()}
	p.mu.Lock()
	if p.began.IsZero() {
		// Not joined: a number that nobody gets has the others ask for a snapshot,
		// and read every document again.
		p.no++
		p.changes, p.events, p.tests, p.received = nil, nil, nil, nil
		p.mu.Unlock()
		p.no++ // or they would miss nothing
		return
	}
	l.Changes, l.Events, l.Tests, l.Received = p.changes, p.events, p.tests, p.received
	p.changes, p.events, p.tests, p.received = nil, nil, nil, nil
	if withBeat {
		l.Beat = &beat{Ready: p.ready && !p.leaving, Watching: p.h.watched(), At: time.Now().UnixMilli()}
	}
	asked := p.asked
	p.asked = nil
	p.mu.Unlock()
	for len(l.Logins) > maxLogins {
		p.publish(ctx, "", &letter{Logins: l.Logins[:maxLogins]})
		l.Logins = l.Logins[maxLogins:]
	}
	if l.Beat != nil || len(l.Logins)+len(l.Changes)+len(l.Events)+len(l.Tests)+len(l.Received) > 0 {
		p.publish(ctx, "", l)
	}
	if len(asked) == 0 {
		return
	}
	all := p.h.sockets.everything()
	for _, id := range asked {
		s := allLogins{No: p.no, Logins: all}
		for len(s.Logins) > maxLogins {
			p.send(id, part{All: &allLogins{No: p.no, Piece: s.Piece, Logins: s.Logins[:maxLogins], More: true}})
			s.Logins, s.Piece = s.Logins[maxLogins:], s.Piece+1
		}
		p.send(id, part{All: &s})
	}
}

// publish hands a letter on. Those to all are numbered, also where the bus fails:
// who does not get one knows by the next.
func (p *peers) publish(ctx context.Context, node string, l *letter) {
	l.From = p.id
	if node == "" {
		p.no++ // talk alone publishes to all, and end once it has returned
		l.No = p.no
	}
	data, err := json.Marshal(l)
	if err == nil {
		err = p.bus.Publish(ctx, node, data)
	}
	if err != nil && ctx.Err() == nil {
		p.h.metrics.lettersLost.Inc()
		p.h.log.Debug("letter not published", "to", cmp.Or(node, "all"), "error", err)
	}
}

// receive takes a letter from the bus.
func (p *peers) receive(data []byte) {
	var l letter
	if err := json.Unmarshal(data, &l); err != nil {
		p.h.log.Warn("a letter that can't be read", "error", err)
		return
	}
	now := time.Now()
	if l.From == p.id {
		if l.Beat != nil {
			// A node that stood still hears first what it said before.
			p.mu.Lock()
			p.heardSelf, p.hears = time.UnixMilli(l.Beat.At), true
			p.mu.Unlock()
		}
		return
	}
	p.hearing.Lock()
	defer p.hearing.Unlock()
	if l.No > 0 && l.From != "" {
		p.heard(&l, now)
	}
	for i := range l.Parts {
		p.take(l.From, &l.Parts[i])
	}
}

// heard takes a letter to all.
func (p *peers) heard(l *letter, now time.Time) {
	p.mu.Lock()
	n := p.nodes[l.From]
	if l.Beat != nil && l.Beat.Gone {
		delete(p.nodes, l.From)
		lost := p.ownLocked()
		p.mu.Unlock()
		p.lost(p.h.sockets.forget(l.From), string(notify.NodeLost))
		p.handOver(lost)
		return
	}
	if n != nil && l.No <= n.no { // another node of the same name
		p.lost(p.h.sockets.forget(l.From), string(notify.NodeLost))
		n = nil
	}
	fresh := n == nil
	if fresh {
		n = &peer{}
		p.nodes[l.From] = n
	}
	missed := l.No != n.no+1
	n.heard, n.no = now, l.No
	if missed {
		n.asked, n.pieces = now, nil
	}
	asks := missed
	whole := n.asked.IsZero()
	var lost []int
	if l.Beat != nil {
		n.watching = l.Beat.Watching
		if fresh || n.ready != l.Beat.Ready {
			n.ready = l.Beat.Ready
			lost = p.ownLocked()
		}
	}
	p.mu.Unlock()
	p.handOver(lost)
	if fresh {
		p.h.log.Info("peer heard", "peer", l.From)
		poke(p.hurry) // it is to know of this one soon
	}
	if fresh && l.Beat != nil {
		if skew := now.Sub(time.UnixMilli(l.Beat.At)).Abs(); skew > maxSkew {
			p.h.log.Warn("the clocks of two nodes differ: due work is done as late as that", "peer", l.From, "by", skew.Round(time.Millisecond))
		}
	}
	if l.Beat != nil && whole {
		p.h.sockets.forgetEnded(l.From)
	}
	p.lost(p.h.sockets.heard(l.From, l.Logins, l.No), "its page turned hidden or went away")
	if asks {
		p.send(l.From, part{Ask: true})
		if !fresh {
			p.h.metrics.lettersMissed.Inc()
		}
		p.recheck()
	}
	p.reread(l.Changes)
	for _, e := range l.Events {
		p.h.watch.tell(e)
	}
	for _, t := range l.Tests {
		p.h.tests.heard(p.h, t, now)
	}
	for _, id := range l.Received {
		if t, ok := p.h.tests.get(id); ok && !t.away {
			p.h.tests.move(p.h, id, "received", "")
		}
	}
}

// lost has the pages of other nodes, which can confirm nothing any more, taken
// from what they were to confirm.
func (p *peers) lost(pages []awayPage, why string) {
	for _, x := range pages {
		p.h.partitionOf(x.agent).offer(&lostOp{agent: x.agent, socket: x.ID, why: why})
	}
}

// reread drops what is kept of documents that another node wrote, and has the
// pages they concern shown the truth.
func (p *peers) reread(changes []change) {
	var concerned []*socket
	for _, c := range changes {
		p.h.dir.forget(c.Agent, c.Team, c.Device)
		switch {
		case c.Agent != "":
			concerned = append(concerned, p.h.sockets.of(c.Agent, "")...)
		case c.Device != "":
			concerned = append(concerned, p.h.sockets.onDevice(c.Device)...)
		}
	}
	p.check(concerned)
}

// recheck forgets every document: some of what others wrote was not heard of.
func (p *peers) recheck() {
	p.h.dir.forgetAll()
	p.check(p.h.sockets.all())
}

func (p *peers) check(ss []*socket) {
	if len(ss) == 0 {
		return
	}
	select {
	case p.checks <- ss:
	default: // a check of all is never far
	}
}

// took takes a snapshot of a node's logins.
func (p *peers) took(from string, s *allLogins) {
	p.mu.Lock()
	n := p.nodes[from]
	if n == nil || n.asked.IsZero() {
		p.mu.Unlock()
		return
	}
	if s.Piece == 0 {
		n.pieces, n.next, n.of = nil, 0, s.No
	}
	if s.Piece != n.next || s.No != n.of { // one before it was lost
		p.mu.Unlock()
		return
	}
	n.next++
	n.pieces = append(n.pieces, s.Logins...)
	if s.More {
		p.mu.Unlock()
		return
	}
	all := n.pieces
	n.pieces, n.asked = nil, time.Time{}
	p.mu.Unlock()
	p.lost(p.h.sockets.heardAll(from, all, s.No), "its page turned hidden or went away")
}
