package hub_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

var update = flag.Bool("update", false, "write the golden files")

// A story runs on fake time and is written down as it happens: what people do,
// what their devices show, what is pushed, and how every delivery ends.
type story struct {
	*world
	b       strings.Builder
	begin   time.Time
	devices []*storyDevice
	told    []*toldMessage
	last    sentPush
	vague   bool // times are not written: chance decides them
}

// storyDevice is a device by the name the story gives it.
type storyDevice struct {
	s     *story
	name  string
	agent string
	page  *page // nil: closed
	auth  wire.DeviceAuth
	shown int
	gone  bool // its close was told
}

type toldMessage struct {
	ref   notify.Ref
	text  string
	state map[string]string // what was last written, by login
	tail  string
}

func runStory(t *testing.T, name string, tell func(s *story)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		got := tellStory(t, 1, tell)
		path := storyPath(name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if line := differs(got, string(want)); line > 0 {
			t.Fatalf("%s:%d is told otherwise now; go test ./hub -run TestStories -update rewrites it. Now:\n%s", path, line, got)
		}
	})
}

// tellStory runs a story on some nodes and returns it as written down.
func tellStory(t *testing.T, nodes int, tell func(s *story)) (told string) {
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, nodes)
		w.wait(37 * time.Millisecond) // apart from the hub's own beat, or chance decided which comes first
		s := &story{world: w, begin: time.Now()}
		tell(s)
		s.observe()
		told = s.b.String()
	})
	return told
}

func storyPath(name string) string {
	return filepath.Join("testdata", "stories", strings.ReplaceAll(name, " ", "-")+".txt")
}

// differs returns the first line, counted from 1, in which two tellings differ;
// 0: none.
func differs(got, want string) int {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			return i + 1
		}
	}
	return 0
}

func (s *story) say(format string, args ...any) {
	at := s.begin.UTC().Truncate(24 * time.Hour).Add(12*time.Hour + time.Since(s.begin)).Format("15:04:05.000")
	if s.vague {
		at = "            "
	}
	fmt.Fprintf(&s.b, "%s  %s\n", at, fmt.Sprintf(format, args...))
}

// pass lets time pass, writing down what happens.
func (s *story) pass(d time.Duration) {
	s.t.Helper()
	step := 10 * time.Millisecond
	if s.vague {
		step = time.Second
	}
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(min(step, time.Until(end)))
		synctest.Wait()
		s.observe()
	}
}

// until lets time pass until something holds, at most d, and looks only then.
func (s *story) until(d time.Duration, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(d); !holds(); {
		if !time.Now().Before(end) {
			s.t.Fatalf("it never came about\n%s", s.b.String())
		}
		s.wait(time.Second)
	}
	s.observe()
}

// device logs an agent in on a new device, in the state given, maybe with
// words before it: "unsubscribed", "mute" (its page acknowledges nothing),
// "denied", "default". "closed" closes the page again.
func (s *story) device(agent, name, state string) *storyDevice {
	s.t.Helper()
	d := &storyDevice{s: s, name: agent + "'s " + name, agent: agent}
	s.devices = append(s.devices, d)
	d.open(state)
	return d
}

// beside is another agent's login on the same device.
func (s *story) beside(d *storyDevice, agent string) *storyDevice {
	o := &storyDevice{s: s, name: strings.Replace(d.name, d.agent, agent, 1), agent: agent, auth: d.auth}
	s.devices = append(s.devices, o)
	return o
}

func (d *storyDevice) open(state string, hello ...func(*wire.Client)) *storyDevice {
	s := d.s
	s.t.Helper()
	words := strings.Fields(state)
	f := wire.Client{Type: wire.TypeHello, Token: d.agent, Permission: notify.Granted, Label: d.name, Place: d.agent}
	if d.auth.ID != "" {
		f.Device = &d.auth
	}
	subscribe, mute := d.auth.ID == "", false
	for len(words) > 0 {
		switch words[0] {
		case "unsubscribed":
			subscribe = false
		case "mute":
			mute = true
		case "denied":
			f.Permission = notify.Denied
		case "default":
			f.Permission = notify.NotAsked
		default:
			goto state
		}
		words = words[1:]
	}
state:
	closed := words[0] == "closed"
	if closed {
		words[0] = "hidden"
	}
	f.State = pageState(strings.Join(words, " "))
	for _, fn := range hello {
		fn(&f)
	}
	p := s.connect(f)
	p.mu.Lock()
	p.agent, p.mute = d.agent, mute
	if p.device.Key == "" {
		p.device.Key = d.auth.Key
	}
	d.auth, d.page, d.gone, d.shown = p.device, p, false, p.total
	p.frames = nil
	p.mu.Unlock()
	if subscribe {
		p.subscribe()
	}
	if closed {
		p.close()
		d.page = nil
	}
	synctest.Wait()
	if p := d.page; p != nil {
		p.took(wire.TypeSettings)
	}
	if d.shown > 0 {
		s.say("%s opens and shows (%d)", d.name, d.shown)
	}
	return d
}

