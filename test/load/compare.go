//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"caac-hub/hub/notify"
)

// compareRounds is how often every variant has its turn; medians are printed.
const compareRounds = 3

// compare measures the same messages on one embedded node, one node on Redis and
// three, in turns, so that what else the machine does hits all alike.
func compare(ctx context.Context, s settings, t *table) error {
	const (
		agents, workers = 100, 64
		rate            = 300
	)
	var variants []*variant
	for _, v := range []struct {
		name  string
		nodes int
	}{{"one embedded node", 0}, {"one node on Redis", 1}, {"three nodes on Redis", 3}} {
		var c *cluster
		var err error
		if v.nodes == 0 {
			c, err = startEmbedded(ctx, s, "compare-0")
		} else {
			c, err = startCluster(ctx, s, fmt.Sprintf("compare-%d", v.nodes), v.nodes)
		}
		if err != nil {
			return err
		}
		defer c.stop()
		if err := c.nodes[0].putAgents(ctx, agents); err != nil {
			return err
		}
		y := newTally(2, workers)
		_, end, lost, err := openActive(c.nodes, 0, agents, 2, y)
		if err != nil {
			return err
		}
		defer end()
		p := &poster{nodes: c.nodes, y: y, workers: workers, assignment: func(n int) string { return `"agent":"` + agentID(n%workers) + `"` }}
		variants = append(variants, &variant{name: v.name, c: c, p: p, lost: lost})
	}
	if err := pause(ctx, 4*time.Second); err != nil {
		return err
	}
	for _, v := range variants {
		var err error
		if v.idle, err = v.c.during(ctx, func() error { return pause(ctx, 2*time.Second) }); err != nil {
			return err
		}
		if _, err = v.p.closed(ctx, time.Second); err != nil {
			return firstOf(v.lost, err)
		}
	}
	if err := pause(ctx, 4*time.Second); err != nil {
		return err
	}
	length := s.length / 4
	for range compareRounds {
		for _, v := range variants {
			if err := v.turn(ctx, &v.moderate, func() (stretch, error) { return v.p.open(ctx, rate, length) }); err != nil {
				return firstOf(v.lost, err)
			}
		}
		for _, v := range variants {
			if err := v.turn(ctx, &v.saturated, func() (stretch, error) { return v.p.closed(ctx, length) }); err != nil {
				return firstOf(v.lost, err)
			}
		}
	}
	t.part(fmt.Sprintf("%d assignees with two active pages each, on two nodes where there are more; fsync always; medians of %d rounds (and the ratio to the embedded node)", agents, compareRounds))
	base := variants[0]
	for _, v := range variants {
		t.add(v.name+fmt.Sprintf(", %d/s", rate), "", "202 p50 %s, frames p50 %s, p99 %s; CPU per message: nodes %s, Redis %s",
			against(v.moderate.accepted, base.moderate.accepted, "ms"), against(v.moderate.p50, base.moderate.p50, "ms"), against(v.moderate.p99, base.moderate.p99, "ms"),
			against(v.moderate.nodes, base.moderate.nodes, "ms"), against(v.moderate.redis, nil, "ms"))
	}
	for _, v := range variants {
		t.add(v.name+fmt.Sprintf(", saturation, %d connections", workers), "", "%s; frames p50 %s, p99 %s; CPU per message: nodes %s, Redis %s",
			against(v.saturated.rate, base.saturated.rate, "messages/s"), against(v.saturated.p50, base.saturated.p50, "ms"), against(v.saturated.p99, base.saturated.p99, "ms"),
			against(v.saturated.nodes, base.saturated.nodes, "ms"), against(v.saturated.redis, nil, "ms"))
	}
	return nil
}

// variant is one way to run the hub.
type variant struct {
	name                string
	c                   *cluster
	p                   *poster
	lost                chan error
	idle                cost
	moderate, saturated figures
}

// figures of each round; durations in ms.
type figures struct{ accepted, p50, p99, rate, nodes, redis []float64 }

// turn runs one stretch and waits until its last message has come to its end.
func (v *variant) turn(ctx context.Context, f *figures, run func() (stretch, error)) error {
	var did stretch
	var took time.Duration
	all, err := v.c.during(ctx, func() (err error) {
		began := time.Now()
		if did, err = run(); err != nil {
			return err
		}
		took = time.Since(began)
		ends, err := v.c.nodes[0].settled(ctx, v.p.conversation(0), did.last)
		if err == nil && ends[notify.Acknowledged] != 1 {
			err = fmt.Errorf("message %s was not acknowledged: %v", did.last, ends)
		}
		return err
	})
	if err != nil {
		return err
	}
	each := all.over(v.idle, did.count)
	in := func(d time.Duration) float64 { return d.Seconds() * 1000 }
	f.accepted = append(f.accepted, in(quantile(did.accepted, 0.5)))
	f.p50, f.p99 = append(f.p50, in(quantile(did.latencies, 0.5))), append(f.p99, in(quantile(did.latencies, 0.99)))
	f.rate = append(f.rate, float64(did.count)/took.Seconds())
	f.nodes, f.redis = append(f.nodes, each.nodes*1000), append(f.redis, each.redis*1000)
	return nil
}

// against prints a median, with its ratio to another.
func against(xs, base []float64, unit string) string {
	x := median(xs)
	text := fmt.Sprintf("%.2f %s", x, unit)
	if x >= 100 {
		text = fmt.Sprintf("%.0f %s", x, unit)
	}
	if b := median(base); b > 0 {
		text += fmt.Sprintf(" (%.2f)", x/b)
	}
	return text
}
