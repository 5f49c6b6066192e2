package hub_test

import (
	"fmt"
	"testing"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

func TestConnectedPagesAreAskedToSubscribeForANewKey(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		mei := w.open("mei", "hidden").subscribe()
		mei.took(wire.TypeWelcome)
		w.push.rotate("key2")
		w.wait(2 * time.Second)
		welcomes, settings := mei.took(wire.TypeWelcome), mei.took(wire.TypeSettings)
		if len(welcomes) != 1 || welcomes[0]["vapid"].(map[string]any)["id"] != "key2" {
			t.Errorf("welcomes after a rotation: %v", welcomes)
		}
		if n := len(settings); n == 0 || settings[n-1]["settings"].(map[string]any)["device"].(map[string]any)["resubscribe"] != true {
			t.Errorf("settings after a rotation: %v", settings)
		}
		w.wait(time.Minute)
		if again := mei.took(wire.TypeWelcome); len(again) != 0 {
			t.Errorf("told again: %v", again)
		}

		in := hub.SubscriptionInput{Endpoint: "https://push.test/new", KeyID: "key2"}
		in.Keys.P256dh, in.Keys.Auth = "p", "a"
		if d, err := w.hub.Subscribe(t.Context(), "mei", mei.device, in); err != nil || d.Resubscribe || d.KeyID != "key2" {
			t.Errorf("the new subscription: %+v, %v", d, err)
		}
	})
}

func TestPagesStayAndAreToldOfANewKeyOnceTheStoreIsBack(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		mei := w.open("mei", "hidden").subscribe()
		mei.took(wire.TypeWelcome)
		w.valve.unreadErr = notify.ErrUnavailable
		w.push.rotate("key2")
		w.wait(5 * time.Second)
		w.valve.unreadErr = nil
		if told := mei.took(wire.TypeWelcome); len(told) != 0 {
			t.Errorf("told while the store is away: %v", told)
		}
		w.wait(2 * time.Second)
		if told := mei.took(wire.TypeWelcome); len(told) != 1 {
			t.Errorf("told once it is back: %v", told)
		}
	})
}

func TestManyPagesAreToldOfANewKeyAFewAtATime(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		const pages = 45
		var all []*page
		for i := range pages {
			id := fmt.Sprintf("a%d", i)
			w.agent(id)
			all = append(all, w.open(id, "hidden"))
		}
		w.wait(5 * time.Second)
		told := func() (n int) {
			for _, p := range all {
				n += len(p.took(wire.TypeWelcome))
			}
			return n
		}
		told()
		w.push.rotate("key2")
		var each []int
		for range 4 {
			w.wait(time.Second)
			each = append(each, told())
		}
		if fmt.Sprint(each) != "[20 20 5 0]" {
			t.Errorf("told each second: %v", each)
		}
	})
}

func TestPageThatWaitsToBeToldOfANewKeyIsNotAskedToSubscribe(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		var all []*page
		for i := range 25 {
			id := fmt.Sprintf("a%d", i)
			w.agent(id)
			all = append(all, w.open(id, "hidden").subscribe())
		}
		w.wait(5 * time.Second)
		for _, p := range all {
			p.took(wire.TypeWelcome)
			p.took(wire.TypeSettings)
		}
		asked := func(p *page) []any {
			var all []any
			for _, f := range p.took(wire.TypeSettings) {
				all = append(all, f["settings"].(map[string]any)["device"].(map[string]any)["resubscribe"])
			}
			return all
		}
		w.push.rotate("key2")
		w.wait(1500 * time.Millisecond)
		var wait []*page
		for _, p := range all {
			if len(p.took(wire.TypeWelcome)) == 0 {
				wait = append(wait, p)
			}
		}
		if len(wait) != 5 {
			t.Fatalf("%d pages wait, want 5", len(wait))
		}
		off := false
		if _, err := w.hub.SetDevice(t.Context(), wait[0].agent, wait[0].device, hub.DeviceInput{On: &off}); err != nil {
			t.Fatal(err)
		}
		w.wait(100 * time.Millisecond)
		if got := asked(wait[0]); len(got) != 1 || got[0] != nil {
			t.Errorf("settings before it is told: resubscribe %v", got)
		}
		w.wait(2 * time.Second)
		for _, p := range wait {
			if got := asked(p); len(p.took(wire.TypeWelcome)) != 1 || len(got) == 0 || got[len(got)-1] != true {
				t.Errorf("settings once it is told: resubscribe %v", got)
			}
		}
	})
}

func TestClosedPageIsServedWithTheOldKeyAndMayReplaceItsSubscription(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		mei := w.open("mei", "hidden").subscribe()
		mei.close()
		w.push.rotate("key2")
		w.message("hello", hub.AssignmentInput{Agent: "mei"})
		w.wait(time.Second)
		if sent := w.push.take(); len(sent) != 1 {
			t.Errorf("%d pushes, want one", len(sent))
		}
		in := hub.SubscriptionInput{Endpoint: "https://push.test/renewed", KeyID: "key1"}
		in.Keys.P256dh, in.Keys.Auth = "p", "a"
		if d, err := w.hub.Subscribe(t.Context(), "", mei.device, in); err != nil || d.KeyID != "key1" || !d.Resubscribe {
			t.Errorf("the worker's own replacement: %+v, %v", d, err)
		}
		in.KeyID = "other"
		if _, err := w.hub.Subscribe(t.Context(), "mei", mei.device, in); hub.AsError(err) == nil || hub.AsError(err).Field != "key_id" {
			t.Errorf("a key the hub never had: %v", err)
		}
	})
}

func TestRefusedKeyDeletesNoSubscription(t *testing.T) {
	for _, class := range []notify.PushClass{notify.AnswerAuth, notify.AnswerKeyMismatch, notify.AnswerBadRequest} {
		run(t, func(t *testing.T, w *world) {
			w.agent("mei")
			mei := w.open("mei", "hidden").subscribe()
			mei.close()
			w.push.answer(notify.PushAnswer{Class: class, Host: "push.test"})
			w.message("hello", hub.AssignmentInput{Agent: "mei"})
			w.wait(time.Second)
			info, err := w.hub.Device(t.Context(), mei.device.ID)
			if err != nil || !info.Settings.Subscribed {
				t.Errorf("%s: %+v, %v", class, info.Settings, err)
			}
		})
	}
}