// closes closes the page.
func (d *storyDevice) closes() {
	d.s.say("%s: the page is closed", d.name)
	d.page.close()
	d.page = nil
	d.s.observe()
}

// turns changes the page's state.
func (d *storyDevice) turns(state string) {
	d.s.say("%s turns %s", d.name, state)
	d.page.state(state)
	d.s.observe()
}

// freezes keeps the page from acknowledging anything.
func (d *storyDevice) freezes() {
	d.s.say("%s freezes", d.name)
	d.page.mu.Lock()
	d.page.mute = true
	d.page.mu.Unlock()
}

// writes has Ann write a text.
func (s *story) writes(text string, to *hub.AssignmentInput) notify.Ref {
	s.t.Helper()
	return s.posts(hub.MessageInput{Kind: notify.Text, Text: text}, to)
}

func (s *story) posts(in hub.MessageInput, to *hub.AssignmentInput) notify.Ref {
	s.t.Helper()
	in.ID = fmt.Sprintf("m%d", len(s.told)+1)
	in.Conversation = hub.ConversationInput{ID: "ann", Contact: "Ann", Assignment: to}
	whom := ""
	if to != nil {
		whom = " to " + assigned(*to)
	}
	s.settle()
	s.say("Ann writes %q%s", in.Text, whom)
	a := s.hub.Messages(s.t.Context(), []hub.MessageInput{in})[0]
	if a.Err != nil {
		s.t.Fatal(a.Err)
	}
	ref := notify.Ref{Conversation: "ann", Message: in.ID}
	s.told = append(s.told, &toldMessage{ref: ref, text: in.Text, state: map[string]string{}})
	synctest.Wait()
	s.observe()
	return ref
}

func assigned(a hub.AssignmentInput) string {
	switch {
	case a.Agent != "":
		return a.Agent
	case a.Team != "":
		return "team " + a.Team
	}
	return "nobody"
}

func to(agent string) *hub.AssignmentInput    { return &hub.AssignmentInput{Agent: agent} }
func toTeam(team string) *hub.AssignmentInput { return &hub.AssignmentInput{Team: team} }

// assigns gives the conversation to somebody else.
func (s *story) assigns(a hub.AssignmentInput) {
	s.t.Helper()
	s.say("the conversation is assigned to %s", assigned(a))
	if _, err := s.hub.PutConversation(s.t.Context(), hub.ConversationInput{ID: "ann", Assignment: &a}); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
	s.observe()
}

func (s *story) duty(agent string, on bool) {
	s.t.Helper()
	s.say("%s goes %s duty", agent, map[bool]string{true: "on", false: "off"}[on])
	if _, err := s.hub.SetDuty(s.t.Context(), agent, on, 0); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
	s.observe()
}

// again starts the hub anew on the same data: killed, or drained as by a deploy.
func (s *story) again(killed bool) {
	s.t.Helper()
	s.observe()
	const step = 10 * time.Millisecond
	time.Sleep(step / 2) // the new hub's beat, too, is apart from the story's
	defer func() { s.wait(step - time.Since(s.begin)%step); s.observe() }()
	if killed {
		s.say("the hub is killed and starts again")
		s.kill()
	} else {
		s.say("the hub is drained and starts again")
		s.restart()
	}
	for _, d := range s.devices {
		if d.page != nil {
			<-d.page.done
			d.page = nil
		}
	}
	synctest.Wait()
	s.observe()
}

// name names a login as the story does.
func (s *story) name(agent, device string) string {
	for _, d := range s.devices {
		if d.agent == agent && d.auth.ID == device {
			return d.name
		}
	}
	if agent == "" {
		return "nobody"
	}
	if device == "" {
		return agent
	}
	return agent + "'s former login"
}

// observe writes down what happened since the last look.
func (s *story) observe() {
	s.t.Helper()
	for _, d := range s.devices {
		d.observe()
	}
	s.pushes()
	for _, m := range s.told {
		s.ends(m)
	}
}

