//go:build linux

package chaos

import (
	"testing"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/notify"
)

// frozen has a page that claims to be active and confirms nothing.
func frozen(t *testing.T) *world {
	w := newWorld(t, 1)
	t.Cleanup(w.open())
	within(t, "the page is active", func() bool {
		var l struct {
			Logins []struct {
				Presence string
			}
		}
		w.front.must("GET", "/v1/agents/mute/logins", nil, &l)
		return len(l.Logins) == 1 && l.Logins[0].Presence == "active"
	})
	return w
}

func TestFrozenPageThatClaimsToBeActiveIsPushedTo(t *testing.T) {
	w := frozen(t)
	began := time.Now()
	w.post("frozen", "mute")
	took := w.push.wait("frozen", 10*time.Second).Sub(began)
	t.Logf("push accepted %v after the message was posted", took.Round(time.Millisecond))
	if took > 4*time.Second {
		t.Errorf("the push was accepted after %v; at most 4 s are promised", took)
	}
}

func TestFrozenPageIsPushedToAfterTheHubWasKilled(t *testing.T) {
	w := frozen(t)
	began := time.Now()
	w.post("killed", "mute")
	w.hub.kill()
	if err := w.hub.start(); err != nil {
		t.Fatal(err)
	}
	took := w.push.wait("killed", 15*time.Second).Sub(began)
	t.Logf("push accepted %v after the message was posted, the hub killed at once and started again", took.Round(time.Millisecond))
	if took > 8*time.Second {
		t.Errorf("the push was accepted after %v; at most 8 s are promised", took)
	}
}

func (w *world) post(id, agent string) {
	w.t.Helper()
	w.front.must("POST", "/v1/messages", hub.MessageInput{
		ID: id, Kind: notify.Text, Text: "hello",
		Conversation: hub.ConversationInput{ID: "c-" + id, Contact: "Ann", Assignment: &hub.AssignmentInput{Agent: agent, Version: 1}},
	}, nil)
}

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); pause() {
		if time.Now().After(end) {
			t.Fatalf("not within 5 s: %s", what)
		}
	}
}
