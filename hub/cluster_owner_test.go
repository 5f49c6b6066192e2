//go:build !race

package hub_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

func TestFrozenNodeRingsNothingAgain(t *testing.T) {
	runShards(t, func(t *testing.T, w *world) {
		w.doubts = true
		w.agent(everyone...)
		var phones, tabs []*strict
		for i, id := range everyone {
			p := w.before(1).strict(id, []string{"active", "visible"}[i%2])
			p.subscribe()
			tabs = append(tabs, p)
			phones = append(phones, w.before(2).strict(id, "hidden"))
			phones[i].subscribe()
		}
		w.wait(100 * time.Millisecond)
		for round := range 3 { // before the freeze, and while it lasts
			for i, id := range everyone {
				w.before(i % 3)
				w.turn()
				w.messageIn(fmt.Sprint("c", id, round), "hello", hub.AssignmentInput{Agent: id})
			}
			if round == 0 {
				w.node[1].freeze()
				w.wait(time.Second)
			}
		}
		for i, id := range everyone {
			if err := w.hub.Read(t.Context(), id, fmt.Sprint("c", id, 1), 1); i%2 == 0 && err != nil {
				t.Fatal(err)
			}
		}
		w.wait(9 * time.Second)
		w.node[1].thaw()
		w.wait(12 * time.Second)
		for _, h := range w.hubs {
			if err := h.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		}
		for i, id := range everyone {
			for _, p := range []*strict{tabs[i], phones[i]} {
				p.catchUp()
				w.wait(200 * time.Millisecond)
				p.catchUp()
				p.truth(t)
			}
			for round := range 3 {
				ref := notify.Ref{Conversation: fmt.Sprint("c", id, round)}
				ms, err := w.hub.Traces(t.Context(), notify.TraceFilter{Conversation: ref.Conversation, Limit: 1}, false)
				if err != nil || len(ms) != 1 || ms[0].Pending {
					t.Errorf("%s: %+v %v", ref.Conversation, ms, err)
				}
			}
		}
		rings := w.push.rings()
		rangTwice(t, rings)
		for _, p := range tabs {
			for id, n := range p.locals {
				if n > 1 {
					t.Errorf("%s was shown %d times", id, n)
				}
			}
		}
	})
}

func TestNodeThatDoesNotHearItselfTrustsNobodyAndComesBack(t *testing.T) {
	runShards(t, func(t *testing.T, w *world) {
		w.agent("mei")
		tab := w.on(0, "mei", "active").subscribe()
		w.wait(100 * time.Millisecond)
		w.lines.lose(-1, 1, 1)
		w.wait(4200 * time.Millisecond)
		if err := w.hubs[1].Ready(t.Context()); err == nil {
			t.Error("the node is ready, and hears nobody")
		}
		if n := w.hubs[1].Sizes()["pages away"]; n != 0 {
			t.Errorf("it still trusts what it heard of %d pages", n)
		}
		w.before(1)
		w.turn()
		messageIDs++
		in := hub.MessageInput{ID: fmt.Sprintf("m%d", messageIDs), Kind: notify.Text, Text: "hello", Conversation: hub.ConversationInput{ID: "ann", Contact: "Ann", Assignment: &hub.AssignmentInput{Agent: "mei"}}}
		if a := w.hubs[1].Messages(t.Context(), []hub.MessageInput{in})[0]; a.Err != nil {
			t.Fatal(a.Err)
		}
		// What is written while it is deaf must not be missed.
		if _, err := w.hubs[2].SetDevice(t.Context(), "mei", tab.device, hub.DeviceInput{On: ptr(false)}); err != nil {
			t.Fatal(err)
		}
		w.wait(2 * time.Second)
		w.lines.lose(-1, 1, 0)
		w.wait(8 * time.Second)
		if err := w.hubs[1].Ready(t.Context()); err != nil {
			t.Error(err)
		}
		d := w.delivery(notify.Ref{Conversation: "ann", Message: in.ID}, tab)
		if d.End == "" || d.End == notify.Failed {
			t.Errorf("the message %s", describe(d))
		}
		rangTwice(t, w.push.rings())
		if n := w.hubs[1].Sizes()["pages away"]; n != 1 {
			t.Errorf("it knows of %d pages, want 1", n)
		}
		if dev, err := w.hubs[1].Device(t.Context(), tab.device.ID); err != nil || dev.Settings.On {
			t.Errorf("it takes the switch for on: %+v %v", dev.Settings, err)
		}
		if tab.badge() != 1 {
			t.Errorf("badge %d, want 1", tab.badge())
		}
	})
}

