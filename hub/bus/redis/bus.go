// Package redis is the bus between nodes over the publish/subscribe of one
// Redis: standalone, behind Sentinel, or a Cluster, where the channels are
// sharded and lie in one slot, so that one connection hears them all in order.
package redis

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"caac-hub/hub/redisconn"
)

// publishTimeout bounds Publish: a hint that comes later is worth nothing.
const publishTimeout = 2 * time.Second

// Bus is a hub.Bus.
type Bus struct {
	conn    *redisconn.Conn
	log     *slog.Logger
	verb    any    // PUBLISH or SPUBLISH
	all     any    // the channel of all
	prefix  string // of the other channels
	dropped atomic.Int64
}

// New makes a bus of the deployment that has the connection's prefix and
// database number. The caller closes the connection after the last leave; log
// may be nil.
func New(c *redisconn.Conn, log *slog.Logger) *Bus {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	db := 0
	if one, ok := c.Client().(*redis.Client); ok {
		db = one.Options().DB // channels know of no databases
	}
	b := &Bus{conn: c, log: log, verb: "publish", prefix: fmt.Sprintf("%s{bus}:%d:", c.Prefix(), db)}
	if c.Sharded() {
		b.verb = "spublish"
	}
	b.all = b.prefix + "all"
	return b
}

// Publish hands data on to one node, or to all where node is "". It copies
// data, and returns once Redis has it, after 2 s at the latest.
func (b *Bus) Publish(ctx context.Context, node string, data []byte) error {
	channel := b.all
	if node != "" {
		channel = b.channelOf(node)
	}
	return b.publish(ctx, channel, bytes.Clone(data), publishTimeout)
}

func (b *Bus) channelOf(node string) string { return b.prefix + "node:" + node }

func (b *Bus) publish(ctx context.Context, channel any, data []byte, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := b.conn.Do(ctx, redis.NewIntCmd(ctx, b.verb, channel, data)); err != nil {
		return fmt.Errorf("publish: %w", redisconn.Unavailable(err))
	}
	return nil
}

// Dropped is how many messages were dropped because a node received too slowly.
func (b *Bus) Dropped() int64 { return b.dropped.Load() }
