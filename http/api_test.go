package http

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"caac-hub/hub"
)

// people makes mei and ken, both on duty, and their team.
func (w *world) people() {
	w.Helper()
	w.must(200, "PUT", "/v1/agents/mei", `{"name":"Mei","on_duty":true}`)
	w.must(200, "PUT", "/v1/agents/ken", `{"name":"Ken","on_duty":true}`)
	w.must(200, "PUT", "/v1/teams/support", `{"name":"Support","members":["ken","mei"]}`)
}

func TestBackendKeepsAgentsTeamsAndConversations(t *testing.T) {
	w := newWorld(t)
	w.people()
	var up upserted
	w.must(200, "PUT", "/v1/agents/mei", `{"id":"mei","name":"Mei","version":5}`).into(t, &up)
	if up != (upserted{"mei", hub.Applied}) {
		t.Errorf("got %+v", up)
	}
	w.must(200, "PUT", "/v1/agents/mei", `{"name":"Old","version":4}`).into(t, &up)
	if up.Status != hub.Stale {
		t.Errorf("an older version is %s", up.Status)
	}
	var a hub.AgentInfo
	w.must(200, "GET", "/v1/agents/mei", "").into(t, &a)
	if a.Name != "Mei" || !a.OnDuty || a.Version != 5 {
		t.Errorf("got %+v", a)
	}
	var list agentList
	w.must(200, "GET", "/v1/agents?limit=1", "").into(t, &list)
	if len(list.Agents) != 1 || list.Agents[0].ID != "ken" || list.Next != "ken" {
		t.Errorf("first page %+v", list)
	}
	list = agentList{}
	w.must(200, "GET", "/v1/agents?limit=2&after=ken", "").into(t, &list)
	if len(list.Agents) != 1 || list.Agents[0].ID != "mei" || list.Next != "" {
		t.Errorf("second page %+v", list)
	}
	w.must(200, "PUT", "/v1/agents/mei/duty", `{"on_duty":false}`)
	w.must(200, "GET", "/v1/agents/mei", "").into(t, &a)
	if a.OnDuty {
		t.Error("still on duty")
	}
	w.must(200, "GET", "/v1/teams", "")
	w.must(200, "GET", "/v1/teams/support", "")
	w.must(200, "PUT", "/v1/conversations/c1", `{"contact":"A contact","assignment":{"agent":"mei","version":1}}`)
	w.must(200, "GET", "/v1/conversations/c1", "")
	w.must(200, "GET", "/v1/agents/mei/unread", "")
	w.must(200, "GET", "/v1/agents/mei/logins", "")
	w.must(200, "GET", "/v1/outbox", "")
	w.must(200, "POST", "/v1/outbox/retry", "")
	w.must(200, "POST", "/v1/outbox/retry", `{}`)
}

func TestIdsWithSlashesAndSpacesReachTheHubWhole(t *testing.T) {
	w := newWorld(t)
	w.must(200, "PUT", "/v1/agents/a%2Fb%20c%3Fd%25", `{"name":"Slash"}`)
	var a hub.AgentInfo
	w.must(200, "GET", "/v1/agents/a%2Fb%20c%3Fd%25", "").into(t, &a)
	if a.ID != "a/b c?d%" {
		t.Errorf("kept as %q", a.ID)
	}
}

func TestUnknownThingsAre404AndUnknownMembersOfATeamAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/v1/agents/x", "/v1/agents/x/unread", "/v1/agents/x/logins", "/v1/teams/x", "/v1/conversations/x", "/v1/devices/x", "/v1/traces/x/y"} {
		if r := w.backend("GET", path, ""); r.StatusCode != 404 {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.body)
		}
	}
	if r := w.backend("PUT", "/v1/teams/t", `{"members":["ghost"]}`); r.StatusCode < 400 || r.StatusCode > 404 {
		t.Errorf("an unknown member: %d %s", r.StatusCode, r.body)
	}
	if r := w.backend("PUT", "/v1/agents/ghost/duty", `{"on_duty":true}`); r.StatusCode != 404 {
		t.Errorf("duty of nobody: %d %s", r.StatusCode, r.body)
	}
}

