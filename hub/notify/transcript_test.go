package notify

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares got with a file of testdata, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			t.Errorf("%s:%d\n  was %s\n  now %s", path, i+1, a, b)
		}
	}
	t.Log("if the rules were meant to change: go test ./hub/notify -update")
}

// transcript writes text and tables for people.
type transcript struct{ strings.Builder }

func (tr *transcript) say(format string, args ...any) {
	fmt.Fprintf(&tr.Builder, format+"\n", args...)
}

func (tr *transcript) table(rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			widths[i] = max(widths[i], uniseg.StringWidth(c))
		}
	}
	rule := make([]string, len(widths))
	for i, w := range widths {
		rule[i] = strings.Repeat("-", w)
	}
	for _, r := range slices.Insert(slices.Clone(rows), 1, rule) {
		var line strings.Builder
		for i, c := range r {
			line.WriteString("  " + c + strings.Repeat(" ", widths[i]-uniseg.StringWidth(c)))
		}
		tr.say("%s", strings.TrimRight(line.String(), " "))
	}
	tr.say("")
}

func words(d Decision) string {
	s := string(d.Channel) + " " + string(d.Reason)
	if d.Detail != "" {
		s += " (" + string(d.Detail) + ")"
	}
	if d.Held {
		s += ", held"
	}
	return s
}

func pages(name string) []SocketView {
	for _, p := range pageStates {
		if p.name == name {
			return p.sockets
		}
	}
	panic("no such state: " + name)
}

func TestTranscriptOfTheDecisions(t *testing.T) {
	var tr transcript
	devices := []struct {
		name string
		set  func(*LoginView)
	}{
		{"the device is ready", func(*LoginView) {}},
		{"its switch is off", func(l *LoginView) { l.SwitchOff = true }},
		{"permission denied", func(l *LoginView) { l.Permission = Denied }},
		{"never asked", func(l *LoginView) { l.Permission = NotAsked }},
		{"no subscription", func(l *LoginView) { l.Subscribed = false }},
	}
	grid := func(decide func(LoginView) Decision) {
		head := []string{"CAAC's page is"}
		for _, d := range devices {
			head = append(head, d.name)
		}
		rows := [][]string{head}
		for _, p := range pageStates {
			row := []string{p.name}
			for _, d := range devices {
				l := LoginView{Device: "desktop", Permission: Granted, Subscribed: true, Sockets: p.sockets}
				d.set(&l)
				row = append(row, words(decide(l)))
			}
			rows = append(rows, row)
		}
		tr.table(rows)
	}
	one := func(a AgentView) func(LoginView) Decision {
		return func(l LoginView) Decision {
			a.Logins = []LoginView{l}
			return Decide(View{Assignment: Assignment{Agent: a.ID}, Agents: []AgentView{a}}, msg)[0]
		}
	}
	mei := AgentView{ID: "Mei", OnDuty: true}

	tr.say("A contact writes in a conversation that is Mei's. She is logged in on one device.")
	tr.say("\nMei is on duty and wants notifications:\n")
	grid(one(mei))

	tr.say("No page confirmed within 3 s that it showed the message. Decided once more:\n")
	second := [][]string{{"", ""}}
	for _, d := range devices {
		l := LoginView{Device: "desktop", Permission: Granted, Subscribed: true}
		d.set(&l)
		second = append(second, []string{d.name, words(DecideUnconfirmed(mei, l))})
	}
	second[0] = []string{"", "outcome"}
	tr.table(second)

	tr.say("Mei is off duty, or turned notifications off. Whatever her device:\n")
	silent := [][]string{{"Mei", "outcome"}}
	for _, a := range []struct {
		name string
		AgentView
	}{{"off duty", AgentView{ID: "Mei"}}, {"turned notifications off", AgentView{ID: "Mei", OnDuty: true, Muted: true}}, {"both", AgentView{ID: "Mei", Muted: true}}} {
		outcomes := map[string]bool{}
		for _, l := range everyLogin("desktop") {
			outcomes[words(one(a.AgentView)(l))] = true
		}
		var all []string
		for o := range outcomes {
			all = append(all, o)
		}
		slices.Sort(all)
		silent = append(silent, []string{a.name, strings.Join(all, " / ")})
	}
	tr.table(silent)

	tr.say("Mei has a desktop and a phone, both ready:\n")
	both := [][]string{{"on the desktop CAAC is", "on the phone CAAC is", "desktop", "phone"}}
	for _, d := range pageStates {
		for _, p := range []string{"closed", "hidden", "active", "active on this conversation"} {
			a := mei
			a.Logins = []LoginView{
				{Device: "desktop", Permission: Granted, Subscribed: true, Sockets: d.sockets},
				{Device: "phone", Permission: Granted, Subscribed: true, Sockets: pages(p)},
			}
			ds := Decide(View{Assignment: Assignment{Agent: "Mei"}, Agents: []AgentView{a}}, msg)
			both = append(both, []string{d.name, p, words(ds[0]), words(ds[1])})
		}
	}
	tr.table(both)

	tr.say("Mei and Ken share a desktop, and are the team. Each has a page of their own there:\n")
	ready := func(device, page string) LoginView {
		return LoginView{Device: device, Permission: Granted, Subscribed: true, Sockets: pages(page)}
	}
	ken := AgentView{ID: "Ken", OnDuty: true}
	who := [][]string{{"assigned to", "Mei's page", "Ken's page", "who is told"}}
	for _, as := range []struct {
		name string
		Assignment
	}{{"Mei", Assignment{Agent: "Mei"}}, {"the team", Assignment{Team: "team"}}, {"Mei and the team", Assignment{Agent: "Mei", Team: "team"}}, {"nobody", Assignment{}}} {
		for _, page := range [][2]string{{"active", "hidden"}, {"closed", "visible"}, {"active on this conversation", "closed"}} {
			m, k := mei, ken
			m.Logins, k.Logins = []LoginView{ready("desktop", page[0])}, []LoginView{ready("desktop", page[1])}
			ds := Decide(View{Assignment: as.Assignment, Members: []string{"Ken", "Mei"}, Agents: []AgentView{m, k}}, msg)
			who = append(who, []string{as.name, page[0], page[1], told(ds)})
		}
	}
	tr.table(who)

	tr.say("Ken never logged in, Mei is logged in on nothing:\n")
	lost := [][]string{{"assigned to", "who is told"}}
	for _, as := range []struct {
		name string
		Assignment
	}{{"Ken", Assignment{Agent: "Ken"}}, {"the team", Assignment{Team: "team"}}} {
		ds := Decide(View{Assignment: as.Assignment, Members: []string{"Ken", "Mei"}, Agents: []AgentView{mei}}, msg)
		lost = append(lost, []string{as.name, told(ds)})
	}
	tr.table(lost)

	golden(t, "decisions.txt", tr.String())
}

