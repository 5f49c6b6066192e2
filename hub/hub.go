// Package hub keeps every open page's socket in memory, decides who is told of
// a message, and carries each decision to its end.
package hub

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// Options wires a Hub. Store, Push, Auth and Log are required.
type Options struct {
	Store   Store
	Push    Pusher
	Auth    Authenticator
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: not registered anywhere
	Secret  []byte                // signs receipts; at least 32 bytes, the same on every node
	Limits  Limits

	// PublicURL is the origin browsers reach the hub at: the base of receipts' URL.
	PublicURL string
	// ConversationURL is where a click leads: an absolute URL in which
	// {conversation} and {agent} are replaced.
	ConversationURL string
	// Ceiling is the most a notification may show, whatever an agent prefers.
	Ceiling notify.Preview
	// PageDuty lets agents set their own duty from the page.
	PageDuty bool

	// Bus joins the hub to the other nodes of its deployment, which share its
	// Store; nil: it is the only one.
	Bus Bus
	// Node is what the node is called among the others, which see a random end
	// added; may be empty.
	Node string
	// DrainSpread is the time over which a node that goes tells its pages to
	// come back, where another node is there; default 5 s.
	DrainSpread time.Duration
}

// Limits on what clients can make grow. Zero fields take the default.
type Limits struct {
	SocketsPerAgent   int           // default 50
	SocketsPerAddress int           // default 2000
	DevicesPerAgent   int           // default 20
	LoginsPerDevice   int           // default 8
	FramesPerSecond   float64       // per socket, default 20 with a burst of 60
	Queue             int           // frames waiting for one socket, default 64
	WriteTimeout      time.Duration // default 5 s
	LoginIdle         time.Duration // a login without a sign of life ends; default 30 days
}

// Hub is one node. Its methods may be called at once from many goroutines.
type Hub struct {
	store           Store
	push            Pusher
	auth            Authenticator
	log             *slog.Logger
	metrics         *metrics
	secret          []byte
	limits          Limits
	publicURL       string
	conversationURL string
	ceiling         notify.Preview
	pageDuty        bool

	drainSpread time.Duration

	dir        *directory
	sockets    *registry
	peers      *peers
	partitions []*partition
	lanes      *lanes
	closed     *closedTags
	tests      *pushTests
	watch      watchers
	reachable  reachCache
	unheard    unheard
	finished   finished
	flush      struct {
		mu      sync.Mutex
		sockets []*socket
	}

	running  atomic.Bool
	base     context.Context // ends when sockets and pushes must
	cut      context.CancelFunc
	storeCtx context.Context // ends when the last writes must
	cutStore context.CancelFunc
	ended    chan struct{} // closed when partitions finish what waits and end
	gate     sync.Mutex    // guards shut and adding to wg
	shut     bool
	wg       sync.WaitGroup // sockets, pushes and their like
}

