package hub_test

import (
	"testing"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

func TestActivePageGetsToastAndNoPush(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		mei := w.open("mei", "active").subscribe()
		m := w.message("hello", hub.AssignmentInput{Agent: "mei"})
		w.wait(time.Millisecond)
		if n := len(mei.took(wire.TypeNotify)); n != 1 {
			t.Errorf("%d notify frames, want 1", n)
		}
		if mei.badge() != 1 {
			t.Errorf("badge %d, want 1", mei.badge())
		}
		w.wait(4 * time.Second)
		w.expect(m, mei, "in_app actively_viewing acknowledged")
		if n := len(w.push.take()); n != 0 {
			t.Errorf("%d pushes, want none", n)
		}
	})
}

func TestHiddenDeviceGetsPushNotFrame(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		mei := w.open("mei", "hidden").subscribe()
		m := w.message("hello", hub.AssignmentInput{Agent: "mei"})
		w.wait(200 * time.Millisecond)
		if n := len(mei.took(wire.TypeNotify)); n != 0 {
			t.Errorf("%d notify frames, want none", n)
		}
		sent := w.push.take()
		if len(sent) != 1 || sent[0].payload.Notification.Title != "Ann" || sent[0].payload.Notification.Body != "hello" {
			t.Fatalf("sent %+v", sent)
		}
		if mei.badge() != 1 {
			t.Errorf("badge %d, want 1", mei.badge())
		}
		w.expect(m, mei, "push page_hidden push_accepted")
		if tr := w.trace(m); tr.Message.Text != "" || tr.Pending || !tr.Reached {
			t.Errorf("trace %+v: text must be erased after the last end", tr)
		}
	})
}

func TestLyingPageEndsInAPushWithinFourSeconds(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		mei := w.open("mei", "active").subscribe()
		mei.mute = true
		m := w.message("hello", hub.AssignmentInput{Agent: "mei"})
		w.wait(4 * time.Second)
		if n := len(w.push.take()); n != 1 {
			t.Errorf("%d pushes, want 1", n)
		}
		w.expect(m, mei, "push unconfirmed push_accepted")
	})
}

func TestRestartBeforeTheDeadlineEndsInAPush(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		mei := w.open("mei", "active").subscribe()
		mei.mute = true
		m := w.message("hello", hub.AssignmentInput{Agent: "mei"})
		w.wait(time.Second)
		w.restart()
		w.wait(4 * time.Second)
		if n := len(w.push.take()); n != 1 {
			t.Errorf("%d pushes, want 1", n)
		}
		w.expect(m, mei, "push unconfirmed push_accepted")
		_ = notify.Push
	})
}
