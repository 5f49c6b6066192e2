package hub_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// closedWith waits until the page's socket is closed, at most d, and checks the code.
func (p *page) closedWith(d time.Duration, code int) {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(d):
		p.t.Errorf("the socket is still open after %s, want it closed with %d", d, code)
		return
	}
	if got := p.closeCode(); got != code {
		p.t.Errorf("closed with %d %q, want %d", got, p.closed.Reason, code)
	}
}

func (p *page) open() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func hello(agent string, change ...func(*wire.Client)) wire.Client {
	f := wire.Client{Type: wire.TypeHello, Token: agent, Permission: notify.Granted, State: &wire.PageState{Visibility: "visible", Focus: true}}
	for _, fn := range change {
		fn(&f)
	}
	return f
}

// A node that stood still finds the hello of a good page too late.
func TestSilentSocketIsClosedAfterFiveSecondsAndMayComeBack(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		p := &page{w: w, t: t, done: make(chan struct{}), conn: w.dial()}
		go p.read()
		began := time.Now()
		p.closedWith(7*time.Second, wire.CloseNoHello)
		if d := time.Since(began); d < 5*time.Second || d > 6*time.Second {
			t.Errorf("closed after %s, want 5 s", d)
		}
		if wire.CloseNoHello >= 4500 {
			t.Errorf("code %d tells the page to stay away", wire.CloseNoHello)
		}
	})
}

func TestFirstFrameMustBeAGoodHello(t *testing.T) {
	for name, c := range map[string]struct {
		frame any
		code  int
	}{
		"another frame":          {wire.Client{Type: wire.TypeRefresh}, wire.CloseBadFrame},
		"no token":               {hello(""), wire.CloseBadToken},
		"a bad token":            {hello("bad"), wire.CloseBadToken},
		"a token that has ended": {hello("expires:-1s:mei"), wire.CloseTokenEnded},
		"a token of a new key":   {hello("expires:0s:mei"), wire.CloseTokenEnded},
		"an unknown agent":       {hello("nobody"), wire.CloseBadToken},
		"an unknown field":       {map[string]any{"type": "hello", "token": "mei", "colour": "red"}, wire.CloseBadFrame},
		"no JSON object":         {"hello", wire.CloseBadFrame},
		"an unknown permission":  {hello("mei", func(f *wire.Client) { f.Permission = "maybe" }), wire.CloseBadToken},
		"a label that is a book": {hello("mei", func(f *wire.Client) { f.Label = strings.Repeat("x", 2000) }), wire.CloseBadToken},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, w *world) {
				w.agent("mei")
				w.connect(c.frame).closedWith(time.Second, c.code)
				if a, err := w.hub.Agent(t.Context(), "mei"); err != nil || len(a.Logins) != 0 {
					t.Errorf("logins %+v %v, want none", a.Logins, err)
				}
			})
		})
	}
}

func TestFrameThatIsNoneEndsTheSocket(t *testing.T) {
	for name, c := range map[string]struct {
		write func(p *page)
		code  int
	}{
		"garbage":                 {func(p *page) { p.conn.Write(context.Background(), websocket.MessageText, []byte("{]")) }, wire.CloseBadFrame},
		"binary":                  {func(p *page) { p.conn.Write(context.Background(), websocket.MessageBinary, []byte("{}")) }, wire.CloseBadFrame},
		"an unknown type":         {func(p *page) { p.send(map[string]any{"type": "dance"}) }, wire.CloseBadFrame},
		"a second hello":          {func(p *page) { p.send(hello("mei")) }, wire.CloseBadFrame},
		"a state without state":   {func(p *page) { p.send(map[string]any{"type": "state"}) }, wire.CloseBadFrame},
		"an ack without rendered": {func(p *page) { p.send(map[string]any{"type": "ack", "id": "x"}) }, wire.CloseBadFrame},
		"a read of nothing":       {func(p *page) { p.send(wire.Client{Type: wire.TypeRead, Conversation: "ann"}) }, wire.CloseBadFrame},
		"oversize": {func(p *page) {
			p.send(wire.Client{Type: wire.TypeAck, ID: strings.Repeat("x", wire.MaxFrame), Rendered: ptr(true)})
		}, int(websocket.StatusMessageTooBig)},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, w *world) {
				w.agent("mei", "ken")
				mei, ken := w.open("mei", "active"), w.open("ken", "active")
				c.write(mei)
				mei.closedWith(2*time.Second, c.code)
				if !ken.open() {
					t.Error("another page was closed too")
				}
			})
		})
	}
}

