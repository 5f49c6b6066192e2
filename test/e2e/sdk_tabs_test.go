//go:build linux && e2e

package e2e

import (
	"slices"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/test/desktop"
)

func oneSounds(r *rough) {
	const listen = `(() => {
		caac.chimes = 0;
		const start = AudioScheduledSourceNode.prototype.start;
		AudioScheduledSourceNode.prototype.start = function (...when) { caac.chimes++; return start.apply(this, when) };
	})()`
	// Firefox starts no audio where there is no device for it. This stands in, and
	// goes by its autoplay rule.
	const device = `(() => {
		const runs = new WeakSet();
		AudioContext.prototype.resume = async function () {
			if (navigator.getAutoplayPolicy("audiocontext") === "allowed") runs.add(this);
		};
		Object.defineProperty(AudioContext.prototype, "state", { get() { return runs.has(this) ? "running" : "suspended" } });
	})()`
	var on, heard bool
	r.mei.Eval(`caac.client.soundOn`, &on)
	if on {
		r.t.Error("the sound is on by itself")
	}
	second := &agent{r.b.OpenWindow(r.caac + "/agent/mei"), r.story, "mei"}
	defer second.Close()
	second.waitConnected()
	for _, page := range []*agent{r.mei, second} {
		page.Eval(listen, nil)
		if r.b.Name() == "firefox" {
			page.Eval(device, nil)
		}
	}
	second.Eval(`caac.client.sound(true)`, &heard)
	if heard {
		r.t.Error("a page sounds that nobody has touched")
	}
	for _, page := range []*agent{r.mei, second} {
		page.Gesture(`caac.client.sound(true)`, nil)
		page.Wait("the page to say whether it is heard", `caac.client.sound(true)`)
	}
	second.Wait("the tab to fall silent", `navigator.locks.query().then(({held}) => !held.some((l) => l.name === "caac.sound"))`)
	for _, page := range []*agent{r.mei, second} {
		page.Eval(`caac.chimes = 0, caac.toasts.length = 0`, nil)
	}
	r.message("c7", "mei", "ding")
	second.Wait("a toast", `caac.toasts.length === 1`)
	count := func() (n int) {
		for _, page := range []*agent{r.mei, second} {
			var chimes int
			page.Eval(`caac.chimes`, &chimes)
			n += chimes
		}
		return n
	}
	r.wait("a sound", func() bool { return count() > 0 })
	second.Wait("the tab to fall silent", `navigator.locks.query().then(({held}) => !held.some((l) => l.name === "caac.sound"))`)
	if n := count(); n != 1 {
		r.t.Errorf("%d sounds for one message", n)
	}
	second.Gesture(`caac.client.sound(false)`, nil)
	r.mei.Wait("the other tab to know", `!caac.client.soundOn`)
}

// oneRings has the page visible twice, and focused nowhere.
func oneRings(r *rough) {
	r.mei.hide()
	var pages []*agent
	for range 2 {
		p := &agent{r.b.OpenUnfocused(r.caac + "/agent/mei"), r.story, "mei"}
		p.waitConnected()
		p.Eval(`(() => {
			caac.rings = 0;
			caac.show = ServiceWorkerRegistration.prototype.showNotification;
			ServiceWorkerRegistration.prototype.showNotification = function (...what) { caac.rings++; return caac.show.apply(this, what) };
		})()`, nil)
		pages = append(pages, p)
	}
	r.mei.waitPresence(notify.Visible)
	each := func(do string) (all []int) {
		for _, p := range pages {
			var n int
			p.Eval(do, &n)
			all = append(all, n)
		}
		slices.Sort(all)
		return all
	}
	pushed, shown := len(r.pushes(r.b).Requests()), len(r.Desktop.History())

	r.wantEnd(r.message("c8", "mei", "one of you"), notify.Local, notify.VisibleUnfocused, notify.Acknowledged)
	if rings := each(`caac.rings`); !slices.Equal(rings, []int{0, 1}) {
		r.t.Errorf("the pages rang %v times", rings)
	}
	if n := len(r.pushes(r.b).Requests()); n != pushed {
		r.t.Errorf("%d pushes beside it", n-pushed)
	}

	unconfirmed := func(conversation string) {
		r.t.Helper()
		begun := time.Now()
		r.wantEnd(r.message(conversation, "mei", conversation), notify.Push, notify.Unconfirmed, notify.PushAccepted)
		sent := r.pushes(r.b).Requests()
		if took := sent[len(sent)-1].At.Sub(begun); took > 4*time.Second {
			r.t.Errorf("the push came after %v", took)
		}
	}
	each(`(caac.show = () => Promise.reject(new Error("no")), 0)`)
	unconfirmed("c9")
	each(`(caac.show = () => new Promise(() => location.replace("about:blank")), 0)`)
	unconfirmed("c10") // the one that was asked is gone
	r.Desktop.Wait(r.t, "the three rings", func([]desktop.Notification) bool { return len(r.Desktop.History()) >= shown+3 })
	if all := r.Desktop.History()[shown:]; len(all) != 3 {
		r.t.Errorf("shown: %s", desktop.Describe(all))
	}
	if left := each(`location.href === "about:blank" ? 0 : 1`); !slices.Equal(left, []int{0, 1}) {
		r.t.Errorf("pages left: %v", left)
	}
	for _, p := range pages {
		p.Close()
	}
	r.mei.Show()
	r.mei.waitPresence(notify.Active)
}

// oneReads has the page open twice, both hidden, with a notification standing.
func oneReads(r *rough) {
	second := &agent{r.b.OpenWindow(r.caac + "/agent/mei"), r.story, "mei"}
	defer second.Close()
	second.waitConnected()
	second.Hide()
	r.mei.hide()
	r.message("c11", "mei", "for both")
	r.waitShown("for both")
	const icon = `[...document.querySelectorAll("link[rel~=icon]")].map((l) => l.getAttribute("href").slice(0, 14)).join()`
	for _, page := range []*agent{r.mei, second} {
		page.waitCount(r.messages)
		page.Wait("the count in the favicon", icon+` === "data:image/png"`)
	}
	second.Show()
	second.Eval(`caac.counts.conversations.forEach((c) => caac.client.read(c.conversation, c.seq))`, nil)
	for _, page := range []*agent{r.mei, second} {
		page.waitCount(0)
		page.Wait("its own favicon", icon+` === "data:,"`)
	}
	r.Desktop.Wait(r.t, "it to go from the screen", func(shown []desktop.Notification) bool {
		return !slices.ContainsFunc(shown, func(n desktop.Notification) bool { return n.Body == "for both" })
	})
}
