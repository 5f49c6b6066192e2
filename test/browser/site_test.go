//go:build linux && e2e

package browser_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"net"
	"net/http"
	"path"
	"strconv"
	"testing"
	"time"

	webpush "github.com/SherClockHolmes/webpush-go"

	"caac-hub/test/world"
)

const patience = time.Minute

// site is a page with a service worker and a sender of encrypted pushes.
type site struct {
	*world.World
	origin          string
	private, public string // VAPID
	subscriptions   chan webpush.Subscription
	reports         chan report
}

type report struct{ Kind, Title string }

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{World: world.New(t), subscriptions: make(chan webpush.Subscription, 10), reports: make(chan report, 100)}
	var err error
	if s.private, s.public, err = webpush.GenerateVAPIDKeys(); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/index.html") })
	mux.HandleFunc("GET /sw.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/sw.js") })
	mux.HandleFunc("GET /key", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, s.public) })
	mux.HandleFunc("GET /manifest.webmanifest", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/manifest+json")
		io.WriteString(w, `{"name":"Site","id":"/","start_url":"/","display":"standalone","icons":[{"src":"/icon.png","sizes":"192x192","type":"image/png"}]}`)
	})
	mux.HandleFunc("GET /icon.png", func(w http.ResponseWriter, r *http.Request) {
		png.Encode(w, image.NewGray(image.Rect(0, 0, 192, 192)))
	})
	mux.HandleFunc("POST /subscription", func(w http.ResponseWriter, r *http.Request) {
		var sub webpush.Subscription
		if json.NewDecoder(r.Body).Decode(&sub) == nil {
			s.subscriptions <- sub
		}
	})
	mux.HandleFunc("POST /report", func(w http.ResponseWriter, r *http.Request) {
		var v report
		if json.NewDecoder(r.Body).Decode(&v) == nil {
			s.reports <- v
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	s.origin = "http://localhost:" + strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	return s
}

func (s *site) push(t *testing.T, to webpush.Subscription, payload map[string]any) (status int) {
	t.Helper()
	data, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	response, err := webpush.SendNotification(data, &to, &webpush.Options{
		HTTPClient: s.Net.Client(), Subscriber: "https://example.com", VAPIDPublicKey: s.public, VAPIDPrivateKey: s.private,
		TTL: 60, Topic: "topic1", Urgency: webpush.UrgencyHigh,
	})
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// mustPush sends a push that is to be accepted.
func (s *site) mustPush(t *testing.T, to webpush.Subscription, payload map[string]any) {
	t.Helper()
	if status := s.push(t, to, payload); status != http.StatusCreated {
		t.Fatalf("the push service answered %d", status)
	}
}

func (s *site) waitReport(t *testing.T, kind, title string) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case r := <-s.reports:
			if r.Kind == kind && r.Title == title {
				return
			}
		case <-timeout:
			t.Fatalf("the worker did not report %s of %q", kind, title)
		}
	}
}

func token(s webpush.Subscription) string { return path.Base(s.Endpoint) }

// stranger is a subscription of nobody's at the same push service.
func stranger(s webpush.Subscription) webpush.Subscription {
	s.Endpoint = s.Endpoint[:len(s.Endpoint)-len(token(s))] + base64.RawURLEncoding.EncodeToString([]byte(rand.Text()))
	return s
}
