package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// reach answers what is known of an on-duty agent now.
func (w *world) reach(agent string) (hub.ReachAgent, bool) {
	w.t.Helper()
	r, err := w.hub.Reach(w.t.Context(), hub.ReachFilter{Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range r.Agents {
		if a.ID == agent {
			return a, true
		}
	}
	return hub.ReachAgent{}, false
}

// settings changes settings of the page's device.
func (p *page) settings(in hub.DeviceInput) {
	p.t.Helper()
	if _, err := p.w.now().SetDevice(p.t.Context(), p.agent, p.device, in); err != nil {
		p.t.Fatal(err)
	}
}

func TestUnreachableAgentHasItsCause(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		expect := func(when string, cause notify.Reason) {
			t.Helper()
			w.wait(200 * time.Millisecond)
			a, ok := w.reach("mei")
			if !ok || a.Reachable != (cause == "") || a.Cause != cause {
				t.Errorf("%s: known %v, reachable %v, cause %q; want %q", when, ok, a.Reachable, a.Cause, cause)
			}
			sum, err := w.hub.ReachSummary(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			w.wait(11 * time.Second)
			if sum, err = w.hub.ReachSummary(t.Context()); err != nil || sum.OnDuty != 1 || !sum.Whole || cause != "" && sum.Unreachable[cause] != 1 {
				t.Errorf("%s: summary %+v, %v", when, sum, err)
			}
		}
		expect("no login", notify.NotLoggedIn)
		mei := w.open("mei", "hidden")
		expect("a hidden page that may notify", "")
		mei.settings(hub.DeviceInput{Permission: ptr(notify.NotAsked)})
		expect("a hidden page that may not", notify.PermissionDefault)
		mei.settings(hub.DeviceInput{Permission: ptr(notify.Denied)})
		expect("a hidden page that is blocked", notify.PermissionDenied)
		mei.state("visible")
		expect("a visible page that is blocked shows it itself", "")
		mei.state("hidden")
		mei.settings(hub.DeviceInput{Permission: ptr(notify.Granted), On: ptr(false)})
		expect("a hidden page with its switch off", notify.DeviceOff)
		mei.state("active")
		expect("an active page with its switch off", "")
		mei.settings(hub.DeviceInput{On: ptr(true)})
		mei.close()
		expect("never subscribed", notify.NoSubscription)
		mei.subscribe()
		expect("subscribed", "")
		mei.settings(hub.DeviceInput{Permission: ptr(notify.Denied)})
		expect("permission revoked", notify.PermissionDenied)
		mei.settings(hub.DeviceInput{Permission: ptr(notify.NotAsked)})
		expect("permission never granted", notify.PermissionDefault)
		mei.settings(hub.DeviceInput{Permission: ptr(notify.Granted), On: ptr(false)})
		expect("switch off", notify.DeviceOff)
		mei.settings(hub.DeviceInput{On: ptr(true)})
		if _, err := w.hub.SetPreferences(t.Context(), "mei", hub.PreferencesInput{Notifications: ptr(false)}); err != nil {
			t.Fatal(err)
		}
		w.wait(11 * time.Second)
		if a, _ := w.reach("mei"); a.Reachable || !a.Muted || a.Cause != "" || a.Logins[0].Cause != notify.AgentMuted {
			t.Errorf("muted: %+v", a)
		}
		if sum, err := w.hub.ReachSummary(t.Context()); err != nil || sum.OnDuty != 1 || sum.Muted != 1 || sum.Unreachable[notify.AgentMuted] != 0 {
			t.Errorf("muted: %+v, %v", sum, err)
		}
		if _, err := w.hub.SetPreferences(t.Context(), "mei", hub.PreferencesInput{Notifications: ptr(true)}); err != nil {
			t.Fatal(err)
		}
		expect("everything put right", "")
		w.push.answer(notify.PushAnswer{Class: notify.AnswerKeyMismatch, Status: 403})
		w.message("refused", hub.AssignmentInput{Agent: "mei"})
		expect("the push service refuses the key", notify.PushRejected)
		mei.subscribe()
		w.push.answer(notify.PushAnswer{Class: notify.AnswerGone, Status: 410})
		w.message("gone", hub.AssignmentInput{Agent: "mei"})
		expect("the subscription is dead", notify.SubscriptionGone)
		if _, err := w.hub.SetDuty(t.Context(), "mei", false, 0); err != nil {
			t.Fatal(err)
		}
		if _, ok := w.reach("mei"); ok {
			t.Error("off duty, and still listed")
		}
	})
}

func TestThreeAcceptedPushesWithoutAReceiptMakeAnAgentUnreachableUntilTheNextReceipt(t *testing.T) {
	for _, nodes := range []int{1, 2} {
		t.Run(fmt.Sprint(nodes, " nodes"), func(t *testing.T) { silent(t, nodes) })
	}
}

func silent(t *testing.T, nodes int) {
	synctest.Test(t, func(t *testing.T) {
		w := newShards(t, nodes, 4)
		w.agent("mei")
		mei := w.open("mei", "hidden").subscribe()
		mei.close()
		push := func() wire.PushData {
			t.Helper()
			w.message("hello", hub.AssignmentInput{Agent: "mei"})
			w.wait(10 * time.Second)
			sent := w.push.take()
			if len(sent) != 1 {
				t.Fatalf("%d pushes, want 1", len(sent))
			}
			return sent[0].payload.Notification.Data
		}
		receipt := func(d wire.PushData, event string) {
			t.Helper()
			err := w.now().Receipt(t.Context(), wire.Receipt{
				Token: d.Receipt, ID: d.ID, Kind: d.Kind, Agent: d.Agent, Device: d.Device, Generation: d.Generation,
				Conversation: d.Conversation, Message: d.Message, Event: event,
			})
			if err != nil {
				t.Fatal(err)
			}
			w.wait(2 * time.Second)
		}
		expect := func(when string, cause notify.Reason) {
			t.Helper()
			w.wait(80 * time.Second)
			for _, h := range w.hubs {
				r, err := h.Reach(t.Context(), hub.ReachFilter{Unreachable: cause != "", Limit: 100})
				if err != nil || len(r.Agents) != 1 || r.Agents[0].Cause != cause || r.Agents[0].Reachable != (cause == "") {
					t.Errorf("%s: %+v, %v; want cause %q", when, r.Agents, err, cause)
				}
			}
		}
		push()
		push()
		expect("two pushes", "")
		receipt(push(), "displayed")
		expect("the third brought a receipt", "")
		push()
		push()
		expect("two pushes since", "")
		third := push()
		expect("three pushes since", hub.NoReceipt)
		receipt(third, "clicked")
		expect("a receipt after all", "")
		for range 3 {
			push()
		}
		expect("three more", hub.NoReceipt)
		again := w.open("mei", "hidden", mei.device)
		w.settle()
		if a, _ := w.reach("mei"); a.Reachable || a.Cause != hub.NoReceipt {
			t.Errorf("a page is open, but hidden, and %+v", a)
		}
		again.state("visible")
		w.settle()
		for i, h := range w.hubs {
			if r, err := h.Reach(t.Context(), hub.ReachFilter{Limit: 1}); err != nil || !r.Agents[0].Reachable || r.Agents[0].Logins[0].Presence != notify.Visible {
				t.Errorf("a page is visible, and node %d says %+v, %v", i, r.Agents, err)
			}
		}
		in := hub.SubscriptionInput{Endpoint: "https://push.test/another", KeyID: "key1"}
		in.Keys.P256dh, in.Keys.Auth = "p", "a"
		if _, err := w.now().Subscribe(t.Context(), "mei", mei.device, in); err != nil {
			t.Fatal(err)
		}
		again.close()
		expect("a new subscription", "")
	})
}

func TestReachIsPagedAndBoundedAndNamesThoseOfATeam(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("a1", "a2", "a3", "a4", "a5")
		w.team("t", "a2", "a4")
		w.open("a2", "hidden")
		w.open("a3", "active")
		for _, c := range []struct {
			f    hub.ReachFilter
			want string
		}{
			{hub.ReachFilter{Limit: 100}, `[a1 a2 a3 a4 a5] ""`},
			{hub.ReachFilter{Limit: 2}, `[a1 a2] "a2"`},
			{hub.ReachFilter{After: "a2", Limit: 2}, `[a3 a4] "a4"`},
			{hub.ReachFilter{After: "a4", Limit: 2}, `[a5] ""`},
			{hub.ReachFilter{Unreachable: true, Limit: 2}, `[a1 a4] "a4"`},
			{hub.ReachFilter{After: "a4", Unreachable: true, Limit: 2}, `[a5] ""`},
			{hub.ReachFilter{Team: "t", Limit: 100}, `[a2 a4] ""`},
			{hub.ReachFilter{After: "a2", Team: "t", Unreachable: true, Limit: 100}, `[a4] ""`},
			{hub.ReachFilter{Agent: "a3", Limit: 100}, `[a3] ""`},
			{hub.ReachFilter{Agent: "A", Limit: 2}, `[a1 a2] "a2"`},
			{hub.ReachFilter{Agent: "A", Team: "t", Limit: 100}, `[a2 a4] ""`},
			{hub.ReachFilter{Agent: "zoe", Limit: 100}, `[] ""`},
		} {
			r, err := w.hub.Reach(t.Context(), c.f)
			if err != nil {
				t.Fatal(err)
			}
			ids := []string{}
			for _, a := range r.Agents {
				ids = append(ids, a.ID)
			}
			if got := fmt.Sprintf("%v %q", ids, r.Next); got != c.want {
				t.Errorf("%+v: %s, want %s", c.f, got, c.want)
			}
		}
		if _, err := w.hub.Reach(t.Context(), hub.ReachFilter{Team: "nobody", Limit: 10}); hub.AsError(err).Kind != hub.NotFound {
			t.Errorf("an unknown team: %v", err)
		}
	})
}

