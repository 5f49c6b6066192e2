package http

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/static"
)

func inDemo(o *Options) {
	o.Mode, o.PublicURL, o.Origins, o.Code = ModeDemo, "https://tunnel.test", nil, "abcd-efgh"
	o.MIUIGuide = "https://guide.example.com/miui"
}

// newDemo is a demo whose people have come.
func newDemo(t *testing.T, change ...func(*Options)) *world {
	w := newWorld(t, append([]func(*Options){inDemo}, change...)...)
	w.eventually(func() bool {
		return w.local("GET", "/v1/teams/support", "", "Authorization", "Bearer "+w.key).StatusCode == 200
	})
	return w
}

// local asks as a browser on this machine does.
func (w *world) local(method, path, body string, headers ...string) reply {
	w.Helper()
	return w.ask(method, path, body, append([]string{"Host", "localhost:8080"}, headers...)...)
}

type stageState struct {
	Agents []struct {
		ID, Name string
		OnDuty   bool `json:"on_duty"`
		Muted    bool
		Logins   []struct {
			Device, Label, Presence, Permission string
			On, Subscribed                      bool
		}
	}
	Team struct {
		ID, Name string
		Members  []string
	}
	Conversations []struct {
		ID, Contact string
		Assignment  notify.Assignment
		Seq         int64
	}
	PublicURL string `json:"public_url"`
	MIUIGuide string `json:"miui_guide"`
}

func TestDemoHasItsPeople(t *testing.T) {
	w := newDemo(t)
	var s stageState
	w.local("GET", "/demo/state", "").into(t, &s)
	if len(s.Agents) != 2 || s.Agents[0].ID != "ken" || s.Agents[1].Name != "Mei" || !s.Agents[1].OnDuty || s.Agents[1].Muted || s.Agents[1].Logins == nil {
		t.Errorf("agents %+v", s.Agents)
	}
	if s.Team.ID != "support" || strings.Join(s.Team.Members, " ") != "ken mei" || s.Conversations == nil || s.PublicURL != "https://tunnel.test" || s.MIUIGuide != "https://guide.example.com/miui" {
		t.Errorf("state %+v", s)
	}
}

func TestDemoKeepsWhatItsPeopleBecame(t *testing.T) {
	w := newDemo(t)
	w.local("PUT", "/v1/agents/mei", `{"name":"Mei Two","on_duty":false}`, "Authorization", "Bearer "+w.key)
	if err := w.http.demo.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	var s stageState
	w.local("GET", "/demo/state", "").into(t, &s)
	if s.Agents[1].Name != "Mei Two" || s.Agents[1].OnDuty {
		t.Errorf("a second start made %+v of mei", s.Agents[1])
	}
}

func TestDemoTokenIsTheAgentsAndOnlyForAgentsThatAre(t *testing.T) {
	w := newDemo(t)
	var tok struct {
		Token   string
		Expires time.Time
	}
	w.local("POST", "/demo/token", `{"agent":"mei"}`).into(t, &tok)
	if time.Until(tok.Expires) < 10*time.Minute {
		t.Errorf("expires %s", tok.Expires)
	}
	if r := w.local("GET", "/v1/me", "", "Authorization", "Bearer "+tok.Token); r.StatusCode != 200 || !strings.Contains(string(r.body), `"id":"mei"`) {
		t.Errorf("me: %d %s", r.StatusCode, r.body)
	}
	if r := w.local("POST", "/demo/token", `{"agent":"ghost"}`); r.StatusCode != 404 {
		t.Errorf("ghost: %d %s", r.StatusCode, r.body)
	}
}

func TestWhatIsEmptyIsAListForTheDemosPages(t *testing.T) {
	w := newDemo(t)
	w.local("PUT", "/v1/teams/support", `{"members":[]}`, "Authorization", "Bearer "+w.key)
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", "/demo/state", "", `"members":[]`},
		{"GET", "/demo/state", "", `"conversations":[]`},
		{"GET", "/demo/conversations/none/messages", "", `"messages":[]`},
		{"POST", "/demo/preview", `{"kind":"text","text":"hello","to":{"team":"support"}}`, `"decisions":[`},
	} {
		if r := w.local(c.method, c.path, c.body); r.StatusCode != 200 || !strings.Contains(string(r.body), c.want) {
			t.Errorf("%s %s: %d %s, want %s", c.method, c.path, r.StatusCode, r.body, c.want)
		}
	}
}