func TestReadOfAnUnknownConversationChangesNothing(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		mei := w.open("mei", "active")
		mei.readUpto("nowhere", 3)
		w.wait(time.Second)
		if !mei.open() {
			t.Error("the socket was closed")
		}
	})
}

func TestTokenEndClosesTheSocketUnlessRefreshed(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		ends := w.connect(hello("expires:30s:mei"))
		stays := w.connect(hello("expires:30s:mei"))
		w.wait(20 * time.Second)
		stays.send(wire.Client{Type: wire.TypeRefresh, Token: "expires:60s:mei"})
		w.wait(time.Second)
		if n := len(stays.took(wire.TypeWelcome)); n != 2 {
			t.Errorf("%d welcomes, want the first and the answer to refresh", n)
		}
		w.wait(11 * time.Second)
		ends.closedWith(10*time.Millisecond, wire.CloseTokenEnded)
		if !stays.open() {
			t.Error("the refreshed socket was closed")
		}
		stays.closedWith(60*time.Second, wire.CloseTokenEnded)
	})
}

func TestTokenThatIsNotGoodEndsTheSocket(t *testing.T) {
	for token, code := range map[string]int{"ken": wire.CloseForeign, "bad": wire.CloseBadToken, "expires:-1s:mei": wire.CloseTokenEnded} {
		run(t, func(t *testing.T, w *world) {
			w.agent("mei", "ken")
			mei := w.open("mei", "active")
			mei.send(wire.Client{Type: wire.TypeRefresh, Token: token})
			mei.closedWith(time.Second, code)
		})
	}
}

func TestPageThatShowsTheTruthIsSentNoList(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		mei := w.open("mei", "hidden")
		w.message("hello", hub.AssignmentInput{Agent: "mei"})
		w.wait(time.Second)
		device, version := mei.device, mei.version
		mei.close()
		for have, same := range map[int64]bool{version: true, version - 1: false, 0: false} {
			p := w.connect(hello("mei", func(f *wire.Client) { f.Device, f.Version = &device, have }))
			if p.welcome.Same != same || p.welcome.Total != 1 || (len(p.welcome.Conversations) == 0) != same {
				t.Errorf("a page at %d of %d: welcome %+v", have, version, p.welcome)
			}
		}
	})
}

func TestForeignDeviceKeyMakesANewDevice(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei", "ken")
		mei := w.open("mei", "hidden").subscribe()
		ken := w.open("ken", "hidden", wire.DeviceAuth{ID: mei.device.ID, Key: "guessed"})
		if ken.device.ID == mei.device.ID || ken.device.Key == "" {
			t.Errorf("Ken got device %+v, want a new one with its key", ken.device)
		}
		stolen := wire.DeviceAuth{ID: mei.device.ID, Key: ken.device.Key}
		in := hub.SubscriptionInput{Endpoint: "https://push.test/ken", KeyID: "key1"}
		if _, err := w.hub.Subscribe(t.Context(), "ken", stolen, in); hub.AsError(err) == nil || hub.AsError(err).Kind != hub.Forbidden {
			t.Errorf("subscribing another's device: %v, want forbidden", err)
		}
		if err := w.hub.Logout(t.Context(), "ken", mei.device); hub.AsError(err) == nil || hub.AsError(err).Kind != hub.Forbidden {
			t.Errorf("logging out where one is not logged in: %v, want forbidden", err)
		}
	})
}

func TestNobodyAcknowledgesForAnother(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei", "ken")
		mei := w.open("mei", "active").subscribe()
		mei.mute = true
		ken := w.open("ken", "active")
		hidden := w.open("mei", "hidden", mei.device)
		m := w.message("hello", hub.AssignmentInput{Agent: "mei"})
		w.wait(10 * time.Millisecond)
		id := w.delivery(m, mei).ID
		for _, p := range []*page{ken, hidden} {
			p.send(wire.Client{Type: wire.TypeAck, ID: id, Rendered: ptr(true)})
			p.send(wire.Client{Type: wire.TypeAck, ID: id, Rendered: ptr(false)})
		}
		w.wait(time.Second)
		w.expect(m, mei, "in_app actively_viewing pending")
		w.wait(3 * time.Second)
		w.expect(m, mei, "push unconfirmed push_accepted")
	})
}

