// Package balancer is a load balancer for tests. It leads every new connection
// to the next node in turn, whoever connects: nothing is sticky.
package balancer

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// Balancer leads connections to nodes. Its methods may be called from any
// goroutine.
type Balancer struct {
	listener net.Listener
	serving  sync.WaitGroup

	mu    sync.Mutex
	nodes []*node
	next  int
	open  map[net.Conn]string // both ends of every connection, and its node
	ended bool
}

type node struct {
	addr string
	in   bool
	led  int
}

// Start starts a balancer without nodes on a loopback port. It ends with the
// test, and every connection through it.
func Start(t testing.TB) *Balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &Balancer{listener: listener, open: map[net.Conn]string{}}
	b.serving.Go(b.accept)
	t.Cleanup(func() {
		listener.Close()
		b.mu.Lock()
		b.ended = true
		for c := range b.open {
			c.Close()
		}
		b.mu.Unlock()
		b.serving.Wait()
	})
	return b
}

// Addr is the host and port clients connect to.
func (b *Balancer) Addr() string { return b.listener.Addr().String() }

// Put leads new connections also to the node at addr, host and port.
func (b *Balancer) Put(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.nodeLocked(addr); n != nil {
		n.in = true
		return
	}
	b.nodes = append(b.nodes, &node{addr: addr, in: true})
}

// Take leads no new connection to the node at addr; those that stand stay.
func (b *Balancer) Take(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.nodeLocked(addr); n != nil {
		n.in = false
	}
}

// Led is how many connections the node at addr has been given.
func (b *Balancer) Led(addr string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.nodeLocked(addr); n != nil {
		return n.led
	}
	return 0
}

// Cut breaks every connection to the node at addr.
func (b *Balancer) Cut(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c, to := range b.open {
		if to == addr {
			c.Close()
		}
	}
}

func (b *Balancer) nodeLocked(addr string) *node {
	if i := slices.IndexFunc(b.nodes, func(n *node) bool { return n.addr == addr }); i >= 0 {
		return b.nodes[i]
	}
	return nil
}

func (b *Balancer) accept() {
	for {
		client, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.serving.Go(func() { b.serve(client) })
	}
}

// serve leads one connection to the next node that takes it, and closes it
// where none does.
func (b *Balancer) serve(client net.Conn) {
	defer client.Close()
	for _, addr := range b.turn() {
		server, err := net.DialTimeout("tcp", addr, 5*time.Second)
		if err != nil {
			continue
		}
		b.join(client, server, addr)
		return
	}
}

// turn is every node that takes connections, the one whose turn it is first.
func (b *Balancer) turn() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var addrs []string
	for i := range b.nodes {
		if n := b.nodes[(b.next+i)%len(b.nodes)]; n.in {
			addrs = append(addrs, n.addr)
		}
	}
	if len(addrs) > 0 {
		b.next = slices.IndexFunc(b.nodes, func(n *node) bool { return n.addr == addrs[0] }) + 1
	}
	return addrs
}

// join passes on what either end says until both have ended.
func (b *Balancer) join(client, server net.Conn, addr string) {
	defer server.Close()
	b.mu.Lock()
	if b.ended {
		b.mu.Unlock()
		return
	}
	b.open[client], b.open[server] = addr, addr
	b.nodeLocked(addr).led++
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.open, client)
		delete(b.open, server)
		b.mu.Unlock()
	}()
	var both sync.WaitGroup
	both.Go(func() { pass(server, client) })
	both.Go(func() { pass(client, server) })
	both.Wait()
}

// pass copies what from says, and its end: an orderly one as such, a break as
// a break.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if err != nil && !errors.Is(err, io.EOF) {
		to.Close()
		from.Close()
		return
	}
	to.(*net.TCPConn).CloseWrite()
}
