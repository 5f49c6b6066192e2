//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sync/errgroup"
)

// cluster is a hub to be measured: one program on a data folder, or nodes on a
// Redis of their own.
type cluster struct {
	name  string
	redis *redisServer // nil: the embedded store
	nodes []*server
}

// startEmbedded starts one program on a data folder.
func startEmbedded(ctx context.Context, s settings, name string) (*cluster, error) {
	v, err := startServer(ctx, s, name)
	if err != nil {
		return nil, err
	}
	return &cluster{name: name, nodes: []*server{v}}, nil
}

// startCluster starts a Redis that fsyncs every write, and nodes on it. It
// returns once all are ready. The caller stops it.
func startCluster(ctx context.Context, s settings, name string, nodes int) (c *cluster, err error) {
	c = &cluster{name: name}
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	if c.redis, err = startRedis(ctx); err != nil {
		return c, err
	}
	if _, err := c.admin(ctx, s, "redis-init"); err != nil {
		return c, err
	}
	key, err := c.admin(ctx, s, "apikey", "create", "load")
	if err != nil {
		return c, err
	}
	for i := range nodes {
		v, err := startNode(ctx, s, fmt.Sprintf("%s-%d", name, i), c.redis.url())
		if err != nil {
			return c, err
		}
		v.key = key
		c.nodes = append(c.nodes, v)
	}
	for _, v := range c.nodes {
		if err := v.ready(ctx); err != nil {
			return c, err
		}
	}
	// The last to be ready takes its share of the partitions.
	return c, pause(ctx, time.Second)
}

// admin runs a command of the program on the cluster's Redis.
func (c *cluster) admin(ctx context.Context, s settings, command ...string) (string, error) {
	dir, err := os.MkdirTemp("", "caac-load-admin-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	var out, failure bytes.Buffer
	cmd := exec.CommandContext(ctx, s.binary, append(flags(dir, c.redis.url()), command...)...)
	cmd.Stdout, cmd.Stderr = &out, &failure
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%v: %w: %s", command, err, failure.Bytes())
	}
	return string(bytes.TrimSpace(out.Bytes())), nil
}

// ready waits until the node says that it is.
func (v *server) ready(ctx context.Context) error {
	end := time.Now().Add(20 * time.Second)
	for {
		resp, err := http.Get("http://" + v.addr + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is not ready within 20 s", v.addr)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

func (c *cluster) stop() {
	var g errgroup.Group
	for _, v := range c.nodes {
		g.Go(func() error { v.stop(); return nil })
	}
	g.Wait()
	if c.redis != nil {
		c.redis.stop()
	}
}

// spent is what a cluster has used so far.
type spent struct {
	at    time.Time
	nodes time.Duration // CPU of all nodes
	redis redisUsage
}

func (c *cluster) spent(ctx context.Context) (u spent, err error) {
	u.at = time.Now()
	for _, v := range c.nodes {
		cpu, _, err := processUsage(v.cmd.Process.Pid)
		if err != nil {
			return u, err
		}
		u.nodes += cpu
	}
	if c.redis != nil {
		u.redis, err = c.redis.usage(ctx)
	}
	return u, err
}

// cost is what something took: of time, and of what the cluster used.
type cost struct {
	took                                          float64 // s
	nodes, redis                                  float64 // CPU, s
	commands, scripts, letters, bytesIn, bytesOut float64
}

func (a spent) until(b spent) cost {
	return cost{
		took: b.at.Sub(a.at).Seconds(), nodes: (b.nodes - a.nodes).Seconds(), redis: b.redis.cpu - a.redis.cpu,
		commands: b.redis.commands - a.redis.commands, scripts: b.redis.scripts - a.redis.scripts, letters: b.redis.letters - a.redis.letters,
		bytesIn: b.redis.bytesIn - a.redis.bytesIn, bytesOut: b.redis.bytesOut - a.redis.bytesOut,
	}
}

// over is the cost less what the time costs anyway, by n.
func (c cost) over(idle cost, n int) cost {
	share, by := c.took/idle.took, float64(max(n, 1))
	of := func(x, idle float64) float64 { return (x - idle*share) / by }
	return cost{
		took: c.took / by, nodes: of(c.nodes, idle.nodes), redis: of(c.redis, idle.redis),
		commands: of(c.commands, idle.commands), scripts: of(c.scripts, idle.scripts), letters: of(c.letters, idle.letters),
		bytesIn: of(c.bytesIn, idle.bytesIn), bytesOut: of(c.bytesOut, idle.bytesOut),
	}
}