func TestFloodingPageIsCutAndCostsOnlyItself(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei", "ken")
		mei, ken := w.open("mei", "active"), w.open("ken", "active")
		for range 200 {
			mei.send(wire.Client{Type: wire.TypeState, State: pageState("active")})
		}
		mei.closedWith(2*time.Second, wire.CloseTooMany)
		w.message("hello", hub.AssignmentInput{Agent: "ken"})
		w.wait(time.Second)
		if ken.badge() != 1 {
			t.Errorf("Ken's badge %d, want 1", ken.badge())
		}
	})
}

func TestSlowReaderIsCutAndCostsOnlyItself(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		quick := w.open("mei", "active").subscribe()
		slow := w.dial() // never reads
		defer slow.CloseNow()
		device := quick.device
		if err := slow.Write(t.Context(), websocket.MessageText, encoded(hello("mei", func(f *wire.Client) { f.Device = &device }))); err != nil {
			t.Fatal(err)
		}
		w.wait(10 * time.Millisecond)
		sockets := func() int {
			a, err := w.hub.Agent(t.Context(), "mei")
			if err != nil {
				t.Fatal(err)
			}
			return a.Logins[0].Sockets
		}
		if n := sockets(); n != 2 {
			t.Fatalf("%d sockets, want 2", n)
		}
		began := time.Now()
		for i := range 100 {
			w.messageIn(fmt.Sprintf("c%d", i), "hello", hub.AssignmentInput{Agent: "mei"})
			synctest.Wait()
		}
		w.wait(6 * time.Second)
		if n := sockets(); n != 1 {
			t.Errorf("%d sockets after %s, want the quick one only", n, time.Since(began))
		}
		if quick.badge() != 100 || !quick.open() {
			t.Errorf("the quick page shows (%d), want 100", quick.badge())
		}
	})
}

func TestSocketsAreLimitedByAgentAndAddress(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.limits = hub.Limits{SocketsPerAgent: 3, SocketsPerAddress: 5}
		w.restart()
		w.agent("mei", "ken", "zoe")
		mei := w.open("mei", "active")
		w.open("mei", "hidden", mei.device)
		w.open("mei", "hidden", mei.device)
		w.connect(hello("mei", func(f *wire.Client) { f.Device = &mei.device })).closedWith(time.Second, wire.CloseTooManyTabs)
		w.open("ken", "active")
		ken := w.open("ken", "active")
		w.connect(hello("zoe")).closedWith(time.Second, wire.CloseTooManyTabs)
		ken.close()
		if zoe := w.open("zoe", "active"); !zoe.open() {
			t.Error("a place that became free is not given")
		}
	})
}

func TestDevicesAreLimitedAndTheOldestGivesWay(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.limits = hub.Limits{DevicesPerAgent: 3, LoginsPerDevice: 2}
		w.restart()
		w.agent("mei", "ken", "zoe")
		first := w.open("mei", "hidden")
		first.close()
		w.wait(2 * time.Hour)
		for range 3 {
			w.open("mei", "hidden")
			w.wait(time.Second)
		}
		a, err := w.hub.Agent(t.Context(), "mei")
		if err != nil || len(a.Logins) != 3 {
			t.Fatalf("%d logins %v, want 3", len(a.Logins), err)
		}
		for _, l := range a.Logins {
			if l.Device == first.device.ID {
				t.Error("the device not seen for longest is still logged in")
			}
		}
		w.connect(hello("mei")).closedWith(time.Second, wire.CloseTooManyTabs)
		shared := w.open("ken", "hidden")
		w.open("zoe", "hidden", shared.device)
		w.connect(hello("mei", func(f *wire.Client) { f.Device, f.Place = &shared.device, "third" })).closedWith(time.Second, wire.CloseTooManyTabs)
	})
}

func TestDrainSaysGoodbyeAndLeavesNoGoroutine(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		mei := w.open("mei", "active")
		synctest.Wait()
		w.stop()
		mei.closedWith(time.Second, wire.CloseDrain)
		byes := mei.took(wire.TypeBye)
		if len(byes) != 1 || byes[0]["code"] != float64(wire.CloseDrain) || byes[0]["retry_ms"].(float64) <= 0 {
			t.Errorf("bye %v, want one with %d and when to come back", byes, wire.CloseDrain)
		}
		synctest.Wait()
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		for _, g := range strings.Split(string(stacks), "\n\n") {
			if strings.Contains(g, "caac-hub/hub.") && strings.Contains(g, "synctest bubble") {
				t.Errorf("left behind:\n%s", g)
			}
		}
		if _, err := w.hub.Agent(t.Context(), "mei"); err == nil {
			if a := w.hub.Messages(t.Context(), []hub.MessageInput{{ID: "m", Kind: notify.Text, Conversation: hub.ConversationInput{ID: "ann"}}})[0]; hub.AsError(a.Err) == nil || hub.AsError(a.Err).Kind != hub.Unavailable {
				t.Errorf("a message after the end: %+v, want unavailable", a)
			}
		}
	})
}

