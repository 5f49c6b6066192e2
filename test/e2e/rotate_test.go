//go:build linux && e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"caac-hub/http/serve"
	"caac-hub/http/serve/cli"
	"caac-hub/hub/notify"
	"caac-hub/push"
	"caac-hub/test/browser"
	"caac-hub/test/desktop"
	"caac-hub/test/pushservice"
	"caac-hub/test/world"
)

// rotate runs "vapid rotate" beside the running hub and waits until pages are
// told of the new key.
func (s *story) rotate() serve.VAPIDKey {
	s.t.Helper()
	var said, errs bytes.Buffer
	code := cli.Main(s.t.Context(), cli.Env{Command: "caac-hub", Args: []string{"vapid", "rotate"}, Environ: []string{"CAAC_DATA_DIR=" + s.dataDir}, Stdout: &said, Stderr: &errs})
	if code != cli.OK {
		s.t.Fatalf("vapid rotate ended %d: %s", code, &errs)
	}
	key := s.vapidKeys(false)[0]
	if !strings.HasPrefix(said.String(), key.ID) {
		s.t.Errorf("vapid rotate says %s, and %s is current", &said, key.ID)
	}
	s.wait("the hub to give out the new key", func() bool {
		var now struct{ ID string }
		s.call("GET", "/v1/vapid", nil, &now)
		return now.ID == key.ID
	})
	return key
}

// waitKeys waits until the hub has these keys, named with the number of their
// subscriptions.
func (s *story) waitKeys(what string, want ...string) {
	s.t.Helper()
	s.wait(what, func() bool {
		var got []string
		for _, k := range s.vapidKeys(false) {
			got = append(got, fmt.Sprintf("%s:%d", k.ID, k.Subscriptions))
		}
		return strings.Join(got, " ") == strings.Join(want, " ")
	})
}

// wantSigned fails the story unless the newest push was accepted, and signed with a key.
func (s *story) wantSigned(b *browser.Browser, key serve.VAPIDKey) pushservice.Request {
	s.t.Helper()
	all := s.pushes(b).Requests()
	last := all[len(all)-1]
	if last.Status != http.StatusCreated || !pushservice.SameKey(last.VAPID.Key, key.Public) {
		s.t.Errorf("the newest push was answered %d and signed with %.12s…, want 201 and %.12s…", last.Status, last.VAPID.Key, key.Public)
	}
	return last
}

// waitSubscribed waits until the browser and the hub have one subscription, made
// with a key, and returns its endpoint.
func (a *agent) waitSubscribed(key serve.VAPIDKey) (endpoint string) {
	a.s.t.Helper()
	a.s.wait("a subscription for the key "+key.ID, func() bool {
		a.Eval(`navigator.serviceWorker.ready.then((w) => w.pushManager.getSubscription()).then((s) => s?.endpoint ?? "")`, &endpoint)
		l := a.logins()
		return endpoint != "" && len(l) == 1 && l[0].Settings.KeyID == key.ID && !l[0].Settings.Resubscribe &&
			l[0].Settings.Endpoint == fmt.Sprintf("%x", sha256.Sum256([]byte(endpoint)))
	})
	return endpoint
}