func TestChangesHoldOnEveryNodeWithinTwoSeconds(t *testing.T) {
	for _, loss := range []string{"heard", "lost"} {
		t.Run(loss, func(t *testing.T) {
			runShards(t, func(t *testing.T, w *world) {
				w.agent("mei", "ken")
				w.team("east", "ken")
				tab := w.on(1, "mei", "active").subscribe()
				phone := w.on(2, "mei", "active").subscribe()
				for n := range w.hubs { // each has read them
					w.hubs[n].Preview(t.Context(), hub.MessageInput{Kind: notify.Text, Text: "x", Conversation: hub.ConversationInput{ID: "p", Assignment: &hub.AssignmentInput{Team: "east"}}})
					w.hubs[n].Preview(t.Context(), hub.MessageInput{Kind: notify.Text, Text: "x", Conversation: hub.ConversationInput{ID: "p", Assignment: &hub.AssignmentInput{Agent: "mei"}}})
				}
				change := func(what string, fn func() error, holds func(h *hub.Hub) bool) {
					t.Helper()
					w.wait(137 * time.Millisecond)
					if loss == "lost" {
						w.lines.lose(0, -1, 1)
					}
					if err := fn(); err != nil {
						t.Fatal(what, err)
					}
					synctest.Wait()
					w.lines.lose(-1, -1, 0)
					w.wait(2 * time.Second)
					for n, h := range w.hubs {
						if !holds(h) {
							t.Errorf("%s does not hold on node %d", what, n)
						}
					}
				}
				first := func(h *hub.Hub, to hub.AssignmentInput) notify.Decision {
					ds, err := h.Preview(t.Context(), hub.MessageInput{Kind: notify.Text, Text: "x", Conversation: hub.ConversationInput{ID: "p", Assignment: &to}})
					if err != nil || len(ds) == 0 {
						t.Fatal(ds, err)
					}
					for _, d := range ds {
						if d.Device == tab.device.ID {
							return d
						}
					}
					return ds[0]
				}
				mei := hub.AssignmentInput{Agent: "mei"}
				change("off duty", func() error { _, err := w.hubs[0].SetDuty(t.Context(), "mei", false, 0); return err },
					func(h *hub.Hub) bool { return first(h, mei).Reason == notify.OffDuty })
				for _, p := range []*page{tab, phone} {
					if fs := p.took(wire.TypeDuty); len(fs) == 0 {
						t.Error("a page was not told its duty")
					}
				}
				change("on duty", func() error { _, err := w.hubs[0].SetDuty(t.Context(), "mei", true, 0); return err },
					func(h *hub.Hub) bool { return first(h, mei).Reason == notify.ActivelyViewing })
				change("muted", func() error {
					_, err := w.hubs[0].SetPreferences(t.Context(), "mei", hub.PreferencesInput{Notifications: ptr(false)})
					return err
				}, func(h *hub.Hub) bool { return first(h, mei).Reason == notify.AgentMuted })
				change("not muted", func() error {
					_, err := w.hubs[0].SetPreferences(t.Context(), "mei", hub.PreferencesInput{Notifications: ptr(true)})
					return err
				}, func(h *hub.Hub) bool { return first(h, mei).Reason == notify.ActivelyViewing })
				change("the switch", func() error {
					_, err := w.hubs[0].SetDevice(t.Context(), "mei", tab.device, hub.DeviceInput{On: ptr(false)})
					return err
				}, func(h *hub.Hub) bool {
					d, err := h.Device(t.Context(), tab.device.ID)
					return err == nil && !d.Settings.On
				})
				change("the team", func() error {
					return w.hubs[0].PutTeams(t.Context(), []hub.TeamInput{{ID: "east", Members: []string{"mei"}}})[0].Err
				},
					func(h *hub.Hub) bool { return first(h, hub.AssignmentInput{Team: "east"}).Agent == "mei" })
				change("the revocation", func() error { _, err := w.hubs[0].EndLogins(t.Context(), "mei", ""); return err },
					func(h *hub.Hub) bool { return first(h, mei).Reason == notify.NotLoggedIn })
				for _, p := range []*page{tab, phone} {
					select {
					case <-p.done:
						if code := p.closeCode(); code != wire.CloseLoggedOut {
							t.Errorf("closed with %d", code)
						}
					default:
						t.Error("a page of an ended login is open")
					}
				}
			})
		})
	}
}