func TestStageSeesBeforeAndAfterASend(t *testing.T) {
	w := newDemo(t)
	stream := w.follow()
	const body = `{"contact":"A contact","kind":"text","text":"hello","to":{"agent":"mei"},"delay_seconds":0}`
	var p struct{ Decisions []notify.Decision }
	w.local("POST", "/demo/preview", body).into(t, &p)
	if len(p.Decisions) != 1 || p.Decisions[0].Agent != "mei" || p.Decisions[0].Reason != notify.NotLoggedIn {
		t.Errorf("preview %+v", p)
	}
	var s stageState
	if w.local("GET", "/demo/state", "").into(t, &s); len(s.Conversations) != 0 {
		t.Errorf("the preview left %+v", s.Conversations)
	}
	var sent struct {
		Conversation, Message string
		At                    time.Time
	}
	r := w.local("POST", "/demo/messages", body)
	if r.into(t, &sent); r.StatusCode != 202 || sent.Conversation == "" {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	stream.until(t, "message", func(b []byte) bool {
		var l struct{ Conversation, ID, Text, From string }
		return json.Unmarshal(b, &l) == nil && l.ID == sent.Message && l.Text == "hello" && l.From == "contact"
	})
	stream.until(t, "trace", func(b []byte) bool {
		var e struct {
			Conversation, Message string
			Trace                 struct {
				ReachedNobody bool `json:"reached_nobody"`
			}
		}
		return json.Unmarshal(b, &e) == nil && e.Message == sent.Message && e.Conversation == sent.Conversation && e.Trace.ReachedNobody
	})
	w.local("GET", "/demo/state", "").into(t, &s)
	if len(s.Conversations) != 1 || s.Conversations[0].Contact != "A contact" || s.Conversations[0].Assignment.Agent != "mei" || s.Conversations[0].Seq != 1 {
		t.Errorf("state %+v", s.Conversations)
	}

	if r := w.local("POST", "/demo/conversations/"+sent.Conversation+"/reply", `{"agent":"mei","text":"good day"}`); r.StatusCode != 200 {
		t.Fatalf("reply: %d %s", r.StatusCode, r.body)
	}
	var tr struct {
		Messages []struct{ Text, From string }
	}
	w.local("GET", "/demo/conversations/"+sent.Conversation+"/messages", "").into(t, &tr)
	if len(tr.Messages) != 2 || tr.Messages[0].Text != "hello" || tr.Messages[1].From != "mei" {
		t.Errorf("transcript %+v", tr)
	}
	if c, err := w.hub.Conversation(t.Context(), sent.Conversation); err != nil || c.Answered != 1 {
		t.Errorf("answered up to %d, %v", c.Answered, err)
	}

	// A stage that comes later is shown what happened.
	w.follow().until(t, "trace", func(b []byte) bool { return strings.Contains(string(b), sent.Message) })
}

func TestStageSeesAnAgentComeAndGo(t *testing.T) {
	w := newDemo(t, func(o *Options) { o.Origins = []string{origin} })
	stream := w.follow()
	mei := w.openAs("mei", http.Header{"Origin": {origin}}, "localhost:8080")
	sees := func(presence string) func([]byte) bool {
		return func(b []byte) bool {
			var a struct {
				ID     string
				Logins []struct{ Presence string }
			}
			return json.Unmarshal(b, &a) == nil && a.ID == "mei" && len(a.Logins) == 1 && a.Logins[0].Presence == presence
		}
	}
	stream.until(t, "presence", sees("hidden"))
	mei.conn.CloseNow()
	stream.until(t, "presence", sees("closed"))
}

func TestDelayedMessageIsTakenForLater(t *testing.T) {
	w := newDemo(t)
	var sent struct{ At time.Time }
	r := w.local("POST", "/demo/messages", `{"kind":"text","text":"later","to":{},"delay_seconds":15}`)
	r.into(t, &sent)
	if in := time.Until(sent.At); r.StatusCode != 202 || in < 13*time.Second || in > 15*time.Second {
		t.Errorf("%d, in %s", r.StatusCode, in)
	}
	for _, body := range []string{`{"kind":"text","delay_seconds":7}`, `{"kind":"text","delay":5}`, `{"kind":"text","text":"x","to":{"agent":"ghost"}}`} {
		if r := w.local("POST", "/demo/messages", body); r.StatusCode != 400 && r.StatusCode != 404 {
			t.Errorf("%s: %d %s", body, r.StatusCode, r.body)
		}
	}
}

func TestDemoServesThisMachineAndNobodyElse(t *testing.T) {
	w := newDemo(t)
	for _, c := range []struct {
		host, path string
		status     int
		location   string
	}{
		{"localhost:8080", "/", 200, ""},
		{"LOCALHOST", "/agent/mei", 200, ""},
		{"127.0.0.1:8080", "/", 307, "http://localhost:8080/"},
		{"[::1]:8080", "/agent/mei?conversation=c", 307, "http://localhost:8080/agent/mei?conversation=c"},
		{"127.0.0.1:8080", "/livez", 200, ""},
		{"evil.test", "/", 403, ""},
		{"localhost.evil.test", "/demo/state", 403, ""},
		{"evil.test", "/v1/vapid", 403, ""},
		{"192.168.1.5:8080", "/", 403, ""},
		{"tunnel.test", "/", 401, ""},
		{"tunnel.test", "/demo/state", 401, ""},
		{"tunnel.test", "/v1/socket", 401, ""},
		{"tunnel.test", "/metrics", 401, ""},
		{"tunnel.test", "/sw.js", 200, ""},
		{"tunnel.test", "/sdk/caac.js", 200, ""},
		{"tunnel.test", "/livez", 200, ""},
	} {
		r := w.ask("GET", c.path, "", "Host", c.host)
		if r.StatusCode != c.status || r.Header.Get("Location") != c.location {
			t.Errorf("%s%s: %d to %q", c.host, c.path, r.StatusCode, r.Header.Get("Location"))
		}
	}
	for _, said := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP"} {
		if r := w.local("GET", "/demo/state", "", said, "203.0.113.9"); r.StatusCode != 401 {
			t.Errorf("a tunnel that says localhost and %s: %d", said, r.StatusCode)
		}
	}
	if r := newWorld(t, inDemo, func(o *Options) { o.Code = "" }).ask("GET", "/", "", "Host", "tunnel.test"); r.StatusCode != 403 {
		t.Errorf("the public host without a code: %d", r.StatusCode)
	}
}

