// Package faultproxy is a TCP proxy whose line can be slowed, cut or swallowed
// while a test runs.
package faultproxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Mode is what the proxy does with what it is given.
type Mode int

const (
	// Forward hands everything on.
	Forward Mode = iota
	// Blackhole takes connections and reads, and hands nothing on, in either
	// direction. What was swallowed is lost: going back to Forward, the
	// connections of that time are reset.
	Blackhole
	// BlackholeUp swallows what goes to the target and hands on its answers.
	BlackholeUp
	// BlackholeDown hands on what goes to the target and swallows its answers.
	BlackholeDown
	// Drip hands on one byte at a time, one a millisecond in each direction.
	Drip
	// Refuse hands on for the connections there are and resets new ones.
	Refuse
)

const drip = time.Millisecond

// Proxy leads from its own loopback port to a target. Its methods may be called
// at once from many goroutines.
type Proxy struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	mode    Mode
	delay   time.Duration
	closed  bool
	changed chan struct{} // closed when mode or delay change
	lines   map[*line]struct{}
}

// line is one connection through the proxy.
type line struct {
	client, server net.Conn
	lossy          bool // something of it was swallowed
}

// New leads from a new loopback port to target; it ends, with every
// connection, with the test.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target, listener: l, changed: make(chan struct{}), lines: map[*line]struct{}{}}
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set switches the mode, for the connections there are as for new ones.
func (p *Proxy) Set(m Mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	p.changedLocked()
	if m != Forward {
		return
	}
	for ln := range p.lines {
		if ln.lossy {
			p.resetLocked(ln)
		}
	}
}

// Delay keeps what is forwarded back for d in each direction. It does not
// narrow the line: later bytes follow without waiting again.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
	p.changedLocked()
}

// Cut resets every connection there is (RST), and returns how many.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.lines)
	for ln := range p.lines {
		p.resetLocked(ln)
	}
	return n
}

// Lines is how many connections there are now.
func (p *Proxy) Lines() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

func (p *Proxy) changedLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) resetLocked(ln *line) {
	delete(p.lines, ln)
	reset(ln.client)
	reset(ln.server)
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.listener.Close()
	for ln := range p.lines {
		p.resetLocked(ln)
	}
	p.changedLocked()
	p.mu.Unlock()
	p.running.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.lead(client) })
	}
}

func (p *Proxy) state() (mode Mode, delay time.Duration, changed <-chan struct{}, closed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode, p.delay, p.changed, p.closed
}

func (p *Proxy) lead(client net.Conn) {
	if mode, _, _, closed := p.state(); closed || mode == Refuse {
		reset(client)
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		reset(client)
		return
	}
	ln := &line{client: client, server: server}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		reset(client)
		reset(server)
		return
	}
	p.lines[ln] = struct{}{}
	p.mu.Unlock()

	var both sync.WaitGroup
	both.Go(func() { p.carry(ln, client, server, BlackholeUp) })
	both.Go(func() { p.carry(ln, server, client, BlackholeDown) })
	both.Wait()
	p.mu.Lock()
	delete(p.lines, ln)
	p.mu.Unlock()
	client.Close()
	server.Close()
}

// piece is something read, or the end of it.
type piece struct {
	data []byte
	at   time.Time
	err  error
}

// carry hands on one direction, which deaf swallows.
func (p *Proxy) carry(ln *line, from, to net.Conn, deaf Mode) {
	pieces := make(chan piece, 256)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(pieces)
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			pieces <- piece{bytes.Clone(buf[:n]), time.Now(), err}
			if err != nil {
				return
			}
		}
	})
	defer reader.Wait()
	broken := false
	for pc := range pieces {
		if broken {
			continue
		}
		if !p.wait(pc.at) || p.hand(ln, to, pc.data, deaf) != nil {
			broken = true
			reset(from)
			reset(to)
			continue
		}
		if pc.err == io.EOF && !p.swallows(ln, deaf) {
			if tcp, ok := to.(*net.TCPConn); ok {
				tcp.CloseWrite()
			}
		} else if pc.err != nil && pc.err != io.EOF {
			reset(to)
		}
	}
}

// wait keeps back what came at a time until the delay has passed. False: the
// proxy was closed.
func (p *Proxy) wait(came time.Time) bool {
	for {
		_, delay, changed, closed := p.state()
		left := delay - time.Since(came)
		if closed || left <= 0 {
			return !closed
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-changed:
		}
		timer.Stop()
	}
}

func (p *Proxy) swallows(ln *line, deaf Mode) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode != Blackhole && p.mode != deaf {
		return false
	}
	ln.lossy = true
	return true
}

var errClosed = errors.New("the proxy was closed")

func (p *Proxy) hand(ln *line, to net.Conn, data []byte, deaf Mode) error {
	for len(data) > 0 {
		if p.swallows(ln, deaf) {
			return nil
		}
		mode, _, changed, closed := p.state()
		if closed {
			return errClosed
		}
		n := len(data)
		if mode == Drip {
			n = 1
			timer := time.NewTimer(drip)
			select {
			case <-timer.C:
			case <-changed:
			}
			timer.Stop()
		}
		if _, err := to.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
