package http

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"caac-hub/hub"
	"caac-hub/hub/wire"
)

func TestEveryRouteWantsItsOwnProof(t *testing.T) {
	w := newWorld(t)
	w.people()
	public := map[string]bool{"GET /v1/openapi.json": true, "GET /v1/vapid": true, "POST /v1/receipts": true, "GET /v1/socket": true, "GET /livez": true, "GET /readyz": true}
	expired, _, _ := SignToken(testSecret, "mei", -time.Minute)
	for _, r := range w.http.echo.Routes() {
		if public[r.Method+" "+r.Path] {
			continue
		}
		path := strings.NewReplacer(":id", "mei", ":device", "d", ":conversation", "c", ":message", "m").Replace(r.Path)
		forAgents := strings.HasPrefix(path, "/v1/me") && !strings.HasPrefix(path, "/v1/messages") || strings.HasPrefix(path, "/v1/device") && !strings.HasPrefix(path, "/v1/devices") || path == "/v1/logout"
		wrong := map[string]string{"nothing": "", "another scheme": "Basic " + w.key, "rubbish": "Bearer x", "an expired token": "Bearer " + expired}
		if forAgents {
			wrong["an API key"] = "Bearer " + w.key
		} else {
			wrong["an agent's token"] = "Bearer " + w.token("mei")
		}
		forSupport := strings.HasPrefix(path, "/v1/traces") || path == "/v1/reach" || path == "/v1/rules/try" || path == "/v1/events"
		for name, auth := range wrong {
			headers := []string{}
			if auth != "" {
				headers = []string{"Authorization", auth}
			}
			resp := w.ask(r.Method, path, `{}`, headers...)
			if forSupport && name == "an agent's token" {
				if resp.StatusCode != 403 || resp.problem(t).Code != "not_support" {
					t.Errorf("%s %s with %s: %d %s", r.Method, path, name, resp.StatusCode, resp.body)
				}
			} else if resp.StatusCode != 401 || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s %s with %s: %d %s", r.Method, path, name, resp.StatusCode, resp.body)
			}
			if key := strings.TrimPrefix(auth, "Bearer "); len(key) > 10 && bytes.Contains(resp.body, []byte(key)) {
				t.Errorf("%s %s repeats what it was shown", r.Method, path)
			}
		}
	}
}

func TestAgentSeesAndChangesOnlyItsOwn(t *testing.T) {
	w := newWorld(t)
	w.people()
	mei, ken := w.open("mei"), w.open("ken")

	var me struct {
		ID            string
		Preview       string
		Notifications bool
		Logins        []struct {
			Device  string
			Current bool
		}
	}
	mei.ask("GET", "/v1/me", "").into(t, &me)
	if me.ID != "mei" || len(me.Logins) != 1 || me.Logins[0].Device != mei.device.ID || !me.Logins[0].Current {
		t.Errorf("me: %+v", me)
	}
	if r := mei.ask("PATCH", "/v1/me/preferences", `{"preview":"sender","notifications":false}`); r.StatusCode != 200 {
		t.Errorf("preferences: %d %s", r.StatusCode, r.body)
	}
	ken.ask("GET", "/v1/me", "").into(t, &me)
	if me.Preview != "full" || !me.Notifications {
		t.Errorf("ken has mei's preferences: %+v", me)
	}
	if r := mei.ask("PUT", "/v1/me/duty", `{"on_duty":false}`); r.StatusCode != 403 {
		t.Errorf("duty from the page, which is not allowed: %d %s", r.StatusCode, r.body)
	}
	for _, path := range []string{"/v1/me/unread", "/v1/me/devices"} {
		if r := mei.ask("GET", path, ""); r.StatusCode != 200 {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.body)
		}
	}

	// Another's device: by its id alone, by a wrong key, and with the right key but no login there.
	foreign := map[string][]string{
		"no proof":  {"X-Device", ken.device.ID},
		"wrong key": {"X-Device", ken.device.ID, "X-Device-Key", mei.device.Key},
		"no login":  {"X-Device", ken.device.ID, "X-Device-Key", ken.device.Key},
		"unknown":   {"X-Device", "d-unknown", "X-Device-Key", "x"},
	}
	const sub = `{"endpoint":"https://fcm.googleapis.com/fcm/send/x","keys":{"p256dh":"BA","auth":"AA"},"key_id":"k1"}`
	for name, proof := range foreign {
		for _, c := range []struct{ method, path, body string }{
			{"PATCH", "/v1/device", `{"on":false}`},
			{"PUT", "/v1/device/subscription", sub},
			{"DELETE", "/v1/device/subscription", ""},
			{"POST", "/v1/device/push-test", ""},
			{"POST", "/v1/logout", ""},
		} {
			r := w.ask(c.method, c.path, c.body, append([]string{"Authorization", "Bearer " + w.token("mei")}, proof...)...)
			if r.StatusCode != 401 && r.StatusCode != 403 {
				t.Errorf("%s with %s: %d %s", c.path, name, r.StatusCode, r.body)
			}
		}
	}
	if r := mei.ask("DELETE", "/v1/me/devices/"+ken.device.ID, ""); r.StatusCode == 200 && string(bytes.TrimSpace(r.body)) != `{"ended":0}` {
		t.Errorf("mei ended ken's login: %s", r.body)
	}
	if r := mei.ask("DELETE", "/v1/me/devices/", ""); r.StatusCode < 400 {
		t.Errorf("no device named: %d %s", r.StatusCode, r.body)
	}
	var left struct{ Logins []json.RawMessage }
	w.must(200, "GET", "/v1/agents/ken/logins", "").into(t, &left)
	if len(left.Logins) != 1 {
		t.Errorf("ken's logins: %+v", left)
	}
}

