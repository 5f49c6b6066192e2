package http

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"caac-hub/hub"
	"caac-hub/hub/notify"
)

// roleToken is an agent token with these claims beside the usual ones.
func (w *world) roleToken(claims jwt.MapClaims) string {
	w.Helper()
	all := jwt.MapClaims{"sub": "someone", "exp": in(time.Hour)}
	for k, v := range claims {
		all[k] = v
	}
	return signed(w.T, jwt.SigningMethodHS256, testSecret, "", all)
}

// supports has the role "support" in the claim "roles" open what is support's.
func supports(t *testing.T) func(*Options) {
	return func(o *Options) {
		auth, err := NewAuthenticator(t.Context(), TokenOptions{Secret: testSecret, SupportClaim: "roles", SupportRole: "support"})
		if err != nil {
			t.Fatal(err)
		}
		o.Auth = auth
	}
}

func TestOnlyAnAPIKeyOrTheSupportRoleOpensWhatIsSupports(t *testing.T) {
	w := newWorld(t, supports(t))
	w.people()
	for _, c := range []struct {
		name, token string
		want        int
	}{
		{"an API key", w.key, 200},
		{"a list of roles", w.roleToken(jwt.MapClaims{"roles": []string{"x", "support"}}), 200},
		{"words", w.roleToken(jwt.MapClaims{"roles": "openid support"}), 200},
		{"a plain agent's token", w.token("mei"), 403},
		{"another role", w.roleToken(jwt.MapClaims{"roles": []string{"supporter"}}), 403},
		{"another claim", w.roleToken(jwt.MapClaims{"scope": "support"}), 403},
		{"another shape", w.roleToken(jwt.MapClaims{"roles": map[string]any{"support": true}}), 403},
		{"a list in a list", w.roleToken(jwt.MapClaims{"roles": []any{[]string{"support"}}}), 403},
		{"an expired one", w.roleToken(jwt.MapClaims{"roles": "support", "exp": in(-time.Hour)}), 401},
		{"a key that is none", "caac_00000000_x", 401},
	} {
		auth := []string{"Authorization", "Bearer " + c.token}
		for _, r := range []reply{w.ask("GET", "/v1/traces", "", auth...), w.ask("GET", "/v1/reach", "", auth...), w.ask("POST", "/v1/rules/try", `{"assignment":{},"agents":[]}`, auth...)} {
			if r.StatusCode != c.want {
				t.Errorf("%s: %s %d %s; want %d", c.name, r.Request.URL.Path, r.StatusCode, r.body, c.want)
			}
		}
	}
	support := w.roleToken(jwt.MapClaims{"roles": "support"})
	for _, path := range []string{"/v1/agents", "/v1/teams", "/v1/outbox", "/v1/devices/x"} {
		if r := w.ask("GET", path, "", "Authorization", "Bearer "+support); r.StatusCode != 401 {
			t.Errorf("support's token at the backend's %s: %d", path, r.StatusCode)
		}
	}
}

func TestNoTokenIsSupportsWithoutARole(t *testing.T) {
	w := newWorld(t)
	r := w.ask("GET", "/v1/traces", "", "Authorization", "Bearer "+w.roleToken(jwt.MapClaims{"": "", "roles": []string{"support", ""}}))
	if r.StatusCode != 403 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
}

func TestMessageTextIsForAPIKeysAndForSupportOnlyWhereConfigured(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		w := newWorld(t, supports(t), func(o *Options) { o.SupportText = allowed })
		w.people()
		mei := w.open("mei") // its push path makes the message last: its text is not erased at once
		_ = mei
		w.must(202, "POST", "/v1/messages", `{"id":"m","kind":"text","text":"a secret","conversation":{"id":"c","assignment":{"agent":"mei"}}}`)
		support := "Bearer " + w.roleToken(jwt.MapClaims{"roles": "support"})
		for _, path := range []string{"/v1/traces?", "/v1/traces/c/m?"} {
			if r := w.ask("GET", path, "", "Authorization", support); r.StatusCode != 200 || strings.Contains(string(r.body), "a secret") || strings.Contains(string(r.body), `"hash"`) {
				t.Errorf("unasked, allowed %v: %s %d %s", allowed, path, r.StatusCode, r.body)
			}
			r := w.ask("GET", path+"text=true", "", "Authorization", support)
			if allowed && r.StatusCode != 200 || !allowed && (r.StatusCode != 403 || r.problem(t).Code != "no_text") {
				t.Errorf("allowed %v: %s %d %s", allowed, path, r.StatusCode, r.body)
			}
			if allowed && !strings.Contains(string(r.body), "a secret") {
				t.Errorf("allowed, and not shown: %s %s", path, r.body)
			}
			if r := w.must(200, "GET", path+"text=true", ""); !strings.Contains(string(r.body), "a secret") || r.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("by an API key: %s %s %v", path, r.body, r.Header)
			}
		}
	}
}

