//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// tally follows messages by number: when each was due to be posted, when it was
// accepted, how many notify frames of it were read, and when the last of them.
type tally struct {
	frames int // of one message
	posted []atomic.Int64
	kept   []atomic.Int64
	read   []atomic.Int32
	last   []atomic.Int64
	done   []chan struct{} // closed loop: of the worker, by message number modulo workers
	total  atomic.Int64
}

// maxMessages bounds one run.
const maxMessages = 400_000

func newTally(frames, workers int) *tally {
	y := &tally{frames: frames, posted: make([]atomic.Int64, maxMessages), kept: make([]atomic.Int64, maxMessages), read: make([]atomic.Int32, maxMessages), last: make([]atomic.Int64, maxMessages)}
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
	nodes      []*server // workers take turns with them
	name       string    // of the conversations, one for each worker; default c
	y          *tally
	workers    int
	assignment func(n int) string
	next       int // first number of the next stretch
}

func (p *poster) conversation(worker int) string { return cmp.Or(p.name, "c") + strconv.Itoa(worker) }

// post posts message n, due at the time given.
func (p *poster) post(b *backend, body []byte, w, n int, due time.Time) ([]byte, error) {
	body = message(body, p.conversation(w), n, p.assignment(n))
	p.y.posted[n].Store(due.UnixNano())
	err := b.post(body)
	p.y.kept[n].Store(time.Now().UnixNano())
	return body, err
}

// closed runs a closed loop: each worker posts, waits until every frame of its
// message was read, and posts again.
func (p *poster) closed(ctx context.Context, length time.Duration) (stretch, error) {
	end := time.Now().Add(length)
	counts := make([]int, p.workers)
	err := p.each(ctx, func(w int, b *backend) error {
		var body []byte
		for n := p.next + w; time.Now().Before(end) && n < maxMessages; n += p.workers {
			var err error
			if body, err = p.post(b, body, w, n, time.Now()); err != nil {
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
func (p *poster) open(ctx context.Context, rate int, length time.Duration) (stretch, error) {
	total := min(int(length.Seconds()*float64(rate)), maxMessages-p.next)
	began := time.Now().Add(50 * time.Millisecond)
	counts := make([]int, p.workers)
	err := p.each(ctx, func(w int, b *backend) error {
		var body []byte
		for i := w; i < total; i += p.workers {
			due := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
			if d := time.Until(due); d > 0 {
				if err := pause(ctx, d); err != nil {
					return err
				}
			}
			var err error
			if body, err = p.post(b, body, w, p.next+i, due); err != nil {
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
		b, err := openBackend(p.nodes[w%len(p.nodes)])
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

// stretch is what one run of a loop did.
type stretch struct {
	count     int
	latencies []time.Duration // from when a message was due until the last frame of it was read
	accepted  []time.Duration // until its 202 was read
	last      string          // message of the first conversation
}

func (p *poster) collect(counts []int, err error) (stretch, error) {
	var s stretch
	if err != nil {
		return s, err
	}
	most := 0
	for w, n := range counts {
		s.count += n
		most = max(most, n)
		for i := range n {
			m := p.next + w + i*p.workers
			posted := p.y.posted[m].Load()
			s.latencies = append(s.latencies, time.Duration(p.y.last[m].Load()-posted))
			s.accepted = append(s.accepted, time.Duration(p.y.kept[m].Load()-posted))
		}
	}
	s.last = strconv.Itoa(p.next + (counts[0]-1)*p.workers)
	p.next += most * p.workers
	p.next += (p.workers - p.next%p.workers) % p.workers
	for _, d := range p.y.done {
		select {
		case <-d:
		default:
		}
	}
	return s, nil
}

// active is a page that is looked at, and views none of the conversations posted to.
var active = wire.PageState{Visibility: "visible", Focus: true, Viewing: "another"}

// openActive opens pages of agents, agent-from and on, that acknowledge what they
// are sent: perAgent tabs of one device each, every tab on the next node. The
// first that ends is told on the channel.
func openActive(nodes []*server, from, agents, perAgent int, y *tally) (pages []*page, end func(), lost chan error, err error) {
	pages = make([]*page, agents*perAgent)
	closePages := func() {
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
				p, err := openPage(nodes[(i+j)%len(nodes)], agentID(from+i), device, active)
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
		closePages()
		return nil, nil, nil, err
	}
	lost = make(chan error, len(pages))
	stop := make(chan struct{})
	for _, p := range pages {
		go func() { lost <- p.live(y.seen) }()
	}
	go renewing(pages, stop)
	return pages, func() { close(stop); closePages() }, lost, nil
}

// renewing has every page renew its state every 15 s, spread evenly, until stop
// is closed. A page whose socket has ended says so elsewhere.
func renewing(pages []*page, stop <-chan struct{}) {
	step := time.NewTicker(15 * time.Second / 100)
	defer step.Stop()
	for n := 0; ; n++ {
		select {
		case <-step.C:
		case <-stop:
			return
		}
		for i := n % 100; i < len(pages); i += 100 {
			pages[i].renew()
		}
	}
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
	_, end, lost, err := openActive([]*server{v}, 0, agents, 2, y)
	if err != nil {
		return err
	}
	defer end()
	p := &poster{nodes: []*server{v}, y: y, workers: workers, assignment: func(n int) string { return `"agent":"` + agentID(n%workers%agents) + `"` }}
	if _, err = p.closed(ctx, time.Second); err != nil {
		return firstOf(lost, err)
	}

	// The whole cost of a message: settling at its deadline included.
	measure := func(run func() (stretch, error)) (did stretch, took time.Duration, cpu, allocs, bytes float64, err error) {
		before, err := v.usage()
		if err != nil {
			return
		}
		began := time.Now()
		did, err = run()
		took = time.Since(began)
		if err != nil {
			return
		}
		ends, err := v.settled(ctx, p.conversation(0), did.last)
		if err == nil && ends[notify.Acknowledged] != 1 {
			err = fmt.Errorf("message %s was not acknowledged: %v", did.last, ends)
		}
		if err != nil {
			return
		}
		after, err := v.usage()
		n := float64(max(did.count, 1))
		return did, took, float64((after.cpu - before.cpu).Microseconds()) / n, (after.mallocs - before.mallocs) / n, (after.allocated - before.allocated) / n, err
	}
	name := "one assignee with two active pages"
	if agents > 1 {
		name = fmt.Sprintf("%d assignees with two active pages each", agents)
	}
	t.part(name + "; POST → durable → both frames read, acknowledged, settled")
	did, took, cpu, allocs, bytes, err := measure(func() (stretch, error) { return p.closed(ctx, s.length) })
	if err != nil {
		return firstOf(lost, err)
	}
	t.add(fmt.Sprintf("saturation, %d connections", workers), "", "%.0f messages/s (%d), p50 %s, p99 %s", float64(did.count)/took.Seconds(), did.count, ms(quantile(did.latencies, 0.5)), ms(quantile(did.latencies, 0.99)))
	t.add("  CPU and allocations per message", "", "%.0f µs, %.0f allocations, %.1f kB", cpu, allocs, bytes/1000)
	did, _, cpu, allocs, bytes, err = measure(func() (stretch, error) { return p.open(ctx, s.rate, s.length) })
	if err != nil {
		return firstOf(lost, err)
	}
	t.add(fmt.Sprintf("open loop, %d/s", s.rate), "", "p50 %s, p99 %s, most %s (%d messages)", ms(quantile(did.latencies, 0.5)), ms(quantile(did.latencies, 0.99)), ms(quantile(did.latencies, 1)), did.count)
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