func TestDeviceIsSetSubscribedTestedAndLoggedOut(t *testing.T) {
	w := newWorld(t)
	w.people()
	mei := w.open("mei")
	var d wire.DeviceSettings
	mei.ask("PATCH", "/v1/device", `{"on":false,"label":"Desk"}`).into(t, &d)
	if d.On {
		t.Errorf("still on: %+v", d)
	}
	const sub = `{"endpoint":"https://fcm.googleapis.com/fcm/send/x%d","expirationTime":null,"keys":{"p256dh":"BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM","auth":"tBHItJI5svbpez7KI4CCXg"},"key_id":"k1"}`
	worker := []string{"X-Device", mei.device.ID, "X-Device-Key", mei.device.Key}
	if r := w.ask("PUT", "/v1/device/subscription", fmt.Sprintf(sub, 0), worker...); r.StatusCode < 400 {
		t.Errorf("the worker made a first subscription: %d %s", r.StatusCode, r.body)
	}
	if r := mei.ask("PUT", "/v1/device/subscription", fmt.Sprintf(sub, 1)); r.StatusCode != 200 {
		t.Fatalf("subscribe: %d %s", r.StatusCode, r.body)
	}
	if r := w.ask("PUT", "/v1/device/subscription", fmt.Sprintf(sub, 2), worker...); r.StatusCode != 200 {
		t.Errorf("the worker replaces: %d %s", r.StatusCode, r.body)
	}
	if r := w.ask("PUT", "/v1/device/subscription", fmt.Sprintf(sub, 3), append(worker, "Authorization", "Bearer rubbish")...); r.StatusCode != 401 {
		t.Errorf("the worker with a bad token: %d %s", r.StatusCode, r.body)
	}
	var test hub.TestInfo
	r := mei.ask("POST", "/v1/device/push-test", "")
	r.into(t, &test)
	if r.StatusCode != 202 || test.ID == "" {
		t.Fatalf("push test: %d %s", r.StatusCode, r.body)
	}
	w.eventually(func() bool {
		r := mei.ask("GET", "/v1/device/push-test/"+test.ID, "")
		r.into(t, &test)
		return test.Stage == "accepted"
	})
	w.must(200, "GET", "/v1/devices/"+mei.device.ID, "")
	if r := mei.ask("DELETE", "/v1/device/subscription", ""); r.StatusCode != 204 {
		t.Errorf("unsubscribe: %d %s", r.StatusCode, r.body)
	}
	if r := mei.ask("POST", "/v1/logout", ""); r.StatusCode != 204 {
		t.Errorf("logout: %d %s", r.StatusCode, r.body)
	}
	if r := mei.ask("PATCH", "/v1/device", `{"on":true}`); r.StatusCode != 403 && r.StatusCode != 401 {
		t.Errorf("after logout the device is set: %d %s", r.StatusCode, r.body)
	}
}

