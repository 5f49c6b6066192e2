//go:build linux

package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"caac-hub/hub/wire"
)

// settleTime is how long the server gets to come to rest after the last socket.
const settleTime = 40 * time.Second

// idle opens sockets, each of an agent, login and device of its own, half of
// them visible, renews their state as pages do, and weighs the server.
func idle(ctx context.Context, s settings, t *table) error {
	v, err := startServer(ctx, s, "idle")
	if err != nil {
		return err
	}
	defer v.stop()
	if err := v.putAgents(ctx, s.sockets); err != nil {
		return err
	}
	// What agents cost is state, not sockets.
	if err := pause(ctx, 3*time.Second); err != nil {
		return err
	}
	before, err := v.usage()
	if err != nil {
		return err
	}
	began := time.Now()
	pages := make([]*page, s.sockets)
	opening, _ := errgroup.WithContext(ctx)
	opening.SetLimit(64)
	for i := range pages {
		opening.Go(func() (err error) {
			state := wire.PageState{Visibility: "hidden"}
			if i%2 == 0 {
				state = wire.PageState{Visibility: "visible", Viewing: fmt.Sprintf("c%d", i)}
			}
			pages[i], err = openPage(v, agentID(i), nil, state)
			return err
		})
	}
	defer func() {
		for _, p := range pages {
			if p != nil {
				p.conn.Close()
			}
		}
	}()
	if err := opening.Wait(); err != nil {
		return err
	}
	took := time.Since(began)
	lost := make(chan error, len(pages))
	for _, p := range pages {
		go func() { lost <- p.live(nil) }()
	}
	opened, err := v.usage()
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	go renewing(pages, stop)
	defer close(stop)
	select {
	case err := <-lost:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settleTime):
	}
	after, err := v.usage()
	if err != nil {
		return err
	}
	if s.profile != "" {
		v.cmd.Process.Signal(syscall.SIGUSR1)
		if err := pause(ctx, 3*time.Second); err != nil {
			return err
		}
	}
	n := int64(s.sockets)
	t.part(fmt.Sprintf("idle: %d sockets, each with agent, login and device in the store, half visible", s.sockets))
	t.add("server RSS per socket", "<= 12,288 bytes", "%d bytes (%.1f MB before, %.1f MB after %v)", (after.rss-before.rss)/n, mb(before.rss), mb(after.rss), settleTime)
	t.add("of it heap and stacks in use", "", "%d + %d bytes", (after.heap-before.heap)/n, (after.stacks-before.stacks)/n)
	t.add("goroutines per socket", "", "%.2f", float64(after.goroutines-before.goroutines)/float64(n))
	t.add("handshake with hello: CPU", "", "%d µs, %.0f allocations, %.0f/s", (opened.cpu-before.cpu).Microseconds()/n, (opened.mallocs-before.mallocs)/float64(n), float64(n)/took.Seconds())
	t.add("CPU while idle, renewals every 15 s", "", "%.1f %% of a core", 100*(after.cpu-opened.cpu).Seconds()/settleTime.Seconds())
	return nil
}

func mb(b int64) float64 { return float64(b) / 1e6 }
