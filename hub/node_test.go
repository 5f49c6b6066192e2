package hub_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/bus/local"
	"caac-hub/hub/notify"
)

// node is one node of a world as its surroundings reach it: its process may
// freeze, as by SIGSTOP, or end, as by SIGKILL, and its bus may lose, delay and
// hold what is said.
type node struct {
	hub   *hub.Hub
	end   func() error // drains it, and returns once it has
	power *power
	store *nodeStore

	mu     sync.Mutex
	frozen chan struct{} // closed at the thaw; nil: it runs
	dead   bool
	conns  []net.Conn // server's ends of its sockets
}

var errKilled = errors.New("the process has ended")

// pass waits while the node is frozen, and reports whether it lives.
func (n *node) pass() bool {
	n.mu.Lock()
	frozen := n.frozen
	n.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.dead
}

func (n *node) runs() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.dead && n.frozen == nil
}

// freeze stops whatever the node does at its next step outwards.
func (n *node) freeze() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.frozen = make(chan struct{})
}

func (n *node) thaw() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.frozen != nil {
		close(n.frozen)
		n.frozen = nil
	}
}

// kill ends the node abruptly: its sockets are cut, and what it does from now on
// reaches nobody.
func (n *node) kill() {
	n.mu.Lock()
	n.dead = true
	conns := n.conns
	n.conns = nil
	n.mu.Unlock()
	n.power.cut.Store(true)
	n.thaw()
	for _, c := range conns {
		c.Close()
	}
}

// nodeConn is the server's end of a socket.
type nodeConn struct {
	net.Conn
	n *node
}

func (n *node) conn(c net.Conn) net.Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = append(n.conns, c)
	return &nodeConn{c, n}
}

func (c *nodeConn) Read(b []byte) (int, error) {
	k, err := c.Conn.Read(b)
	c.n.pass()
	return k, err
}

func (c *nodeConn) Write(b []byte) (int, error) {
	c.n.pass()
	return c.Conn.Write(b)
}

// lines is the bus between the nodes of a world, which may lose and delay what
// one says to another.
type lines struct {
	local *local.Bus
	mu    sync.Mutex
	r     *rand.Rand
	loss  map[[2]int]float64 // by sender and receiver; a share of 1 loses all
	delay map[[2]int]time.Duration
	joins map[int]string // the ids the nodes chose
}

func newLines(seed uint64) *lines {
	return &lines{
		local: local.New(), r: rand.New(rand.NewPCG(seed, 7)),
		loss: map[[2]int]float64{}, delay: map[[2]int]time.Duration{}, joins: map[int]string{},
	}
}

// lose sets the share of what a node says to another that is lost; -1 means
// every node.
func (l *lines) lose(from, to int, share float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, pair := range pairs(from, to) {
		l.loss[pair] = share
	}
}

// slow sets how long what a node says to another takes.
func (l *lines) slow(from, to int, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, pair := range pairs(from, to) {
		l.delay[pair] = d
	}
}

const maxNodes = 8

func pairs(from, to int) (out [][2]int) {
	for i := range maxNodes {
		for j := range maxNodes {
			if (from < 0 || from == i) && (to < 0 || to == j) {
				out = append(out, [2]int{i, j})
			}
		}
	}
	return out
}

func (l *lines) lost(from, to int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	share := l.loss[[2]int{from, to}]
	return share > 0 && l.r.Float64() < share
}

func (l *lines) late(from, to int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.delay[[2]int{from, to}]
}

// id is the name a node gave itself on the bus.
func (l *lines) id(of int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.joins[of]
}

// line is a node's end of the lines.
type line struct {
	*lines
	n  *node
	no int
}

func (l *line) Join(ctx context.Context, id string, receive func([]byte)) (func(), error) {
	if !l.n.pass() {
		return nil, errKilled
	}
	l.mu.Lock()
	l.joins[l.no] = id
	l.mu.Unlock()
	left, leave := context.WithCancel(context.Background())
	end, err := l.local.Join(ctx, id, func(data []byte) {
		from := int(data[0])
		if d := l.late(from, l.no); d > 0 {
			sent := time.Unix(0, int64(binary.BigEndian.Uint64(data[1:])))
			select {
			case <-time.After(time.Until(sent.Add(d))):
			case <-left.Done():
			}
		}
		if l.n.pass() && left.Err() == nil && !l.lost(from, l.no) {
			receive(data[9:])
		}
	})
	return func() { leave(); end() }, err
}

func (l *line) Publish(ctx context.Context, id string, data []byte) error {
	if !l.n.pass() {
		return errKilled
	}
	return l.say(ctx, l.no, id, data)
}

// say puts something on the lines as if a node had said it.
func (l *lines) say(ctx context.Context, from int, id string, data []byte) error {
	head := binary.BigEndian.AppendUint64([]byte{byte(from)}, uint64(time.Now().UnixNano()))
	return l.local.Publish(ctx, id, append(head, data...))
}

// nodePush is the push service as a node reaches it.
type nodePush struct {
	*power
	n     *node
	world *power
}

