//go:build linux && (redis || soak)

package chaos

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"caac-hub/test/faultproxy"
)

// fault is one thing that breaks, at a time after the last one began.
type fault struct {
	after time.Duration
	what  trouble
	node  int           // 0 to nodes-1
	lasts time.Duration // from when it began
	delay time.Duration // of a slow line
}

type trouble string

const (
	killNode    trouble = "kill -9 of a node"
	freezeNode  trouble = "a node frozen"
	drainNode   trouble = "a node drained"
	killRedis   trouble = "kill -9 of Redis"
	freezeRedis trouble = "Redis frozen"
	cutOff      trouble = "a node cut off from Redis"
	blackhole   trouble = "all between a node and Redis swallowed"
	mute        trouble = "all from a node to Redis swallowed"
	deaf        trouble = "all from Redis to a node swallowed"
	slow        trouble = "the line of a node to Redis slowed"
	slowAll     trouble = "Redis slowed"
)

func (f fault) String() string {
	text := fmt.Sprintf("+%.2f s: %s for %.2f s", f.after.Seconds(), f.what, f.lasts.Seconds())
	switch f.what {
	case killRedis, freezeRedis:
		return text
	case slow, slowAll:
		text += fmt.Sprintf(", by %v each way", f.delay)
	}
	if f.what == slowAll {
		return text
	}
	return text + fmt.Sprintf(" (node %d)", f.node+1)
}

// troubles with how often each is chosen.
var troubles = []struct {
	what        trouble
	weight      int
	least, most time.Duration
}{
	{killNode, 5, 0, 4 * time.Second},
	{freezeNode, 5, time.Second, 12 * time.Second},
	{drainNode, 3, 0, 0},
	{killRedis, 2, 0, 3 * time.Second},
	{freezeRedis, 2, 500 * time.Millisecond, 5 * time.Second},
	{cutOff, 3, 0, 6 * time.Second},
	{blackhole, 2, time.Second, 8 * time.Second},
	{mute, 2, time.Second, 8 * time.Second},
	{deaf, 2, time.Second, 8 * time.Second},
	{slow, 2, 2 * time.Second, 8 * time.Second},
	{slowAll, 1, 2 * time.Second, 6 * time.Second},
}

// forecast chooses so many faults.
func forecast(random *rand.Rand, faults int) []fault {
	sum := 0
	for _, x := range troubles {
		sum += x.weight
	}
	var plan []fault
	for range faults {
		f := fault{after: min(time.Duration(random.ExpFloat64()*2*float64(time.Second)), 6*time.Second), node: random.IntN(nodes)}
		n := random.IntN(sum)
		for _, x := range troubles {
			if n -= x.weight; n < 0 {
				f.what, f.lasts = x.what, x.least+time.Duration(random.Float64()*float64(x.most-x.least))
				break
			}
		}
		f.delay = time.Duration(5+random.IntN(200)) * time.Millisecond
		f.after, f.lasts = f.after.Round(10*time.Millisecond), f.lasts.Round(10*time.Millisecond)
		plan = append(plan, f)
	}
	return plan
}

// target is what a fault breaks; one thing is broken in one way at a time.
func (f fault) target() string {
	switch f.what {
	case killNode, freezeNode, drainNode:
		return fmt.Sprint("node ", f.node)
	case killRedis, freezeRedis:
		return "redis"
	case slow, slowAll:
		return "delay"
	}
	return fmt.Sprint("line ", f.node)
}

// storm has faults happen, each at its time or once what it breaks is whole
// again, and returns when the last one is over.
func (c *cluster) storm(plan []fault) (calm time.Time) {
	c.t.Helper()
	type underway struct {
		fault
		began time.Time
	}
	var active []underway
	last := time.Now()
	for len(plan) > 0 || len(active) > 0 {
		left := active[:0]
		for _, f := range active {
			if time.Since(f.began) < f.lasts || !c.mend(f.fault) {
				left = append(left, f)
				continue
			}
			c.disturbed = append(c.disturbed, disturbance{f.String(), f.began, time.Now()})
		}
		active = left
		busy := map[string]bool{}
		for _, f := range active {
			busy[f.target()] = true
		}
		if len(plan) > 0 && time.Since(last) >= plan[0].after && !busy[plan[0].target()] {
			f := plan[0]
			plan, last = plan[1:], time.Now()
			c.breaks(f)
			active = append(active, underway{f, last})
		}
		pause()
	}
	return time.Now()
}

func (c *cluster) breaks(f fault) {
	c.t.Helper()
	p, line := c.nodes[f.node], c.lines[f.node]
	switch f.what {
	case killNode:
		p.kill()
	case freezeNode:
		p.signal(syscall.SIGSTOP)
	case drainNode:
		p.signal(syscall.SIGTERM)
	case killRedis:
		c.redis.Kill()
	case freezeRedis:
		c.redis.Freeze()
	case cutOff:
		line.Set(faultproxy.Refuse)
		line.Cut()
	case blackhole:
		line.Set(faultproxy.Blackhole)
	case mute:
		line.Set(faultproxy.BlackholeUp)
	case deaf:
		line.Set(faultproxy.BlackholeDown)
	case slow:
		line.Delay(f.delay)
	case slowAll:
		for _, l := range c.lines {
			l.Delay(f.delay)
		}
	}
}

// mend ends a fault; false: it can't be ended yet.
func (c *cluster) mend(f fault) bool {
	c.t.Helper()
	p, line := c.nodes[f.node], c.lines[f.node]
	switch f.what {
	case drainNode:
		select {
		case <-p.ended: // cut off from Redis it may say that it could not drain
		default:
			return false
		}
		c.launch(p)
	case killNode:
		c.launch(p)
	case freezeNode:
		p.signal(syscall.SIGCONT)
	case killRedis:
		c.redis.Restart()
	case freezeRedis:
		c.redis.Thaw()
	case slow, slowAll:
		for _, l := range c.lines {
			l.Delay(0)
		}
	default:
		line.Set(faultproxy.Forward)
	}
	return true
}

func (c *cluster) launch(p *program) {
	c.t.Helper()
	if err := p.launch(); err != nil {
		c.t.Fatal(err)
	}
}
