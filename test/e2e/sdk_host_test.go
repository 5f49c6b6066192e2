//go:build linux && e2e

package e2e

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/test/browser"
	"caac-hub/test/desktop"
)

// serveStrictHost serves a page with as strict a policy as there is, and a worker
// with listeners of its own, to which the SDK's is only added.
func (s *story) serveStrictHost(mux *http.ServeMux) {
	file := func(pattern, name, kind, policy string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			data, err := os.ReadFile("testdata/" + name)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Security-Policy", strings.NewReplacer("HUB", s.hub, "WS", strings.Replace(s.hub, "http", "ws", 1)).Replace(policy))
			w.Header().Set("Service-Worker-Allowed", "/")
			w.Write(bytes.ReplaceAll(data, []byte("{{hub}}"), []byte(s.hub)))
		})
	}
	file("GET /strict/{$}", "strict.html", "text/html; charset=utf-8",
		"default-src 'none'; script-src 'nonce-host' HUB; worker-src 'self'; connect-src 'self' HUB WS; img-src data:; require-trusted-types-for 'script'; trusted-types host")
	file("GET /own.js", "own.js", "text/javascript", "default-src 'none'; script-src HUB; connect-src HUB")
	mux.HandleFunc("GET /host-clicked", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<!doctype html><link rel=icon href=data:,><title>Clicked</title>")
	})
}

// wrong are options that connect does not take, and what it says of them.
var wrong = [][2]string{
	{`{token: undefined}`, `connect: token is undefined, allowed is function`},
	{`{token: ""}`, `connect: token is string, allowed is function`},
	{`{token: "abc"}`, `connect: token is string, allowed is function`},
	{`{onCount: () => {}}`, `connect: onCount is function, allowed is nothing: there is no such option`},
	{`{toast: null}`, `connect: toast is null, allowed is object or false`},
	{`{toast: "#toasts"}`, `connect: toast is string, allowed is object or false`},
	{`{serviceWorker: true}`, `connect: serviceWorker is true, allowed is string, object or false`},
	{`{url: "hub.example.com:8080"}`, `connect: url is hub.example.com:8080, allowed is http or https`},
}

func (s *story) tellStrictHost(b *browser.Browser) {
	mei := &agent{b.Open(s.caac + "/strict/"), s, "mei"}
	online := `page.states.at(-1) === "online"`
	mei.Wait("the page to be connected", online)

	m := s.post(hub.MessageInput{
		Conversation: hub.ConversationInput{ID: "c3", Contact: "مها <img src=x onerror=page.errors.push(1)>", Assignment: &hub.AssignmentInput{Agent: "mei"}},
		Kind:         notify.Text, Text: `</div><script>page.errors.push(2)</script>`,
	})
	s.wantEnd(m, notify.InApp, notify.ActivelyViewing, notify.Acknowledged)
	var toast struct {
		Region, Title, Body, Direction, Close string
		Elements                              int
	}
	mei.Eval(`(() => {
		const host = document.querySelector("[role=status]");
		const [title, body] = ["title", "body"].map((name) => host.shadowRoot.querySelector("button ." + name));
		return { region: host.ariaAtomic, title: title.textContent, body: body.textContent, direction: getComputedStyle(title).direction,
			close: host.shadowRoot.querySelector("button + button").ariaLabel, elements: host.shadowRoot.querySelectorAll("*").length };
	})()`, &toast)
	if toast.Title != "مها <img src=x onerror=page.errors.push(1)>" || toast.Body != `</div><script>page.errors.push(2)</script>` || toast.Elements != 5 ||
		toast.Direction != "rtl" || toast.Close != "Close" || toast.Region != "false" {
		s.t.Errorf("the toast: %+v", toast)
	}

	for _, w := range wrong {
		var said string
		mei.Eval(`(() => { try { page.connect(`+w[0]+`) } catch (e) { return e instanceof TypeError ? e.message : "not a TypeError" } })()`, &said)
		if said != w[1] {
			s.t.Errorf("connect(%s) says %q, want %q", w[0], said, w[1])
		}
	}
	var said string
	mei.Eval(`(() => { page.client.read("c3", 0); try { page.client.read("c3", undefined) } catch (e) { return `+"`${e}`"+` } })()`, &said)
	if said != "TypeError: read: upto is undefined, allowed is a seq" {
		s.t.Errorf("read without a seq says %q", said)
	}
	mei.Wait("the client to be left as it was", online)

	s.wait("a subscription of this worker's", mei.bound)
	before := len(s.Desktop.History())
	s.push(s.sender(), mei.subscription(), `{"host":"The host's own"}`)
	own := s.Desktop.WaitNotification(s.t, "The host's own")
	s.Desktop.Click(s.t, own, "")
	b.WaitPage(s.caac + "/host-clicked").Close()
	if all := s.Desktop.History()[before:]; len(all) != 1 {
		s.t.Errorf("beside the host's own: %s", desktop.Describe(all))
	}
	mei.hide()
	m = s.message("c4", "mei", "to the host's worker")
	s.wantEnd(m, notify.Push, notify.PageHidden, notify.PushAccepted)
	s.waitReceipt(m, notify.EventDisplayed)
	s.Desktop.Click(s.t, s.Desktop.WaitNotification(s.t, "Contact"), "")
	mei.Wait("the click to lead there", `document.visibilityState === "visible" && page.opened.includes("c4")`)
	var opened []string
	mei.Eval(`page.opened`, &opened)
	if len(opened) != 1 {
		s.t.Errorf("the two clicks opened %q", opened)
	}

	mei.Eval(`location.reload()`, nil)
	mei.Wait("the new page", `window.page && page.opened.length === 0 && `+online)
	var fetched string
	mei.Eval(`fetch("/strict/fetched").then((r) => r.text())`, &fetched)
	if fetched != "by the host" {
		s.t.Errorf("what the host's worker answers: %q", fetched)
	}

	mei.Wait("the count in title and favicon", `document.title.endsWith(") Strict") && document.querySelector("link[rel=icon]").href.startsWith("data:image/png") && document.querySelector("link").getAttribute("href") === "data:,"`)
	mei.Eval(`(document.title = "", 0)`, nil)
	mei.Wait("a title of the count alone", `/^\(\d+\)$/.test(document.title)`)
	mei.Eval(`(document.title = "Strict", 0)`, nil)
	mei.Eval(`(page.connect({onState() {}}), page.second = page.connect({onState: (state) => (page.again ??= []).push(state)}), 0)`, nil)
	mei.Wait("the second client", `page.again.at(-1) === "online" && /^\(\d+\) Strict$/.test(document.title)`)
	var states []string
	mei.Eval(`page.states`, &states)
	if !slices.Equal(states, []string{"connecting", "online", "closed"}) {
		s.t.Errorf("the first client went through %q", states)
	}
	mei.Eval(`page.second.close()`, nil)
	mei.Wait("nothing to be left", `page.left().then((left) => left.length === 0)`)
	var reported struct{ Violations, Errors []string }
	mei.Eval(`({violations: page.violations, errors: page.errors})`, &reported)
	if len(reported.Violations) != 0 {
		s.t.Errorf("against the policy: %q", reported.Violations)
	}
	if len(reported.Errors) == 0 || slices.ContainsFunc(reported.Errors, func(e string) bool { return !strings.Contains(e, "the host failed") }) {
		s.t.Errorf("errors: %q", reported.Errors)
	}
}
