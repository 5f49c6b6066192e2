package faultproxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers every line with itself and tells of each it has heard.
func echo(t *testing.T) (addr string, heard <-chan string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					lines <- line
					c.Write([]byte(line))
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	return l.Addr().String(), lines
}

func proxied(t *testing.T) (*Proxy, <-chan string) {
	addr, heard := echo(t)
	return New(t, addr), heard
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func say(t *testing.T, c net.Conn, line string) {
	t.Helper()
	if _, err := c.Write([]byte(line)); err != nil {
		t.Fatal(err)
	}
}

func read(c net.Conn, wait time.Duration) (string, error) {
	c.SetReadDeadline(time.Now().Add(wait))
	return bufio.NewReader(c).ReadString('\n')
}

func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	if got, err := read(c, 10*time.Second); got != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

func expectSilence(t *testing.T, c net.Conn) {
	t.Helper()
	if got, err := read(c, 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %q, %v; want silence", got, err)
	}
}

func expectReset(t *testing.T, c net.Conn) {
	t.Helper()
	if got, err := read(c, 10*time.Second); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("read %q, %v; want a reset", got, err)
	}
}

// expectNoWayIn takes a reset while dialing, or at once after it.
func expectNoWayIn(t *testing.T, p *Proxy) {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err == nil {
		defer c.Close()
		_, err = read(c, 10*time.Second)
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}

func expectHeard(t *testing.T, heard <-chan string, want string) {
	t.Helper()
	select {
	case got := <-heard:
		if got != want {
			t.Fatalf("the target heard %q, want %q", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("the target has not heard %q", want)
	}
}

func TestForwardsBothWaysAndTheEnd(t *testing.T) {
	p, _ := proxied(t)
	c := dial(t, p)
	say(t, c, "hello\n")
	expect(t, c, "hello\n")
	c.(*net.TCPConn).CloseWrite()
	if got, err := read(c, 10*time.Second); err != io.EOF {
		t.Errorf("read %q, %v; want the end", got, err)
	}
}

func TestDelayedLineAnswersLate(t *testing.T) {
	p, _ := proxied(t)
	p.Delay(50 * time.Millisecond)
	c := dial(t, p)
	start := time.Now()
	say(t, c, "hello\n")
	expect(t, c, "hello\n")
	if took := time.Since(start); took < 100*time.Millisecond {
		t.Errorf("there and back took %v, want twice the delay", took)
	}
	p.Delay(0)
	say(t, c, "again\n")
	expect(t, c, "again\n")
}

func TestLoweredDelayLetsGoOfWhatWaits(t *testing.T) {
	p, _ := proxied(t)
	p.Delay(time.Hour)
	c := dial(t, p)
	say(t, c, "hello\n")
	expectSilence(t, c)
	p.Delay(0)
	expect(t, c, "hello\n")
}

func TestCutResetsConnectionsAndTakesNewOnes(t *testing.T) {
	p, _ := proxied(t)
	c := dial(t, p)
	say(t, c, "hello\n")
	expect(t, c, "hello\n")
	if n := p.Cut(); n != 1 {
		t.Errorf("cut %d connections, want 1", n)
	}
	expectReset(t, c)
	c = dial(t, p)
	say(t, c, "again\n")
	expect(t, c, "again\n")
}

func TestBlackholeSwallowsAndResetsOnceItEnds(t *testing.T) {
	p, heard := proxied(t)
	before, fresh := dial(t, p), dial(t, p)
	say(t, before, "hello\n")
	expect(t, before, "hello\n")
	expectHeard(t, heard, "hello\n")
	p.Set(Blackhole)
	during := dial(t, p)
	say(t, before, "lost\n")
	say(t, during, "lost\n")
	expectSilence(t, before)
	expectSilence(t, during)
	p.Set(Forward)
	expectReset(t, before)
	expectReset(t, during)
	say(t, fresh, "nothing of this one was lost\n")
	expect(t, fresh, "nothing of this one was lost\n")
	expectHeard(t, heard, "nothing of this one was lost\n")
}

func TestBlackholeUpKeepsOnlyTheTargetFromHearing(t *testing.T) {
	p, heard := proxied(t)
	c := dial(t, p)
	say(t, c, "hello\n")
	expect(t, c, "hello\n")
	expectHeard(t, heard, "hello\n")
	p.Set(BlackholeUp)
	say(t, c, "lost\n")
	expectSilence(t, c)
	select {
	case line := <-heard:
		t.Errorf("the target heard %q", line)
	default:
	}
}

func TestBlackholeDownLetsTheTargetHear(t *testing.T) {
	p, heard := proxied(t)
	c := dial(t, p)
	p.Set(BlackholeDown)
	say(t, c, "hello\n")
	expectHeard(t, heard, "hello\n")
	expectSilence(t, c)
}

func TestDripHandsOnByteAfterByte(t *testing.T) {
	p, _ := proxied(t)
	p.Set(Drip)
	c := dial(t, p)
	start := time.Now()
	say(t, c, "0123456789\n")
	expect(t, c, "0123456789\n")
	if took := time.Since(start); took < 11*drip {
		t.Errorf("11 bytes took %v", took)
	}
}

func TestRefuseKeepsOldConnectionsAndResetsNewOnes(t *testing.T) {
	p, _ := proxied(t)
	old := dial(t, p)
	say(t, old, "hello\n")
	expect(t, old, "hello\n")
	p.Set(Refuse)
	expectNoWayIn(t, p)
	say(t, old, "still here\n")
	expect(t, old, "still here\n")
}

func TestTargetThatIsGoneResets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := New(t, l.Addr().String())
	l.Close()
	expectNoWayIn(t, p)
}

func TestEndsWithItsTestWhateverItSwallows(t *testing.T) {
	var addr string
	t.Run("inner", func(t *testing.T) {
		p, _ := proxied(t)
		addr = p.Addr()
		p.Set(Blackhole)
		p.Delay(time.Hour)
		say(t, dial(t, p), "lost\n")
	})
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("the proxy still listens")
	}
}