func (w *world) enter(code string) reply {
	w.Helper()
	return w.ask("POST", "/demo/code", url.Values{"code": {code}}.Encode(), "Host", "tunnel.test", "Content-Type", "application/x-www-form-urlencoded")
}

func TestCodeOpensThePublicHost(t *testing.T) {
	w := newDemo(t)
	if r := w.ask("GET", "/", "", "Host", "tunnel.test"); !strings.Contains(string(r.body), `name="code"`) || strings.Contains(r.Header.Get("Content-Security-Policy"), "unsafe") {
		t.Errorf("no form: %d %s", r.StatusCode, r.body)
	}
	if r := w.enter("wrong"); r.StatusCode != 403 || r.Header.Get("Set-Cookie") != "" {
		t.Errorf("wrong code: %d %v", r.StatusCode, r.Header)
	}
	r := w.enter(" ABCD-efgh ")
	set := r.Header.Get("Set-Cookie")
	if r.StatusCode != 303 || !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "Secure") || !strings.Contains(set, "SameSite=Strict") || strings.Contains(set, "abcd") {
		t.Fatalf("%d %q", r.StatusCode, set)
	}
	cookie, _, _ := strings.Cut(set, ";")
	if r := w.ask("GET", "/", "", "Host", "tunnel.test", "Cookie", cookie); r.StatusCode != 200 {
		t.Errorf("with the cookie: %d", r.StatusCode)
	}
	if r := w.ask("GET", "/demo/state", "", "Host", "tunnel.test", "Cookie", cookie+"0"); r.StatusCode != 401 {
		t.Errorf("with a forged cookie: %d", r.StatusCode)
	}
	h := http.Header{"Origin": {"https://tunnel.test"}, "Cookie": {cookie}}
	w.openAs("mei", h, "tunnel.test")
}

