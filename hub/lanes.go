package hub

import (
	"context"
	"sync"
)

// laneWidth is how many pushes are under way at one push host.
const laneWidth = 32

// lanes runs pushes by push host, so that a slow or failing host delays no
// other. In a lane, assignees' pushes go before teams'.
type lanes struct {
	ctx   context.Context
	open  func(n int) bool // adds to what the drain waits for; false once it has begun
	wg    *sync.WaitGroup
	mu    sync.Mutex
	hosts map[string]*lane
}

type lane struct {
	first, second []func(context.Context)
	running       int
}

func newLanes(ctx context.Context, open func(int) bool, wg *sync.WaitGroup) *lanes {
	return &lanes{ctx: ctx, open: open, wg: wg, hosts: map[string]*lane{}}
}

// submit runs fn in the host's lane. team says that it gives way to others. Once
// the drain has begun nothing is begun any more: what is due stays due.
func (l *lanes) submit(host string, team bool, fn func(context.Context)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.hosts[host]
	if ln == nil {
		ln = &lane{}
	}
	if ln.running < laneWidth {
		if !l.open(1) {
			return
		}
		l.hosts[host] = ln
		ln.running++
		go l.run(host, ln, fn)
		return
	}
	if team {
		ln.second = append(ln.second, fn)
	} else {
		ln.first = append(ln.first, fn)
	}
}

func (l *lanes) run(host string, ln *lane, fn func(context.Context)) {
	defer l.wg.Done()
	for {
		fn(l.ctx)
		l.mu.Lock()
		switch {
		case l.ctx.Err() != nil:
			// What waits stays due, and is sent after the next start.
			ln.first, ln.second = nil, nil
			fn = nil
		case len(ln.first) > 0:
			fn, ln.first = ln.first[0], ln.first[1:]
		case len(ln.second) > 0:
			fn, ln.second = ln.second[0], ln.second[1:]
		default:
			fn = nil
		}
		if fn == nil {
			if ln.running--; ln.running == 0 {
				delete(l.hosts, host)
			}
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
	}
}

// waiting counts the pushes that wait for their lane, by host.
func (l *lanes) waiting() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := map[string]int{}
	for host, ln := range l.hosts {
		n[host] = len(ln.first) + len(ln.second)
	}
	return n
}

// countdown calls fn with the first error, once tick was called n times.
type countdown struct {
	mu   sync.Mutex
	left int
	err  error
	fn   func(error)
}

func newCountdown(n int, fn func(error)) *countdown { return &countdown{left: n, fn: fn} }

func (c *countdown) tick(err error) {
	c.mu.Lock()
	c.left--
	if c.err == nil {
		c.err = err
	}
	last, first := c.left == 0, c.err
	c.mu.Unlock()
	if last {
		c.fn(first)
	}
}
