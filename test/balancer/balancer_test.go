package balancer

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startNode starts a server that says its name and repeats every line.
func startNode(t *testing.T, name string) (addr string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				fmt.Fprintln(c, name)
				io.Copy(c, c)
			})
		}
	})
	stop = sync.OnceFunc(func() { l.Close() })
	t.Cleanup(func() {
		stop()
		serving.Wait()
	})
	return l.Addr().String(), stop
}

// page is one connection through the balancer.
type page struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	node string // the node it was led to
}

func connect(t *testing.T, b *Balancer) *page {
	t.Helper()
	c, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	p := &page{t: t, conn: c, in: bufio.NewReader(c)}
	p.node = p.hear()
	return p
}

func (p *page) hear() string {
	line, _ := p.in.ReadString('\n')
	return line
}

func (p *page) wantAlive() {
	p.t.Helper()
	fmt.Fprintln(p.conn, "still there?")
	if got := p.hear(); got != "still there?\n" {
		p.t.Errorf("heard %q", got)
	}
}

func wantTurns(t *testing.T, b *Balancer, want ...string) {
	t.Helper()
	for i, name := range want {
		p := connect(t, b)
		if p.node != name {
			t.Errorf("connection %d was led to %q, want %q", i, p.node, name)
		}
		p.conn.Close()
	}
}

func TestEveryConnectionIsLedToTheNextNode(t *testing.T) {
	b := Start(t)
	for _, name := range []string{"a", "b", "c"} {
		addr, _ := startNode(t, name)
		b.Put(addr)
	}
	wantTurns(t, b, "a\n", "b\n", "c\n", "a\n", "b\n")
}

func TestNodeTakenOutKeepsItsConnectionsAndGetsNoNewOnes(t *testing.T) {
	b := Start(t)
	first, _ := startNode(t, "a")
	second, _ := startNode(t, "b")
	b.Put(first)
	b.Put(second)
	p := connect(t, b)
	b.Take(first)
	wantTurns(t, b, "b\n", "b\n")
	p.wantAlive()
	b.Put(first)
	wantTurns(t, b, "a\n", "b\n")
	if led := b.Led(first); led != 2 {
		t.Errorf("the first node was given %d connections, want 2", led)
	}
}

func TestNodeThatRefusesIsPassedOver(t *testing.T) {
	b := Start(t)
	first, stop := startNode(t, "a")
	second, _ := startNode(t, "b")
	b.Put(first)
	b.Put(second)
	stop()
	wantTurns(t, b, "b\n", "b\n")
}

func TestWithoutANodeConnectionsEnd(t *testing.T) {
	b := Start(t)
	addr, _ := startNode(t, "a")
	b.Put(addr)
	b.Take(addr)
	if p := connect(t, b); p.node != "" {
		t.Errorf("led to %q", p.node)
	}
}

func TestCutBreaksOneNodesConnections(t *testing.T) {
	b := Start(t)
	first, _ := startNode(t, "a")
	second, _ := startNode(t, "b")
	b.Put(first)
	b.Put(second)
	one, other := connect(t, b), connect(t, b)
	b.Cut(first)
	if got := one.hear(); got != "" {
		t.Errorf("heard %q over a connection that was cut", got)
	}
	other.wantAlive()
}

func TestEndOfOneSideIsPassedOnAndTheOtherStillHeard(t *testing.T) {
	b := Start(t)
	addr, _ := startNode(t, "a")
	b.Put(addr)
	p := connect(t, b)
	fmt.Fprint(p.conn, "last words\n")
	p.conn.(*net.TCPConn).CloseWrite()
	if got := p.hear(); got != "last words\n" {
		t.Errorf("heard %q", got)
	}
	if _, err := p.in.ReadByte(); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}