func (d *storyDevice) observe() {
	p := d.page
	if p == nil {
		return
	}
	s := d.s
	p.mu.Lock()
	frames, total := p.frames, p.total
	p.frames = nil
	p.mu.Unlock()
	for _, f := range frames {
		switch f["type"] {
		case wire.TypeNotify:
			show := f["show"].(map[string]any)
			text := fmt.Sprintf("%q", fmt.Sprint(show["title"], ": ", show["body"]))
			if f["channel"] == string(notify.Local) {
				s.say("%s: the page raises a notification %s (%s)", d.name, text, f["reason"])
			} else {
				s.say("%s: toast %s (in the page only: %s)", d.name, text, f["reason"])
			}
		case wire.TypeWithdraw:
			s.say("%s: closes what it shows of %v (%s)", d.name, f["conversations"].([]any)[0], f["reason"])
		case wire.TypeDuty:
			s.say("%s: shows duty %v", d.name, f["on_duty"])
		case wire.TypeTest:
			s.say("%s: Push test %s after %v ms, silenced by %v", d.name, f["stage"], f["millis"], f["silenced"])
		case wire.TypeSettings:
			dev := f["settings"].(map[string]any)["device"].(map[string]any)
			s.say("%s: shows its settings: switch %v, permission %v, subscribed %v", d.name, dev["on"], dev["permission"], dev["subscribed"])
		case wire.TypeBye:
			s.say("%s: bye %v", d.name, f["code"])
		}
	}
	if total != d.shown {
		d.shown = total
		s.say("%s: shows (%d)", d.name, total)
	}
	select {
	case <-p.done:
		if !d.gone {
			d.gone = true
			s.say("%s: its socket was closed with %d %s", d.name, p.closed.Code, p.closed.Reason)
		}
		d.page = nil
	default:
	}
}

func (s *story) pushes() {
	var lines []string
	for _, p := range s.push.take() {
		c := p.payload.Notification.Data
		s.last = p
		who := s.name(c.Agent, c.Device)
		var badges []string
		for _, b := range c.Badges {
			badges = append(badges, fmt.Sprintf("%s %d", b.Agent, b.Total))
		}
		extra := ""
		if len(c.Close) > 0 {
			extra = fmt.Sprintf(", closes %d older", len(c.Close))
		}
		kind := "push"
		if c.Kind != "message" {
			kind = "Push test"
		}
		lines = append(lines, fmt.Sprintf("%s: %s %q, badge %s%s", who, kind, p.payload.Notification.Title+": "+p.payload.Notification.Body, strings.Join(badges, " + "), extra))
	}
	slices.Sort(lines)
	for _, l := range lines {
		s.say("%s", l)
	}
}

// ends writes what became of a message's deliveries since the last look.
func (s *story) ends(m *toldMessage) {
	s.t.Helper()
	tr, err := s.hub.Trace(s.t.Context(), m.ref, true)
	if err != nil {
		s.t.Fatal(err)
	}
	var lines []string
	for _, d := range tr.Deliveries {
		who := s.name(d.Agent, d.Device)
		now := fmt.Sprintf("%s, %s", d.Channel, d.Reason)
		if d.Detail != "" {
			now += " (" + string(d.Detail) + ")"
		}
		if d.Held {
			now += ", held"
		}
		if d.End != "" {
			now += " → " + string(d.End)
			if d.EndReason != d.Reason {
				now += ", " + string(d.EndReason)
			}
		}
		for _, e := range d.Events {
			if e.Kind == notify.EventDisplayed || e.Kind == notify.EventClicked || e.Kind == notify.EventDismissed {
				now += "; " + string(e.Kind)
			}
		}
		if m.state[d.ID] != now {
			m.state[d.ID] = now
			lines = append(lines, fmt.Sprintf("    %q for %s: %s", m.text, who, now))
		}
	}
	slices.Sort(lines)
	for _, l := range lines {
		s.say("%s", l)
	}
	tail := ""
	switch {
	case tr.ReachedNobody:
		tail = fmt.Sprintf("    %q reached nobody: %v", m.text, tr.Causes)
	case m.tail != "":
		tail = fmt.Sprintf("    %q no longer counts as having reached nobody", m.text)
	}
	if tail != m.tail {
		m.tail = tail
		s.say("%s", tail)
	}
}

// settled fails the test unless every message has reached its end for every
// login, and its text is erased.
func (s *story) settled() {
	s.t.Helper()
	s.pass(4 * time.Second) // what pages acknowledged is written at the deadline
	for _, m := range s.told {
		tr := s.trace(m.ref)
		if tr.Pending || len(tr.Deliveries) == 0 {
			s.t.Errorf("%q has not ended: %+v", m.text, tr.Deliveries)
		}
		if tr.Message.Text != "" {
			s.t.Errorf("%q is still kept", m.text)
		}
	}
	s.say("every delivery has ended, the text is erased")
}
