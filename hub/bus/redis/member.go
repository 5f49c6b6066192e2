package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"caac-hub/hub/bus"
	"caac-hub/hub/redisconn"
)

const (
	subscribeTimeout = 2 * time.Second // one attempt, from dialing to the last confirmation
	minBackoff       = 50 * time.Millisecond
	maxBackoff       = time.Second

	// A member publishes to itself every probeEvery. Once it has heard nothing
	// for silence, its subscription is dead, or with a server that nobody
	// publishes to any more.
	probeEvery = time.Second
	silence    = 3 * time.Second
	// steady is how long a subscription must have held for the next attempt to
	// start over with the smallest backoff.
	steady = 5 * time.Second
)

var (
	errSilent = errors.New("nothing was heard for too long")
	errMoved  = errors.New("the server ended the subscription")
)

// member is one node's place on the bus.
type member struct {
	b        *Bus
	channels []string // all, the node's own, probe
	probe    string
	queue    *bus.Queue
	heard    atomic.Int64 // when the last frame came, in ns since start
	start    time.Time
}

// Join has receive called with what is published to all nodes and to this one.
// ctx bounds the joining alone; while Redis is away it tries again until ctx
// ends. Where the subscription breaks later, the bus makes it anew by itself;
// what is published meanwhile is lost. receive must not call leave, which may
// take 2 s while Redis does not answer.
func (b *Bus) Join(ctx context.Context, node string, receive func(data []byte)) (leave func(), err error) {
	probe := b.prefix + "probe:" + rand.Text()
	m := &member{b: b, channels: []string{b.all.(string), b.channelOf(node), probe}, probe: probe, start: time.Now()}
	m.queue = bus.NewQueue(receive, &b.dropped, func() {
		b.log.Warn("bus: this node receives too slowly; the oldest messages are dropped", "dropped_total", b.dropped.Load())
	})
	line, err := m.connect(ctx, new(backoff))
	if err != nil {
		m.queue.Close()
		return nil, fmt.Errorf("join the bus: %w", redisconn.Unavailable(err))
	}
	life, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { m.run(life, line) })
	return func() {
		end()
		running.Wait()
		m.queue.Close()
	}, nil
}

// run hears until life ends, over one subscription after another.
func (m *member) run(life context.Context, line *redis.PubSub) {
	var wait backoff
	for {
		began := time.Now()
		err := m.listen(life, line)
		if life.Err() != nil {
			return
		}
		m.b.log.Warn("bus: the subscription broke", "error", err)
		broke := time.Now()
		if broke.Sub(began) >= steady {
			wait = backoff{}
		}
		if !wait.sleep(life) {
			return
		}
		if line, err = m.connect(life, &wait); err != nil {
			return
		}
		m.b.log.Info("bus: subscribed again", "after", time.Since(broke).Round(time.Millisecond))
	}
}

// connect subscribes, again and again until it succeeds or ctx ends, and then
// answers the last failure.
func (m *member) connect(ctx context.Context, wait *backoff) (*redis.PubSub, error) {
	for {
		line, err := m.subscribe(ctx)
		if err == nil {
			return line, nil
		}
		if many, ok := m.b.conn.Client().(*redis.ClusterClient); ok {
			many.ReloadState(ctx)
		}
		if ctx.Err() != nil || !wait.sleep(ctx) {
			return nil, err
		}
	}
}

// subscribe makes one attempt. It returns once Redis has confirmed every channel.
func (m *member) subscribe(ctx context.Context) (line *redis.PubSub, err error) {
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	client := m.b.conn.Client()
	if m.b.conn.Sharded() {
		line = client.SSubscribe(ctx)
		err = line.SSubscribe(ctx, m.channels...)
	} else {
		line = client.Subscribe(ctx)
		err = line.Subscribe(ctx, m.channels...)
	}
	opened := line
	stop := context.AfterFunc(ctx, func() { opened.Close() })
	for confirmed := 0; err == nil && confirmed < len(m.channels); {
		var frame any
		if frame, err = line.Receive(ctx); err == nil {
			if _, ok := frame.(*redis.Subscription); ok {
				confirmed++
			}
			err = m.take(frame)
		}
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		line.Close()
		return nil, err
	}
	return line, nil
}

// listen hears over one subscription until it breaks or ctx ends, and closes it.
func (m *member) listen(ctx context.Context, line *redis.PubSub) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		defer line.Close()
		m.watch(ctx, cancel)
	})
	var err error
	for err == nil {
		var frame any
		if frame, err = line.Receive(ctx); err == nil {
			err = m.take(frame)
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	cancel(nil)
	watching.Wait()
	return err
}

// watch ends a subscription that has fallen silent.
func (m *member) watch(ctx context.Context, end context.CancelCauseFunc) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		// Its failure shows as silence.
		m.b.publish(ctx, m.probe, nil, probeEvery)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if time.Since(m.start)-time.Duration(m.heard.Load()) > silence {
			end(errSilent)
			return
		}
	}
}

func (m *member) take(frame any) error {
	m.heard.Store(int64(time.Since(m.start)))
	switch f := frame.(type) {
	case *redis.Message:
		if f.Channel != m.probe {
			m.queue.Put([]byte(f.Payload))
		}
	case *redis.Subscription:
		if f.Kind != "subscribe" && f.Kind != "ssubscribe" {
			return errMoved
		}
	}
	return nil
}

// backoff is the wait between attempts: full jitter below a bound that doubles.
type backoff struct{ bound time.Duration }

func (w *backoff) next() time.Duration {
	w.bound = min(max(2*w.bound, minBackoff), maxBackoff)
	return mathrand.N(w.bound)
}

// sleep reports whether ctx has not ended before.
func (w *backoff) sleep(ctx context.Context) bool {
	timer := time.NewTimer(w.next())
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
