//go:build linux

package main

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// tally follows messages by number: when each was due to be posted, how many
// notify frames of it were read, and when the last of them.
type tally struct {
	frames int // of one message
	posted []atomic.Int64
	read   []atomic.Int32
	last   []atomic.Int64
	done   []chan struct{} // closed loop: of the worker, by message number modulo workers
	total  atomic.Int64
}

// maxMessages bounds one run.
const maxMessages = 400_000

func newTally(frames, workers int) *tally {
	y := &tally{frames: frames, posted: make([]atomic.Int64, maxMessages), read: make([]atomic.Int32, maxMessages), last: make([]atomic.Int64, maxMessages)}
	for range workers {
		y.done = append(y.done, make(chan struct{}, 1))
	}
	return y
}

// seen counts a frame that a page has read.
func (y *tally) seen(message []byte) {
	n, err := strconv.Atoi(string(message))
	if err != nil || n >= maxMessages {
		return
	}
	y.total.Add(1)
	if int(y.read[n].Add(1)) == y.frames {
		y.last[n].Store(time.Now().UnixNano())
		select {
		case y.done[n%len(y.done)] <- struct{}{}:
		default:
		}
	}
}

// poster posts messages, numbered without gaps in each worker's own sequence.
type poster struct {
	v          *server
	y          *tally
	workers    int
	assignment func(n int) string
	next       int // first number of the next stretch
}

// closed runs a closed loop: each worker posts, waits until every frame of its
// message was read, and posts again.
func (p *poster) closed(ctx context.Context, length time.Duration) (count int, latencies []time.Duration, last string, err error) {
	end := time.Now().Add(length)
	counts := make([]int, p.workers)
	err = p.each(ctx, func(w int, b *backend) error {
		var body []byte
		for n := p.next + w; time.Now().Before(end) && n < maxMessages; n += p.workers {
			body = message(body, w, n, p.assignment(n))
			p.y.posted[n].Store(time.Now().UnixNano())
			if err := b.post(body); err != nil {
				return err
			}
			select {
			case <-p.y.done[w]:
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(20 * time.Second):
				return fmt.Errorf("message %d: %d of %d frames were read within 20 s", n, p.y.read[n].Load(), p.y.frames)
			}
			counts[w]++
		}
		return nil
	})
	return p.collect(counts, err)
}

// open runs an open loop: messages are due at fixed times, whatever became of
// those before, and each latency counts from when its message was due.
func (p *poster) open(ctx context.Context, rate int, length time.Duration) (count int, latencies []time.Duration, last string, err error) {
	total := min(int(length.Seconds()*float64(rate)), maxMessages-p.next)
	began := time.Now().Add(50 * time.Millisecond)
	counts := make([]int, p.workers)
	err = p.each(ctx, func(w int, b *backend) error {
		var body []byte
		for i := w; i < total; i += p.workers {
			due := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
			if d := time.Until(due); d > 0 {
				if err := pause(ctx, d); err != nil {
					return err
				}
			}
			n := p.next + i
			body = message(body, w, n, p.assignment(n))
			p.y.posted[n].Store(due.UnixNano())
			if err := b.post(body); err != nil {
				return err
			}
			counts[w]++
		}
		return nil
	})
	if err == nil {
		err = p.allRead(ctx, counts)
	}
	return p.collect(counts, err)
}

func (p *poster) each(ctx context.Context, work func(w int, b *backend) error) error {
	g, _ := errgroup.WithContext(ctx)
	for w := range p.workers {
		b, err := openBackend(p.v)
		if err != nil {
			return err
		}
		g.Go(func() error {
			defer b.conn.Close()
			return work(w, b)
		})
	}
	return g.Wait()
}

