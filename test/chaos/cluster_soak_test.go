//go:build linux && (redis || soak)

package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// stretch is how long and how hard a cluster is shaken.
type stretch struct {
	seed     uint64
	messages int           // accepted at least, time permitting
	longest  time.Duration // for the storms
	faults   int           // of one storm
	copies   int           // of the world's devices
}

// shake has storm after storm come over a cluster under load, lets it rest after
// each, and holds what is left against what was promised.
func shake(t *testing.T, s stretch) {
	began := time.Now()
	c := startCluster(t, s.seed, s.copies)
	c.push.every = 29
	closePages := c.open()
	defer closePages()
	load := startProducers(c.back, c.members)
	defer load.stop()
	var storms []string
	var presence, ready []time.Duration
	count := map[trouble]int{}
	for n := uint64(0); n == 0 || int(c.posted.Load()) < s.messages && time.Since(began) < s.longest && !t.Failed(); n++ {
		plan := forecast(rand.New(rand.NewPCG(s.seed, 1<<32+n)), s.faults)
		text := fmt.Sprintf("storm %d", n+1)
		for _, f := range plan {
			count[f.what]++
			text += "\n  " + f.String()
		}
		storms = append(storms, text)
		p, r := c.rest(c.storm(plan))
		presence, ready = append(presence, p), append(ready, r)
		if s.messages > 0 {
			t.Logf("%v: %s; then presence after %v; %d messages accepted", time.Since(began).Round(time.Second), text, p.Round(time.Millisecond), c.posted.Load())
		}
	}
	if err := load.stop(); err != nil {
		t.Errorf("a request was refused: %v", err)
	}
	stopped := time.Now()
	o := c.check(c.disturbed)
	checked := time.Since(stopped)
	for i, p := range c.nodes {
		if !p.ready() {
			t.Errorf("node %d is not ready at the end", i+1)
		}
	}
	t.Log(c.table(s, o, count, presence, ready, stopped.Sub(began), checked))
	if t.Failed() {
		t.Logf("SEED=%d replays\n%s\n%s", s.seed, strings.Join(storms, "\n"), c.logged())
	}
	if o.pushes == 0 || o.local == 0 || o.accepted == 0 || len(c.disturbed) < s.faults {
		t.Errorf("a soak without pushes, notifications or faults proves nothing: %v", o)
	}
	if s.messages > 0 && o.accepted < s.messages {
		t.Errorf("%d of %d messages were accepted in %v", o.accepted, s.messages, s.longest)
	}
}

func (c *cluster) table(s stretch, o outcome, count map[trouble]int, presence, ready []time.Duration, loaded, checked time.Duration) string {
	var b strings.Builder
	row := func(name string, format string, args ...any) {
		fmt.Fprintf(&b, "  %-44s %s\n", name, fmt.Sprintf(format, args...))
	}
	repeats, twice := 0, 0
	for _, p := range c.back {
		repeats, twice = repeats+p.repeats, twice+p.twice
	}
	slices.Sort(presence)
	slices.Sort(ready)
	fmt.Fprintf(&b, "three nodes on one Redis, seed %d\n", s.seed)
	row("messages accepted", "%d in %v (%.0f a second)", o.accepted, loaded.Round(time.Second), float64(o.accepted)/loaded.Seconds())
	row("requests repeated", "%d, of which %d had been accepted before", repeats, twice)
	row("faults", "%d", len(c.disturbed))
	for _, x := range troubles {
		row("  "+string(x.what), "%d", count[x.what])
	}
	row("messages lost", "%d", o.lost)
	row("deliveries", "%d: %v", o.deliveries, o.ends)
	row("  without an end", "%d", o.endless)
	row("rings: pushes, by pages", "%d, %d", o.pushes-o.repeated, o.local)
	row("  shown twice", "%d", o.rangTwice)
	row("  pushed again, shown silently", "%d", o.repeated)
	row("unread other than the ledger", "%d", o.unreadOff)
	row("pages other than the store after 10 s", "%d", o.pagesOff)
	row("presence converged after the last fault", "%v (median), %v (most)", presence[len(presence)/2].Round(time.Millisecond), presence[len(presence)-1].Round(time.Millisecond))
	row("every node ready after the last fault", "%v (median), %v (most)", ready[len(ready)/2].Round(time.Millisecond), ready[len(ready)-1].Round(time.Millisecond))
	row("nothing due, and all checked, after", "%v", checked.Round(time.Millisecond))
	return b.String()
}

// TestShakenClusterLosesNothing is the short form, with a seed whose storm has nine
// kinds of faults; make soak has the long one.
func TestShakenClusterLosesNothing(t *testing.T) {
	shake(t, stretch{seed: 8922, faults: 9, copies: 1})
}
