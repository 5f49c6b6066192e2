//go:build linux && redis

package chaos

import (
	"testing"
	"time"
)

// TestRollingRestartUnderLoadIsNotNoticed restarts one node after the other, as
// a new version is brought out. Backend and pages reach them through the balancer.
func TestRollingRestartUnderLoadIsNotNoticed(t *testing.T) {
	c := startCluster(t, 1, 1)
	c.front.nodes = []string{c.balancer.Addr()}
	defer c.open()()
	load := startProducers(c.back, c.members)
	defer load.stop()
	c.rest(time.Now())
	for _, d := range c.devices {
		for _, p := range d.pages {
			p.mu.Lock()
			p.gaps, p.moves = nil, 0
			p.mu.Unlock()
		}
	}
	for i, p := range c.nodes {
		began := time.Now()
		if err := p.drain(); err != nil {
			t.Errorf("node %d did not drain: %v; it logged\n%s", i+1, err, p.logged())
		}
		drained := time.Since(began)
		c.launch(p)
		if err := p.awaitReady(); err != nil {
			t.Fatal(err)
		}
		t.Logf("node %d drained in %v, ready again %v later", i+1, drained.Round(time.Millisecond), (time.Since(began) - drained).Round(time.Millisecond))
	}
	presence, _ := c.rest(time.Now())
	if err := load.stop(); err != nil {
		t.Errorf("a request was refused: %v", err)
	}
	// Nothing was broken: nothing may be pushed again.
	o := c.check(nil)
	moves := 0
	for _, d := range c.devices {
		for i, p := range d.pages {
			p.mu.Lock()
			if len(p.gaps) > 0 {
				t.Errorf("page %d of %s had no socket for %v", i, d.agent, p.gaps)
			}
			moves += p.moves
			p.mu.Unlock()
		}
	}
	if moves < len(c.nodes) {
		t.Errorf("%d pages moved from node to node: that proves nothing", moves)
	}
	repeats, twice := 0, 0
	for _, b := range c.back {
		repeats, twice = repeats+b.repeats, twice+b.twice
	}
	t.Logf("%v; lost %d, shown twice %d; %d moves of pages without a gap; %d requests repeated, %d of them accepted before; presence after %v",
		o, o.lost, o.rangTwice, moves, repeats, twice, presence.Round(time.Millisecond))
}