// allRead waits until every frame of the stretch was read.
func (p *poster) allRead(ctx context.Context, counts []int) error {
	end := time.Now().Add(20 * time.Second)
	for w, n := range counts {
		for i := range n {
			for p.y.last[p.next+w+i*p.workers].Load() == 0 {
				if time.Now().After(end) {
					return fmt.Errorf("message %d: not all frames were read within 20 s", p.next+w+i*p.workers)
				}
				if err := pause(ctx, 10*time.Millisecond); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (p *poster) collect(counts []int, err error) (count int, latencies []time.Duration, last string, _ error) {
	if err != nil {
		return 0, nil, "", err
	}
	most := 0
	for w, n := range counts {
		count += n
		most = max(most, n)
		for i := range n {
			m := p.next + w + i*p.workers
			latencies = append(latencies, time.Duration(p.y.last[m].Load()-p.y.posted[m].Load()))
		}
	}
	last = strconv.Itoa(p.next + (counts[0]-1)*p.workers)
	p.next += most * p.workers
	p.next += (p.workers - p.next%p.workers) % p.workers
	for _, d := range p.y.done {
		select {
		case <-d:
		default:
		}
	}
	return count, latencies, last, nil
}

// active is a page that is looked at, and views none of the conversations posted to.
var active = wire.PageState{Visibility: "visible", Focus: true, Viewing: "another"}

// openActive opens pages of agents, perAgent tabs of one device each, that
// acknowledge what they are sent. The first that ends is told on the channel.
func openActive(v *server, agents, perAgent int, y *tally) (end func(), lost chan error, err error) {
	pages := make([]*page, agents*perAgent)
	end = func() {
		for _, p := range pages {
			if p != nil {
				p.conn.Close()
			}
		}
	}
	var g errgroup.Group
	g.SetLimit(32)
	for i := range agents {
		g.Go(func() error {
			var device *wire.DeviceAuth
			for j := range perAgent {
				p, err := openPage(v, agentID(i), device, active)
				if err != nil {
					return err
				}
				if device == nil {
					device = &p.device
				}
				pages[i*perAgent+j] = p
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		end()
		return nil, nil, err
	}
	lost = make(chan error, len(pages))
	stop := make(chan struct{})
	for _, p := range pages {
		go func() { lost <- p.live(y.seen) }()
	}
	go func() {
		tick := time.NewTicker(15 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-stop:
				return
			}
			for _, p := range pages {
				p.renew()
			}
		}
	}()
	closePages := end
	return func() { close(stop); closePages() }, lost, nil
}

// messages measures messages with an assignee who has two pages open: all to one
// agent, then spread over many.
func messages(ctx context.Context, s settings, t *table) error {
	for _, agents := range []int{1, 200} {
		if err := assigned(ctx, s, t, agents); err != nil {
			return err
		}
	}
	return nil
}

func assigned(ctx context.Context, s settings, t *table, agents int) error {
	v, err := startServer(ctx, s, fmt.Sprintf("messages-%d", agents))
	if err != nil {
		return err
	}
	defer v.stop()
	if err := v.putAgents(ctx, agents); err != nil {
		return err
	}
	const workers = 64
	y := newTally(2, workers)
	end, lost, err := openActive(v, agents, 2, y)
	if err != nil {
		return err
	}
	defer end()
	p := &poster{v: v, y: y, workers: workers, assignment: func(n int) string { return `"agent":"` + agentID(n%workers%agents) + `"` }}
	if _, _, _, err = p.closed(ctx, time.Second); err != nil {
		return firstOf(lost, err)
	}

	// The whole cost of a message: settling at its deadline included.
	measure := func(run func() (int, []time.Duration, string, error)) (count int, took time.Duration, latencies []time.Duration, cpu, allocs, bytes float64, err error) {
		before, err := v.usage()
		if err != nil {
			return
		}
		began := time.Now()
		count, latencies, last, err := run()
		took = time.Since(began)
		if err != nil {
			return
		}
		ends, err := v.settled(ctx, "c0", last)
		if err == nil && ends[notify.Acknowledged] != 1 {
			err = fmt.Errorf("message %s was not acknowledged: %v", last, ends)
		}
		if err != nil {
			return
		}
		after, err := v.usage()
		n := float64(max(count, 1))
		return count, took, latencies, float64((after.cpu - before.cpu).Microseconds()) / n, (after.mallocs - before.mallocs) / n, (after.allocated - before.allocated) / n, err
	}
	name := "one assignee with two active pages"
	if agents > 1 {
		name = fmt.Sprintf("%d assignees with two active pages each", agents)
	}
	t.part(name + "; POST → durable → both frames read, acknowledged, settled")
	count, took, latencies, cpu, allocs, bytes, err := measure(func() (int, []time.Duration, string, error) { return p.closed(ctx, s.length) })
	if err != nil {
		return firstOf(lost, err)
	}
	t.add(fmt.Sprintf("saturation, %d connections", workers), "", "%.0f messages/s (%d), p50 %s, p99 %s", float64(count)/took.Seconds(), count, ms(quantile(latencies, 0.5)), ms(quantile(latencies, 0.99)))
	t.add("  CPU and allocations per message", "", "%.0f µs, %.0f allocations, %.1f kB", cpu, allocs, bytes/1000)
	count, _, latencies, cpu, allocs, bytes, err = measure(func() (int, []time.Duration, string, error) { return p.open(ctx, s.rate, s.length) })
	if err != nil {
		return firstOf(lost, err)
	}
	t.add(fmt.Sprintf("open loop, %d/s", s.rate), "", "p50 %s, p99 %s, most %s (%d messages)", ms(quantile(latencies, 0.5)), ms(quantile(latencies, 0.99)), ms(quantile(latencies, 1)), count)
	t.add("  CPU and allocations per message", "", "%.0f µs, %.0f allocations, %.1f kB", cpu, allocs, bytes/1000)
	return nil
}

// firstOf prefers what a page lost its socket for: it explains the rest.
func firstOf(lost chan error, err error) error {
	select {
	case e := <-lost:
		return fmt.Errorf("%w; a page's socket ended: %w", err, e)
	default:
		return err
	}
}
