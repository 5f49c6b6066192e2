//go:build linux

package chaos

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestKilledUnderLoadNothingAcceptedIsLost is the short form; make soak has the
// long one.
func TestKilledUnderLoadNothingAcceptedIsLost(t *testing.T) {
	soak(t, 1, 3)
}

// soak kills the hub so many times, at moments the seed chooses.
func soak(t *testing.T, seed uint64, kills int) {
	w := newWorld(t, seed)
	w.push.every = 29
	closePages := w.open()
	defer closePages()
	moments := rand.New(rand.NewPCG(seed, 1<<32))
	load := startProducers(w.back, w.members)
	var killed []disturbance
	var recovery []time.Duration
	for range kills {
		// Mostly soon after the start, where the work of before is taken up; at
		// times late enough for deadlines and bursts to end.
		wait := time.Duration(moments.ExpFloat64() * float64(time.Second))
		if kills > 10 && moments.IntN(5) == 0 {
			wait += 6 * time.Second
		}
		time.Sleep(50*time.Millisecond + min(wait, 10*time.Second))
		at := time.Now()
		w.hub.kill()
		killed = append(killed, disturbance{"kill -9", at, at})
		if err := w.hub.start(); err != nil {
			load.stop()
			t.Fatal(err)
		}
		recovery = append(recovery, time.Since(at))
	}
	if err := load.stop(); err != nil {
		t.Fatalf("a request was refused: %v; the hub logged\n%s", err, w.hub.logged())
	}
	stopped := time.Now()
	o := w.check(killed)
	repeats, twice := 0, 0
	for _, b := range w.back {
		repeats, twice = repeats+b.repeats, twice+b.twice
	}
	slices.Sort(recovery)
	t.Logf("seed %d: %d kills, ready again after %v (median), %v (most); %v; %d requests repeated, of which %d had been accepted; quiet and checked after %v",
		seed, kills, recovery[len(recovery)/2].Round(time.Millisecond), recovery[len(recovery)-1].Round(time.Millisecond), o, repeats, twice, time.Since(stopped).Round(time.Millisecond))
	if o.pushes == 0 || o.accepted == 0 {
		t.Errorf("a soak without pushes or messages proves nothing: %v", o)
	}
	if kills >= 20 && repeats == 0 {
		t.Errorf("none of %d kills cut a request off", kills)
	}
}
