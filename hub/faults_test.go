package hub_test

import (
	"errors"
	"testing"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/wire"
)

func TestFanoutTakenUpAgainWhileItWaitsIsDoneOnce(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		mei := w.open("mei", "hidden").subscribe()
		w.valve.close()
		before := w.messageIn("bob", "before", hub.AssignmentInput{Agent: "mei"})
		m := w.message("hello", hub.AssignmentInput{Agent: "mei"})
		w.wait(3 * time.Second) // the due work is claimed again
		w.valve.open()
		w.wait(time.Second)
		w.expect(before, mei, "push page_hidden push_accepted")
		w.expect(m, mei, "push page_hidden push_accepted")
		if n := len(w.push.take()); n != 2 {
			t.Errorf("%d pushes, want one for each message", n)
		}
		w.wait(time.Second)
		if mei.badge() != 2 {
			t.Errorf("badge %d, want 2", mei.badge())
		}
	})
}

func TestMessageAnsweredBeforeItsLateFanoutRingsNothing(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		mei := w.open("mei", "hidden").subscribe()
		w.valve.close()
		m := w.message("hello", hub.AssignmentInput{Agent: "mei"})
		w.kill()
		if err := w.hub.Answered(t.Context(), "ann", 0); err != nil {
			t.Fatal(err)
		}
		w.wait(3 * time.Second)
		w.expect(m, mei, "push page_closed dropped(answered)")
		if n := len(w.push.take()); n != 0 {
			t.Errorf("%d pushes, want none", n)
		}
		if u, err := w.hub.Unread(t.Context(), "mei", 10); err != nil || u.Total != 0 {
			t.Errorf("unread %+v %v, want none", u, err)
		}
	})
}

func TestMessageKilledBeforeItsFanoutReachesAllOfTheNewTeam(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei", "ken", "zoe")
		w.team("a", "mei", "ken")
		w.team("b", "mei", "zoe")
		mei, ken, zoe := w.open("mei", "hidden").subscribe(), w.open("ken", "hidden").subscribe(), w.open("zoe", "hidden").subscribe()
		w.messageIn("ann", "earlier", hub.AssignmentInput{Team: "a"})
		w.wait(10 * time.Second)
		w.valve.close()
		m := w.message("hello", hub.AssignmentInput{Team: "a"})
		w.kill()
		if _, err := w.hub.PutConversation(t.Context(), hub.ConversationInput{ID: "ann", Assignment: &hub.AssignmentInput{Team: "b"}}); err != nil {
			t.Fatal(err)
		}
		w.wait(8 * time.Second)
		w.expect(m, mei, "push page_closed push_accepted")
		w.expect(m, zoe, "push page_closed push_accepted")
		w.expect(m, ken, "push page_closed withdrawn(reassigned)")
	})
}

func TestFailedWithdrawalIsDoneAgain(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei", "ken")
		mei := w.open("mei", "active")
		w.open("ken", "active")
		w.message("hello", hub.AssignmentInput{Agent: "mei"})
		w.wait(5 * time.Second)
		w.valve.fail(errors.New("the disk is full"))
		if _, err := w.hub.PutConversation(t.Context(), hub.ConversationInput{ID: "ann", Assignment: &hub.AssignmentInput{Agent: "ken"}}); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		w.valve.fail(nil)
		w.wait(10 * time.Second)
		if mei.badge() != 0 {
			t.Errorf("badge %d, want 0: the conversation is Ken's", mei.badge())
		}
		if u, err := w.hub.Unread(t.Context(), "ken", 10); err != nil || u.Total != 1 {
			t.Errorf("Ken has %+v %v unread, want 1", u, err)
		}
	})
}

func TestChangesOfOneBatchReachAPageAsOneUnbrokenStep(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		active := w.open("mei", "active").subscribe()
		hidden := w.open("mei", "hidden", active.device)
		w.messageIn("cid", "old", hub.AssignmentInput{Agent: "mei"})
		w.wait(time.Second)
		for _, p := range []*page{active, hidden} {
			p.took(wire.TypeNotify)
			p.took(wire.TypeCounts)
		}
		from := active.version
		w.valve.close()
		w.messageIn("dan", "first, alone in its batch", hub.AssignmentInput{Agent: "mei"})
		hidden.readUpto("cid", 1)
		w.message("hello", hub.AssignmentInput{Agent: "mei"})
		w.messageIn("bob", "hi", hub.AssignmentInput{Agent: "mei"})
		w.wait(10 * time.Millisecond)
		w.valve.open()
		w.wait(200 * time.Millisecond)
		for name, p := range map[string]*page{"active": active, "hidden": hidden} {
			have := from
			for _, f := range p.counts() {
				if f.Version <= have {
					continue // told twice: a page leaves it
				}
				if f.Prev != have {
					t.Errorf("%s: counts %d follow %d, the page shows %d", name, f.Version, f.Prev, have)
				}
				have = f.Version
			}
			if u, _ := w.hub.Unread(t.Context(), "mei", 10); have != u.Version || p.badge() != u.Total {
				t.Errorf("%s shows (%d) at %d, the store has %d at %d", name, p.badge(), have, u.Total, u.Version)
			}
		}
	})
}