func TestMessageIsAcceptedOnceAndContradictionsAreConflicts(t *testing.T) {
	w := newWorld(t)
	w.people()
	const body = `{"id":"m1","conversation":{"id":"c1","contact":"A contact","assignment":{"agent":"mei","version":1}},"kind":"text","text":"hello"}`
	var first, again hub.MessageAnswer
	w.must(202, "POST", "/v1/messages", body).into(t, &first)
	if first.Seq != 1 || first.Duplicate || first.Message != "m1" || first.Conversation != "c1" {
		t.Errorf("got %+v", first)
	}
	w.must(202, "POST", "/v1/messages", body).into(t, &again)
	if again.Seq != 1 || !again.Duplicate {
		t.Errorf("repeated: %+v", again)
	}
	r := w.backend("POST", "/v1/messages", strings.Replace(body, "hello", "other", 1))
	if p := r.problem(t); r.StatusCode != 409 || p.Code != "message_conflict" {
		t.Errorf("other content: %+v", p)
	}
	var tr hub.Trace
	w.eventually(func() bool {
		w.must(200, "GET", "/v1/traces/c1/m1?text=true", "").into(t, &tr)
		return len(tr.Deliveries) == 1
	})
	if d := tr.Deliveries[0]; d.Agent != "mei" || d.Reason != "not_logged_in" {
		t.Errorf("delivery %+v", d)
	}
	var list traceList
	w.must(200, "GET", "/v1/traces?conversation=c1&limit=1", "").into(t, &list)
	if len(list.Traces) != 1 || list.Before != nil || list.Looked != 1 {
		t.Errorf("list %+v", list)
	}
	w.must(200, "GET", "/v1/traces?message=m1&before=2100-01-01T00:00:00Z", "")
	w.must(204, "POST", "/v1/agents/mei/read", `{"conversation":"c1","upto":1}`)
	w.must(204, "POST", "/v1/conversations/c1/answered", "")
	w.must(204, "POST", "/v1/conversations/c1/answered", `{"upto":1}`)
}

func TestBulkIsAnsweredItemByItem(t *testing.T) {
	w := newWorld(t)
	w.people()
	var out struct{ Items []item }
	w.must(200, "POST", "/v1/messages/bulk", `{"messages":[
		{"id":"m1","conversation":{"id":"c1"},"kind":"text","text":"one"},
		{"id":"m2","conversation":{"id":"c1"},"kind":"text","txt":"two"},
		{"id":"m1","conversation":{"id":"c1"},"kind":"text","text":"one"},
		{"id":"","conversation":{"id":"c1"},"kind":"text"},
		{"id":"m3","conversation":{"id":"c2"},"kind":"sticker"}]}`).into(t, &out)
	var got []int
	for _, i := range out.Items {
		got = append(got, i.Status)
		if (i.Problem == nil) != (i.Status < 400) {
			t.Errorf("item %+v", i)
		}
	}
	if fmt.Sprint(got) != "[202 400 202 400 202]" {
		t.Errorf("got %v", got)
	}
	if p := out.Items[1].Problem; p.Code != "unknown_field" || p.Field != "txt" {
		t.Errorf("second: %+v", p)
	}
	w.must(200, "POST", "/v1/agents/bulk", `{"agents":[{"id":"a1","name":"One"},{"id":"a2","on_duty":"yes"}]}`).into(t, &out)
	if len(out.Items) != 2 || out.Items[0].Status != 200 || out.Items[1].Status != 400 {
		t.Errorf("agents: %+v", out)
	}
	w.must(200, "POST", "/v1/teams/bulk", `{"teams":[{"id":"t1","members":["a1"]},{"id":"t2","members":["ghost"]}]}`).into(t, &out)
	if len(out.Items) != 2 || out.Items[0].Status != 200 || out.Items[1].Status < 400 {
		t.Errorf("teams: %+v", out)
	}
}

func TestBadBulkIsRefusedWhole(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.BulkBody = 20_000 })
	many := `{"agents":[` + strings.TrimSuffix(strings.Repeat(`{"id":"x"},`, 501), ",") + `]}`
	for body, code := range map[string]string{
		`{}`:            "invalid",
		`{"agents":[]}`: "invalid",
		`{"people":[]}`: "unknown_field",
		`[]`:            "wrong_type",
		many:            "batch_too_large",
		`{"agents":[{"id":"` + strings.Repeat("x", 20_000) + `"}]}`: "body_too_large",
	} {
		if p := w.backend("POST", "/v1/agents/bulk", body).problem(t); p.Code != code {
			t.Errorf("%.40s: %+v", body, p)
		}
	}
}

