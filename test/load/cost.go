//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"caac-hub/hub/wire"
)

// costs measures what presence, messages and idling cost a Redis and its nodes,
// one node and three.
func costs(ctx context.Context, s settings, t *table) error {
	for _, nodes := range []int{1, 3} {
		if err := costOf(ctx, s, t, nodes); err != nil {
			return err
		}
	}
	return nil
}

const (
	idleTime    = 10 * time.Second // one comparison of every page with the store
	presenceFor = 3 * time.Second
	presences   = 200 // changes per second
	assignees   = 100
	assigneeFor = 3 * time.Second
	assignedTo  = 200 // messages per second
	teamFor     = 3 * time.Second
	toTeam      = 5 // messages per second
)

func costOf(ctx context.Context, s settings, t *table, nodes int) error {
	c, err := startCluster(ctx, s, fmt.Sprintf("cost-%d", nodes), nodes)
	if err != nil {
		return err
	}
	defer c.stop()
	first := c.nodes[0]
	if err := first.putAgents(ctx, s.team+assignees); err != nil {
		return err
	}
	members := make([]string, s.team)
	for i := range members {
		members[i] = agentID(i)
	}
	if err := first.call(ctx, "PUT", "/v1/teams/all", map[string]any{"members": members}, nil); err != nil {
		return err
	}
	if err := c.redis.fsync(ctx, "everysec"); err != nil {
		return err
	}
	const workers = 16
	whole := newTally(s.team, workers)
	pages, end, lost, err := openActive(c.nodes, 0, s.team, 1, whole)
	if err != nil {
		return err
	}
	defer end()
	// New pages are compared with the store each second for a while.
	if err := pause(ctx, 5*time.Second); err != nil {
		return err
	}
	t.part(fmt.Sprintf("cost on Redis, %s; what idling costs is taken off", plural(nodes, "node")))

	idle, err := c.during(ctx, func() error { return pause(ctx, idleTime) })
	if err != nil {
		return firstOf(lost, err)
	}
	t.add(fmt.Sprintf("idle, %d pages, a second", s.team), "", "%s", idle.scaled(1/idle.took))

	n := 0
	change, err := c.during(ctx, func() error {
		states := []wire.PageState{{Visibility: "hidden"}, active}
		step := time.NewTicker(time.Second / presences)
		defer step.Stop()
		for ; n < int(presenceFor.Seconds()*presences); n++ {
			<-step.C
			// Every page in turn, and back to what it was.
			if err := pages[n/2%len(pages)].become(states[n%2]); err != nil {
				return err
			}
		}
		return pause(ctx, 200*time.Millisecond)
	})
	if err != nil {
		return firstOf(lost, err)
	}
	t.add(fmt.Sprintf("one change of presence, at %d/s", presences), "", "%s", change.over(idle, n))

	two := newTally(2, workers)
	_, endTwo, lostTwo, err := openActive(c.nodes, s.team, assignees, 2, two)
	if err != nil {
		return err
	}
	defer endTwo()
	toOne := &poster{nodes: c.nodes, name: "one-", y: two, workers: workers, assignment: func(n int) string {
		return `"agent":"` + agentID(s.team+n%workers) + `"`
	}}
	toAll := &poster{nodes: c.nodes, name: "all-", y: whole, workers: workers, assignment: func(int) string { return `"team":"all"` }}
	if err := pause(ctx, 4*time.Second); err != nil {
		return err
	}
	persistence := []string{"always", "everysec"}
	if nodes == 1 {
		persistence = persistence[:1]
	}
	for _, fsync := range persistence {
		if err := c.redis.fsync(ctx, fsync); err != nil {
			return err
		}
		of := func(p *poster, rate int, length time.Duration) (stretch, cost, error) {
			var did stretch
			spent, err := c.during(ctx, func() (err error) {
				if did, err = p.open(ctx, rate, length); err == nil {
					_, err = first.settled(ctx, p.conversation(0), did.last)
				}
				return err
			})
			return did, spent.over(idle, did.count), err
		}
		did, each, err := of(toOne, assignedTo, assigneeFor)
		if err != nil {
			return firstOf(lostTwo, err)
		}
		t.add(fmt.Sprintf("one message to an assignee, fsync %s, at %d/s", fsync, assignedTo), "", "%s; 202 p50 %s, frames p50 %s p99 %s",
			each, ms(quantile(did.accepted, 0.5)), ms(quantile(did.latencies, 0.5)), ms(quantile(did.latencies, 0.99)))
		if did, each, err = of(toAll, toTeam, teamFor); err != nil {
			return firstOf(lost, err)
		}
		t.add(fmt.Sprintf("one message to a team of %d, fsync %s, at %d/s", s.team, fsync, toTeam), "", "%s; 202 p50 %s, frames p50 %s p99 %s",
			each, ms(quantile(did.accepted, 0.5)), ms(quantile(did.latencies, 0.5)), ms(quantile(did.latencies, 0.99)))
	}
	return nil
}

// during is what something cost.
func (c *cluster) during(ctx context.Context, do func() error) (cost, error) {
	before, err := c.spent(ctx)
	if err != nil {
		return cost{}, err
	}
	if err := do(); err != nil {
		return cost{}, err
	}
	after, err := c.spent(ctx)
	return before.until(after), err
}

func (c cost) scaled(by float64) cost {
	return cost{
		c.took * by, c.nodes * by, c.redis * by, c.commands * by, c.scripts * by, c.letters * by, c.bytesIn * by, c.bytesOut * by,
	}
}

func (c cost) String() string {
	return fmt.Sprintf("%s commands (%s scripts, %s letters), %s kB in, %s kB out, CPU of Redis %s, of nodes %s",
		figure(c.commands), figure(c.scripts), figure(c.letters), figure(c.bytesIn/1000), figure(c.bytesOut/1000), cpu(c.redis), cpu(c.nodes))
}

func figure(x float64) string {
	switch {
	case x < 10:
		return fmt.Sprintf("%.1f", max(x, 0))
	default:
		return fmt.Sprintf("%.0f", x)
	}
}

func cpu(s float64) string { return fmt.Sprintf("%.2f ms", s*1000) }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func median(xs []float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	xs = slices.Sorted(slices.Values(xs))
	return xs[len(xs)/2]
}