func TestPushUnderWayIsSentByOneNode(t *testing.T) {
	for _, lives := range []bool{true, false} {
		t.Run(fmt.Sprintf("the node that sends it lives: %t", lives), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newShards(t, 2, 4)
				w.agent(everyone...)
				var phones []*page
				for _, id := range everyone {
					p := w.on(0, id, "hidden").subscribe()
					p.close()
					phones = append(phones, p)
				}
				for i, id := range everyone {
					gate := make(chan struct{})
					w.push.during = func() { <-gate }
					ref := w.messageIn("c"+id, "hello", hub.AssignmentInput{Agent: id})
					synctest.Wait()
					if i == 0 { // every node owns others from now on
						joined := w.join()
						w.nodes++
						for joined.hub.Ready(t.Context()) != nil {
							time.Sleep(time.Millisecond)
						}
					}
					w.wait(12 * time.Second)
					close(gate)
					w.wait(5 * time.Second)
					w.expect(ref, phones[i], "push page_closed push_accepted")
					rings := w.push.rings()
					rangTwice(t, rings)
					if len(rings) != 1 {
						t.Errorf("%d pushes, want 1", len(rings))
					}
				}
				if lives {
					return
				}
				gate := make(chan struct{})
				var refs []notify.Ref
				w.push.during = func() { <-gate }
				for _, id := range everyone {
					refs = append(refs, w.messageIn("d"+id, "hello", hub.AssignmentInput{Agent: id}))
				}
				w.node[0].kill()
				w.before(0)
				w.turn()
				w.wait(8 * time.Second)
				close(gate)
				w.wait(time.Second)
				for i, ref := range refs {
					w.expect(ref, phones[i], "push page_closed push_accepted")
				}
			})
		})
	}
}

func TestHandedOverPartitionLosesNoAcknowledgement(t *testing.T) {
	for _, how := range []string{"joins", "drains"} {
		t.Run("a node "+how, func(t *testing.T) {
			runShards(t, func(t *testing.T, w *world) {
				w.drain = 100 * time.Millisecond
				w.agent(everyone...)
				var tabs []*page
				for _, id := range everyone {
					tabs = append(tabs, w.on(0, id, "visible").subscribe())
				}
				w.wait(100 * time.Millisecond)
				var refs []notify.Ref
				for _, id := range everyone {
					refs = append(refs, w.messageIn("c"+id, "hello", hub.AssignmentInput{Agent: id}))
				}
				w.wait(2 * time.Second)
				if how == "joins" {
					w.join()
					w.wait(6 * time.Second)
				} else {
					go w.node[2].end()
					w.wait(time.Second)
					w.before(0)
					w.wait(12 * time.Second)
					w.before(0)
					w.turn()
				}
				for i, ref := range refs {
					w.expect(ref, tabs[i], "local visible_unfocused acknowledged")
				}
				if n := len(w.push.take()); n > 0 {
					t.Errorf("%d pushes for what was acknowledged", n)
				}
			})
		})
	}
}

// A new owner does not take for unconfirmed what the one before is about to write.
func TestOwnerHeardLateDecidesNothingAgain(t *testing.T) {
	for after := 2000; after < 3000; after += 37 {
		t.Run(fmt.Sprintf("after %d ms", after), func(t *testing.T) {
			runShards(t, func(t *testing.T, w *world) {
				w.agent(everyone...)
				for _, id := range everyone {
					w.on(0, id, "visible").subscribe()
				}
				w.wait(100 * time.Millisecond)
				for _, id := range everyone {
					messageIDs++
					in := hub.MessageInput{ID: fmt.Sprintf("m%d", messageIDs), Kind: notify.Text, Text: "hello", Conversation: hub.ConversationInput{ID: "c" + id, Assignment: &hub.AssignmentInput{Agent: id}}}
					if a := w.hub.Messages(t.Context(), []hub.MessageInput{in})[0]; a.Err != nil {
						t.Fatal(a.Err)
					}
				}
				w.wait(time.Duration(after) * time.Millisecond)
				for n := range 3 {
					w.lines.slow(3, n, 300*time.Millisecond)
				}
				w.join()
				w.wait(6 * time.Second)
				if n := len(w.push.take()); n > 0 {
					t.Errorf("%d pushes for what was acknowledged", n)
				}
			})
		})
	}
}

