//go:build redis

package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"caac-hub/hub"
	"caac-hub/hub/bus/bustest"
	"caac-hub/hub/bus/redis"
	"caac-hub/hub/notify"
	"caac-hub/hub/redisconn"
	"caac-hub/test/faultproxy"
	redistest "caac-hub/test/redis"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Nothing here is to be kept: no fsync slows the tests down.
var memory = redistest.Options{AppendFsync: "off"}

var prefixes atomic.Int64

func newPrefix() string { return fmt.Sprintf("t%d:", prefixes.Add(1)) }

func open(t *testing.T, o redisconn.Options) *redis.Bus {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := redisconn.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return redis.New(c, nil)
}

func conforms(t *testing.T, url string) {
	bustest.Run(t, func(t *testing.T) func() hub.Bus {
		prefix := newPrefix()
		return func() hub.Bus { return open(t, redisconn.Options{URL: url, Prefix: prefix}) }
	})
}

func TestBusConformsOnStandalone(t *testing.T) {
	conforms(t, redistest.Start(t, memory).URL())
}

func TestBusConformsOnCluster(t *testing.T) {
	conforms(t, redistest.StartCluster(t, memory).URL())
}

func TestBusConformsUnderSentinel(t *testing.T) {
	conforms(t, redistest.StartSentinel(t, memory).URL())
}

// node is a member of a bus and what it hears.
type node struct {
	name  string
	bus   *redis.Bus
	heard chan string
	leave func()
}

func join(t *testing.T, b *redis.Bus, name string) *node {
	t.Helper()
	n := &node{name: name, bus: b, heard: make(chan string, 1<<16)}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	leave, err := b.Join(ctx, name, func(data []byte) { n.heard <- string(data) })
	if err != nil {
		t.Fatal(err)
	}
	n.leave = sync.OnceFunc(leave)
	t.Cleanup(n.leave)
	return n
}

func pair(t *testing.T, o redisconn.Options) (a, b *node) {
	t.Helper()
	o.Prefix = newPrefix()
	return join(t, open(t, o), "a"), join(t, open(t, o), "b")
}

// awaitFlow waits until what each publishes, to all and to each one, is heard.
func awaitFlow(t *testing.T, within time.Duration, nodes ...*node) {
	t.Helper()
	began := time.Now()
	end := began.Add(within)
	for _, from := range nodes {
		for _, to := range nodes {
			for _, inbox := range []string{"", to.name} {
				for try := 0; ; try++ {
					data := fmt.Sprint(from.name, " to ", to.name, inbox, try)
					err := from.bus.Publish(t.Context(), inbox, []byte(data))
					if err == nil && to.hears(data, 100*time.Millisecond) {
						break
					}
					if time.Now().After(end) {
						t.Fatalf("%s does not hear %s (inbox %q) after %v; the last publish: %v", to.name, from.name, inbox, within, err)
					}
				}
			}
		}
	}
	t.Logf("messages flow after %v", time.Since(began).Round(time.Millisecond))
}

func (n *node) hears(want string, within time.Duration) bool {
	over := time.After(within)
	for {
		select {
		case got := <-n.heard:
			if got == want {
				return true
			}
		case <-over:
			return false
		}
	}
}

func TestBusHealsAfterItsConnectionsWereKilled(t *testing.T) {
	s := redistest.Start(t, memory)
	a, b := pair(t, redisconn.Options{URL: s.URL()})
	awaitFlow(t, 10*time.Second, a, b)
	for range 3 {
		killed, err := s.Client().Do(t.Context(), "client", "kill", "type", "pubsub").Int()
		if err != nil || killed != 2 {
			t.Fatalf("killed %d subscriptions, %v; want 2", killed, err)
		}
		awaitFlow(t, 10*time.Second, a, b)
	}
}

func TestBusHealsAfterServerRestart(t *testing.T) {
	s := redistest.Start(t, memory)
	a, b := pair(t, redisconn.Options{URL: s.URL()})
	s.Kill()
	if err := a.bus.Publish(t.Context(), "", []byte("lost")); !errors.Is(err, notify.ErrUnavailable) {
		t.Errorf("publish without a server: %v", err)
	}
	s.Restart()
	awaitFlow(t, 10*time.Second, a, b)
}