func TestRotatedKeyReachesEveryPage(t *testing.T) {
	t.Run("on a phone that wants a tap", renewedByTap)
	eachBrowser(t, func(t *testing.T) *story {
		t.Parallel() // it is mostly waiting
		s := &story{World: world.New(t), t: t, keyGrace: time.Millisecond}
		s.servePages()
		s.startOne()
		s.call("PUT", "/v1/agents/mei", map[string]any{"name": "Mei", "on_duty": true}, nil)
		return s
	}, func(s *story, b *browser.Browser) {
		rings := 0
		rang := func() {
			s.t.Helper()
			rings++
			s.Desktop.Wait(s.t, fmt.Sprintf("ring %d", rings), func([]desktop.Notification) bool { return len(s.Desktop.History()) >= rings })
			if n := len(s.Desktop.History()); n != rings {
				s.t.Errorf("rung %d times, want %d", n, rings)
			}
		}
		first := s.vapidKeys(false)[0]
		mei := s.open(b, "mei")
		mei.grant()
		old := mei.waitSubscribed(first)
		s.refuseWrongKey(mei.subscription())
		mei.Close()
		mei.waitPresence(notify.Closed)

		second := s.rotate()
		closed := s.message("c1", "mei", "while closed")
		s.wantEnd(closed, notify.Push, notify.PageClosed, notify.PushAccepted)
		rang()
		if r := s.wantSigned(b, first); r.Token != tokenOf(old) {
			s.t.Error("the push went to another endpoint")
		}
		s.waitKeys("the old key to stay", second.ID+":0", first.ID+":1")

		mei = s.open(b, "mei")
		if mei.waitSubscribed(second) == old {
			s.t.Error("the endpoint is the old one")
		}
		s.waitKeys("the old key to go", second.ID+":1")

		// The old endpoint's push is clicked only now.
		s.Desktop.Click(s.t, s.Desktop.Shown()[0], "")
		s.waitReceipt(closed, notify.EventClicked)
		mei.waitSubscribed(second)

		mei.hide()
		s.wantEnd(s.message("c2", "mei", "after it came back"), notify.Push, notify.PageHidden, notify.PushAccepted)
		rang()
		s.wantSigned(b, second)

		// A page that stays open changes without a reload.
		mei.Eval(`caac.stayed = true`, nil)
		third := s.rotate()
		mei.waitSubscribed(third)
		s.waitKeys("the second key to go", third.ID+":1")
		s.wantEnd(s.message("c3", "mei", "while open"), notify.Push, notify.PageHidden, notify.PushAccepted)
		rang()
		s.wantSigned(b, third)
		var stayed bool
		mei.Eval(`caac.stayed === true && caac.states.join() === "connecting,online"`, &stayed)
		if !stayed {
			s.t.Error("the page was loaded anew, or lost its connection")
		}

		// What a push service says of the key deletes nothing.
		mei.Close()
		mei.waitPresence(notify.Closed)
		endpoint := mei.logins()[0].Settings.Endpoint
		for i, answer := range refusals[b.Name()] {
			s.pushes(b).AnswerNext("", answer)
			m := s.message(fmt.Sprintf("refused%d", i), "mei", "refused")
			s.wantEnd(m, notify.Push, notify.PageClosed, notify.Failed)
			if l := mei.logins(); !l[0].Settings.Subscribed || l[0].Settings.Endpoint != endpoint {
				s.t.Errorf("after %d %s the device has %+v", answer.Status, answer.Body, l[0].Settings)
			}
		}
		s.wantEnd(s.message("c4", "mei", "accepted again"), notify.Push, notify.PageClosed, notify.PushAccepted)
		rang()
		mei = s.open(b, "mei")
		mei.waitSubscribed(third)
	})
}

// tokenOf is the part of an endpoint that push services name it by.
func tokenOf(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	return path.Base(u.Path)
}

// refusals are the last words of push services on a push, that are of its key.
var refusals = map[string][]pushservice.Answer{
	"firefox": {
		{Status: http.StatusUnauthorized, Body: `{"code":401,"errno":109,"error":"Unauthorized","message":"VAPID public key mismatch"}`},
		{Status: http.StatusBadRequest, Body: `{"code":400,"errno":110,"error":"Bad Request","message":"Invalid key"}`},
	},
	"chromium": {
		{Status: http.StatusForbidden, Body: "the key in the authorization header does not correspond to the sender ID used to subscribe this user.\n"},
		{Status: http.StatusBadRequest, Body: "invalid key\n"},
	},
}

