//go:build linux && e2e

// Package e2e tells whole stories: the real program, real browsers, encrypted
// pushes through fakes of the push services, native notifications and clicks.
package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/static"
	"caac-hub/test/browser"
	"caac-hub/test/pushservice"
	"caac-hub/test/world"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "the secret agent tokens are signed with in stories"

// story is a world with a running hub and CAAC's pages on an origin of their own.
type story struct {
	*world.World
	t        *testing.T
	hub      string   // the hub's origin
	nodes    []string // the origins of its nodes
	caac     string   // CAAC's, "" where the demo's own pages are told of
	dataDir  string   // of the only node
	key      string   // API key
	messages int

	keyGrace time.Duration // see serve.Options
}

// newStory starts everything but browsers, with one node; all ends with the test.
func newStory(t *testing.T) *story { return deployments[0].newStory(t) }

// newStory starts everything but browsers; all ends with the test. Mei and Ken
// are on duty, and are the team "support".
func (d deployment) newStory(t *testing.T) *story {
	t.Helper()
	s := &story{World: world.New(t), t: t}
	s.servePages()
	d.start(s)
	for id, name := range map[string]string{"mei": "Mei", "ken": "Ken"} {
		s.call("PUT", "/v1/agents/"+id, map[string]any{"name": name, "on_duty": true}, nil)
	}
	s.call("PUT", "/v1/teams/support", map[string]any{"name": "Support", "members": []string{"ken", "mei"}}, nil)
	return s
}

// newDemo starts the hub as a newcomer does, with the demo's own pages and
// nothing set.
func newDemo(t *testing.T) *story {
	t.Helper()
	s := &story{World: world.New(t), t: t}
	s.startOne()
	return s
}

// servePages serves CAAC's origin: the SDK and its worker as the hub ships them,
// and one page for every agent.
func (s *story) servePages() {
	s.t.Helper()
	page, err := os.ReadFile("testdata/caac.html")
	if err != nil {
		s.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(static.FS))
	mux.HandleFunc("GET /agent/{agent}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(bytes.ReplaceAll(page, []byte("{{hub}}"), []byte(s.hub)))
	})
	mux.HandleFunc("GET /token/{agent}", func(w http.ResponseWriter, r *http.Request) {
		issueToken(w, r.PathValue("agent"))
	})
	s.serveOrigin(mux)
}

// issueToken answers as CAAC's backend does when a page asks for its agent's token.
func issueToken(w http.ResponseWriter, agent string) {
	now := time.Now()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Subject: agent, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour)),
	}).SignedString([]byte(secret))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	io.WriteString(w, token)
}

// serveOrigin serves CAAC's origin until the test ends.
func (s *story) serveOrigin(pages http.Handler) {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	server := &http.Server{Handler: pages}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(listener)
	}()
	s.t.Cleanup(func() {
		server.Close()
		<-done
	})
	s.caac = "http://localhost:" + strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// agent is an agent's page of CAAC, in some browser.
type agent struct {
	*browser.Page
	s  *story
	id string
}

// open opens an agent's page and waits until it is connected.
func (s *story) open(b *browser.Browser, id string) *agent {
	s.t.Helper()
	a := &agent{b.Open(s.caac + "/agent/" + id), s, id}
	a.waitConnected()
	return a
}

func (a *agent) waitConnected() {
	a.s.t.Helper()
	a.Wait("the page to be connected", `window.caac?.state === "online"`)
}

// grant is the person allowing notifications from the page's banner, and the
// page subscribing in the same click.
func (a *agent) grant() {
	a.s.t.Helper()
	a.GrantNotifications()
	var result struct {
		OK           bool
		Side, Detail string
	}
	a.s.wait(a.id+" to get push", func() bool {
		// On a busy machine a browser may take longer to subscribe than a person
		// is let wait: they try again.
		a.Gesture("caac.client.enablePush()", &result)
		if !result.OK && result.Side != "push_service" {
			a.s.t.Fatalf("%s could not enable push: %s", a.id, result.Detail)
		}
		return result.OK
	})
}

// pushes is the push service of the browser.
func (s *story) pushes(b *browser.Browser) *pushservice.Front {
	if b.Name() == "chromium" {
		return s.Google.Front
	}
	return s.Mozilla.Front
}

// waitCount waits until the page shows this many unread, in its title too.
func (a *agent) waitCount(n int) {
	a.s.t.Helper()
	title := "CAAC"
	if n > 0 {
		title = fmt.Sprintf("(%d) CAAC", n)
	}
	a.Wait(fmt.Sprintf("a count of %d", n), fmt.Sprintf("(caac.counts?.total ?? 0) === %d && document.title === %q", n, title))
}

