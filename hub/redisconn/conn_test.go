//go:build redis && linux

package redisconn_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"caac-hub/hub/notify"
	"caac-hub/hub/redisconn"
	redistest "caac-hub/test/redis"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, o redisconn.Options) *redisconn.Conn {
	t.Helper()
	c, err := redisconn.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

var off = redistest.Options{AppendFsync: "off"}

func TestErrorOfOneCommandFailsOnlyItsCaller(t *testing.T) {
	for name, url := range map[string]string{"one server": redistest.Start(t, off).URL(), "Cluster": redistest.StartCluster(t, off).URL()} {
		c := open(t, redisconn.Options{URL: url})
		ctx := t.Context()
		if err := c.Do(ctx, redis.NewStatusCmd(ctx, "set", "text", "a")); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				key := fmt.Sprint("n", i)
				switch i % 4 {
				case 0:
					if err := c.Do(ctx, redis.NewIntCmd(ctx, "incr", "text")); err == nil || !strings.Contains(err.Error(), "not an integer") {
						t.Errorf("%s: error %v", name, err)
					}
				case 1:
					if err := c.Do(ctx, redis.NewCmd(ctx, "set", key, struct{}{})); err == nil {
						t.Errorf("%s: an argument that can't be written was sent", name)
					}
				default:
					set, get := redis.NewStatusCmd(ctx, "set", key, i), redis.NewStringCmd(ctx, "get", key)
					if err := c.Do(ctx, set, get); err != nil || get.Val() != fmt.Sprint(i) {
						t.Errorf("%s: %q, %v", name, get.Val(), err)
					}
				}
			})
		}
		wg.Wait()
		missing := redis.NewStringCmd(ctx, "get", "missing")
		if err := c.Do(ctx, missing); err != nil || missing.Err() != redis.Nil {
			t.Errorf("%s: a missing key: %v, %v", name, err, missing.Err())
		}
	}
}

// counted counts the writes to its connections.
func counted(writes *atomic.Int64) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return countedConn{c, writes}, err
	}
}

type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countedConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

func TestCommandsOfManyCallersShareSends(t *testing.T) {
	server := redistest.Start(t, off)
	var writes atomic.Int64
	c := open(t, redisconn.Options{URL: server.URL(), Dial: counted(&writes)})
	ctx := t.Context()
	server.Freeze() // so that commands gather
	const callers = 500
	var wg sync.WaitGroup
	var answered atomic.Int64
	before := writes.Load()
	for i := range callers {
		wg.Go(func() {
			if err := c.Do(ctx, redis.NewStatusCmd(ctx, "set", "k", i)); err == nil {
				answered.Add(1)
			}
		})
	}
	for writes.Load() < before+4 {
		time.Sleep(time.Millisecond)
	}
	server.Thaw()
	wg.Wait()
	if answered.Load() != callers || writes.Load()-before > 60 {
		t.Errorf("%d of %d commands were answered, sent in %d writes", answered.Load(), callers, writes.Load()-before)
	}
}

func TestMasterThatDoesNotAnswerHoldsUpNobodyElse(t *testing.T) {
	cluster := redistest.StartCluster(t, off)
	c := open(t, redisconn.Options{URL: cluster.URL()})
	ctx := t.Context()
	frozen := cluster.Owner("a")
	var elsewhere string
	for i := 0; elsewhere == ""; i++ {
		if key := fmt.Sprint("k", i); cluster.Owner(key) != frozen {
			elsewhere = key
		}
	}
	for _, key := range []string{"a", elsewhere} {
		if err := c.Do(ctx, redis.NewStatusCmd(ctx, "set", key, 1)); err != nil {
			t.Fatal(err)
		}
	}
	frozen.Freeze()
	defer frozen.Thaw()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := redisconn.Unavailable(c.Do(ctx, redis.NewStringCmd(ctx, "get", "a"))); !errors.Is(err, notify.ErrUnavailable) {
				t.Errorf("error %v", err)
			}
		})
	}
	begin := time.Now()
	if err := c.Do(ctx, redis.NewStringCmd(ctx, "get", elsewhere)); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 500*time.Millisecond {
		t.Errorf("a command to another master took %v", took)
	}
	wg.Wait()
}

