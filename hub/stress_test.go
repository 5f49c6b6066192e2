package hub_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"caac-hub/hub/wire"
)

// TestEverythingAtOnce drives a hub from many goroutines on real time; with
// -race it also shows that nothing is shared without its lock.
func TestEverythingAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("takes about ten seconds")
	}
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprintf("nodes=%d", nodes), func(t *testing.T) {
			everySeed(t, 1+*seeds/10, func(t *testing.T, seed uint64) { everythingAtOnce(t, nodes, seed) })
		})
	}
}

func everythingAtOnce(t *testing.T, nodes int, seed uint64) {
	w := &world{t: t, dir: t.TempDir(), push: &pushService{}, real: true, nodes: nodes, shards: nodes}
	w.start()
	t.Cleanup(func() { w.stop() })
	w.agent(people...)
	for id, members := range teams {
		w.team(id, members...)
	}
	var mu sync.Mutex // guards pages
	var pages []*strict
	keep := func(p *strict) *strict {
		mu.Lock()
		defer mu.Unlock()
		pages = append(pages, p)
		return p
	}
	states := []string{"active", "visible", "hidden", "active viewing elsewhere"}

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	var threads []*thread
	for i := range 6 {
		th := newThread(w, fmt.Sprintf("c%d", i), rand.New(rand.NewPCG(seed, uint64(100+i))))
		threads = append(threads, th)
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := th.step(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i, id := range people {
		r := rand.New(rand.NewPCG(seed, uint64(200+i)))
		first := keep(w.strict(id, "active"))
		first.subscribe()
		device := first.device
		wg.Go(func() { // pages come and go
			for ctx.Err() == nil {
				p := keep(w.strict(id, states[r.IntN(len(states))], device))
				for range r.IntN(5) {
					p.send(wire.Client{Type: wire.TypeState, State: pageState(states[r.IntN(len(states))])})
					time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
				}
				p.conn.CloseNow()
			}
		})
		wg.Go(func() { // duty, and what the trace shows meanwhile
			for n := 0; ctx.Err() == nil; n++ {
				if _, err := w.hubs[n%nodes].SetDuty(t.Context(), id, n/2%2 == 1, 0); err != nil {
					t.Error(err)
				}
				if _, err := w.hubs[n/2%nodes].Agent(t.Context(), id); err != nil {
					t.Error(err)
				}
				time.Sleep(30 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	for _, id := range people {
		if _, err := w.hub.SetDuty(t.Context(), id, true, 0); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for _, th := range threads {
		n += len(th.messages)
	}
	t.Logf("%d messages, %d pages", n, len(pages))
	w.until(20*time.Second, func() bool {
		due, err := w.store.Pending(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		left := 0
		for _, b := range due {
			left += b.Count
		}
		return left == 0
	})
	for _, p := range pages {
		p.catchUp()
	}
	audit(t, w, threads, pages)
	last := map[string]*strict{}
	for _, id := range people {
		last[id] = w.strict(id, "hidden")
		last[id].catchUp()
		last[id].truth(t)
		last[id].conn.CloseNow()
	}
	for _, p := range pages {
		p.conn.CloseNow()
	}
	idle(t, w)
}