func TestBusHealsAfterServerFroze(t *testing.T) {
	s := redistest.Start(t, memory)
	a, b := pair(t, redisconn.Options{URL: s.URL()})
	s.Freeze()
	start := time.Now()
	if err := a.bus.Publish(t.Context(), "", []byte("lost")); !errors.Is(err, notify.ErrUnavailable) {
		t.Errorf("publish to a frozen server: %v", err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("publish took %v", took)
	}
	s.Thaw()
	awaitFlow(t, 10*time.Second, a, b)
}

func TestBusHealsAfterSentinelFailover(t *testing.T) {
	g := redistest.StartSentinel(t, memory)
	a, b := pair(t, redisconn.Options{URL: g.URL()})
	awaitFlow(t, 10*time.Second, a, b)
	g.Failover()
	awaitFlow(t, 10*time.Second, a, b)
}

func TestBusHealsAfterFailoverFromFrozenMaster(t *testing.T) {
	g := redistest.StartSentinel(t, memory)
	a, b := pair(t, redisconn.Options{URL: g.URL()})
	awaitFlow(t, 10*time.Second, a, b)
	old := g.Master()
	old.Freeze()
	g.AwaitFailover(old)
	awaitFlow(t, 10*time.Second, a, b)
}

// busKey lies in the slot of every bus's channels.
const busKey = "{bus}"

func TestBusHealsAfterClusterFailover(t *testing.T) {
	o := memory
	o.Replicas = 1
	c := redistest.StartCluster(t, o)
	a, b := pair(t, redisconn.Options{URL: c.URL()})
	awaitFlow(t, 10*time.Second, a, b)
	c.Owner(busKey).Kill()
	awaitFlow(t, 30*time.Second, a, b)
}

func TestBusFollowsItsSlotToAnotherMaster(t *testing.T) {
	c := redistest.StartCluster(t, memory)
	a, b := pair(t, redisconn.Options{URL: c.URL()})
	awaitFlow(t, 10*time.Second, a, b)
	c.MoveSlot(busKey)
	// Sooner than silence would tell: the servers say that the slot has moved.
	awaitFlow(t, 2500*time.Millisecond, a, b)
}

func TestDatabasesOfOneServerDoNotHearEachOther(t *testing.T) {
	s := redistest.Start(t, memory)
	one := join(t, open(t, redisconn.Options{URL: s.URL() + "/1"}), "n")
	two := join(t, open(t, redisconn.Options{URL: s.URL() + "/2"}), "n")
	for _, n := range []*node{one, two} {
		if err := n.bus.Publish(t.Context(), "", []byte("to all")); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []*node{one, two} {
		if err := n.bus.Publish(t.Context(), "n", []byte("end")); err != nil {
			t.Fatal(err)
		}
		if first, second := <-n.heard, <-n.heard; first != "to all" || second != "end" {
			t.Errorf("heard %q, %q", first, second)
		}
	}
}

// through leads every connection to where a proxy stands now.
type through struct {
	proxy atomic.Pointer[faultproxy.Proxy]
}

func (d *through) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, d.proxy.Load().Addr())
}

func TestPublishIntoBlackholeReturnsInTime(t *testing.T) {
	s := redistest.Start(t, memory)
	for _, mode := range []faultproxy.Mode{faultproxy.Blackhole, faultproxy.BlackholeUp, faultproxy.BlackholeDown} {
		var way through
		proxy := faultproxy.New(t, s.Addr())
		way.proxy.Store(proxy)
		a, b := pair(t, redisconn.Options{URL: s.URL(), Dial: way.dial})
		awaitFlow(t, 10*time.Second, a, b)
		proxy.Set(mode)
		start := time.Now()
		var publishing sync.WaitGroup
		for range 20 {
			publishing.Go(func() {
				if err := a.bus.Publish(t.Context(), "b", []byte("lost")); !errors.Is(err, notify.ErrUnavailable) {
					t.Errorf("publish: %v", err)
				}
			})
		}
		publishing.Wait()
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("publish took %v", took)
		}
		proxy.Set(faultproxy.Forward)
		awaitFlow(t, 10*time.Second, a, b)
	}
}

func TestSilentSubscriptionIsReplaced(t *testing.T) {
	s := redistest.Start(t, memory)
	var way through
	deaf := faultproxy.New(t, s.Addr())
	way.proxy.Store(deaf)
	a, b := pair(t, redisconn.Options{URL: s.URL(), Dial: way.dial})
	awaitFlow(t, 10*time.Second, a, b)
	// What is connected falls silent and stays open; new connections work.
	deaf.Set(faultproxy.Blackhole)
	way.proxy.Store(faultproxy.New(t, s.Addr()))
	awaitFlow(t, 15*time.Second, a, b)
}

func TestJoinReturnsOnlyOnceRedisHasConfirmed(t *testing.T) {
	s := redistest.Start(t, memory)
	var way through
	slow := faultproxy.New(t, s.Addr())
	way.proxy.Store(slow)
	prefix := newPrefix()
	near := open(t, redisconn.Options{URL: s.URL(), Prefix: prefix})
	far := open(t, redisconn.Options{URL: s.URL(), Prefix: prefix, Dial: way.dial})
	slow.Delay(20 * time.Millisecond)
	n := join(t, far, "far")
	for _, inbox := range []string{"", "far"} {
		if err := near.Publish(t.Context(), inbox, []byte("to "+inbox)); err != nil {
			t.Fatal(err)
		}
		if !n.hears("to "+inbox, 10*time.Second) {
			t.Errorf("what was published to %q right after Join is not heard", inbox)
		}
	}
}

func TestJoinWaitsForRedisUntilItsContextEnds(t *testing.T) {
	s := redistest.Start(t, memory)
	b := open(t, redisconn.Options{URL: s.URL()})
	s.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := b.Join(ctx, "a", func([]byte) {}); !errors.Is(err, notify.ErrUnavailable) {
		t.Errorf("join without a server: %v", err)
	}
	joined := make(chan error)
	var leave func()
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		var err error
		leave, err = b.Join(ctx, "a", func([]byte) {})
		joined <- err
	}()
	select {
	case err := <-joined:
		t.Fatalf("join ended without a server: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	s.Restart()
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
	leave()
}

func TestLeaveEndsSoonWhileRedisIsAway(t *testing.T) {
	for name, fail := range map[string]func(*redistest.Server){
		"killed": (*redistest.Server).Kill,
		"frozen": (*redistest.Server).Freeze,
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t, memory)
			a, _ := pair(t, redisconn.Options{URL: s.URL()})
			fail(s)
			start := time.Now()
			a.leave()
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("leave took %v", took)
			}
		})
	}
}

func BenchmarkPublish(b *testing.B) {
	s := redistest.Start(b, memory)
	c, err := redisconn.Open(b.Context(), redisconn.Options{URL: s.URL()})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	bus := redis.New(c, nil)
	leave, err := bus.Join(b.Context(), "a", func([]byte) {})
	if err != nil {
		b.Fatal(err)
	}
	defer leave()
	data := make([]byte, 300)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := bus.Publish(b.Context(), "a", data); err != nil {
				b.Error(err)
			}
		}
	})
}