// New makes a Hub. It serves once Run was called.
func New(o Options) (*Hub, error) {
	switch {
	case o.Store == nil || o.Push == nil || o.Auth == nil || o.Log == nil:
		return nil, errors.New("hub: Store, Push, Auth and Log are required")
	case len(o.Secret) < 32:
		return nil, errors.New("hub: Secret must have at least 32 bytes")
	}
	h := &Hub{
		store: o.Store, push: o.Push, auth: o.Auth, log: o.Log, metrics: newMetrics(), secret: o.Secret,
		limits: o.Limits.withDefaults(), publicURL: strings.TrimRight(o.PublicURL, "/"), conversationURL: o.ConversationURL,
		ceiling: o.Ceiling, pageDuty: o.PageDuty,
		dir: newDirectory(o.Store), sockets: newRegistry(), ended: make(chan struct{}),
		drainSpread: cmp.Or(o.DrainSpread, 5*time.Second), closed: &closedTags{agents: map[string][]closedTag{}}, tests: &pushTests{byID: map[string]*pushTest{}},
		watch: watchers{all: map[chan Event]struct{}{}}, unheard: unheard{devices: map[string]*silence{}}, reachable: reachCache{turn: make(chan struct{}, 1)},
	}
	h.base, h.cut = context.WithCancel(context.Background())
	h.storeCtx, h.cutStore = context.WithCancel(context.Background())
	h.peers = newPeers(h, o.Bus, o.Node)
	h.lanes = newLanes(h.base, h.open, &h.wg)
	for n := range o.Store.Partitions() {
		h.partitions = append(h.partitions, newPartition(h, n))
	}
	if o.Metrics != nil {
		if err := h.metrics.register(o.Metrics, h); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (l Limits) withDefaults() Limits {
	l.SocketsPerAgent = cmp.Or(l.SocketsPerAgent, 50)
	l.SocketsPerAddress = cmp.Or(l.SocketsPerAddress, 2000)
	l.DevicesPerAgent = cmp.Or(l.DevicesPerAgent, 20)
	l.LoginsPerDevice = cmp.Or(l.LoginsPerDevice, 8)
	l.FramesPerSecond = cmp.Or(l.FramesPerSecond, 20)
	l.Queue = cmp.Or(l.Queue, 64)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, 5*time.Second)
	l.LoginIdle = cmp.Or(l.LoginIdle, 30*24*time.Hour)
	return l
}

// drainTime bounds each step of draining.
const drainTime = 4 * time.Second

// Run works until ctx ends, then drains: pages are told to come back, pushes
// under way and what waits in partitions are finished. It returns within 15 s
// and DrainSpread, and must be called once.
func (h *Hub) Run(ctx context.Context) error {
	var loops, partitions, bus sync.WaitGroup
	for _, p := range h.partitions {
		partitions.Go(p.run)
	}
	busCtx, leave := context.WithCancel(context.Background())
	bus.Go(func() { h.peers.run(busCtx) })
	moving, moved := context.WithCancel(context.WithoutCancel(ctx)) // pages still move to other nodes
	for _, loop := range []func(context.Context){h.watchSockets, h.checkLoop} {
		loops.Go(func() { loop(moving) })
	}
	for _, loop := range []func(context.Context){h.workLoop, h.sweepLoop, h.unheardLoop} {
		loops.Go(func() { loop(ctx) })
	}
	h.running.Store(true)
	<-ctx.Done()

	h.running.Store(false)
	h.peers.leave()
	h.movePages()
	moved()
	loops.Wait()
	h.gate.Lock()
	h.shut = true
	h.gate.Unlock()
	for _, s := range h.sockets.all() {
		s.bye(500*time.Millisecond + rand.N(2*time.Second))
		s.end(wire.CloseDrain, goingText)
	}
	done := make(chan struct{})
	go func() { h.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(drainTime):
	}
	h.cut()
	for _, s := range h.sockets.all() {
		s.cut()
	}
	<-done
	close(h.ended)
	stop := time.AfterFunc(drainTime, h.cutStore)
	partitions.Wait()
	stop.Stop()
	leave()
	bus.Wait()
	h.peers.end(h.storeCtx)
	h.cutStore()
	return nil
}

const goingText = "this node is going"

// bye tells a page to come back after the time given.
func (s *socket) bye(retry time.Duration) {
	s.send(encode(wire.Bye{Type: wire.TypeBye, Code: wire.CloseDrain, Reason: goingText, RetryMS: retry.Milliseconds()}))
}

// moveTime is how long pages get to move once all were told to: one that is led
// here again once or twice waits in between.
const moveTime = 5 * time.Second

// movePages has the pages open their sockets anew on other nodes, spread over
// DrainSpread, before they close those here. Where there is no other node it
// does nothing: they could only come back here.
func (h *Hub) movePages() {
	if !h.peers.others() {
		return
	}
	for _, s := range h.sockets.all() {
		s.bye(rand.N(h.drainSpread))
	}
	end := time.NewTimer(h.drainSpread + moveTime)
	defer end.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for len(h.sockets.all()) > 0 {
		select {
		case <-end.C:
			return
		case <-tick.C:
		}
	}
}

// Ready answers nil if the hub takes messages.
func (h *Hub) Ready(ctx context.Context) error {
	if !h.running.Load() {
		return errEnded
	}
	if err := h.peers.health(); err != nil {
		return err
	}
	return h.store.Ready(ctx)
}

// open adds to what the drain waits for, unless it has begun.
func (h *Hub) open(n int) bool {
	h.gate.Lock()
	defer h.gate.Unlock()
	if h.shut {
		return false
	}
	h.wg.Add(n)
	return true
}

func (h *Hub) partitionOf(agent string) *partition {
	return h.partitions[notify.Partition(agent, len(h.partitions))]
}
