//go:build linux

package redistest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
)

const (
	sentinels  = 3
	masterName = "caac"
)

// Sentinel is a master with replicas, watched by three sentinels of which two
// must agree.
type Sentinel struct {
	t         testing.TB
	Servers   []*Server // as they were at the start: the master, then its replicas
	Sentinels []*Server
}

// StartSentinel starts a master, its replicas (Options.Replicas, or 1) and
// three sentinels, and returns once the replicas are in sync and the sentinels
// know them and each other. A master that does not answer for a second is
// taken for down: less, and a slow disk passes for it.
func StartSentinel(t testing.TB, o Options) *Sentinel {
	t.Helper()
	g := &Sentinel{t: t}
	master := newServer(t, "master", o)
	master.begin(o.lines()...)
	g.Servers = append(g.Servers, master)
	for i := range max(1, o.Replicas) {
		s := newServer(t, "replica "+strconv.Itoa(i+1), o)
		s.begin(append(o.lines(), "replicaof 127.0.0.1 "+strconv.Itoa(master.port))...)
		g.Servers = append(g.Servers, s)
	}
	g.AwaitSync()
	for i := range sentinels {
		s := newServer(t, "sentinel "+strconv.Itoa(i+1), Options{Binary: o.Binary, Args: []string{"--sentinel"}})
		s.begin(
			"sentinel monitor "+masterName+" 127.0.0.1 "+strconv.Itoa(master.port)+" 2",
			"sentinel down-after-milliseconds "+masterName+" 1000",
			"sentinel failover-timeout "+masterName+" 3000",
		)
		g.Sentinels = append(g.Sentinels, s)
	}
	for _, s := range g.Sentinels {
		g.await(s, func(seen map[string]string) bool {
			return seen["num-slaves"] == strconv.Itoa(len(g.Servers)-1) && seen["num-other-sentinels"] == strconv.Itoa(sentinels-1)
		})
	}
	return g
}

// URL is the group's address as redisconn takes it.
func (g *Sentinel) URL() string { return urlOf(g.Sentinels, "master_name="+masterName) }

// Master is the server that all running sentinels hold for the master now; it
// waits until they agree.
func (g *Sentinel) Master() *Server {
	g.t.Helper()
	var master *Server
	await(g.t, "the sentinels to agree on a master", func(ctx context.Context) (err error) {
		master, err = g.agreed(ctx)
		return err
	})
	return master
}

func (g *Sentinel) agreed(ctx context.Context) (master *Server, err error) {
	if len(g.Sentinels) == 0 {
		return g.Servers[0], nil // they are still to be started
	}
	for _, s := range g.Sentinels {
		if !s.Running() {
			continue
		}
		seen, err := g.seen(ctx, s)
		if err != nil {
			return nil, err
		}
		named := g.server(seen["port"])
		if named == nil || master != nil && master != named {
			return nil, fmt.Errorf("%s names port %s", s.name, seen["port"])
		}
		master = named
	}
	return master, nil
}

// Failover kills the master and returns the server that took its place, once
// it is a master and every sentinel names it.
func (g *Sentinel) Failover() *Server {
	g.t.Helper()
	old := g.Master()
	old.Kill()
	return g.AwaitFailover(old)
}

// AwaitFailover waits until every sentinel names a master other than old, and
// that one is a master.
func (g *Sentinel) AwaitFailover(old *Server) *Server {
	g.t.Helper()
	var master *Server
	await(g.t, "another master than "+old.name, func(ctx context.Context) (err error) {
		if master, err = g.agreed(ctx); err != nil {
			return err
		}
		if master == old {
			return errors.New("all still name it")
		}
		return master.is(ctx, "replication", func(info map[string]string) bool { return info["role"] == "master" })
	})
	return master
}

// AwaitSync waits until every running server but the master follows it. One
// that was the master and was restarted takes some ten seconds to be told.
func (g *Sentinel) AwaitSync() {
	g.t.Helper()
	await(g.t, "all to follow the master", func(ctx context.Context) error {
		master, err := g.agreed(ctx)
		if err != nil {
			return err
		}
		for _, s := range g.Servers {
			if s == master || !s.Running() {
				continue
			}
			err := s.is(ctx, "replication", func(info map[string]string) bool {
				return inSync(info) && info["master_port"] == strconv.Itoa(master.port)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// await waits until what a sentinel sees is as wanted.
func (g *Sentinel) await(s *Server, ok func(seen map[string]string) bool) {
	g.t.Helper()
	await(g.t, s.name, func(ctx context.Context) error {
		seen, err := g.seen(ctx, s)
		if err == nil && !ok(seen) {
			err = fmt.Errorf("it sees %v", seen)
		}
		return err
	})
}

// seen is what a sentinel says of the master.
func (g *Sentinel) seen(ctx context.Context, s *Server) (map[string]string, error) {
	list, err := s.client.Do(ctx, "sentinel", "master", masterName).StringSlice()
	if err != nil {
		return nil, err
	}
	seen := map[string]string{}
	for i := 0; i+1 < len(list); i += 2 {
		seen[list[i]] = list[i+1]
	}
	return seen, nil
}

func (g *Sentinel) server(port string) *Server {
	for _, s := range g.Servers {
		if strconv.Itoa(s.port) == port {
			return s
		}
	}
	return nil
}
