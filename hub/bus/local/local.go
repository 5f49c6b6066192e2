// Package local is the bus between nodes of one process: the single node's with
// itself, and the many nodes' of a test. It does no I/O.
package local

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"caac-hub/hub/bus"
	"caac-hub/hub/notify"
)

// Bus is a hub.Bus; all nodes of a deployment share one.
type Bus struct {
	dropped atomic.Int64

	mu      sync.RWMutex
	members map[*member]struct{}
}

type member struct {
	node  string
	queue *bus.Queue
}

// New makes a bus that nobody has joined.
func New() *Bus { return &Bus{members: map[*member]struct{}{}} }

// Join has receive called with what is published to all nodes and to this one.
// leave must not be called by receive.
func (b *Bus) Join(ctx context.Context, node string, receive func(data []byte)) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: join the bus: %w", notify.ErrUnavailable, err)
	}
	m := &member{node, bus.NewQueue(receive, &b.dropped, func() {})}
	b.mu.Lock()
	b.members[m] = struct{}{}
	b.mu.Unlock()
	return func() {
		b.mu.Lock()
		delete(b.members, m)
		b.mu.Unlock()
		m.queue.Close()
	}, nil
}

// Publish hands data on to one node, or to all where node is "". It copies data
// and never waits.
func (b *Bus) Publish(ctx context.Context, node string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: publish: %w", notify.ErrUnavailable, err)
	}
	data = bytes.Clone(data)
	b.mu.RLock()
	defer b.mu.RUnlock()
	for m := range b.members {
		if node == "" || node == m.node {
			m.queue.Put(data)
		}
	}
	return nil
}

// Dropped is how many messages were dropped because a node received too slowly.
func (b *Bus) Dropped() int64 { return b.dropped.Load() }