func TestMetricCountsOnDutyAgentsWhoCannotBeReachedByCause(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.metrics = prometheus.NewRegistry()
		w.restart()
		w.agent("mei", "ken", "ann", "bob")
		if _, err := w.hub.SetPreferences(t.Context(), "bob", hub.PreferencesInput{Notifications: ptr(false)}); err != nil {
			t.Fatal(err)
		}
		w.open("mei", "active")
		ken := w.open("ken", "hidden")
		ken.close()
		w.wait(time.Second)
		families, err := w.metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				switch f.GetName() {
				case "caac_on_duty":
					got["on duty"] = m.GetGauge().GetValue()
				case "caac_on_duty_muted":
					got["muted"] = m.GetGauge().GetValue()
				case "caac_on_duty_unreachable":
					got[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
				}
			}
		}
		b, _ := json.Marshal(got)
		if string(b) != `{"device_off":0,"muted":1,"no_receipt":0,"no_subscription":1,"not_logged_in":1,"on duty":4,"permission_default":0,"permission_denied":0,"push_rejected":0,"subscription_gone":0}` {
			t.Errorf("%s", b)
		}
	})
}

func TestSummaryUnderWayIsWaitedForNoLongerThanAsked(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		letGo := w.hub.HoldReachSummary()
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := w.hub.ReachSummary(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 2*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		letGo()
		if sum, err := w.hub.ReachSummary(t.Context()); err != nil || !sum.Whole {
			t.Errorf("%+v, %v", sum, err)
		}
	})
}