func TestForgedReceiptIsRefused(t *testing.T) {
	w := newWorld(t)
	r := w.ask("POST", "/v1/receipts", `{"id":"x","agent":"mei","device":"d","generation":1,"kind":"message","token":"forged","event":"displayed"}`, "Origin", origin)
	if r.StatusCode < 400 || r.StatusCode >= 500 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if r.Header.Get("Access-Control-Allow-Origin") != origin {
		t.Error("a worker of the origin can't read the answer")
	}
}

func TestPagesOfOtherOriginsGetNoCORS(t *testing.T) {
	w := newWorld(t)
	preflight := func(path, from string) reply {
		return w.ask("OPTIONS", path, "", "Origin", from, "Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers", "authorization,x-device")
	}
	for _, path := range []string{"/v1/me/preferences", "/v1/device", "/v1/receipts", "/v1/vapid", "/v1/logout"} {
		r := preflight(path, origin)
		if r.StatusCode != 204 || r.Header.Get("Access-Control-Allow-Origin") != origin || !strings.Contains(r.Header.Get("Access-Control-Allow-Headers"), "X-Device-Key") || r.Header.Get("Vary") != "Origin" {
			t.Errorf("%s from the origin: %d %v", path, r.StatusCode, r.Header)
		}
		for _, from := range []string{"https://evil.test", "https://caac.test.evil.test", "http://caac.test", "https://caac.test:444", "null"} {
			if r := preflight(path, from); r.StatusCode != 403 || r.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s from %s: %d %v", path, from, r.StatusCode, r.Header)
			}
		}
	}
	if r := preflight("/v1/messages", origin); r.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("pages may call the backend's API")
	}
}

func (w *world) dial(protocol string, headers http.Header, path string) (int, http.Header) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 5*time.Second)
	defer cancel()
	o := &websocket.DialOptions{HTTPHeader: headers, HTTPClient: w.srv.Client()}
	if protocol != "" {
		o.Subprotocols = []string{protocol}
	}
	conn, resp, err := websocket.Dial(ctx, w.srv.URL+path, o)
	if err == nil {
		conn.CloseNow()
	} else if resp == nil {
		w.Fatal(err)
	}
	return resp.StatusCode, resp.Header
}

func TestSocketOpensForItsOriginsAndProtocolOnly(t *testing.T) {
	w := newWorld(t)
	from := func(o string) http.Header { return http.Header{"Origin": {o}} }
	for _, c := range []struct {
		what, protocol string
		headers        http.Header
		path           string
		status         int
	}{
		{"good", wire.Subprotocol, from(origin), "/v1/socket", 101},
		{"no origin", wire.Subprotocol, nil, "/v1/socket", 403},
		{"foreign origin", wire.Subprotocol, from("https://evil.test"), "/v1/socket", 403},
		{"origin with the name at its front", wire.Subprotocol, from("https://caac.test.evil.test"), "/v1/socket", 403},
		{"other scheme", wire.Subprotocol, from("http://caac.test"), "/v1/socket", 403},
		{"the server's own host", wire.Subprotocol, from(w.srv.URL), "/v1/socket", 403},
		{"no protocol", "", from(origin), "/v1/socket", 400},
		{"other protocol", "caac.v2", from(origin), "/v1/socket", 400},
		{"token in the URL", wire.Subprotocol, from(origin), "/v1/socket?token=x", 400},
	} {
		if status, _ := w.dial(c.protocol, c.headers, c.path); status != c.status {
			t.Errorf("%s: %d, not %d", c.what, status, c.status)
		}
	}
	r := w.ask("GET", "/v1/socket", "", "Origin", origin)
	if p := r.problem(t); r.StatusCode != 426 || p.Code != "upgrade_required" || r.Header.Get("Upgrade") != "websocket" {
		t.Errorf("without a handshake: %+v", p)
	}
}

func TestTooManyHandshakesAre429(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Handshakes = 0.001 })
	if status, _ := w.dial(wire.Subprotocol, http.Header{"Origin": {origin}}, "/v1/socket"); status != 101 {
		t.Fatalf("first: %d", status)
	}
	status, h := w.dial(wire.Subprotocol, http.Header{"Origin": {origin}}, "/v1/socket")
	if status != 429 || h.Get("Retry-After") == "" {
		t.Errorf("second: %d %v", status, h)
	}
}