// refuseWrongKey fails the story unless the push service refuses a push that is
// signed with another key than the subscription was made with.
func (s *story) refuseWrongKey(sub notify.Subscription) {
	s.t.Helper()
	key, err := push.GenerateKey(time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	ring, err := push.NewKeyRing(key)
	if err != nil {
		s.t.Fatal(err)
	}
	sender, err := push.New(push.Options{Keys: ring, Subject: "https://example.com", Dial: s.Net.Dial, RootCAs: s.Net.Pool()})
	if err != nil {
		s.t.Fatal(err)
	}
	defer sender.Close()
	sub.KeyID = key.ID()
	answer := sender.Send(s.t.Context(), sub, notify.PushMessage{Payload: []byte("{}"), TTL: time.Minute})
	if answer.Class != notify.AnswerKeyMismatch || answer.Status/100 != 4 {
		s.t.Errorf("a push signed with another key was answered %+v", answer)
	}
}

// tapOnly makes a browser subscribe inside a person's tap only.
const tapOnly = `navigator.standalone = true;
	window.asked = [];
	window.tap = 0;
	addEventListener("click", () => { tap = Date.now() }, true);
	const subscribe = PushManager.prototype.subscribe;
	PushManager.prototype.subscribe = function (options) {
		const tapped = navigator.userActivation.isActive && Date.now() - tap < 1000;
		asked.push(tapped);
		return tapped ? subscribe.call(this, options) : Promise.reject(new DOMException("a tap is needed", "NotAllowedError"));
	};`

// renewedByTap tells that without a tap the old subscription stays, and works.
func renewedByTap(t *testing.T) {
	t.Parallel() // it is mostly waiting
	s := newDemo(t)
	b := s.Chromium()
	p := b.Open("about:blank")
	phone{ua: fmt.Sprintf(iOS, "18_4", "18.4"), script: tapOnly}.pretend(t, p)
	p.Navigate(s.hub + "/agent/mei")
	p.Wait("the page to be connected", `!document.querySelector("#duty").disabled`)
	p.GrantNotifications()
	mei := &agent{p, s, "mei"}
	first := s.vapidKeys(false)[0]
	openProfile(p)
	p.Click("#grant")
	old := mei.waitSubscribed(first)

	p.Wait("the tap to be long ago", `Date.now() - tap > 1000`)
	second := s.rotate()
	p.Wait("the page to ask for a tap", `document.querySelector("#banner").checkVisibility() && document.querySelector("#banner-grant").innerText === "Renew push"`)
	var subscribed string
	p.Eval(`navigator.serviceWorker.ready.then((w) => w.pushManager.getSubscription()).then((s) => s?.endpoint ?? "")`, &subscribed)
	if l := mei.logins(); subscribed != old || !l[0].Settings.Subscribed || !l[0].Settings.Resubscribe || l[0].Settings.KeyID != first.ID {
		t.Errorf("without a tap the browser has %q, the hub %+v", subscribed, l[0].Settings)
	}
	var tried bool
	p.Eval(`asked.includes(false)`, &tried)
	if !tried {
		t.Error("the page did not try by itself")
	}
	mei.hide()
	s.wantEnd(s.message("c1", "mei", "by the old key"), notify.Push, notify.PageHidden, notify.PushAccepted)
	s.wantSigned(b, first)
	s.Desktop.WaitNotification(t, "Contact")
	mei.Show()

	p.Click("#banner-grant")
	if mei.waitSubscribed(second) == old {
		t.Error("the endpoint is the old one")
	}
	p.Wait("the page to say so", `document.querySelector("#enable-result").innerText === "Push was renewed on this device." && document.querySelector("#banner").hidden`)
	mei.hide()
	s.wantEnd(s.message("c2", "mei", "by the new key"), notify.Push, notify.PageHidden, notify.PushAccepted)
	s.wantSigned(b, second)
	s.Desktop.Wait(t, "both notifications", func([]desktop.Notification) bool { return len(s.Desktop.History()) == 2 })
	for _, m := range b.Problems() {
		t.Errorf("a page said: %v", m)
	}
}
