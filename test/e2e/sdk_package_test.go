//go:build linux && e2e

package e2e

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
	"caac-hub/test/browser"
	"caac-hub/test/world"
)

// start is what the SDK's README says to write: the page and its worker.
func start(t *testing.T, hub string) (page, worker string) {
	t.Helper()
	readme, err := os.ReadFile("../../static/sdk/README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(language string) string {
		m := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(readme)
		if m == nil {
			t.Fatalf("the README has no block of %s", language)
		}
		return strings.ReplaceAll(string(m[1]), "https://hub.example.com", hub)
	}
	page, worker = block("html"), block("js")
	if lines := strings.Count(page, "\n"); lines > 10 {
		t.Errorf("the page takes %d lines, not ten", lines)
	}
	return page, worker
}

// serveHost serves an origin that has nothing but what the README says, and a
// token of Mei's at /token.
func (s *story) serveHost() {
	s.t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		page, _ := start(s.t, s.hub)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<!doctype html><link rel=icon href=data:,><title>Host</title>"+page)
	})
	mux.HandleFunc("GET /sw.js", func(w http.ResponseWriter, r *http.Request) {
		_, worker := start(s.t, s.hub)
		w.Header().Set("Content-Type", "text/javascript")
		io.WriteString(w, worker)
	})
	mux.HandleFunc("GET /token", func(w http.ResponseWriter, r *http.Request) {
		issueToken(w, "mei")
	})
	s.serveStrictHost(mux)
	s.serveOrigin(mux)
}

// waitReceipt waits until the hub was told that of a message's notification.
func (s *story) waitReceipt(ref notify.Ref, kind notify.EventKind) {
	s.t.Helper()
	s.wait("the receipt "+string(kind)+" of "+ref.Message, func() bool {
		var trace hub.Trace
		s.call("GET", "/v1/traces/"+ref.Conversation+"/"+ref.Message, nil, &trace)
		return slices.ContainsFunc(trace.Deliveries, func(d notify.Delivery) bool {
			return slices.ContainsFunc(d.Events, func(e notify.Event) bool { return e.Kind == kind })
		})
	})
}

func TestPageOfAnotherOriginWorksByTheReadmesLinesAlone(t *testing.T) {
	eachBrowser(t, func(t *testing.T) *story {
		s := &story{World: world.New(t), t: t}
		s.serveHost()
		s.startOne()
		s.call("PUT", "/v1/agents/mei", map[string]any{"name": "Mei", "on_duty": true}, nil)
		return s
	}, func(s *story, b *browser.Browser) {
		mei := &agent{b.Open(s.caac + "/"), s, "mei"}
		mei.waitPresence(notify.Active)
		if strings.HasPrefix(mei.URL(), s.hub) {
			s.t.Fatal("the page is of the hub's origin")
		}
		m := s.message("c1", "mei", "hello")
		mei.Wait("the toast", `document.querySelector("[role=status]")?.shadowRoot.querySelector(".body").textContent === "hello"`)
		s.wantEnd(m, notify.InApp, notify.ActivelyViewing, notify.Acknowledged)
		mei.Wait("the count", `document.title === "(1) Host"`)
		mei.Gesture(`document.querySelector("[role=status]").shadowRoot.querySelector(".toast").click()`, nil)
		mei.Wait("the toast to lead there", `location.hash === "#c1"`)

		mei.GrantNotifications()
		mei.Click("#grant")
		s.wait("the subscription", func() bool { return mei.subscribed() })
		mei.hide()
		m = s.message("c2", "mei", "look")
		s.wantEnd(m, notify.Push, notify.PageHidden, notify.PushAccepted)
		shown := s.Desktop.WaitNotification(s.t, "Contact")
		s.waitReceipt(m, notify.EventDisplayed)
		s.Desktop.Click(s.t, shown, "")
		mei.Wait("the click to lead there", `document.visibilityState === "visible" && location.hash === "#c2"`)
		s.waitReceipt(m, notify.EventClicked)
		mei.Close()
		s.tellStrictHost(b)
		if all := b.Problems(); len(all) != 0 {
			s.t.Errorf("the browser complains: %v", all)
		}
	})
}

// subscribed reports whether the hub has a subscription of the agent's only login.
func (a *agent) subscribed() bool {
	a.s.t.Helper()
	l := a.logins()
	return len(l) == 1 && l[0].Settings.Subscribed && !l[0].Settings.Resubscribe
}

// bound reports whether what the hub has is the subscription of the page's worker.
func (a *agent) bound() bool {
	a.s.t.Helper()
	var endpoint string
	a.Eval(`navigator.serviceWorker.ready.then((w) => w.pushManager.getSubscription()).then((s) => s?.endpoint ?? "")`, &endpoint)
	return endpoint != "" && a.subscribed() && a.logins()[0].Settings.Endpoint == fmt.Sprintf("%x", sha256.Sum256([]byte(endpoint)))
}

// device is one of an agent's, as the hub has it.
type device struct {
	Device   string
	Settings wire.DeviceSettings
}

func (a *agent) logins() []device {
	a.s.t.Helper()
	var info struct{ Logins []device }
	a.s.call("GET", "/v1/agents/"+a.id, nil, &info)
	return info.Logins
}
