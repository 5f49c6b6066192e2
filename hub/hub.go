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

	dir        *directory
	sockets    *registry
	partitions []*partition
	lanes      *lanes
	closed     *closedTags
	tests      *pushTests
	watch      watchers
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
		closed: &closedTags{agents: map[string][]closedTag{}}, tests: &pushTests{byID: map[string]*pushTest{}},
		watch: watchers{all: map[chan Event]struct{}{}},
	}
	h.base, h.cut = context.WithCancel(context.Background())
	h.storeCtx, h.cutStore = context.WithCancel(context.Background())
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
// under way and what waits in partitions are finished. It returns within 10 s
// and must be called once.
func (h *Hub) Run(ctx context.Context) error {
	var loops, partitions sync.WaitGroup
	for _, p := range h.partitions {
		partitions.Go(p.run)
	}
	for _, loop := range []func(context.Context){h.workLoop, h.watchSockets, h.sweepLoop} {
		loops.Go(func() { loop(ctx) })
	}
	h.running.Store(true)
	<-ctx.Done()

	h.running.Store(false)
	loops.Wait()
	h.gate.Lock()
	h.shut = true
	h.gate.Unlock()
	for _, s := range h.sockets.all() {
		retry := 500 + rand.Int64N(2000)
		s.send(encode(wire.Bye{Type: wire.TypeBye, Code: wire.CloseDrain, Reason: "this node is going", RetryMS: retry}))
		s.end(wire.CloseDrain, "this node is going")
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
	h.cutStore()
	return nil
}

// Ready answers nil if the hub takes messages.
func (h *Hub) Ready(ctx context.Context) error {
	if !h.running.Load() {
		return errEnded
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