func TestCommandIsSentOnceThoughItsAnswerIsLost(t *testing.T) {
	for _, start := range []func() (url string, server func(key string) *redistest.Server){
		func() (string, func(string) *redistest.Server) {
			s := redistest.Start(t, off)
			return s.URL(), func(string) *redistest.Server { return s }
		},
		func() (string, func(string) *redistest.Server) {
			c := redistest.StartCluster(t, off)
			return c.URL(), c.Owner
		},
	} {
		url, owner := start()
		var cut atomic.Bool
		c := open(t, redisconn.Options{URL: url, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return deaf{conn, &cut}, err
		}})
		ctx := t.Context()
		if err := c.Do(ctx, redis.NewIntCmd(ctx, "incr", "n")); err != nil {
			t.Fatal(err)
		}
		cut.Store(true)
		if err := redisconn.Unavailable(c.Do(ctx, redis.NewIntCmd(ctx, "incr", "n"))); !errors.Is(err, notify.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
		cut.Store(false)
		if n, err := owner("n").Client().Get(ctx, "n").Int(); n != 2 || err != nil {
			t.Errorf("%s: it ran %d times beyond the first (%v), want once", url, n-1, err)
		}
	}
}

// deaf loses answers while cut.
type deaf struct {
	net.Conn
	cut *atomic.Bool
}

func (d deaf) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	if err == nil && d.cut.Load() {
		d.Conn.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

func TestRedisOfAnotherFormIsNamed(t *testing.T) {
	ctx := t.Context()
	one, cluster, group := redistest.Start(t, off), redistest.StartCluster(t, off), redistest.StartSentinel(t, off)
	for url, says := range map[string]string{
		cluster.Servers[0].URL():                                          "part of a Redis Cluster",
		one.URL() + "?addr=" + one.Addr():                                 "no Redis Cluster",
		group.Sentinels[0].URL():                                          "master_name",
		strings.Replace(group.URL(), "master_name=", "master_name=un", 1): "knows no master",
	} {
		c, err := redisconn.Open(ctx, redisconn.Options{URL: url})
		if err == nil {
			c.Close()
			t.Errorf("%s was opened", url)
			continue
		}
		if !strings.Contains(err.Error(), says) || errors.Is(err, notify.ErrUnavailable) {
			t.Errorf("%s: %v, want %q", url, err, says)
		}
	}
}

func TestPasswordIsNeverInAnError(t *testing.T) {
	server := redistest.Start(t, redistest.Options{AppendFsync: "off", Args: []string{"--requirepass", "right-word"}})
	ctx := t.Context()
	url := func(password string) string { return strings.Replace(server.URL(), "//", "//:"+password+"@", 1) }
	for _, u := range []string{url("wrong-word"), server.URL()} {
		if _, err := redisconn.Open(ctx, redisconn.Options{URL: u}); err == nil || strings.Contains(err.Error(), "-word") || !strings.Contains(err.Error(), "password") {
			t.Errorf("error %v", err)
		}
	}
	c := open(t, redisconn.Options{URL: url("right-word")})
	server.Kill()
	err := redisconn.Unavailable(c.Do(ctx, redis.NewStatusCmd(ctx, "ping")))
	if !errors.Is(err, notify.ErrUnavailable) || strings.Contains(err.Error(), "-word") {
		t.Errorf("error %v", err)
	}
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if _, err := redisconn.Open(short, redisconn.Options{URL: url("right-word")}); !errors.Is(err, notify.ErrUnavailable) || strings.Contains(err.Error(), "-word") {
		t.Errorf("error %v", err)
	}
}

func TestClosedConnAnswersUnavailable(t *testing.T) {
	server := redistest.Start(t, off)
	c := open(t, redisconn.Options{URL: server.URL()})
	ctx := t.Context()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for {
				if err := c.Do(ctx, redis.NewStatusCmd(ctx, "ping")); err != nil {
					if err := redisconn.Unavailable(err); !errors.Is(err, notify.ErrUnavailable) {
						t.Errorf("error %v", err)
					}
					return
				}
			}
		})
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
