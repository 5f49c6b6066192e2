package storetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"caac-hub/hub"
	"caac-hub/hub/notify"
)

var workTests = []test{
	{"ClaimTakesTheOldestThatIsDue", claimOldest},
	{"LeaseCoversUntilItsEnd", leaseCovers},
	{"LeaseIsMovedAndPutEndsIt", leaseIsMoved},
	{"DeadWorkIsListedAndNeverClaimed", deadWork},
	{"RacingClaimsTakeEachItemOnce", racingClaims},
	{"PendingCountsByKind", pending},
}

const lease = 10 * time.Second

func ring(key string, at time.Time) notify.Due {
	return notify.Due{Key: "ring/" + key, Kind: notify.DueRing, At: at}
}

func (e *env) claim(now time.Time, limit int) []notify.Due {
	e.Helper()
	return must(e.Claim(e.Context(), e.partitions(), now, limit, lease))(e)
}

func claimOldest(e *env) {
	for i, at := range []int{30, 10, 20, 40} {
		e.putDue(ring(fmt.Sprint(i), start.Add(time.Duration(at)*time.Second)))
	}
	e.eq("none is due", len(e.claim(start, 9)), 0)
	e.eq("limit 0", len(e.claim(start.Add(time.Hour), 0)), 0)
	e.eq("no partition", len(must(e.Claim(e.Context(), nil, start.Add(time.Hour), 9, lease))(e)), 0)
	got := e.claim(start.Add(30*time.Second), 2)
	e.eq("oldest", keys(got), []string{"ring/1", "ring/2"})
	if stored := must(e.Due(e.Context(), 0, []string{"ring/1"}))(e); !cmp.Equal(stored, got[:1]) {
		e.Fatal(cmp.Diff(stored, got[:1]))
	}
	e.eq("the rest that is due", keys(e.claim(start.Add(30*time.Second), 9)), []string{"ring/0"})
}

func leaseCovers(e *env) {
	d := e.putDue(ring("1", start))
	e.eq("claimed", keys(e.claim(start, 9)), []string{"ring/1"})
	e.eq("leased", len(e.claim(start.Add(lease-1), 9)), 0)
	e.eq("still found", keys(must(e.Due(e.Context(), 0, []string{"ring/1"}))(e)), []string{"ring/1"})
	e.eq("lease over", keys(e.claim(start.Add(lease), 9)), []string{"ring/1"})
	e.eq("leased anew", len(e.claim(start.Add(2*lease-1), 9)), 0)
	// Older work of a lapsed lease comes before younger work.
	e.putDue(ring("2", start.Add(time.Second)))
	e.eq("order", keys(e.claim(start.Add(2*lease), 9)), []string{"ring/1", "ring/2"})
	must(e.Commit(e.Context(), 0, notify.Batch{Done: []notify.DueRef{{Key: d.Key, Rev: d.Rev}}}))(e)
	e.eq("ended while leased", keys(e.claim(start.Add(5*lease), 9)), []string{"ring/2"})
}

func leaseIsMoved(e *env) {
	d := e.putDue(ring("1", start))
	e.putDue(ring("2", start))
	e.eq("claimed", len(e.claim(start, 9)), 2)
	e.ok(e.Lease(e.Context(), 0, []string{"ring/1", "ring/none"}, start))
	e.eq("released", keys(e.claim(start, 9)), []string{"ring/1"})
	d.At = start.Add(time.Second)
	d = e.putDue(d)
	e.eq("put, and not yet due", len(e.claim(start, 9)), 0)
	e.eq("put, and due", keys(e.claim(start.Add(time.Second), 9)), []string{"ring/1"})
	e.ok(e.Lease(e.Context(), 0, []string{"ring/1", "ring/1", "ring/2"}, start))
	e.eq("all", keys(e.claim(start.Add(time.Second), 9)), []string{"ring/2", "ring/1"})
	e.ok(e.Lease(e.Context(), 0, []string{"ring/2"}, start.Add(10*lease)))
	e.eq("covered for longer", keys(e.claim(start.Add(3*lease), 9)), []string{"ring/1"})
	e.eq("until then", keys(e.claim(start.Add(10*lease), 9)), []string{"ring/2", "ring/1"})
}

func deadWork(e *env) {
	for i, key := range []string{"b", "a", "c"} {
		d := ring(key, start.Add(time.Duration(-i)*time.Minute))
		d.Dead = "it failed"
		e.putDue(d)
	}
	e.putDue(ring("alive", start))
	e.eq("claimed", keys(e.claim(start, 9)), []string{"ring/alive"})
	e.eq("dead", keys(must(e.Dead(e.Context(), 9))(e)), []string{"ring/c", "ring/a", "ring/b"})
	e.eq("limit", keys(must(e.Dead(e.Context(), 1))(e)), []string{"ring/c"})
	e.eq("pending", must(e.Pending(e.Context(), start))(e)[notify.DueRing].Count, 1)
	d := must(e.Due(e.Context(), 0, []string{"ring/a"}))(e)[0]
	d.Dead, d.Attempt = "", 0
	e.putDue(d)
	e.eq("retried", keys(e.claim(start, 9)), []string{"ring/a"})
	e.eq("dead", keys(must(e.Dead(e.Context(), 9))(e)), []string{"ring/c", "ring/b"})
}

func racingClaims(e *env) {
	const items, claimers = 100, 6
	b := notify.Batch{}
	for i := range items {
		b.Due = append(b.Due, ring(fmt.Sprint(i), start))
	}
	must(e.Commit(e.Context(), 0, b))(e)
	var mu sync.Mutex
	taken := map[string]int{}
	errs := make([]error, claimers)
	var wg sync.WaitGroup
	for c := range claimers {
		wg.Go(func() {
			for {
				got, err := e.Claim(e.Context(), e.partitions(), start, 7, lease)
				if err != nil || len(got) == 0 {
					errs[c] = err
					return
				}
				mu.Lock()
				for _, d := range got {
					taken[d.Key]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		e.ok(err)
	}
	e.eq("items", len(taken), items)
	for key, n := range taken {
		e.eq(key, n, 1)
	}
}

func pending(e *env) {
	e.eq("nothing", len(must(e.Pending(e.Context(), start))(e)), 0)
	e.putDue(ring("1", start.Add(-time.Minute)))
	e.putDue(ring("2", start.Add(-time.Hour)))
	e.putDue(notify.Due{Key: "deadline/1", Kind: notify.DueDeadline, At: start.Add(time.Hour)})
	e.claim(start, 1)
	e.eq("pending", must(e.Pending(e.Context(), start))(e), map[notify.DueKind]hub.Backlog{
		notify.DueRing:     {Count: 2, Oldest: time.Hour},
		notify.DueDeadline: {Count: 1},
	})
}