func TestOneAddressCannotKeepOthersFromConnecting(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Limits.Handshakes, o.Proxies = 4, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	from := func(address string) int {
		status, _ := w.dial(wire.Subprotocol, http.Header{"Origin": {origin}, "X-Forwarded-For": {address}}, "/v1/socket")
		return status
	}
	for range 12 {
		from("192.0.2.1")
	}
	if status := from("192.0.2.1"); status != 429 {
		t.Errorf("the one that never stops: %d", status)
	}
	if status := from("192.0.2.2"); status != 101 {
		t.Errorf("another address: %d", status)
	}
}

func TestTooManyRequestsOfAnAddressAre429(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Requests = 0.5 })
	var last reply
	for range 3 {
		last = w.ask("POST", "/v1/receipts", `{}`)
	}
	if p := last.problem(t); last.StatusCode != 429 || p.Code != "too_many_requests" || last.Header.Get("Retry-After") == "" {
		t.Errorf("%+v", p)
	}
	if r := w.backend("GET", "/v1/agents", ""); r.StatusCode != 200 {
		t.Errorf("the backend pays for it: %d", r.StatusCode)
	}
}

func TestRequestsBeyondThoseAtWorkAre503(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Concurrent = 1 })
	w.http.working <- struct{}{}
	r := w.backend("GET", "/v1/agents", "")
	if p := r.problem(t); r.StatusCode != 503 || p.Code != "busy" || r.Header.Get("Retry-After") != "1" {
		t.Errorf("%+v", p)
	}
	if r := w.ask("GET", "/livez", ""); r.StatusCode != 200 {
		t.Errorf("livez waits in the same line: %d", r.StatusCode)
	}
	<-w.http.working
	if r := w.backend("GET", "/v1/agents", ""); r.StatusCode != 200 {
		t.Errorf("after that: %d", r.StatusCode)
	}
}

func TestOversizeBodyIs413(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Body = 1000 })
	for _, path := range []string{"/v1/messages", "/v1/conversations/c/answered"} {
		r := w.backend("POST", path, `{"id":"`+strings.Repeat("x", 2000)+`"}`)
		if p := r.problem(t); r.StatusCode != 413 || p.Code != "body_too_large" {
			t.Errorf("%s: %+v", path, p)
		}
	}
}

func TestPanicIsA500WhoseReasonIsInTheLogOnly(t *testing.T) {
	var log bytes.Buffer
	s := &Server{log: slog.New(slog.NewTextHandler(&log, nil))}
	w := newWorld(t)
	w.srv.Config.Handler = s.outermost("", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret reason") }))
	r := w.ask("GET", "/x", "", "X-Request-Id", "req-1")
	if p := r.problem(t); r.StatusCode != 500 || p.Instance != "urn:caac:request:req-1" || bytes.Contains(r.body, []byte("secret")) {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if !strings.Contains(log.String(), "secret reason") || !strings.Contains(log.String(), "req-1") {
		t.Errorf("log: %s", log.String())
	}
}

func TestLogHoldsNoTokensKeysOrQueries(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	w.people()
	w.must(202, "POST", "/v1/messages", `{"id":"m1","conversation":{"id":"c1"},"kind":"text","text":"private words"}`)
	w.ask("GET", "/v1/agents?token=hidden-token", "", "X-Device-Key", "hidden-key")
	if !strings.Contains(log.String(), "/v1/messages") {
		t.Fatalf("no access log: %s", log.String())
	}
	for _, secret := range []string{w.key, "private words", "hidden"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestBodyThatDoesNotComeIsNotWaitedFor(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Timeout = 100 * time.Millisecond })
	conn, err := net.Dial("tcp", w.srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(conn, "POST /v1/receipts HTTP/1.1\r\nHost: hub.test\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestTimeout {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestSocketOutlivesTheDeadlinesOfItsHandshake(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Timeout = 50 * time.Millisecond })
	// The backend can't be used with so short a deadline; the hub can.
	name := "Mei"
	if a := w.hub.PutAgents(t.Context(), []hub.AgentInput{{ID: "mei", Name: &name}}); a[0].Err != nil {
		t.Fatal(a[0].Err)
	}
	mei := w.open("mei")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, _, err := mei.conn.Read(ctx); ctx.Err() == nil {
		t.Errorf("the socket ended: %v", err)
	}
}
