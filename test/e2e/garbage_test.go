//go:build linux && e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"caac-hub/config"
	"caac-hub/http/serve"
	"caac-hub/hub/notify"
	"caac-hub/push"
	"caac-hub/test/browser"
	"caac-hub/test/desktop"
)

// garbage are payloads the hub never sends, each well encrypted.
var garbage = []string{
	"", "\x00\xff\xfe", "not JSON", "null", "7", `"text"`, "[]", "{}", `{"notification":5}`, `{"notification":null}`, `{"notification":{"data":7}}`,
	`{"notification":{"title":7,"body":{},"tag":[],"lang":9,"image":"http://","navigate":"javascript:alert(1)","silent":"yes"}}`,
	`{"notification":{"data":{"id":"d","agent":"mei","badges":"many","close":{"a":1},"receipts":7,"conversation":{}}}}`,
	`{"notification":{"data":{"id":"e","agent":"mei","badges":[null,{"agent":5},{"agent":"mei","total":"NaN","version":null}],"close":[null,7],"receipts":"nowhere:"}}}`,
	`{"notification":{"title":"<img src=x onerror=alert(1)>","body":"` + strings.Repeat("x", 2000) + `"}}`,
}

// vapidKeys are the hub's VAPID keys, the current one first.
func (s *story) vapidKeys(private bool) []serve.VAPIDKey {
	s.t.Helper()
	c := config.Default(config.Demo, s.dataDir)
	c.DataDir = s.dataDir
	admin, done, err := serve.OpenAdmin(s.t.Context(), c)
	if err != nil {
		s.t.Fatal(err)
	}
	defer done()
	keys, err := admin.VAPID(s.t.Context(), private)
	if err != nil {
		s.t.Fatal(err)
	}
	return keys
}

// sender pushes to browsers with the hub's own key.
func (s *story) sender() *push.Sender {
	s.t.Helper()
	current := s.vapidKeys(true)[0]
	key, err := push.ParseKey(current.Private, current.Created)
	if err != nil {
		s.t.Fatal(err)
	}
	ring, err := push.NewKeyRing(key)
	if err != nil {
		s.t.Fatal(err)
	}
	sender, err := push.New(push.Options{Keys: ring, Subject: config.Default(config.Demo, s.dataDir).VAPID.Subject, Dial: s.Net.Dial, RootCAs: s.Net.Pool()})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { sender.Close() })
	return sender
}

// subscription is the one the agent's browser made.
func (a *agent) subscription() notify.Subscription {
	a.s.t.Helper()
	var sub struct {
		Endpoint string
		Keys     struct{ P256dh, Auth string }
		Key      string
	}
	a.Eval(`(async () => {
		const r = await navigator.serviceWorker.ready;
		return { ...(await r.pushManager.getSubscription()).toJSON(), key: (await (await fetch("`+a.s.hub+`/v1/vapid")).json()).id };
	})()`, &sub)
	return notify.Subscription{Endpoint: sub.Endpoint, P256dh: sub.Keys.P256dh, Auth: sub.Keys.Auth, KeyID: sub.Key}
}

func (s *story) push(sender *push.Sender, sub notify.Subscription, payload string) {
	s.t.Helper()
	answer := sender.Send(s.t.Context(), sub, notify.PushMessage{Payload: []byte(payload), TTL: time.Minute})
	if answer.Class != notify.AnswerAccepted {
		s.t.Fatalf("%.60q: %+v", payload, answer)
	}
}

func TestWorkerShowsOneNotificationForAnyGarbage(t *testing.T) {
	inBothBrowsers(t, func(s *story, b *browser.Browser) {
		mei := s.open(b, "mei")
		mei.grant()
		sender, sub := s.sender(), mei.subscription()
		shown := 0
		for i, payload := range garbage {
			s.push(sender, sub, payload)
			shown++
			s.Desktop.Wait(s.t, fmt.Sprintf("a notification for %.60q, number %d", payload, i), func([]desktop.Notification) bool {
				return len(s.Desktop.History()) >= shown
			})
			if n := len(s.Desktop.History()); n != shown {
				s.t.Fatalf("%.60q: %d notifications in all, want %d", payload, n, shown)
			}
		}
		for _, n := range s.Desktop.History() {
			if n.Title == "" {
				s.t.Errorf("without a title: %+v", n)
			}
		}
		s.message("c1", "mei", "and now a real one")
		mei.waitCount(1)
	})
}

func TestReceiptsHoldUpNoPushAndAreTriedAgain(t *testing.T) {
	inBothBrowsers(t, func(s *story, b *browser.Browser) {
		asked := make(chan struct{}, 8)
		end := make(chan struct{})
		silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			asked <- struct{}{}
			<-end
		}))
		s.t.Cleanup(func() { close(end); silent.CloseClientConnections(); silent.Close() })
		mei := s.open(b, "mei")
		mei.grant()
		sender, sub := s.sender(), mei.subscription()
		push := func(title, receipts string) {
			s.push(sender, sub, fmt.Sprintf(`{"notification":{"title":%q,"tag":%[1]q,"navigate":%q,"data":{"id":%[1]q,"kind":"message","agent":"mei","device":"d",
				"generation":1,"badges":[],"receipt":"x","receipts":%[3]q}}}`, title, s.caac+"/", receipts+"/v1/receipts"))
		}
		for i, title := range []string{"first", "second"} {
			push(title, silent.URL)
			s.Desktop.Wait(s.t, "the "+title+" notification while no receipt is answered", func([]desktop.Notification) bool {
				return len(s.Desktop.History()) > i
			})
			select {
			case <-asked:
			case <-time.After(patience):
				s.t.Fatalf("no receipt of the %s notification was posted", title)
			}
		}
		taken := make(chan struct{}, 8)
		var posts atomic.Int32
		starting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", "*")
			w.Header().Set("Access-Control-Allow-Headers", "*")
			switch {
			case r.Method == http.MethodOptions:
			case posts.Add(1) == 1:
				w.WriteHeader(http.StatusServiceUnavailable)
			default:
				taken <- struct{}{}
			}
		}))
		s.t.Cleanup(func() { starting.CloseClientConnections(); starting.Close() })
		push("third", starting.URL)
		select {
		case <-taken:
		case <-time.After(patience):
			s.t.Fatalf("the receipt was posted %d times, never to be taken", posts.Load())
		}
	})
}
