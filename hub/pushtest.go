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
	agent, device string
	asked         time.Time
	frame         wire.TestFrame
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
	t := &pushTest{agent: agent, device: d.ID, asked: now, frame: wire.TestFrame{Type: wire.TypeTest, ID: newID(), Stage: "sending"}}
	if snap, err := h.dir.view(ctx, []string{agent}); err == nil {
		if av, lv, ok := snap.login(agent, d.ID); ok {
			t.frame.Silenced = notify.Silences(av, lv)
		}
	}
	if !h.tests.add(t, now) {
		return TestInfo{}, &Error{Kind: TooMany, Code: "too_many_tests", Message: "too many Push tests of this device; wait a minute", RetryAfter: time.Minute}
	}
	info := TestInfo{t.frame}
	name := ""
	if len(d.Agents) > 1 {
		name = a.Name
	}
	shown := notify.ComposeTest(a.Locale, name)
	h.lanes.submit(h.pushHost(d.ID), false, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, pushTimeout)
		defer cancel()
		show := wire.Show{Title: shown.Title, Body: shown.Body, Lang: shown.Lang, Tag: "test" + strings.NewReplacer("-", "0", "_", "1").Replace(t.frame.ID), Navigate: h.navigate(agent, "")}
		answer, err := h.send(ctx, d, show, wire.PushData{ID: t.frame.ID, Kind: "test", Agent: agent, Device: d.ID, Generation: d.Subscription.Generation}, time.Minute)
		if err != nil {
			answer = notify.PushAnswer{Detail: err.Error()}
		} else {
			h.pushAnswered(ctx, d.ID, *d.Subscription, answer)
		}
		stage := "failed"
		if answer.Class == notify.AnswerAccepted {
			stage = "accepted"
		}
		h.tests.move(h, t.frame.ID, stage, answerText(answer))
	})
	return info, nil
}

// PushTestState returns a Push test of the agent's own.
func (h *Hub) PushTestState(_ context.Context, agent, id string) (TestInfo, error) {
	h.tests.mu.Lock()
	defer h.tests.mu.Unlock()
	t := h.tests.byID[id]
	if t == nil || t.agent != agent {
		return TestInfo{}, missing("push_test", id)
	}
	return TestInfo{t.frame}, nil
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
		} else if old.device == t.device && now.Sub(old.asked) < time.Minute {
			mine++
		}
	}
	if mine >= maxTests {
		return false
	}
	ts.byID[t.frame.ID] = t
	return true
}

func (ts *pushTests) received(h *Hub, id string) { ts.move(h, id, "received", "") }

// move brings a test to its next stage and tells its pages. A receipt may come
// before the push service's answer: received stays.
func (ts *pushTests) move(h *Hub, id, stage, detail string) {
	ts.mu.Lock()
	t := ts.byID[id]
	if t == nil || t.frame.Stage == "received" {
		ts.mu.Unlock()
		return
	}
	t.frame.Stage = stage
	t.frame.Millis = time.Since(t.asked).Milliseconds()
	if detail != "" {
		t.frame.Detail = detail
	}
	f := t.frame
	agent, device := t.agent, t.device
	ts.mu.Unlock()
	data := encode(f)
	for _, s := range h.sockets.of(agent, device) {
		s.send(data)
	}
}
