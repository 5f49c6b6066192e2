//go:build redis && linux

package redis_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"caac-hub/hub"
	"caac-hub/hub/redisconn"
	redisstore "caac-hub/hub/store/redis"
	"caac-hub/hub/store/storetest"
	redistest "caac-hub/test/redis"
)

var _ hub.Store = (*redisstore.Store)(nil)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t testing.TB, o redisconn.Options) *redisconn.Conn {
	t.Helper()
	c, err := redisconn.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// open opens a store without an identity.
func open(t testing.TB, o redisstore.Options) *redisstore.Store {
	t.Helper()
	s, err := redisstore.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func ready(t testing.TB, o redisstore.Options) *redisstore.Store {
	t.Helper()
	s := open(t, o)
	if err := s.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

var prefixes atomic.Int64

// prefix is one that no other test has.
func prefix() string { return fmt.Sprintf("t%d:", prefixes.Add(1)) }

// conform runs the suite, each test under a prefix of its own.
func conform(t *testing.T, url string) {
	under := map[hub.Store]string{}
	storetest.Run(t, storetest.Subject{
		Open: func(t *testing.T, now func() time.Time) hub.Store {
			p := prefix()
			s := ready(t, redisstore.Options{Conn: connect(t, redisconn.Options{URL: url, Prefix: p}), Now: now})
			under[s] = p
			return s
		},
		Reopen: func(t *testing.T, old hub.Store, now func() time.Time) hub.Store {
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			s := open(t, redisstore.Options{Conn: connect(t, redisconn.Options{URL: url, Prefix: under[old]}), Now: now})
			under[s] = under[old]
			return s
		},
	})
}

func TestStoreKeepsTheContractOnOneServer(t *testing.T) {
	conform(t, redistest.Start(t, redistest.Options{AppendFsync: "everysec"}).URL())
}

func TestStoreKeepsTheContractOnACluster(t *testing.T) {
	conform(t, redistest.StartCluster(t, redistest.Options{AppendFsync: "everysec"}).URL())
}

func TestStoreKeepsTheContractUnderSentinel(t *testing.T) {
	conform(t, redistest.StartSentinel(t, redistest.Options{AppendFsync: "everysec"}).URL())
}
