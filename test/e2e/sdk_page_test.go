//go:build linux && e2e

package e2e

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"caac-hub/config"
	"caac-hub/http/serve"
	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
	"caac-hub/test/browser"
	"caac-hub/test/browser/chromium"
	"caac-hub/test/desktop"
	"caac-hub/test/faultproxy"
	"caac-hub/test/world"
)

// rough is a story whose page reaches the hub over a line that may break, and
// whose hub may end and come back.
type rough struct {
	*story
	whole  *story // of which story is a part
	line   *faultproxy.Proxy
	config config.Config
	stop   func()
	b      *browser.Browser
	mei    *agent
}

func newRough(t *testing.T, start func(*world.World) *browser.Browser) *rough {
	t.Helper()
	r := &rough{story: &story{World: world.New(t), t: t}}
	r.servePages()
	r.config = r.story.config()
	program, stop := r.run(r.config)
	r.stop, r.dataDir = stop, r.config.DataDir
	u, err := url.Parse(program.URL())
	if err != nil {
		t.Fatal(err)
	}
	r.config.Listen = u.Host
	r.line = faultproxy.New(t, u.Host)
	key, err := os.ReadFile(filepath.Join(r.dataDir, serve.FirstKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	r.key = strings.TrimSpace(string(key))
	r.nodes = []string{program.URL()}
	r.hub = "http://" + r.line.Addr()
	r.call("PUT", "/v1/agents/mei", map[string]any{"name": "Mei", "on_duty": true}, nil)
	r.whole, r.b = r.story, start(r.World)
	r.mei = r.open(r.b, "mei")
	r.mei.grant()
	return r
}

// tell tells a part of the story as a test of its own.
func (r *rough) tell(name string, part func(r *rough)) {
	r.t.Run(name, func(t *testing.T) {
		s := *r.story
		s.t = t
		p := *r
		p.story, p.b = &s, r.b.For(t)
		p.mei = &agent{r.mei.For(t), &s, "mei"}
		p.mei.Eval(`caac.client.viewing(null)`, nil)
		part(&p)
		r.messages, r.stop = s.messages, p.stop
	})
}

// online waits until the page is connected as the one device it was, shows the
// true count, and what is pushed to it is shown.
func (r *rough) online() {
	r.t.Helper()
	r.mei.waitConnected()
	r.wait("the hub to have the browser's subscription", r.mei.bound)
	r.mei.waitPresence(notify.Active)
	r.mei.Hide()
	r.mei.waitPresence(notify.Hidden)
	m := r.message("after "+r.t.Name(), "mei", r.t.Name())
	r.wantEnd(m, notify.Push, notify.PageHidden, notify.PushAccepted)
	r.waitShown(r.t.Name())
	r.mei.waitCount(r.messages)
	r.mei.Show()
	r.mei.waitPresence(notify.Active)
}

// waitShown waits until a message stands on the screen.
func (r *rough) waitShown(text string) {
	r.t.Helper()
	r.Desktop.Wait(r.t, "the notification of "+text, func(shown []desktop.Notification) bool {
		return slices.ContainsFunc(shown, func(n desktop.Notification) bool { return n.Body == text })
	})
}

func TestPageComesBackToTheTruth(t *testing.T) {
	for _, b := range browsers {
		t.Run(b.name, func(t *testing.T) {
			r := newRough(t, b.start)
			r.tell("reloaded", func(r *rough) {
				r.message("c1", "mei", "hello")
				r.mei.waitCount(1)
				r.mei.Eval(`caac.old = true, location.reload()`, nil)
				r.mei.Wait("the new page", `window.caac && !caac.old`)
				r.online()
			})
			r.tell("from the back-forward cache", func(r *rough) {
				line := r.hub
				r.hub = r.nodes[0]
				r.mei.Eval(`addEventListener("pageshow", (e) => { caac.persisted = e.persisted })`, nil)
				if r.b.Name() == "firefox" { // it keeps no page that has a socket
					r.line.Set(faultproxy.Refuse)
					r.line.Cut()
					r.mei.Wait("the page to notice", `caac.state === "waiting"`)
				}
				r.mei.Navigate(r.caac + "/token/mei")
				r.mei.waitLogin("away", func(l login) bool { return l.Presence == "hidden" || l.Presence == "closed" })
				r.message("c2", "mei", "while away")
				r.line.Set(faultproxy.Forward)
				r.hub = line
				r.mei.Eval(`history.back()`, nil)
				r.mei.Wait("the page as it was kept", `window.caac?.persisted`)
				r.online()
			})
			r.tell("offline and back", func(r *rough) {
				line := r.hub
				r.hub = r.nodes[0]
				r.line.Set(faultproxy.Blackhole)
				r.message("c3", "mei", "into the dark")
				r.mei.Eval(`dispatchEvent(new Event("online"))`, nil) // another network, as dead
				r.mei.Wait("the page to notice", `caac.state !== "online"`)
				r.line.Set(faultproxy.Forward)
				r.hub = line
				r.mei.Eval(`dispatchEvent(new Event("online"))`, nil)
				r.online()
			})
			r.tell("after a restart of the hub with a new VAPID key", func(r *rough) {
				before := r.mei.logins()[0].Settings.KeyID
				r.stop()
				r.mei.Wait("the page to notice", `caac.state !== "online"`)
				r.rotate()
				_, r.stop = r.whole.run(r.config)
				r.mei.Eval(`dispatchEvent(new Event("online"))`, nil)
				r.mei.waitConnected()
				r.wait("a subscription for the new key", func() bool {
					l := r.mei.logins()
					return len(l) == 1 && l[0].Settings.Subscribed && l[0].Settings.KeyID != before
				})
				r.online()
			})
			r.tell("with its storage cleared", func(r *rough) {
				before := r.mei.logins()[0]
				r.mei.Eval(`(async () => {
					localStorage.clear();
					indexedDB.deleteDatabase("caac");
					for (const r of await navigator.serviceWorker.getRegistrations()) {
						await (await r.pushManager.getSubscription())?.unsubscribe();
						await r.unregister();
					}
				})()`, nil)
				r.line.Cut()
				r.wait("another subscription of the same device", func() bool {
					l := r.mei.logins()
					return len(l) == 1 && l[0].Device == before.Device && l[0].Settings.Subscribed && l[0].Settings.Endpoint != before.Settings.Endpoint
				})
				r.online()
			})
			r.tell("its subscription lost", func(r *rough) {
				before := r.mei.logins()[0].Settings.Endpoint
				r.mei.Eval(`navigator.serviceWorker.ready.then((r) => r.pushManager.getSubscription()).then((s) => s.unsubscribe())`, nil)
				r.mei.hide()
				r.message("c4", "mei", "to nowhere")
				r.wait("another subscription", func() bool {
					l := r.mei.logins()
					return l[0].Settings.Subscribed && l[0].Settings.Endpoint != before
				})
				r.mei.Show()
				r.online()
			})
			r.tell("turned off while the hub is away, and on again", func(r *rough) {
				r.line.Set(faultproxy.Blackhole)
				r.line.Cut()
				r.mei.Wait("the page to notice", `caac.state !== "online"`)
				r.mei.Eval(`void caac.client.disablePush().catch(() => {})`, nil)
				r.mei.Wait("no subscription", `navigator.serviceWorker.ready.then((r) => r.pushManager.getSubscription()).then((s) => !s)`)
				r.line.Set(faultproxy.Forward)
				r.mei.Eval(`dispatchEvent(new Event("online"))`, nil)
				r.wait("the hub to have none", func() bool { return !r.mei.logins()[0].Settings.Subscribed })
				r.mei.waitConnected()
				r.mei.grant()
				r.online()
			})
			r.tell("permission revoked and given back", func(r *rough) {
				r.mei.SetNotifications(browser.Denied)
				r.wait("the hub to know", func() bool { return r.mei.logins()[0].Settings.Permission == "denied" })
				r.mei.hide()
				m := r.message("c5", "mei", "unheard")
				if d := r.waitEnds(m)[0]; d.Reason != notify.PermissionDenied {
					r.t.Errorf("decided %s, %s", d.Channel, d.Reason)
				}
				r.mei.Show()
				r.mei.SetNotifications(browser.Granted)
				r.online()
			})
			r.tell("frozen and resumed", thaws)
			r.tell("in two windows, of which one sounds", oneSounds)
			r.tell("in two windows, of which one rings", oneRings)
			r.tell("in two windows, of which one reads", oneReads)
		})
	}
}

// rotate makes a new VAPID key while the hub doesn't run.
func (r *rough) rotate() {
	r.t.Helper()
	admin, done, err := serve.OpenAdmin(r.t.Context(), r.config)
	if err != nil {
		r.t.Fatal(err)
	}
	defer done()
	if _, err := admin.RotateVAPID(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// thaws freezes a hidden page: Chromium the page alone, as it does to save
// power; Firefox, which freezes none, with the whole browser.
func thaws(r *rough) {
	freeze, thaw := r.b.Freeze, r.b.Thaw
	if tab, ok := r.mei.Tab().(*chromium.Tab); ok {
		lifecycle := func(state string) {
			ctx, cancel := context.WithTimeout(r.t.Context(), patience)
			defer cancel()
			if err := tab.Call(ctx, "Page.setWebLifecycleState", map[string]string{"state": state}, nil); err != nil {
				r.t.Fatal(err)
			}
		}
		freeze, thaw = func() { lifecycle("frozen") }, func() { lifecycle("active") }
	}
	r.mei.hide() // only what is hidden freezes
	freeze()
	r.wantEnd(r.message("c6", "mei", "frozen"), notify.Push, notify.PageHidden, notify.PushAccepted)
	if r.b.Name() == "chromium" {
		r.waitShown("frozen") // the worker is not
	}
	thaw()
	r.waitShown("frozen")
	r.mei.Show()
	r.online()
}

func TestPageMindsTheTime(t *testing.T) {
	for _, b := range browsers {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel() // it is mostly waiting
			w := world.New(t)
			browser := b.start(w)
			n := newNode(t, w)
			mei := &agent{browser.Open(n.caac + "/agent/mei"), n.story, "mei"}
			welcome := func(l *link, ends time.Duration) {
				l.send(wire.Welcome{
					Type: wire.TypeWelcome, Socket: "s", Agent: "mei", Name: "Mei", Device: wire.DeviceAuth{ID: "d", Key: "k"}, OnDuty: true,
					Version: 10, Conversations: []wire.Change{}, RenewSeconds: 1, Expires: time.Now().Add(ends).Unix(),
				})
				mei.waitConnected()
			}
			first := n.next()

			welcome(first, 6*time.Second)
			first.wait("a new token before the old one ends", func(f wire.Client) bool { return f.Type == wire.TypeRefresh && f.Token != "" })

			first.conn.Close(wire.CloseTokenEnded, "the token has ended")
			second := n.next()
			if second.hello.Token == "" || second.hello.Device == nil || second.hello.Device.ID != "d" {
				t.Errorf("said hello with %+v", second.hello)
			}
			welcome(second, time.Hour)

			browser.Freeze()
			time.Sleep(4 * time.Second) // the sleep itself
			browser.Thaw()
			second.wait("the question whether the line still holds", func(f wire.Client) bool { return f.Type == wire.TypeRefresh && f.Token == "" })
			third := n.next() // nobody answered

			mei.Eval(`(() => { const now = Date.now; Date.now = () => now() + 2 * 3600_000 })()`, nil)
			welcome(third, time.Hour)
			third.wait("its state, by a clock that is wrong", func(f wire.Client) bool {
				if f.Token != "" {
					t.Error("a token that is good by the hub's clock was renewed")
				}
				return f.Type == wire.TypeState
			})
			third.conn.Close(wire.CloseTokenEnded, "the token has ended")
			welcome(n.next(), time.Hour)
		})
	}
}