func TestCodesCannotBeTriedAtWill(t *testing.T) {
	w := newDemo(t)
	for range 5 {
		w.enter("wrong")
	}
	if r := w.enter("abcd-efgh"); r.StatusCode != 429 || r.Header.Get("Retry-After") == "" || r.Header.Get("Set-Cookie") != "" || !strings.Contains(string(r.body), "Too many codes") {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
}

func TestCodeLeadsToThePageThatWasAskedFor(t *testing.T) {
	w := newDemo(t)
	for to, want := range map[string]string{
		"/agent/":                                "/agent/",
		"/agent/mei?conversation=%22c1%22&view=": "/agent/mei?conversation=%22c1%22&view=",
		"/support":                               "/support",
		"":                                       "/",
		"/demo/state":                            "/",
		"//evil.test/agent/":                     "/",
		"https://evil.test/agent/":               "/",
		"/\\evil.test/agent/":                    "/",
		"/agent/..//evil.test":                   "/evil.test",
	} {
		r := w.ask("POST", "/demo/code", url.Values{"code": {"abcd-efgh"}, "to": {to}}.Encode(), "Host", "tunnel.test", "Content-Type", "application/x-www-form-urlencoded")
		if got := r.Header.Get("Location"); r.StatusCode != 303 || got != want {
			t.Errorf("%q leads to %q, %d; want %q", to, got, r.StatusCode, want)
		}
		w = newDemo(t)
	}
	r := w.ask("GET", `/agent/"><i>?a="b"&c=1`, "", "Host", "tunnel.test")
	if body := string(r.body); r.StatusCode != 401 || strings.Contains(body, "<i>") || !strings.Contains(body, `name="to" value="/agent/`) {
		t.Errorf("%d %s", r.StatusCode, body)
	}
}

func TestPagesOfOtherSitesCannotUseTheDemo(t *testing.T) {
	w := newDemo(t)
	for name, headers := range map[string][]string{
		"by Sec-Fetch-Site": {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.test"},
		"by Origin":         {"Origin", "https://evil.test"},
	} {
		if r := w.local("POST", "/demo/token", `{"agent":"mei"}`, headers...); r.StatusCode != 403 || r.problem(t).Code != "foreign_origin" {
			t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
		}
	}
	if r := w.local("POST", "/demo/token", `{"agent":"mei"}`, "Content-Type", "text/plain"); r.StatusCode != 415 {
		t.Errorf("a form could ask for a token: %d", r.StatusCode)
	}
}

func TestDemoPagesAllowNothingUnsafe(t *testing.T) {
	w := newDemo(t, func(o *Options) { o.Static = static.FS })
	for _, path := range []string{"/", "/agent/", "/agent/mei", "/demo/offline", "/support"} {
		r := w.local("GET", path, "")
		csp := r.Header.Get("Content-Security-Policy")
		if r.StatusCode != 200 || !strings.Contains(csp, "script-src 'self';") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: %d %q", path, r.StatusCode, csp)
		}
		if body := string(r.body); strings.Contains(body, "<style") || strings.Contains(body, " style=") || strings.Contains(body, " onclick=") {
			t.Errorf("%s has what its policy keeps from working", path)
		}
	}
	code := w.ask("GET", "/", "", "Host", "tunnel.test")
	for _, link := range []string{"/base.css", "/demo/offline.css", "/demo/icon.svg"} {
		if !strings.Contains(string(code.body), `"`+link+`"`) {
			t.Errorf("the page that asks for the code does not name %s", link)
		}
		if r := w.ask("GET", link, "", "Host", "tunnel.test"); r.StatusCode != 200 {
			t.Errorf("%s before the code is entered: %d", link, r.StatusCode)
		}
	}
}

func TestWorkerOnThisMachinePostsReceiptsToThePublicHost(t *testing.T) {
	w := newDemo(t)
	if csp := w.local("GET", "/sw.js", "").Header.Get("Content-Security-Policy"); !strings.Contains(csp, "connect-src 'self' https://tunnel.test;") {
		t.Errorf("policy %q", csp)
	}
	for from, ok := range map[string]bool{"http://localhost:8080": true, "https://localhost.evil.test": false, "http://localhost.evil.test": false} {
		r := w.ask("OPTIONS", "/v1/receipts", "", "Host", "tunnel.test", "Origin", from, "Access-Control-Request-Method", "POST")
		if (r.StatusCode == 204) != ok {
			t.Errorf("from %s: %d", from, r.StatusCode)
		}
	}
}

func TestStreamsEndWithTheDemo(t *testing.T) {
	w := newWorld(t, inDemo, func(o *Options) { o.Metrics = nil })
	s, err := New(Options{
		Hub: w.hub, Auth: nobody{}, Keys: w.http.keys, Log: w.http.log, Mode: ModeDemo, PublicURL: "http://localhost:8080", Secret: testSecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	w.srv.Config.Handler = s.Handler()
	stream := w.follow()
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	for stream.scan.Scan() {
	}
	if err := stream.scan.Err(); err != nil {
		t.Errorf("the stream ended with %v", err)
	}
}

// events is a stage's stream.
type events struct{ scan *bufio.Scanner }

// follow opens the stream and waits until it stands.
func (w *world) follow() *events {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	req, err := http.NewRequestWithContext(ctx, "GET", w.srv.URL+"/demo/events", nil)
	if err != nil {
		w.Fatal(err)
	}
	req.Host = "localhost:8080"
	resp, err := w.srv.Client().Do(req)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { cancel(); resp.Body.Close() })
	if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" {
		w.Fatalf("%d %s", resp.StatusCode, ct)
	}
	e := &events{bufio.NewScanner(resp.Body)}
	e.scan.Buffer(nil, 1<<20)
	for e.scan.Scan() && e.scan.Text() != "" {
	}
	return e
}

// until reads events of the name until one is what is waited for.
func (e *events) until(t *testing.T, name string, ok func(data []byte) bool) {
	t.Helper()
	var current string
	for e.scan.Scan() {
		line := e.scan.Text()
		if v, is := strings.CutPrefix(line, "event: "); is {
			current = v
		}
		if v, is := strings.CutPrefix(line, "data: "); is && current == name && ok([]byte(v)) {
			return
		}
	}
	t.Fatalf("the stream ended before the %s that was waited for: %v", name, e.scan.Err())
}