func TestDrainIsNotHeldUpByAPageThatDoesNotRead(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		slow := w.dial()
		defer slow.CloseNow()
		if err := slow.Write(t.Context(), websocket.MessageText, encoded(hello("mei"))); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		began := time.Now()
		w.stop()
		if d := time.Since(began); d > 10*time.Second {
			t.Errorf("the drain took %s", d)
		}
	})
}

func TestLogoutWhileSayingHelloLeavesNoSocket(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei", "ken")
		device := w.open("mei", "hidden").device
		w.open("ken", "hidden", device)
		w.restart()
		// Once the login is made, the others on the device are looked at, and only
		// then the socket can be found.
		w.valve.asked = map[string]func(){"ken": func() {
			if _, err := w.hub.EndLogins(t.Context(), "mei", ""); err != nil {
				t.Error(err)
			}
		}}
		w.connect(hello("mei", func(f *wire.Client) { f.Device, f.Place = &device, "mei" })).closedWith(2*time.Second, wire.CloseLoggedOut)
	})
}

func TestPageEndsAtTheTruthThatChangedWhileItsStateWasRead(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		mei := w.open("mei", "hidden")
		w.wait(5 * time.Second)
		off, muted, h := false, false, w.hub
		change := func() {
			if _, err := h.SetDuty(t.Context(), "mei", off, 0); err != nil {
				t.Error(err)
			}
			if _, err := h.SetPreferences(t.Context(), "mei", hub.PreferencesInput{Notifications: &muted}); err != nil {
				t.Error(err)
			}
		}
		w.valve.meanwhile.Store(&change)
		mei.send(wire.Client{Type: wire.TypeRefresh})
		w.wait(10 * time.Second)
		var onDuty, notifications any
		mei.mu.Lock()
		defer mei.mu.Unlock()
		for _, f := range mei.frames {
			if v, ok := f["on_duty"]; ok {
				onDuty = v
			}
			if v, ok := f["settings"].(map[string]any); ok {
				notifications = v["notifications"]
			}
		}
		if onDuty != false || notifications != false {
			t.Errorf("the page shows on duty %v, notifications %v; want false, false", onDuty, notifications)
		}
	})
}

func TestRefreshThatFailsSendsThePageBackToStart(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		mei := w.open("mei", "hidden")
		w.valve.unreadErr = notify.ErrUnavailable
		mei.send(wire.Client{Type: wire.TypeRefresh})
		mei.closedWith(2*time.Second, wire.CloseUnavailable)
	})
}

func TestPushNamesWhatToClose(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		phone := w.open("mei", "hidden").subscribe()
		phone.close()
		desktop := w.open("mei", "active")
		for i := range 20 {
			w.messageIn(fmt.Sprintf("c%d", i), "hello", hub.AssignmentInput{Agent: "mei"})
			w.wait(100 * time.Millisecond)
			desktop.readUpto(fmt.Sprintf("c%d", i), 1)
		}
		w.push.take()
		w.push.answer(notify.PushAnswer{Class: notify.AnswerThrottled, RetryAfter: time.Second})
		w.message("hello", hub.AssignmentInput{Agent: "mei"})
		w.wait(3 * time.Second)
		sent := w.push.take()
		if len(sent) != 2 {
			t.Fatalf("%d pushes, want the refused one and its repetition", len(sent))
		}
		for _, s := range sent {
			if n := len(s.payload.Notification.Data.Close); n == 0 || n > 16 {
				t.Errorf("the push closes %d tags, want 1 to 16", n)
			}
		}
		w.messageIn("bob", "hello", hub.AssignmentInput{Agent: "mei"})
		w.wait(time.Second)
		if sent := w.push.take(); len(sent) != 1 || len(sent[0].payload.Notification.Data.Close) != 0 {
			t.Errorf("%+v, want one push that closes nothing anew", sent)
		}
	})
}

func TestServeSocketAfterTheEndClosesTheConnection(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.stop()
		p := &page{w: w, t: t, done: make(chan struct{}), conn: w.dial()}
		go p.read()
		p.closedWith(10*time.Second, wire.CloseDrain)
	})
}