func told(ds []Decision) string {
	var all []string
	for _, d := range ds {
		who := d.Agent
		if who == "" {
			who = "nobody"
		}
		all = append(all, who+": "+words(d))
	}
	return strings.Join(all, "; ")
}

func TestTranscriptOfTheTexts(t *testing.T) {
	var tr transcript
	kinds := []ComposeInput{
		{Kind: Text, Text: "Is my order on its way?"},
		{Kind: Emoji, Text: "🎉"},
		{Kind: Image}, {Kind: Sticker}, {Kind: Video},
		{Kind: "file"}, {Kind: "location"},
		{Kind: Text, Text: "Is my order on its way?", Waiting: 3},
	}
	for _, locale := range Languages {
		for _, preview := range []Preview{PreviewFull, PreviewSender, PreviewNone} {
			tr.say("%s, preview %q\n", locale, preview)
			rows := [][]string{{"kind", "waiting", "title", "body"}}
			for _, in := range kinds {
				in.Contact, in.Locale, in.Preview = "Ann", locale, preview
				s := Compose(in)
				rows = append(rows, []string{string(in.Kind), fmt.Sprint(max(1, in.Waiting)), s.Title, s.Body})
			}
			tr.table(rows)
		}
		unknown := Compose(ComposeInput{Kind: Text, Text: "Hello", Locale: locale})
		shared := Compose(ComposeInput{Contact: "Ann", Agent: "Mei", Kind: Text, Text: "Hello", Locale: locale})
		test, sharedTest := ComposeTest(locale, ""), ComposeTest(locale, "Mei")
		tr.table([][]string{
			{locale, "title", "body"},
			{"contact without a name", unknown.Title, unknown.Body},
			{"device with several logins", shared.Title, shared.Body},
			{"Push test", test.Title, test.Body},
			{"Push test, several logins", sharedTest.Title, sharedTest.Body},
		})
	}
	golden(t, "texts.txt", tr.String())
}