func TestTracesAreFilteredByWhatBecameOfThem(t *testing.T) {
	w := newWorld(t)
	w.people()
	mei := w.open("mei")
	var info hub.DeviceInfo
	w.must(200, "GET", "/v1/devices/"+mei.device.ID, "").into(t, &info)
	for i, to := range []string{`{"agent":"ken"}`, `{"team":"support"}`, `{}`} {
		w.must(202, "POST", "/v1/messages", fmt.Sprintf(`{"id":"m%d","kind":"text","text":"x","conversation":{"id":"c%d","assignment":%s}}`, i, i, to))
	}
	ids := func(query string) (ids []string) {
		t.Helper()
		var got traceList
		w.must(200, "GET", "/v1/traces?names=true&"+query, "").into(t, &got)
		for _, tr := range got.Traces {
			ids = append(ids, tr.Message.ID)
		}
		slices.Sort(ids)
		return ids
	}
	w.eventually(func() bool { return len(ids("reached_nobody=true")) == 2 })
	for query, want := range map[string][]string{
		"":                                     {"m0", "m1", "m2"},
		"reached_nobody=true":                  {"m0", "m2"},
		"reached_nobody=false":                 {"m0", "m1", "m2"},
		"agent=ken":                            {"m0", "m1"},
		"agent=ken&team=support":               {"m1"},
		"reason=unassigned":                    {"m2"},
		"agent=ken&reason=not_logged_in":       {"m0", "m1"},
		"agent=mei&reason=not_logged_in":       nil,
		"device=" + info.Code:                  {"m1"},
		"device=" + strings.ToLower(info.Code): {"m1"},
		"message=m2":                           {"m2"},
		"conversation=c0&reached_nobody=true":  {"m0"},
	} {
		if got := ids(query); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	for _, query := range []string{"reached_nobody=yes", "names=1", "reason=Off%20Duty", "limit=501", "limit=0", "before=now", "agent=" + strings.Repeat("x", 129), "colour=red"} {
		if r := w.backend("GET", "/v1/traces?"+query, ""); r.StatusCode != 400 || r.problem(t).Field == "" {
			t.Errorf("%s: %d %s", query, r.StatusCode, r.body)
		}
	}
}

func TestSearchesBeyondTheirNumberAreRefusedAndLookUpsAreNot(t *testing.T) {
	w := newWorld(t)
	for range maxSearches {
		w.http.searches <- struct{}{}
	}
	if r := w.backend("GET", "/v1/traces?agent=mei", ""); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	for _, query := range []string{"message=m", "conversation=c&agent=mei", "limit=1"} {
		w.must(200, "GET", "/v1/traces?"+query, "")
	}
}

func TestReachSaysWhoCannotBeReachedAndWhy(t *testing.T) {
	w := newWorld(t)
	w.people()
	w.open("mei")
	var got reachList
	w.must(200, "GET", "/v1/reach?unreachable=true", "").into(t, &got)
	if len(got.Agents) != 1 || got.Agents[0].ID != "ken" || got.Agents[0].Cause != notify.NotLoggedIn || got.Summary.OnDuty != 2 || got.Summary.Unreachable[notify.NotLoggedIn] != 1 {
		t.Errorf("%+v", got)
	}
	w.must(200, "GET", "/v1/reach?limit=1&team=support", "").into(t, &got)
	if len(got.Agents) != 1 || got.Next != "ken" {
		t.Errorf("%+v", got)
	}
	if r := w.backend("GET", "/v1/reach?team=none", ""); r.StatusCode != 404 {
		t.Errorf("an unknown team: %d", r.StatusCode)
	}
	if r := w.backend("GET", "/v1/reach?unreachable=perhaps", ""); r.StatusCode != 400 {
		t.Errorf("no boolean: %d", r.StatusCode)
	}
}

func TestTriedRulesAreTheRules(t *testing.T) {
	w := newWorld(t)
	login := func(page, rest string) string {
		return `{"device":"d","page":"` + page + `","on":true,"permission":"granted"` + rest + `}`
	}
	for _, c := range []struct{ agent, login, want string }{
		{`"on_duty":false`, login("active", ""), "none off_duty"},
		{`"on_duty":true,"muted":true`, login("active", ""), "none agent_muted"},
		{`"on_duty":true`, login("viewing", ""), "in_app viewing_conversation, then none unconfirmed"},
		{`"on_duty":true`, login("active", `,"subscribed":true`), "in_app actively_viewing, then push unconfirmed"},
		{`"on_duty":true`, `{"device":"d","page":"hidden","on":false,"permission":"granted"}`, "in_app device_off, then none device_off"},
		{`"on_duty":true`, `{"device":"d","page":"closed","on":true,"permission":"denied"}`, "none permission_denied"},
		{`"on_duty":true`, login("visible", ""), "local visible_unfocused, then none unconfirmed"},
		{`"on_duty":true`, login("hidden", ""), "local no_subscription, then none unconfirmed"},
		{`"on_duty":true`, login("closed", ""), "none no_subscription"},
		{`"on_duty":true`, login("hidden", `,"subscribed":true`), "push page_hidden"},
		{`"on_duty":true`, login("closed", `,"subscribed":true`), "push page_closed"},
		{`"on_duty":true`, login("hidden", `,"subscribed":true,"lapsed":true`), "push page_hidden lease_expired"},
		{`"on_duty":true`, login("hidden", `,"subscribed":true,"rang":true`), "push page_hidden waits"},
		{`"on_duty":true`, login("active", `,"rang":true`), "in_app actively_viewing, then none unconfirmed"},
	} {
		for _, to := range []string{`{"agent":"mei"}`, `{"team":true}`} {
			var got tried
			w.must(200, "POST", "/v1/rules/try", `{"assignment":`+to+`,"agents":[{"id":"mei",`+c.agent+`,"logins":[`+c.login+`]}]}`).into(t, &got)
			if len(got.Decisions) != 1 {
				t.Fatalf("%+v", got)
			}
			d := got.Decisions[0]
			says := string(d.Channel) + " " + string(d.Reason)
			if d.Detail != "" {
				says += " " + string(d.Detail)
			}
			if d.Waits {
				says += " waits"
			}
			if u := d.Unconfirmed; u != nil {
				says += ", then " + string(u.Channel) + " " + string(u.Reason)
			}
			if says != c.want {
				t.Errorf("%s %s: %s, want %s", c.agent, c.login, says, c.want)
			}
		}
	}
	for i, c := range []struct {
		agent, login string
		reaches      bool
	}{
		{`"on_duty":false`, login("active", ""), false},
		{`"on_duty":true,"muted":true`, login("active", ""), false},
		{`"on_duty":true`, login("viewing", ""), true},
		{`"on_duty":true`, login("active", ""), true},
		{`"on_duty":true`, `{"device":"d","page":"hidden","on":false,"permission":"granted","subscribed":true}`, false},
		{`"on_duty":true`, `{"device":"d","page":"hidden","on":true,"permission":"default","subscribed":true}`, false},
		{`"on_duty":true`, login("visible", ""), true},
		{`"on_duty":true`, login("hidden", ""), true},
		{`"on_duty":true`, login("closed", ""), false},
		{`"on_duty":true`, login("closed", `,"subscribed":true`), true},
	} {
		var got tried
		w.must(200, "POST", "/v1/rules/try", `{"assignment":{"team":true},"agents":[{"id":"mei",`+c.agent+`,"logins":[`+c.login+`]}]}`).into(t, &got)
		if d := got.Decisions[0]; d.Row != i+1 || d.Reaches != c.reaches {
			t.Errorf("row %d: it says row %d, reaches %v", i+1, d.Row, d.Reaches)
		}
	}
	var held tried
	w.must(200, "POST", "/v1/rules/try", `{"assignment":{"agent":"mei"},"agents":[{"id":"mei","on_duty":true,"logins":[`+login("viewing", "")+`,`+strings.Replace(login("closed", `,"subscribed":true`), `"d"`, `"e"`, 1)+`]}]}`).into(t, &held)
	if len(held.Decisions) != 2 || held.Decisions[0].Held || !held.Decisions[1].Held {
		t.Errorf("beside a page that views the conversation: %+v", held)
	}
	var got tried
	w.must(200, "POST", "/v1/rules/try", `{"assignment":{},"agents":[{"id":"mei","on_duty":true}]}`).into(t, &got)
	if len(got.Decisions) != 1 || got.Decisions[0].Reason != notify.Unassigned {
		t.Errorf("nobody assigned: %+v", got)
	}
}

func TestTriedRulesAreBoundedAndSayWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	many := func(n int, one string) string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf(one, i)
		}
		return strings.Join(all, ",")
	}
	for body, field := range map[string]string{
		`{"agents":[` + many(51, `{"id":"a%d","on_duty":true}`) + `]}`:                                                                            "agents",
		`{"agents":[{"id":"a","on_duty":true,"logins":[` + many(21, `{"device":"d%d","page":"closed","on":true,"permission":"granted"}`) + `]}]}`: "agents[0].logins",
		`{"agents":[{"id":"a","on_duty":true,"logins":[{"device":"d","page":"active","on":true,"permission":"granted","lapsed":true}]}]}`:         "agents[0].logins[0].lapsed",
		`{"agents":[{"id":"","on_duty":true}]}`:                                                                             "agents[0].id",
		`{"agents":[{"id":"a","on_duty":true},{"id":"a","on_duty":true}]}`:                                                  "agents[1].id",
		`{"agents":[{"id":"a","on_duty":true,"logins":[{"device":"d","page":"open","on":true,"permission":"granted"}]}]}`:   "agents[0].logins[0].page",
		`{"agents":[{"id":"a","on_duty":true,"logins":[{"device":"d","page":"closed","on":true,"permission":"perhaps"}]}]}`: "agents[0].logins[0].permission",
		`{"agents":[{"id":"a","on_duty":true,"logins":[{"device":"","page":"closed","on":true,"permission":"granted"}]}]}`:  "agents[0].logins[0].device",
		`{"agents":[{"id":"a","on_duty":true,"logins":[` + strings.Repeat(`{"device":"d","page":"closed","on":true,"permission":"granted"},`, 1) + `{"device":"d","page":"closed","on":true,"permission":"granted"}]}]}`: "agents[0].logins[1].device",
	} {
		r := w.backend("POST", "/v1/rules/try", body)
		if r.StatusCode != 400 || r.problem(t).Field != field {
			t.Errorf("%.80s: %d %s", body, r.StatusCode, r.body)
		}
	}
}