func TestBadInputIsAProblemThatNamesTheField(t *testing.T) {
	w := newWorld(t)
	w.people()
	long := strings.Repeat("x", 129)
	for _, c := range []struct{ method, path, body, code, field string }{
		{"POST", "/v1/messages", ` `, "malformed_json", ""},
		{"POST", "/v1/messages", `{"id":"m"`, "malformed_json", ""},
		{"POST", "/v1/messages", `{"id":"m","conversation":"c1","kind":"text"}`, "wrong_type", "conversation"},
		{"POST", "/v1/messages", `{"id":7,"conversation":{"id":"c1"},"kind":"text"}`, "wrong_type", "id"},
		{"POST", "/v1/messages", `{"id":"m","conversation":{"id":"c1"},"kind":"text","to":"mei"}`, "unknown_field", "to"},
		{"POST", "/v1/messages", `{"id":"` + long + `","conversation":{"id":"c1"},"kind":"text"}`, "", "id"},
		{"POST", "/v1/messages", `{"id":"m","conversation":{"id":""},"kind":"text"}`, "", "conversation.id"},
		{"POST", "/v1/messages", `{"id":"m","conversation":{"id":"c1"},"kind":"text","thumbnail":"http://x.test/i.png"}`, "", "thumbnail"},
		{"PUT", "/v1/agents/mei", `{"id":"ken"}`, "invalid", "id"},
		{"PUT", "/v1/agents/mei", `{"preview":"all"}`, "", "preview"},
		{"PUT", "/v1/agents/" + long, `{"name":"x"}`, "", "id"},
		{"PUT", "/v1/agents/mei/duty", `{}`, "invalid", "on_duty"},
		{"PUT", "/v1/agents/mei/duty", `{"on_duty":null}`, "invalid", "on_duty"},
		{"POST", "/v1/agents/mei/read", `{"upto":3}`, "invalid", "conversation"},
		{"POST", "/v1/agents/mei/read", `{"conversation":"c1","upto":0}`, "invalid", "upto"},
		{"POST", "/v1/conversations/c1/answered", `{"upto":-1}`, "invalid", "upto"},
		{"GET", "/v1/agents?limit=0", "", "invalid", "limit"},
		{"GET", "/v1/agents?limit=501", "", "invalid", "limit"},
		{"GET", "/v1/agents?page=2", "", "unknown_parameter", "page"},
		{"GET", "/v1/traces?before=yesterday", "", "invalid", "before"},
		{"GET", "/v1/traces?text=1", "", "invalid", "text"},
	} {
		r := w.backend(c.method, c.path, c.body)
		p := r.problem(t)
		if r.StatusCode != 400 || c.code != "" && p.Code != c.code || p.Field != c.field || p.Detail == "" {
			t.Errorf("%s %.60s %.60s: %d %+v", c.method, c.path, c.body, r.StatusCode, p)
		}
	}
}

func TestUnknownAssigneeOfAMessageIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, to := range []string{`{"agent":"ghost"}`, `{"team":"ghost"}`} {
		r := w.backend("POST", "/v1/messages", `{"id":"m1","conversation":{"id":"c1","assignment":`+to+`},"kind":"text","text":"x"}`)
		if r.StatusCode != 404 && r.StatusCode != 400 {
			t.Errorf("%s: %d %s", to, r.StatusCode, r.body)
		}
	}
	if r := w.backend("GET", "/v1/conversations/c1", ""); r.StatusCode != 404 {
		t.Errorf("something was kept: %s", r.body)
	}
}

func TestRoutesThatAreNotThereSaySo(t *testing.T) {
	w := newWorld(t)
	r := w.backend("GET", "/v1/nothing", "")
	if p := r.problem(t); r.StatusCode != 404 || p.Code != "no_such_route" {
		t.Errorf("%+v", p)
	}
	r = w.backend("POST", "/v1/agents/mei", `{}`)
	if p := r.problem(t); r.StatusCode != 405 || p.Code != "method_not_allowed" || !strings.Contains(r.Header.Get("Allow"), "PUT") {
		t.Errorf("%+v, Allow %q", p, r.Header.Get("Allow"))
	}
	if r = w.ask("GET", "/", ""); r.StatusCode != 404 {
		t.Errorf("/ in production: %d", r.StatusCode)
	}
}

