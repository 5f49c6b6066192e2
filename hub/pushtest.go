package hub

import (
	"context"
	"strings"
	"sync"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// pushTests keeps the Push tests of the last minutes.
type pushTests struct {
	mu   sync.Mutex
	byID map[string]*pushTest
}

type pushTest struct {
	Agent  string         `json:"agent"`
	Device string         `json:"device"`
	Frame  wire.TestFrame `json:"frame"`
	asked  time.Time
	away   bool // another node sent it
}

// testLife is how long a Push test can be asked for.
const testLife = 10 * time.Minute

// PushTest sends a real push through the real path, past duty, mute, switch and
// presence, to the device itself.
func (h *Hub) PushTest(ctx context.Context, agent string, auth wire.DeviceAuth) (TestInfo, error) {
	d, err := h.proven(ctx, agent, auth)
	if err != nil {
		return TestInfo{}, err
	}
	if d.Subscription == nil {
		return TestInfo{}, &Error{Kind: Conflict, Code: "no_subscription", Message: "this device has no push subscription: turn push on first"}
	}
	a, err := h.dir.agent(ctx, agent)
	if err != nil {
		return TestInfo{}, err
	}
	now := time.Now()
	t := &pushTest{Agent: agent, Device: d.ID, asked: now, Frame: wire.TestFrame{Type: wire.TypeTest, ID: newID(), Stage: "sending"}}
	if snap, err := h.dir.view(ctx, []string{agent}); err == nil {
		if av, lv, ok := snap.login(agent, d.ID); ok {
			t.Frame.Silenced = notify.Silences(av, lv)
		}
	}
	if !h.tests.add(t, now) {
		return TestInfo{}, &Error{Kind: TooMany, Code: "too_many_tests", Message: "too many Push tests of this device; wait a minute", RetryAfter: time.Minute}
	}
	h.peers.test(*t)
	info := TestInfo{t.Frame}
	name := ""
	if len(d.Agents) > 1 {
		name = a.Name
	}
	shown := notify.ComposeTest(a.Locale, name)
	h.lanes.submit(h.pushHost(d.ID), false, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, pushTimeout)
		defer cancel()
		show := wire.Show{Title: shown.Title, Body: shown.Body, Lang: shown.Lang, Tag: "test" + strings.NewReplacer("-", "0", "_", "1").Replace(t.Frame.ID), Navigate: h.navigate(agent, "")}
		answer, err := h.send(ctx, d, show, wire.PushData{ID: t.Frame.ID, Kind: "test", Agent: agent, Device: d.ID, Generation: d.Subscription.Generation}, time.Minute, func() bool { return true })
		if err != nil {
			answer = notify.PushAnswer{Detail: err.Error()}
		} else {
			h.pushAnswered(ctx, d.ID, *d.Subscription, answer)
		}
		stage := "failed"
		if answer.Class == notify.AnswerAccepted {
			stage = "accepted"
		}
		h.tests.move(h, t.Frame.ID, stage, answerText(answer))
	})
	return info, nil
}

// PushTestState returns a Push test of the agent's own.
func (h *Hub) PushTestState(ctx context.Context, agent, id string) (TestInfo, error) {
	// What another node was asked for is heard of soon.
	for end := time.Now().Add(time.Second); ; sleep(ctx, 20*time.Millisecond) {
		if t, ok := h.tests.get(id); ok && t.Agent == agent {
			return TestInfo{t.Frame}, nil
		}
		if h.peers.alone() || time.Now().After(end) || ctx.Err() != nil {
			return TestInfo{}, missing("push_test", id)
		}
	}
}

func (ts *pushTests) get(id string) (pushTest, bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.byID[id]
	if t == nil {
		return pushTest{}, false
	}
	return *t, true
}

// maxTests is how many Push tests a device may have under way or shown.
const maxTests = 20

func (ts *pushTests) add(t *pushTest, now time.Time) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	mine := 0
	for id, old := range ts.byID {
		if now.Sub(old.asked) > testLife {
			delete(ts.byID, id)
		} else if old.Device == t.Device && now.Sub(old.asked) < time.Minute {
			mine++
		}
	}
	if mine >= maxTests && !t.away {
		return false
	}
	ts.byID[t.Frame.ID] = t
	return true
}

// heard takes the stage of a test that another node sent, and tells its pages.
func (ts *pushTests) heard(h *Hub, t pushTest, now time.Time) {
	t.asked, t.away = now, true
	ts.add(&t, now)
	ts.show(h, t)
}

// received has the node that sent the test bring it to its end.
func (ts *pushTests) received(h *Hub, id string) {
	if t, ok := ts.get(id); ok && !t.away {
		ts.move(h, id, "received", "")
	} else {
		h.peers.receipt(id)
	}
}

func (ts *pushTests) show(h *Hub, t pushTest) {
	data := encode(t.Frame)
	for _, s := range h.sockets.of(t.Agent, t.Device) {
		s.send(data)
	}
}

// move brings a test to its next stage and tells its pages. A receipt may come
// before the push service's answer: received stays.
func (ts *pushTests) move(h *Hub, id, stage, detail string) {
	ts.mu.Lock()
	t := ts.byID[id]
	if t == nil || t.Frame.Stage == "received" {
		ts.mu.Unlock()
		return
	}
	t.Frame.Stage = stage
	t.Frame.Millis = time.Since(t.asked).Milliseconds()
	if detail != "" {
		t.Frame.Detail = detail
	}
	moved := *t
	ts.mu.Unlock()
	ts.show(h, moved)
	h.peers.test(moved)
}
