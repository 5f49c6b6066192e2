//go:build !race

package hub_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// runShards runs a test on three nodes that share a store of four partitions.
func runShards(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { fn(t, newShards(t, 3, 4)) })
}

// everyone are agents of whom each partition and so each node has some.
var everyone = []string{"ada", "ben", "cem", "dan", "eve", "fay", "gus", "hal"}

// on opens a page of an agent on a node.
func (w *world) on(node int, agent, state string, device ...wire.DeviceAuth) *page {
	w.t.Helper()
	return w.before(node).open(agent, state, device...)
}

// rings counts how often each delivery was pushed.
func (p *pushService) rings() map[string]int {
	n := map[string]int{}
	for _, s := range p.take() {
		n[s.payload.Notification.Data.ID]++
	}
	return n
}

func rangTwice(t *testing.T, rings map[string]int) {
	t.Helper()
	for id, n := range rings {
		if n > 1 {
			t.Errorf("%s was pushed %d times", id, n)
		}
	}
}

// say says something to a node in the name of another.
func (w *world) say(from, to int, letter string) {
	w.t.Helper()
	letter = strings.ReplaceAll(letter, "SELF", w.lines.id(to))
	letter = strings.ReplaceAll(letter, "FROM", w.lines.id(from))
	if err := w.lines.say(w.t.Context(), from, w.lines.id(to), []byte(letter)); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

func TestKilledNodesPagesArePushedInTime(t *testing.T) {
	for _, state := range []string{"active", "visible", "active viewing ann"} {
		for wait := range 3 { // before, with and after the message
			t.Run(fmt.Sprintf("%s, killed %d", state, wait), func(t *testing.T) {
				runShards(t, func(t *testing.T, w *world) {
					w.agent(everyone...)
					var dead, alive []*page
					for _, id := range everyone {
						p := w.on(1, id, state).subscribe()
						p.mute = true
						dead = append(dead, p)
					}
					for _, id := range everyone {
						alive = append(alive, w.on(2, id, "hidden", dead[0].device))
					}
					_ = alive
					w.wait(100 * time.Millisecond)
					kill := func() {
						w.node[1].kill()
						synctest.Wait()
						w.before(2)
						w.turn()
					}
					if wait == 0 {
						kill()
					}
					var refs []notify.Ref
					from := time.Now()
					for i, id := range everyone {
						w.before(2 * (i % 2))
						if h := w.turn(); h == nil {
							t.Fatal("no node")
						}
						refs = append(refs, w.messageIn("c"+id, "hello", hub.AssignmentInput{Agent: id}))
					}
					if wait == 1 {
						kill()
					}
					w.wait(time.Second)
					if wait == 2 {
						kill()
					}
					w.wait(time.Until(from.Add(8*time.Second + 500*time.Millisecond)))
					for i, ref := range refs {
						d := w.delivery(ref, dead[i])
						if d.End != notify.PushAccepted {
							t.Errorf("%s: %s\n%+v", everyone[i], describe(d), d.Events)
						} else if late := d.Ended.Sub(from); late > 8500*time.Millisecond {
							t.Errorf("%s was pushed after %s", everyone[i], late)
						}
					}
					rangTwice(t, w.push.rings())
					for _, id := range everyone {
						a, err := w.hub.Agent(t.Context(), id)
						if err != nil {
							t.Fatal(err)
						}
						for _, l := range a.Logins {
							if l.Device != dead[0].device.ID && l.Sockets > 0 {
								t.Errorf("%s still has a page at the node that ended", id)
							}
						}
					}
				})
			})
		}
	}
}

func TestKilledNodeLeavesTheOthersPagesAlone(t *testing.T) {
	runShards(t, func(t *testing.T, w *world) {
		w.agent(everyone...)
		var pages []*page
		for _, id := range everyone {
			pages = append(pages, w.on(0, id, "active").subscribe())
		}
		w.wait(100 * time.Millisecond)
		w.node[1].kill()
		for i := range 20 {
			for _, id := range everyone {
				w.messageIn("c"+id, fmt.Sprint(i), hub.AssignmentInput{Agent: id})
			}
			w.wait(300 * time.Millisecond)
		}
		w.wait(10 * time.Second)
		for i, p := range pages {
			select {
			case <-p.done:
				t.Errorf("%s's page was closed", everyone[i])
			default:
			}
			if p.badge() != 20 {
				t.Errorf("%s's badge is %d, want 20", everyone[i], p.badge())
			}
		}
		if n := len(w.push.take()); n > 0 {
			t.Errorf("%d pushes for active pages", n)
		}
	})
}

func TestHostileLettersStallNoNode(t *testing.T) {
	runShards(t, func(t *testing.T, w *world) {
		w.agent("mei")
		mei := w.on(1, "mei", "active")
		w.wait(100 * time.Millisecond)
		var welcome wire.Welcome
		mei.mu.Lock()
		welcome = mei.welcome
		mei.mu.Unlock()
		for _, letter := range []string{
			"", "{", "null", "[]", "17", `"x"`, "\x00\xff", strings.Repeat("[", 100000),
			`{"no":1}`, `{"from":"","no":1,"beat":{"ready":true}}`,
			`{"from":"FROM","no":-5,"beat":{"ready":true}}`,
			`{"from":"FROM","no":1,"beat":{"ready":true}}`, // a number that was
			`{"from":"FROM","no":9223372036854775807,"beat":{"ready":true}}`,
			`{"from":"FROM","no":2,"beat":{}}`,
			`{"from":"FROM","no":3,"logins":[{"a":"mei","d":"x","p":[{"i":"y","p":99,"v":"","r":-1}]},{"a":"","d":""}]}`,
			`{"from":"stranger","parts":[{"ask":true}]}`,
			`{"from":"stranger","parts":[{}]}`,
			`{"from":"stranger","parts":[{"all":{"no":3,"logins":null}}]}`,
			`{"from":"stranger","parts":[{"answer":{"id":77}}]}`,
			`{"from":"FROM","parts":[{"call":{"id":1,"partition":-1,"fanout":{}}}]}`,
			`{"from":"FROM","parts":[{"call":{"id":1,"partition":4000000,"read":{}}}]}`,
			`{"from":"FROM","parts":[{"call":{"id":1,"partition":1}}]}`,
			`{"from":"FROM","parts":[{"call":{"id":1,"partition":0,"fanout":{"recipients":["mei"]}}}]}`,
			`{"from":"FROM","parts":[{"call":{"id":1,"partition":0,"fanout":{"message":{},"recipients":["mei","mei"],"from":-4,"to":9}}}]}`,
			`{"from":"FROM","parts":[{"call":{"id":1,"partition":0,"read":{"agent":"nobody","conversation":"none","upto":-1}}}]}`,
			`{"from":"FROM","parts":[{"call":{"id":1,"partition":0,"withdraw":{"agent":"nobody","conversation":"none"}}}]}`,
			`{"from":"FROM","parts":[{"call":{"id":1,"partition":0,"trace":{}}}]}`,
			`{"from":"FROM","parts":[{"tell":{"agent":"mei","sockets":["` + welcome.Socket + `"]}}]}`,
			`{"from":"FROM","parts":[{"tell":{"agent":"mei","sockets":["` + welcome.Socket + `"],"await":{"delivery":"x","sockets":["` + welcome.Socket + `"]}}}]}`,
			`{"from":"FROM","parts":[{"tell":{"agent":"mei","sockets":["` + welcome.Socket + `"],"counts":{}}}]}`,
			`{"from":"FROM","parts":[{"ack":{"agent":"mei","delivery":"x","presence":77}}]}`,
			`{"from":"FROM","parts":[{"doubt":{"agent":"mei","sockets":["x"]}}]}`,
			`{"from":"FROM","no":4,"tests":[{}],"received":["x",""],"events":[{}],"changes":[{},{"agent":"x"},{"device":"y"},{"team":"z"}]}`,
			`{"from":"FROM","no":5,"beat":{"gone":true}}`,
			`{"from":"SELF","no":5,"beat":{"gone":true}}`,
			fmt.Sprintf(`{"from":"FROM","parts":[{"doubt":{"agent":"mei","sockets":["%s"]}}]}`, strings.Repeat("x", hub.MaxBusMessage-200)),
		} {
			w.say(0, 1, letter)
		}
		w.wait(10 * time.Second)
		for i, h := range w.hubs {
			if err := h.Ready(t.Context()); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		}
		before := mei.badge()
		m := w.messageIn("fresh", "hello", hub.AssignmentInput{Agent: "mei"})
		w.wait(4 * time.Second)
		w.expect(m, mei, "in_app actively_viewing acknowledged")
		if mei.badge() != before+1 {
			t.Errorf("badge %d after %d and a message", mei.badge(), before)
		}
	})
}

// A node whose name comes back with smaller numbers is another one.
func TestNodeThatCountsAnewIsHeardAnew(t *testing.T) {
	runShards(t, func(t *testing.T, w *world) {
		w.agent("mei")
		login := func(no int, pages string) {
			w.say(0, 1, fmt.Sprintf(`{"from":"ghost","no":%d,"beat":{"at":%d},"logins":[{"a":"mei","d":"phone","p":[%s]}]}`, no, time.Now().UnixMilli(), pages))
		}
		page := `{"i":"x","p":3}`
		login(500, page)
		login(501, page)
		w.say(0, 1, `{"from":"ghost","no":1,"beat":{"ready":false}}`)
		if n := w.hubs[1].Sizes()["pages away"]; n != 0 {
			t.Errorf("%d pages are left of the node before, want none", n)
		}
		w.wait(8 * time.Second)
		for what, n := range w.hubs[1].Sizes() {
			if strings.HasSuffix(what, "away") && n != 0 {
				t.Errorf("%d %s are left of a node that is gone", n, what)
			}
		}
	})
}

func TestBusIsReadOnWhilePartitionsHang(t *testing.T) {
	runShards(t, func(t *testing.T, w *world) {
		w.agent(everyone...)
		mei := w.on(1, "ada", "active")
		w.wait(100 * time.Millisecond)
		w.valve.close()
		body, _ := json.Marshal(map[string]any{"from": w.lines.id(0), "parts": func() (parts []any) {
			for i := range 3000 {
				parts = append(parts, map[string]any{"call": map[string]any{
					"id": i, "partition": i % 4, "read": map[string]any{"agent": everyone[i%8], "conversation": "c", "upto": 1}}})
			}
			return parts
		}()})
		for range 3 {
			w.say(0, 1, string(body))
		}
		for i := range 80 {
			w.wait(100 * time.Millisecond)
			for n, h := range w.hubs {
				if err := h.Ready(t.Context()); err != nil {
					t.Fatalf("after %d00 ms node %d: %v", i, n, err)
				}
			}
		}
		w.valve.open()
		w.wait(5 * time.Second)
		m := w.messageIn("cada", "hello", hub.AssignmentInput{Agent: "ada"})
		w.wait(4 * time.Second)
		w.expect(m, mei, "in_app actively_viewing acknowledged")
	})
}