func TestServedDocumentIsTheCheckedOne(t *testing.T) {
	w := newWorld(t)
	r := w.ask("GET", "/v1/openapi.json", "")
	var doc struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]json.RawMessage
	}
	r.into(t, &doc)
	if doc.OpenAPI != "3.1.0" || len(doc.Paths) < 30 {
		t.Errorf("OpenAPI %s with %d paths", doc.OpenAPI, len(doc.Paths))
	}
}

func TestAnswersCarrySecurityHeadersAndRequestID(t *testing.T) {
	w := newWorld(t)
	r := w.ask("GET", "/livez", "", "X-Request-Id", "abc")
	for name, want := range map[string]string{
		"X-Request-Id": "abc", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Server": "caac-hub/test",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	if csp := r.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
}

func TestFilesAreRevalidatedAndTheWorkerMayControlAll(t *testing.T) {
	w := newWorld(t)
	r := w.ask("GET", "/sw.js", "")
	if r.StatusCode != 200 || r.Header.Get("Service-Worker-Allowed") != "/" || r.Header.Get("Cache-Control") != "no-cache" || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/javascript") {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
	r = w.ask("GET", "/sdk/caac.js", "", "Origin", origin)
	if r.Header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("the SDK is not for the origin: %v", r.Header)
	}
	if again := w.ask("GET", "/sdk/caac.js", "", "If-None-Match", r.Header.Get("ETag")); again.StatusCode != 304 {
		t.Errorf("unchanged: %d", again.StatusCode)
	}
	for _, path := range []string{"/demo/stage.js", "/demo/state", "/agent/mei", "/sdk/", "/sdk/../sw.js.map"} {
		if r := w.ask("GET", path, ""); r.StatusCode != 404 {
			t.Errorf("%s in production: %d", path, r.StatusCode)
		}
	}
}

func TestHealthAndMetrics(t *testing.T) {
	w := newWorld(t)
	if r := w.ask("GET", "/livez", ""); r.StatusCode != 200 {
		t.Errorf("livez: %d", r.StatusCode)
	}
	w.eventually(func() bool { return w.ask("GET", "/readyz", "").StatusCode == 200 })
	if r := w.ask("GET", "/metrics", ""); r.StatusCode != 401 {
		t.Errorf("metrics without a key: %d", r.StatusCode)
	}
	r := w.backend("GET", "/metrics", "")
	if !strings.Contains(string(r.body), `caac_http_requests_total{method="GET",route="/livez",status="200"}`) {
		t.Errorf("metrics: %d %.300s", r.StatusCode, r.body)
	}
	if r = newWorld(t, func(o *Options) { o.MetricsPublic = true }).ask("GET", "/metrics", ""); r.StatusCode != 200 {
		t.Errorf("public metrics: %d", r.StatusCode)
	}
}

func TestStoreThatIsAwayIs503WithRetryAfter(t *testing.T) {
	w := newWorld(t)
	w.people()
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	r := w.backend("POST", "/v1/messages", `{"id":"m1","conversation":{"id":"c1"},"kind":"text","text":"x"}`)
	if r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if r = w.ask("GET", "/readyz", ""); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("readyz: %d", r.StatusCode)
	}
}

func TestMillionsOfItemsCostNoMoreThanTheirBody(t *testing.T) {
	w := newWorld(t)
	body := `{"messages":[` + strings.Repeat("0,", 1<<20) + `0]}`
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := w.ask("POST", "/v1/messages/bulk", body, "Authorization", "Bearer "+w.key)
	runtime.ReadMemStats(&after)
	if r.StatusCode != 413 || r.problem(t).Code != "batch_too_large" {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if n := (after.TotalAlloc - before.TotalAlloc) / uint64(len(body)); n > 20 {
		t.Errorf("%d times the body were allocated", n)
	}
	for _, list := range []string{"5", `"x"`, "{}", "null", "[]"} {
		if r := w.ask("POST", "/v1/messages/bulk", `{"messages":`+list+`}`, "Authorization", "Bearer "+w.key); r.StatusCode != 400 {
			t.Errorf("%s: %d %s", list, r.StatusCode, r.body)
		}
	}
}