func TestDrainMovesPagesAndEndsInTime(t *testing.T) {
	runShards(t, func(t *testing.T, w *world) {
		w.agent(everyone...)
		var stubborn []*page
		for _, id := range everyone {
			stubborn = append(stubborn, w.on(1, id, "active"))
		}
		w.wait(3 * time.Second)
		from := time.Now()
		ended := make(chan time.Duration, 1)
		go func() { w.node[1].end(); ended <- time.Since(from) }()
		w.wait(100 * time.Millisecond)
		var soonest, latest float64 = 1e9, 0
		for _, p := range stubborn {
			byes := p.took(wire.TypeBye)
			if len(byes) != 1 {
				t.Fatalf("%d byes, want 1", len(byes))
			}
			ms := byes[0]["retry_ms"].(float64)
			soonest, latest = min(soonest, ms), max(latest, ms)
			select {
			case <-p.done:
				t.Error("the old socket was closed at once")
			default:
			}
		}
		if latest > 5000 || latest-soonest < 500 {
			t.Errorf("the pages were told to come back between %.0f and %.0f ms", soonest, latest)
		}
		late := w.before(1).dial()
		_, _, err := late.Read(t.Context())
		if code := websocket.CloseStatus(err); code != wire.CloseDrain {
			t.Errorf("a page that came to the node that goes was closed with %d, want %d", code, wire.CloseDrain)
		}
		w.before(2)
		m := w.messageIn("c", "hello", hub.AssignmentInput{Agent: everyone[0]})
		w.wait(time.Second)
		if n := len(stubborn[0].took(wire.TypeNotify)); n != 1 {
			t.Errorf("%d notify frames on the old socket, want 1", n)
		}
		_ = m
		took := <-ended
		if took > 15*time.Second {
			t.Errorf("the node ended after %s", took)
		}
	})
}

func TestPushTestIsOneOnAllNodes(t *testing.T) {
	runShards(t, func(t *testing.T, w *world) {
		w.agent("mei")
		tab := w.on(2, "mei", "active").subscribe()
		w.wait(100 * time.Millisecond)
		info, err := w.hubs[0].PushTest(t.Context(), "mei", tab.device)
		if err != nil {
			t.Fatal(err)
		}
		w.wait(100 * time.Millisecond)
		sent := w.push.take()
		if len(sent) != 1 {
			t.Fatalf("%d pushes, want 1", len(sent))
		}
		data := sent[0].payload.Notification.Data
		r := wire.Receipt{Kind: data.Kind, ID: data.ID, Agent: data.Agent, Device: data.Device, Generation: data.Generation, Token: data.Receipt, Event: "displayed"}
		if err := w.hubs[1].Receipt(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		w.wait(200 * time.Millisecond)
		for n, h := range w.hubs {
			state, err := h.PushTestState(t.Context(), "mei", info.ID)
			if err != nil || state.Stage != "received" {
				t.Errorf("node %d: %+v %v, want received", n, state, err)
			}
		}
		stages := tab.took(wire.TypeTest)
		if len(stages) == 0 || stages[len(stages)-1]["stage"] != "received" {
			t.Errorf("its page was told %v", stages)
		}
	})
}

func TestWatcherSeesTheOtherNodesTraces(t *testing.T) {
	runShards(t, func(t *testing.T, w *world) {
		w.agent("mei")
		events := w.hubs[1].Watch(t.Context())
		w.wait(100 * time.Millisecond)
		w.before(0)
		w.turn()
		messageIDs++
		in := hub.MessageInput{ID: fmt.Sprintf("m%d", messageIDs), Kind: notify.Text, Text: "hello", Conversation: hub.ConversationInput{ID: "ann", Assignment: &hub.AssignmentInput{Agent: "mei"}}}
		if a := w.hubs[0].Messages(t.Context(), []hub.MessageInput{in})[0]; a.Err != nil {
			t.Fatal(a.Err)
		}
		w.wait(200 * time.Millisecond)
		for len(events) > 0 {
			if e := <-events; e.Kind == "trace" && e.Message == in.ID {
				return
			}
		}
		t.Error("the watcher was told nothing")
	})
}
