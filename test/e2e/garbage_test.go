//go:build linux && e2e

package e2e

import (
	"fmt"
	"strings"
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
	"", "\x00\xff\xfe", "not JSON", "null", "7", `"text"`, "[]", "{}", `{"notification":5,"caac":7}`, `{"notification":null,"caac":null}`,
	`{"notification":{"title":7,"body":{},"tag":[],"lang":9,"image":"http://","navigate":"javascript:alert(1)","silent":"yes"}}`,
	`{"caac":{"id":"d","agent":"mei","badges":"many","close":{"a":1},"receipts":7,"conversation":{}}}`,
	`{"caac":{"id":"e","agent":"mei","badges":[null,{"agent":5},{"agent":"mei","total":"NaN","version":null}],"close":[null,7],"receipts":"nowhere:"}}`,
	`{"notification":{"title":"<img src=x onerror=alert(1)>","body":"` + strings.Repeat("x", 2000) + `"}}`,
}

// sender pushes to browsers with the hub's own key.
func (s *story) sender() *push.Sender {
	s.t.Helper()
	c := config.Default(config.Demo, s.dataDir)
	c.DataDir = s.dataDir
	admin, done, err := serve.OpenAdmin(s.t.Context(), c)
	if err != nil {
		s.t.Fatal(err)
	}
	defer done()
	keys, err := admin.VAPID(s.t.Context(), true)
	if err != nil {
		s.t.Fatal(err)
	}
	key, err := push.ParseKey(keys[0].Private, keys[0].Created)
	if err != nil {
		s.t.Fatal(err)
	}
	ring, err := push.NewKeyRing(key)
	if err != nil {
		s.t.Fatal(err)
	}
	sender, err := push.New(push.Options{Keys: ring, Subject: c.VAPID.Subject, Dial: s.Net.Dial, RootCAs: s.Net.Pool()})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { sender.Close() })
	return sender
}

func TestWorkerShowsOneNotificationForAnyGarbage(t *testing.T) {
	inBothBrowsers(t, func(s *story, b *browser.Browser) {
		mei := s.open(b, "mei")
		mei.grant()
		var sub struct {
			Endpoint string
			Keys     struct{ P256dh, Auth string }
			Key      string
		}
		mei.Eval(`(async () => {
			const r = await navigator.serviceWorker.ready;
			return { ...(await r.pushManager.getSubscription()).toJSON(), key: (await (await fetch("`+s.hub+`/v1/vapid")).json()).id };
		})()`, &sub)
		sender := s.sender()
		shown := 0
		for i, payload := range garbage {
			answer := sender.Send(s.t.Context(), notify.Subscription{
				Endpoint: sub.Endpoint, P256dh: sub.Keys.P256dh, Auth: sub.Keys.Auth, KeyID: sub.Key,
			}, notify.PushMessage{Payload: []byte(payload), TTL: time.Minute})
			if answer.Class != notify.AnswerAccepted {
				s.t.Fatalf("%.60q: %+v", payload, answer)
			}
			shown++
			s.Desktop.Wait(s.t, 10*time.Second, fmt.Sprintf("a notification for %.60q, number %d", payload, i), func([]desktop.Notification) bool {
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
