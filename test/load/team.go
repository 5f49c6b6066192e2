//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// team measures messages to a team, every member of which has a page open.
func team(ctx context.Context, s settings, t *table) error {
	v, err := startServer(ctx, s, "team")
	if err != nil {
		return err
	}
	defer v.stop()
	if err := v.putAgents(ctx, s.team); err != nil {
		return err
	}
	members := make([]string, s.team)
	for i := range members {
		members[i] = agentID(i)
	}
	if err := v.call(ctx, "PUT", "/v1/teams/all", map[string]any{"members": members}, nil); err != nil {
		return err
	}
	const workers = 8
	y := newTally(s.team, workers)
	nodes := []*server{v}
	_, end, lost, err := openActive(nodes, 0, s.team, 1, y)
	if err != nil {
		return err
	}
	defer end()
	p := &poster{nodes: nodes, y: y, workers: workers, assignment: func(int) string { return `"team":"all"` }}
	before, err := v.usage()
	if err != nil {
		return err
	}
	frames := y.total.Load()
	began := time.Now()
	did, err := p.closed(ctx, s.length)
	took := time.Since(began)
	if err != nil {
		return firstOf(lost, err)
	}
	read := y.total.Load() - frames
	ends, err := v.settled(ctx, p.conversation(0), did.last)
	if err != nil {
		return err
	}
	after, err := v.usage()
	if err != nil {
		return err
	}
	n := float64(did.count)
	t.part(fmt.Sprintf("team of %d, each with an active page; POST → durable → every frame read, acknowledged, settled", s.team))
	t.add(fmt.Sprintf("saturation, %d connections", workers), ">= 60/s", "%.1f messages/s (%d), p50 %s, p99 %s", n/took.Seconds(), did.count, ms(quantile(did.latencies, 0.5)), ms(quantile(did.latencies, 0.99)))
	t.add("  frames read by pages", "", "%d = %d × %d", read, did.count, s.team)
	t.add("  ends of the last message", "", "%v", ends)
	t.add("  CPU and allocations per message", "", "%.1f ms, %.0f allocations, %.0f kB", (after.cpu-before.cpu).Seconds()*1000/n, (after.mallocs-before.mallocs)/n, (after.allocated-before.allocated)/n/1000)
	t.add("  CPU and allocations per member", "", "%.1f µs, %.1f allocations", (after.cpu-before.cpu).Seconds()*1e6/n/float64(s.team), (after.mallocs-before.mallocs)/n/float64(s.team))
	const rate = 10
	if did, err = p.open(ctx, rate, s.length); err != nil {
		return firstOf(lost, err)
	}
	if ends, err = v.settled(ctx, p.conversation(0), did.last); err != nil {
		return err
	}
	t.add(fmt.Sprintf("open loop, %d/s", rate), "", "p50 %s, p99 %s until the last of %d frames was read; ends of the last %v", ms(quantile(did.latencies, 0.5)), ms(quantile(did.latencies, 0.99)), s.team, ends)
	return nil
}