// changes opens the stream of changes and returns what it names, line by line.
func (w *world) changes(ctx context.Context, token string) (*http.Response, *bufio.Scanner) {
	w.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", w.srv.URL+"/v1/events", nil)
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := w.srv.Client().Do(req)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { resp.Body.Close() })
	return resp, bufio.NewScanner(resp.Body)
}

func TestChangesAreStreamedByNameUntilTheKeyIsRevoked(t *testing.T) {
	w := newWorld(t)
	w.people()
	key, info, err := CreateAPIKey(t.Context(), w.store, "another")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	resp, lines := w.changes(ctx, key)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || !lines.Scan() {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	post := func(id string) {
		w.must(202, "POST", "/v1/messages", `{"id":"`+id+`","kind":"text","text":"not to be told","conversation":{"id":"c","assignment":{"agent":"mei"}}}`)
	}
	post("m1")
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var c changes
		if err := json.Unmarshal([]byte(data), &c); err != nil || strings.Contains(data, "not to be told") {
			t.Fatalf("%s: %v", data, err)
		}
		if slices.Contains(c.Messages, notify.Ref{Conversation: "c", Message: "m1"}) {
			break
		}
	}
	if err := RevokeAPIKey(t.Context(), w.store, info.ID); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines.Scan() {
		}
	}()
	for n := 0; ; n++ {
		post(fmt.Sprint("later", n))
		select {
		case <-ended:
			if ctx.Err() != nil {
				t.Error("the stream outlived its key")
			}
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func TestStreamTakesNothingOfWhatItsAddressMayAskFor(t *testing.T) {
	w := newWorld(t, supports(t), func(o *Options) { o.Limits.Requests = 0.5 })
	w.people()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	support := w.roleToken(jwt.MapClaims{"roles": "support"})
	resp, lines := w.changes(ctx, support)
	if resp.StatusCode != 200 || !lines.Scan() {
		t.Fatal(resp.Status)
	}
	for w.ask("GET", "/v1/traces?limit=1", "", "Authorization", "Bearer "+support).StatusCode == 200 {
	}
	w.must(202, "POST", "/v1/messages", `{"id":"m","kind":"text","text":"x","conversation":{"id":"c"}}`)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"message":"m"`) {
			return
		}
	}
	t.Error("the stream ended with its address's share")
}

func TestStreamsAreBoundedInNumber(t *testing.T) {
	w := newWorld(t)
	for range maxStreams {
		w.http.streams <- struct{}{}
	}
	if r := w.backend("GET", "/v1/events", ""); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("one more stream: %d", r.StatusCode)
	}
}

func TestStreamsEndWithTheServersRun(t *testing.T) {
	var o Options
	w := newWorld(t, func(of *Options) { o = *of })
	o.Metrics = nil
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	w.srv.Close()
	w.srv = httptest.NewServer(s.Handler())
	resp, lines := w.changes(t.Context(), w.key)
	if resp.StatusCode != 200 || !lines.Scan() {
		t.Fatal(resp.Status)
	}
	end()
	for lines.Scan() {
	}
	if err := <-ran; err != nil {
		t.Error(err)
	}
}

func TestSupportsPageIsServedInBothModesAndLogsInByItselfInTheDemoOnly(t *testing.T) {
	page := func(o *Options) {
		o.Static = fstest.MapFS{
			"support/index.html": {Data: []byte(`<!doctype html><meta name="login" content=""><title>support</title>` + strings.Repeat("<p>a page that is sent gzipped", 50))},
			"base.css":           {Data: []byte("a {}")}, "demo/agent.css": {Data: []byte("a {}")},
			"demo/stage.html": {Data: []byte("<!doctype html>")}, "demo/agent.html": {Data: []byte("<!doctype html>")},
		}
		o.Support = SupportRole{"roles", "support"}
	}
	w := newWorld(t, supports(t), page)
	if r := w.ask("GET", "/support", ""); r.StatusCode != 200 || !strings.Contains(string(r.body), `name="login" content=""`) || !strings.Contains(r.Header.Get("Content-Security-Policy"), "script-src 'self'") {
		t.Errorf("production: %d %s %v", r.StatusCode, r.body, r.Header)
	}
	for path, want := range map[string]int{"/base.css": 200, "/demo/agent.css": 404} {
		if r := w.ask("GET", path, ""); r.StatusCode != want {
			t.Errorf("%s in production: %d, want %d", path, r.StatusCode, want)
		}
	}
	if r := w.ask("POST", "/demo/support", ""); r.StatusCode != 404 {
		t.Errorf("the demo's login in production: %d %s", r.StatusCode, r.body)
	}
	w = newWorld(t, supports(t), page, func(o *Options) { o.Mode, o.PublicURL = ModeDemo, "http://localhost:8080" })
	if r := w.ask("GET", "/support", "", "Host", "localhost"); r.StatusCode != 200 || !strings.Contains(string(r.body), `content="/demo/support"`) {
		t.Errorf("demo: %d %s", r.StatusCode, r.body)
	}
	var login struct{ Token string }
	w.ask("POST", "/demo/support", "", "Host", "localhost").into(t, &login)
	if r := w.ask("GET", "/v1/traces", "", "Host", "localhost", "Authorization", "Bearer "+login.Token); r.StatusCode != 200 {
		t.Errorf("the demo's token: %d %s", r.StatusCode, r.body)
	}
	if r := w.ask("POST", "/demo/support", "", "Host", "localhost", "Sec-Fetch-Site", "cross-site"); r.StatusCode != 403 {
		t.Errorf("from another site: %d", r.StatusCode)
	}
	if r := w.ask("POST", "/demo/support", "", "Host", "evil.example"); r.StatusCode != 403 {
		t.Errorf("by another name: %d", r.StatusCode)
	}
}