func (p *nodePush) Send(ctx context.Context, sub notify.Subscription, m notify.PushMessage) notify.PushAnswer {
	p.n.pass()
	if p.power.cut.Load() || p.world.cut.Load() {
		return notify.PushAnswer{Class: notify.AnswerNetwork}
	}
	a := p.power.Send(ctx, sub, m)
	p.n.pass()
	return a
}

// nodeStore is the store as a node reaches it.
type nodeStore struct {
	hub.Store
	n *node
}

// through carries out one call of the store's.
func through[T any](s *nodeStore, fn func() (T, error)) (T, error) {
	var zero T
	if !s.n.pass() {
		return zero, errKilled
	}
	v, err := fn()
	if !s.n.pass() {
		return zero, errKilled
	}
	return v, err
}

func through0(s *nodeStore, fn func() error) error {
	_, err := through(s, func() (struct{}, error) { return struct{}{}, fn() })
	return err
}

func (s *nodeStore) Ready(ctx context.Context) error {
	return through0(s, func() error { return s.Store.Ready(ctx) })
}
func (s *nodeStore) Agents(ctx context.Context, ids []string) ([]notify.Agent, error) {
	return through(s, func() ([]notify.Agent, error) { return s.Store.Agents(ctx, ids) })
}
func (s *nodeStore) PutAgent(ctx context.Context, a notify.Agent) (int64, error) {
	return through(s, func() (int64, error) { return s.Store.PutAgent(ctx, a) })
}
func (s *nodeStore) Team(ctx context.Context, id string) (notify.Team, error) {
	return through(s, func() (notify.Team, error) { return s.Store.Team(ctx, id) })
}
func (s *nodeStore) PutTeam(ctx context.Context, t notify.Team) (int64, error) {
	return through(s, func() (int64, error) { return s.Store.PutTeam(ctx, t) })
}
func (s *nodeStore) Devices(ctx context.Context, ids []string) ([]notify.Device, error) {
	return through(s, func() ([]notify.Device, error) { return s.Store.Devices(ctx, ids) })
}
func (s *nodeStore) PutDevice(ctx context.Context, d notify.Device) (int64, error) {
	return through(s, func() (int64, error) { return s.Store.PutDevice(ctx, d) })
}
func (s *nodeStore) Conversation(ctx context.Context, id string) (notify.Conversation, error) {
	return through(s, func() (notify.Conversation, error) { return s.Store.Conversation(ctx, id) })
}
func (s *nodeStore) PutConversation(ctx context.Context, c notify.Conversation, due ...notify.Due) (int64, error) {
	return through(s, func() (int64, error) { return s.Store.PutConversation(ctx, c, due...) })
}
func (s *nodeStore) Accept(ctx context.Context, a notify.Accept) (notify.Accepted, error) {
	return through(s, func() (notify.Accepted, error) { return s.Store.Accept(ctx, a) })
}
func (s *nodeStore) Message(ctx context.Context, ref notify.Ref) (notify.Message, error) {
	return through(s, func() (notify.Message, error) { return s.Store.Message(ctx, ref) })
}
func (s *nodeStore) Commit(ctx context.Context, partition int, b notify.Batch) (notify.Result, error) {
	return through(s, func() (notify.Result, error) { return s.Store.Commit(ctx, partition, b) })
}
func (s *nodeStore) Unread(ctx context.Context, agent string, limit int) (notify.Unread, error) {
	return through(s, func() (notify.Unread, error) { return s.Store.Unread(ctx, agent, limit) })
}
func (s *nodeStore) Versions(ctx context.Context, agents []string) ([]int64, error) {
	return through(s, func() ([]int64, error) { return s.Store.Versions(ctx, agents) })
}
func (s *nodeStore) Holders(ctx context.Context, conversation string) ([]string, error) {
	return through(s, func() ([]string, error) { return s.Store.Holders(ctx, conversation) })
}
func (s *nodeStore) Fanouts(ctx context.Context, ref notify.Ref) ([]notify.Fanout, error) {
	return through(s, func() ([]notify.Fanout, error) { return s.Store.Fanouts(ctx, ref) })
}
func (s *nodeStore) Fanout(ctx context.Context, partition int, ref notify.Ref) (notify.Fanout, error) {
	return through(s, func() (notify.Fanout, error) { return s.Store.Fanout(ctx, partition, ref) })
}
func (s *nodeStore) Claim(ctx context.Context, partitions []int, now time.Time, limit int, lease time.Duration) ([]notify.Due, error) {
	return through(s, func() ([]notify.Due, error) { return s.Store.Claim(ctx, partitions, now, limit, lease) })
}
func (s *nodeStore) Lease(ctx context.Context, partition int, keys []string, until time.Time) error {
	return through0(s, func() error { return s.Store.Lease(ctx, partition, keys, until) })
}
func (s *nodeStore) Due(ctx context.Context, partition int, keys []string) ([]notify.Due, error) {
	return through(s, func() ([]notify.Due, error) { return s.Store.Due(ctx, partition, keys) })
}
