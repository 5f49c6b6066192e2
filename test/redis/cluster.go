//go:build linux

package redistest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	masters = 3
	slots   = 16384
)

// Cluster is a Redis Cluster of three masters, each with Options.Replicas replicas.
type Cluster struct {
	t testing.TB
	// Masters, then the replicas of the first, of the second, of the third; as
	// they were at the start.
	Servers []*Server
}

// StartCluster starts a Cluster and returns once every node finds it whole. A
// node that does not answer for 2 s is taken for failed by the others.
func StartCluster(t testing.TB, o Options) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	lines := append(o.lines(),
		"cluster-enabled yes",
		"cluster-port BUSPORT",
		"cluster-node-timeout 2000",
		"cluster-announce-ip 127.0.0.1",
	)
	for i := range masters * (1 + o.Replicas) {
		s := newServer(t, "cluster node "+strconv.Itoa(i), o)
		s.begin(lines...)
		c.Servers = append(c.Servers, s)
	}
	first := c.Servers[0]
	for i, s := range c.Servers {
		ctx := context.Background()
		if i < masters {
			s.must(s.client.ClusterAddSlotsRange(ctx, i*slots/masters, (i+1)*slots/masters-1))
		}
		s.must(s.client.Do(ctx, "cluster", "set-config-epoch", i+1))
		if i > 0 {
			s.must(s.client.Do(ctx, "cluster", "meet", "127.0.0.1", first.port, first.busPort))
		}
	}
	c.AwaitWhole()
	for i, s := range c.Servers[masters:] {
		master := c.Servers[i/max(1, o.Replicas)]
		id, err := master.client.Do(context.Background(), "cluster", "myid").Text()
		if err != nil {
			t.Fatal(err)
		}
		s.must(s.client.ClusterReplicate(context.Background(), id))
	}
	for _, s := range c.Servers[masters:] {
		s.Await("replication", inSync)
	}
	c.awaitReplicas(o.Replicas)
	return c
}

// URL is the cluster's address as redisconn takes it.
func (c *Cluster) URL() string { return urlOf(c.Servers[:masters]) }

// Owner is the server that serves a key, as the first running one knows it; it
// waits while there is none.
func (c *Cluster) Owner(key string) *Server {
	c.t.Helper()
	i := slices.IndexFunc(c.Servers, (*Server).Running)
	if i < 0 {
		c.t.Fatal("no server of the cluster is running")
	}
	client := c.Servers[i].client
	var owner *Server
	await(c.t, "a server for the slot of "+key, func(ctx context.Context) error {
		slot, err := client.ClusterKeySlot(ctx, key).Result()
		if err != nil {
			return err
		}
		shards, err := client.ClusterShards(ctx).Result()
		if err != nil {
			return err
		}
		serves := func(r redis.SlotRange) bool { return r.Start <= slot && slot <= r.End }
		for _, shard := range shards {
			if slices.ContainsFunc(shard.Slots, serves) && owner == nil {
				owner = c.master(shard)
			}
		}
		if owner == nil {
			return fmt.Errorf("%v", shards)
		}
		return nil
	})
	return owner
}

func (c *Cluster) master(shard redis.ClusterShard) *Server {
	for _, node := range shard.Nodes {
		for _, s := range c.Servers {
			// A master that failed stays one for the others, beside its successor.
			if node.Role == "master" && node.Health != "fail" && node.Port == int64(s.port) {
				return s
			}
		}
	}
	return nil
}

// AwaitWhole waits until every running server finds all slots served and knows
// all the others.
func (c *Cluster) AwaitWhole() {
	c.t.Helper()
	for _, s := range c.Servers {
		if !s.Running() {
			continue
		}
		await(c.t, s.name+" to find the cluster whole", func(ctx context.Context) error {
			text, err := s.client.ClusterInfo(ctx).Result()
			if err != nil {
				return err
			}
			info := fields(text)
			if info["cluster_state"] != "ok" || info["cluster_slots_ok"] != strconv.Itoa(slots) || info["cluster_known_nodes"] != strconv.Itoa(len(c.Servers)) {
				return fmt.Errorf("%s", text)
			}
			return nil
		})
	}
}

// awaitReplicas waits until all servers tell of the replicas of every master.
func (c *Cluster) awaitReplicas(replicas int) {
	c.t.Helper()
	if replicas == 0 {
		return
	}
	for _, s := range c.Servers {
		await(c.t, s.name+" to know the replicas", func(ctx context.Context) error {
			shards, err := s.client.ClusterShards(ctx).Result()
			if err != nil {
				return err
			}
			for _, shard := range shards {
				if len(shard.Nodes) != 1+replicas {
					return fmt.Errorf("%v", shard)
				}
			}
			return nil
		})
	}
}

// urlOf is the address of a group: of the first, with the others as addr.
func urlOf(servers []*Server, more ...string) string {
	for _, s := range servers[1:] {
		more = append(more, "addr="+s.Addr())
	}
	return servers[0].URL() + "?" + strings.Join(more, "&")
}

// inSync says of INFO replication that a replica follows its master.
func inSync(info map[string]string) bool {
	return info["role"] == "slave" && info["master_link_status"] == "up" && info["master_sync_in_progress"] == "0"
}

// MoveSlot gives the slot of a key, in which nothing may be stored, to another
// master, and returns that one.
func (c *Cluster) MoveSlot(key string) *Server {
	c.t.Helper()
	ctx := context.Background()
	from := c.Owner(key)
	to := c.Servers[0]
	if to == from {
		to = c.Servers[1]
	}
	slot, err := from.client.ClusterKeySlot(ctx, key).Result()
	if err != nil {
		c.t.Fatal(err)
	}
	ids := map[*Server]string{}
	for _, s := range []*Server{from, to} {
		if ids[s], err = s.client.Do(ctx, "cluster", "myid").Text(); err != nil {
			c.t.Fatal(err)
		}
	}
	to.must(to.client.Do(ctx, "cluster", "setslot", slot, "importing", ids[from]))
	from.must(from.client.Do(ctx, "cluster", "setslot", slot, "migrating", ids[to]))
	for _, s := range append([]*Server{to, from}, c.Servers[:masters]...) {
		s.must(s.client.Do(ctx, "cluster", "setslot", slot, "node", ids[to]))
	}
	return to
}
