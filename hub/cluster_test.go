//go:build !race

// The race detector's runtime crashes now and then on bubbles of testing/synctest
// with as many timers as several nodes have: these tests run without it.
// TestEverythingAtOnce drives three nodes under it, on real time.

package hub_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/wire"
)

// runThree runs a test on three nodes under fake time.
func runThree(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { fn(t, newCluster(t, 3)) })
}

func TestTwoTabsOnTwoNodesAreOneLogin(t *testing.T) {
	runThree(t, func(t *testing.T, w *world) {
		w.agent("mei")
		hidden := w.open("mei", "hidden").subscribe()
		w.wait(100 * time.Millisecond)
		active := w.open("mei", "active", hidden.device)
		w.wait(100 * time.Millisecond)
		m := w.message("hello", hub.AssignmentInput{Agent: "mei"})
		w.wait(4 * time.Second)
		w.expect(m, active, "in_app actively_viewing acknowledged")
		if n := len(active.took(wire.TypeNotify)); n != 1 {
			t.Errorf("%d notify frames for the active page, want 1", n)
		}
		for _, p := range []*page{hidden, active} {
			if p.badge() != 1 {
				t.Errorf("badge %d, want 1", p.badge())
			}
		}
		if n := len(w.push.take()); n != 0 {
			t.Errorf("%d pushes, want none", n)
		}
		w.turn()
		hidden.readUpto("ann", 1)
		w.wait(100 * time.Millisecond)
		if hidden.badge() != 0 || active.badge() != 0 {
			t.Errorf("badges %d and %d after the read, want none", hidden.badge(), active.badge())
		}
	})
}

func TestEachNodeMayTakeTheMessageOfAnyPage(t *testing.T) {
	for from := range 3 {
		for at := range 3 {
			t.Run(fmt.Sprintf("page at %d, message at %d", at, from), func(t *testing.T) {
				runThree(t, func(t *testing.T, w *world) {
					w.agent("mei")
					w.hub = w.hubs[(at+2)%3]
					mei := w.open("mei", "active viewing ann").subscribe()
					phone := w.open("mei", "hidden").subscribe()
					phone.close()
					w.wait(100 * time.Millisecond)
					w.hub = w.hubs[(from+2)%3]
					m := w.message("hello", hub.AssignmentInput{Agent: "mei"})
					w.wait(4 * time.Second)
					w.expect(m, mei, "in_app viewing_conversation acknowledged")
					w.expect(m, phone, "push page_closed dropped(read_elsewhere)")
					if mei.badge() != 0 {
						t.Errorf("badge %d, want 0", mei.badge())
					}
				})
			})
		}
	}
}
