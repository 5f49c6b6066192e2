package http

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"caac-hub/http/problem"
	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/hub/store/sqlite"
	"caac-hub/hub/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const origin = "https://caac.test"

// nobody refuses every token.
type nobody struct{}

func (nobody) Authenticate(context.Context, string) (hub.Claims, error) {
	return hub.Claims{}, refuse("bad_token", "nobody comes in", nil)
}

// taker is a push service that takes everything.
type taker struct{}

func (taker) Check(context.Context, notify.Subscription) error { return nil }
func (taker) Send(context.Context, notify.Subscription, notify.PushMessage) notify.PushAnswer {
	return notify.PushAnswer{Class: notify.AnswerAccepted, Status: 201}
}
func (taker) Key() (string, string) { return "k1", "BPublic" }

func (taker) Accepts(_ context.Context, id string) bool { return id == "k1" }

// world is a whole hub on its store behind a listening server.
type world struct {
	*testing.T
	store *sqlite.Store
	hub   *hub.Hub
	http  *Server
	srv   *httptest.Server
	key   string
}

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	store, err := sqlite.Open(ctx, sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	auth, err := NewAuthenticator(ctx, TokenOptions{Secret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	log := slog.New(slog.DiscardHandler)
	h, err := hub.New(hub.Options{
		Store: store, Push: taker{}, Auth: auth, Log: log, Metrics: reg, Secret: testSecret,
		PublicURL: "https://hub.test", ConversationURL: "https://caac.test/c/{conversation}", Ceiling: notify.PreviewFull,
	})
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := CreateAPIKey(ctx, store, "test")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Hub: h, Auth: auth, Keys: NewAPIKeys(store), Log: log, Mode: ModeProduction, PublicURL: "https://hub.test",
		Origins: []string{origin}, Metrics: reg, Version: "test", Secret: testSecret,
		Static: fstest.MapFS{
			"sw.js": {Data: []byte("// worker")}, "sdk/caac.js": {Data: []byte("export {}")},
			"demo/stage.html": {Data: []byte("<!doctype html><title>stage</title>")}, "demo/agent.html": {Data: []byte("<!doctype html><title>agent</title>")},
			"demo/stage.js": {Data: []byte("// stage")},
		},
	}
	for _, c := range change {
		c(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 2)
	go func() { ran <- h.Run(ctx) }()
	go func() { ran <- s.Run(ctx) }()
	w := &world{T: t, store: store, hub: h, http: s, srv: httptest.NewServer(s.Handler()), key: key}
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ran; err != nil && err != context.Canceled {
				t.Error(err)
			}
		}
		w.srv.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// reply is an answer with its body read.
type reply struct {
	*http.Response
	body []byte
}

func (r reply) problem(t testing.TB) problem.Problem {
	t.Helper()
	var p problem.Problem
	if err := json.Unmarshal(r.body, &p); err != nil || r.Header.Get("Content-Type") != problem.ContentType {
		t.Fatalf("%d is no problem: %s", r.StatusCode, r.body)
	}
	return p
}

// into reads the answer's body into v.
func (r reply) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("%d %s: %v", r.StatusCode, r.body, err)
	}
}

// ask sends a request and holds it and its answer against the document.
func (w *world) ask(method, path, body string, headers ...string) reply {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, w.srv.URL+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	c := *w.srv.Client()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := c.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	if strings.HasPrefix(path, "/v1/") && method != http.MethodOptions {
		obeys(w.T, req, []byte(body), resp, b)
	}
	return reply{resp, b}
}

// backend asks with the API key.
func (w *world) backend(method, path, body string, headers ...string) reply {
	w.Helper()
	return w.ask(method, path, body, append([]string{"Authorization", "Bearer " + w.key}, headers...)...)
}

// must is backend, with the status that is wanted.
func (w *world) must(status int, method, path, body string) reply {
	w.Helper()
	r := w.backend(method, path, body)
	if r.StatusCode != status {
		w.Fatalf("%s %s: %d %s; want %d", method, path, r.StatusCode, r.body, status)
	}
	return r
}

func (w *world) token(agent string) string {
	w.Helper()
	tok, _, err := SignToken(testSecret, agent, time.Hour)
	if err != nil {
		w.Fatal(err)
	}
	return tok
}

// tab is an agent's page: a socket with its device.
type tab struct {
	w      *world
	conn   *websocket.Conn
	agent  string
	device wire.DeviceAuth
}

func (w *world) open(agent string) *tab {
	w.Helper()
	return w.openAs(agent, http.Header{"Origin": {origin}}, "")
}

// openAs opens an agent's page with these headers, asking for the host.
func (w *world) openAs(agent string, h http.Header, host string) *tab {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 5*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, w.srv.URL+"/v1/socket", &websocket.DialOptions{
		Subprotocols: []string{wire.Subprotocol}, HTTPHeader: h, HTTPClient: w.srv.Client(), Host: host,
	})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.CloseNow() })
	hello, err := json.Marshal(wire.Client{
		Type: wire.TypeHello, Token: w.token(agent), Place: "p-" + agent, Label: "a test", Platform: "desktop",
		State: &wire.PageState{Visibility: "hidden"}, Permission: notify.Granted,
	})
	if err != nil {
		w.Fatal(err)
	}
	if err := conn.Write(ctx, websocket.MessageText, hello); err != nil {
		w.Fatal(err)
	}
	_, b, err := conn.Read(ctx)
	if err != nil {
		w.Fatal(err)
	}
	var welcome wire.Welcome
	if err := json.Unmarshal(b, &welcome); err != nil || welcome.Type != wire.TypeWelcome || welcome.Device.Key == "" {
		w.Fatalf("no welcome with a device: %s", b)
	}
	return &tab{w: w, conn: conn, agent: agent, device: welcome.Device}
}

// ask asks as the page's agent on its device.
func (p *tab) ask(method, path, body string) reply {
	p.w.Helper()
	return p.w.ask(method, path, body, "Authorization", "Bearer "+p.w.token(p.agent), "X-Device", p.device.ID, "X-Device-Key", p.device.Key)
}

// eventually waits until what must become true is.
func (w *world) eventually(ok func() bool) {
	w.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			w.Fatal("it did not come true within 10 s")
		}
		time.Sleep(5 * time.Millisecond)
	}
}