// wantUnbroken fails the story unless the page has been connected all the time,
// has shown so many toasts, and its count never fell.
func (a *agent) wantUnbroken(toasts int) {
	a.s.t.Helper()
	var seen struct {
		States []string
		Toasts int
		Totals []int
	}
	a.Eval("({states: caac.states, toasts: caac.toasts.length, totals: caac.totals})", &seen)
	if !slices.Equal(seen.States, []string{"connecting", "online"}) {
		a.s.t.Errorf("the page went through the states %q", seen.States)
	}
	if seen.Toasts != toasts {
		a.s.t.Errorf("%d toasts, want %d", seen.Toasts, toasts)
	}
	if !slices.IsSorted(seen.Totals) {
		a.s.t.Errorf("the count fell: %v", seen.Totals)
	}
}

// look makes the page view a conversation.
func (a *agent) look(conversation string) {
	a.s.t.Helper()
	a.Eval("caac.client.viewing("+strconv.Quote(conversation)+")", nil)
}

// waitPresence waits until the hub, all of its nodes, sees one of the agent's
// logins so.
func (a *agent) waitPresence(want notify.Presence) {
	a.s.t.Helper()
	a.waitLogin(want.String(), func(l login) bool { return l.Presence == want.String() })
}

// login is one of an agent's, as the hub says.
type login struct{ Presence, Viewing string }

func (a *agent) waitLogin(what string, ok func(login) bool) {
	a.s.t.Helper()
	a.s.wait(fmt.Sprintf("%s to be %s", a.id, what), func() bool {
		for _, node := range a.s.nodes {
			var info struct{ Logins []login }
			a.s.callAt(node, "GET", "/v1/agents/"+a.id, nil, &info)
			if !slices.ContainsFunc(info.Logins, ok) {
				return false
			}
		}
		return true
	})
}

// hide looks at another tab, and waits until the hub knows.
func (a *agent) hide() {
	a.s.t.Helper()
	a.Hide()
	a.waitPresence(notify.Hidden)
}

// message posts a contact's text message in a conversation assigned to an agent.
func (s *story) message(conversation, agent, text string) notify.Ref {
	s.t.Helper()
	return s.post(hub.MessageInput{
		Conversation: hub.ConversationInput{ID: conversation, Contact: "Contact", Assignment: &hub.AssignmentInput{Agent: agent}},
		Kind:         notify.Text,
		Text:         text,
	})
}

// toTeam posts a contact's text message in a conversation of the team's.
func (s *story) toTeam(conversation, text string) notify.Ref {
	s.t.Helper()
	return s.post(hub.MessageInput{
		Conversation: hub.ConversationInput{ID: conversation, Contact: "Contact", Assignment: &hub.AssignmentInput{Team: "support"}},
		Kind:         notify.Text,
		Text:         text,
	})
}

// duty puts an agent on or off duty.
func (s *story) duty(agent string, on bool) {
	s.t.Helper()
	s.call("PUT", "/v1/agents/"+agent+"/duty", map[string]bool{"on_duty": on}, nil)
}

// post posts a message; without an id it gets the next one.
func (s *story) post(m hub.MessageInput) notify.Ref {
	s.t.Helper()
	if m.ID == "" {
		s.messages++
		m.ID = "m" + strconv.Itoa(s.messages)
	}
	s.call("POST", "/v1/messages", m, nil)
	return notify.Ref{Conversation: m.Conversation.ID, Message: m.ID}
}

// waitEnds waits until every delivery of a message has ended and returns them.
func (s *story) waitEnds(ref notify.Ref) []notify.Delivery {
	s.t.Helper()
	var trace hub.Trace
	s.wait("the end of message "+ref.Message, func() bool {
		trace = hub.Trace{}
		s.call("GET", "/v1/traces/"+url.PathEscape(ref.Conversation)+"/"+url.PathEscape(ref.Message), nil, &trace)
		return !trace.Pending
	})
	return trace.Deliveries
}

// wantEnd fails the story unless the message's only delivery ended so.
func (s *story) wantEnd(ref notify.Ref, channel notify.Channel, reason notify.Reason, end notify.End) {
	s.t.Helper()
	all := s.waitEnds(ref)
	if len(all) != 1 || all[0].Channel != channel || all[0].Reason != reason || all[0].End != end {
		text, _ := json.MarshalIndent(all, "", "  ")
		s.t.Errorf("message %s: want %s, %s, %s; got %s", ref.Message, channel, reason, end, text)
	}
}

// patience is how long a story waits for what must come, also where many
// programs share few processors.
const patience = time.Minute

func (s *story) wait(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(25 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited %v in vain for %s", patience, what)
		}
	}
}

// call is CAAC's backend calling the hub, over a connection of its own; any
// answer but 2xx fails the story.
func (s *story) call(method, path string, in, out any) {
	s.t.Helper()
	s.callAt(s.hub, method, path, in, out)
}

func (s *story) callAt(origin, method, path string, in, out any) {
	s.t.Helper()
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			s.t.Fatal(err)
		}
		body = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, origin+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.key)
	request.Header.Set("Content-Type", "application/json")
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if response.StatusCode/100 != 2 {
		s.t.Fatalf("%s %s: %d %s", method, path, response.StatusCode, data)
	}
	if out != nil {
		if err := json.Unmarshal(data, out); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, path, err, data)
		}
	}
}
