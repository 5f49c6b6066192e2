package notify

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var msg = &Message{Conversation: "c1", ID: "m1", Kind: Text}

// pageStates are the states of a login's pages that the rules tell apart.
var pageStates = []struct {
	name    string
	sockets []SocketView
}{
	{"closed", nil},
	{"hidden", []SocketView{{ID: "s1", Presence: Hidden, Viewing: "c1"}}},
	{"hidden, its lease expired", []SocketView{{ID: "s1", Presence: Hidden, Lapsed: true}}},
	{"visible", []SocketView{{ID: "s1", Presence: Visible, Viewing: "c1"}, {ID: "s0", Presence: Visible}}},
	{"active", []SocketView{{ID: "s1", Presence: Active, Viewing: "c2"}}},
	{"active on this conversation", []SocketView{{ID: "s1", Presence: Active, Viewing: "c1"}, {ID: "s2", Presence: Hidden}}},
	{"active on another, this one beside it", []SocketView{{ID: "s1", Presence: Active, Viewing: "c2"}, {ID: "s2", Presence: Visible, Viewing: "c1"}}},
}

// everyLogin returns a login of the device in every state.
func everyLogin(device string) []LoginView {
	var all []LoginView
	for _, p := range pageStates {
		for _, off := range []bool{false, true} {
			for _, perm := range []Permission{Granted, Denied, NotAsked} {
				for _, sub := range []bool{true, false} {
					all = append(all, LoginView{Device: device, SwitchOff: off, Permission: perm, Subscribed: sub, Sockets: p.sockets})
				}
			}
		}
	}
	return all
}

func TestEveryWorldIsDecidedAsTheSentencesSay(t *testing.T) {
	assignments := []Assignment{{Agent: "mei"}, {Team: "t"}, {}, {Agent: "mei", Team: "t"}}
	// Ken is the other member of the team, and shares Mei's desktop.
	kens := [][]AgentView{
		nil,
		{{ID: "ken", OnDuty: true, Logins: []LoginView{{Device: "desktop", Permission: Granted, Subscribed: true, Sockets: pageStates[5].sockets}}}},
	}
	desktops, phones := everyLogin("desktop"), everyLogin("phone")
	worlds := 0
	for _, as := range assignments {
		for _, duty := range []bool{true, false} {
			for _, muted := range []bool{false, true} {
				for _, desktop := range desktops {
					for _, phone := range phones {
						mei := AgentView{ID: "mei", OnDuty: duty, Muted: muted, Logins: []LoginView{desktop, phone}}
						for _, ken := range kens {
							v := View{Assignment: as, Members: []string{"ken", "mei"}, Agents: append(ken[:len(ken):len(ken)], mei)}
							got, want := Decide(v, msg), naive(v, msg)
							if !slices.Equal(got, want) {
								t.Fatalf("in this world\n%+v\nDecide says\n%+v\nthe sentences say\n%+v", v, got, want)
							}
							worlds++
						}
					}
				}
			}
		}
	}
	t.Logf("%d worlds", worlds)
	if least := 4 * 2 * 2 * 60 * 60; worlds < least {
		t.Errorf("only %d worlds were looked at, there are at least %d", worlds, least)
	}
}

func TestEveryUnconfirmedLoginIsDecidedOnceMoreAsTheSentencesSay(t *testing.T) {
	for _, duty := range []bool{true, false} {
		for _, muted := range []bool{false, true} {
			a := AgentView{ID: "mei", OnDuty: duty, Muted: muted}
			for _, l := range everyLogin("desktop") {
				got, want := DecideUnconfirmed(a, l), naiveUnconfirmed(a, l)
				if got != want {
					t.Fatalf("%+v %+v: DecideUnconfirmed says %+v, the sentences say %+v", a, l, got, want)
				}
				if got.Channel != Push && got.Channel != None {
					t.Fatalf("%+v %+v: %s, want push or none", a, l, got.Channel)
				}
			}
		}
	}
}

func TestSilencesAreExactlyWhatKeepsAClosedPageFromAPush(t *testing.T) {
	for _, duty := range []bool{true, false} {
		for _, muted := range []bool{false, true} {
			for _, l := range everyLogin("desktop") {
				l.Sockets = nil
				a := AgentView{ID: "mei", OnDuty: duty, Muted: muted, Logins: []LoginView{l}}
				silences := Silences(a, l)
				d := Decide(View{Assignment: Assignment{Agent: "mei"}, Agents: []AgentView{a}}, msg)[0]
				if d.Channel == Push {
					if len(silences) != 0 {
						t.Fatalf("%+v: pushed, yet silenced by %v", a, silences)
					}
					continue
				}
				// The decision names the first; putting right all of them lets it ring.
				if len(silences) == 0 || silences[0] != d.Reason {
					t.Fatalf("%+v: decided %s, silenced by %v", a, d.Reason, silences)
				}
				for _, r := range silences {
					switch r {
					case OffDuty:
						a.OnDuty = true
					case AgentMuted:
						a.Muted = false
					case DeviceOff:
						a.Logins[0].SwitchOff = false
					case PermissionDenied, PermissionDefault:
						a.Logins[0].Permission = Granted
					case NoSubscription:
						a.Logins[0].Subscribed = true
					default:
						t.Fatalf("unexpected silence %q", r)
					}
				}
				if d := Decide(View{Assignment: Assignment{Agent: "mei"}, Agents: []AgentView{a}}, msg)[0]; d.Channel != Push {
					t.Fatalf("with %v put right it is still %s, %s", silences, d.Channel, d.Reason)
				}
			}
		}
	}
}

func TestLocalGoesToTheStrongestMostRecentlyRenewedPage(t *testing.T) {
	cases := []struct {
		name    string
		sockets []SocketView
		want    string
	}{
		{"visible before hidden, though renewed earlier", []SocketView{{ID: "a", Presence: Hidden, Renewed: 9}, {ID: "b", Presence: Visible, Renewed: 1}}, "b"},
		{"renewed last", []SocketView{{ID: "a", Presence: Visible, Renewed: 1}, {ID: "b", Presence: Visible, Renewed: 2}}, "b"},
		{"tie goes by id", []SocketView{{ID: "b", Presence: Visible, Renewed: 2}, {ID: "a", Presence: Visible, Renewed: 2}}, "a"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := View{Assignment: Assignment{Agent: "mei"}, Agents: []AgentView{{ID: "mei", OnDuty: true,
				Logins: []LoginView{{Device: "d", Permission: Granted, Subscribed: true, Sockets: c.sockets}}}}}
			d := Decide(v, msg)
			want := []Decision{{Agent: "mei", Device: "d", Channel: Local, Reason: VisibleUnfocused, Socket: c.want}}
			if diff := cmp.Diff(want, d); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTeamWithoutMembersIsUnassigned(t *testing.T) {
	got := Decide(View{Assignment: Assignment{Team: "t"}}, msg)
	if want := []Decision{{Channel: None, Reason: Unassigned}}; !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestRecipients(t *testing.T) {
	cases := []struct {
		a       Assignment
		members []string
		want    []string
	}{
		{Assignment{Agent: "mei", Team: "t"}, []string{"ken", "mei"}, []string{"mei"}},
		{Assignment{Team: "t"}, []string{"mei", "ken", "mei"}, []string{"ken", "mei"}},
		{Assignment{Team: "t"}, nil, nil},
		{Assignment{}, []string{"ken"}, nil},
	}
	for _, c := range cases {
		given := slices.Clone(c.members)
		if got := Recipients(c.a, c.members); !slices.Equal(got, c.want) {
			t.Errorf("%+v of %v: got %v, want %v", c.a, c.members, got, c.want)
		}
		if !slices.Equal(given, c.members) {
			t.Errorf("Recipients changed its argument to %v", c.members)
		}
	}
}

// anyView draws views wilder than the enumeration: many agents and devices,
// many sockets, agents unknown, teams unsorted with repeated members.
func anyView(t *rapid.T) View {
	ids := []string{"a", "b", "c", "d", "e"}
	v := View{
		Assignment: Assignment{
			Agent: rapid.SampledFrom([]string{"", "", "a", "b", "nobody"}).Draw(t, "assignee"),
			Team:  rapid.SampledFrom([]string{"", "t", "t"}).Draw(t, "team"),
		},
		Members: rapid.SliceOfN(rapid.SampledFrom(ids), 0, 8).Draw(t, "members"),
	}
	for _, id := range rapid.Permutation(ids).Draw(t, "agents")[:rapid.IntRange(0, 5).Draw(t, "known")] {
		a := AgentView{ID: id, OnDuty: rapid.IntRange(0, 4).Draw(t, "duty") > 0, Muted: rapid.IntRange(0, 4).Draw(t, "muted") == 0}
		for _, device := range rapid.Permutation([]string{"x", "y", "z"}).Draw(t, "devices")[:rapid.IntRange(0, 3).Draw(t, "logins")] {
			a.Logins = append(a.Logins, anyLogin(t, device))
		}
		v.Agents = append(v.Agents, a)
	}
	return v
}

func anyLogin(t *rapid.T, device string) LoginView {
	l := LoginView{
		Device:     device,
		SwitchOff:  rapid.IntRange(0, 4).Draw(t, "off") == 0,
		Permission: rapid.SampledFrom([]Permission{Granted, Granted, Granted, Denied, NotAsked}).Draw(t, "permission"),
		Subscribed: rapid.Bool().Draw(t, "subscribed"),
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "sockets") {
		s := SocketView{
			ID:       fmt.Sprint("s", i),
			Presence: rapid.SampledFrom([]Presence{Hidden, Hidden, Visible, Active}).Draw(t, "presence"),
			Viewing:  rapid.SampledFrom([]string{"", "c1", "c2"}).Draw(t, "viewing"),
			Renewed:  rapid.Int64Range(0, 2).Draw(t, "renewed"),
		}
		s.Lapsed = s.Presence == Hidden && rapid.Bool().Draw(t, "lapsed")
		l.Sockets = append(l.Sockets, s)
	}
	return l
}

func TestAnyViewIsDecidedAsTheSentencesSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyView(t)
		if diff := cmp.Diff(naive(v, msg), Decide(v, msg)); diff != "" {
			t.Fatalf("the sentences (-) and Decide (+) differ\n%s", diff)
		}
	})
}

func TestEveryLoginOfEveryRecipientGetsExactlyOneDecision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyView(t)
		seen := map[[2]string]int{}
		ds := Decide(v, msg)
		for i, d := range ds {
			seen[[2]string{d.Agent, d.Device}]++
			if i > 0 && (ds[i-1].Agent > d.Agent || ds[i-1].Agent == d.Agent && ds[i-1].Device >= d.Device) {
				t.Fatalf("not sorted: %+v before %+v", ds[i-1], d)
			}
			if d.Reason == "" || d.Channel == "" {
				t.Fatalf("no answer: %+v", d)
			}
			if (d.Channel == Local) != (d.Socket != "") {
				t.Fatalf("local names one page, nothing else does: %+v", d)
			}
		}
		want := map[[2]string]int{}
		for _, id := range Recipients(v.Assignment, v.Members) {
			i := slices.IndexFunc(v.Agents, func(a AgentView) bool { return a.ID == id })
			if i < 0 || len(v.Agents[i].Logins) == 0 {
				want[[2]string{id, ""}] = 1
				continue
			}
			for _, l := range v.Agents[i].Logins {
				want[[2]string{id, l.Device}] = 1
			}
		}
		if len(want) == 0 {
			want[[2]string{}] = 1
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestTheOrderOfTheViewChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyView(t)
		want := Decide(v, msg)
		w := View{Assignment: v.Assignment, Members: rapid.Permutation(v.Members).Draw(t, "members"), Agents: rapid.Permutation(v.Agents).Draw(t, "agents")}
		for i := range w.Agents {
			w.Agents[i].Logins = rapid.Permutation(w.Agents[i].Logins).Draw(t, "logins")
			for j := range w.Agents[i].Logins {
				l := &w.Agents[i].Logins[j]
				l.Sockets = rapid.Permutation(l.Sockets).Draw(t, "sockets")
			}
		}
		if diff := cmp.Diff(want, Decide(w, msg)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestOneLoginNeverChangesAnothersDecisionExceptToHoldIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyView(t)
		before := Decide(v, msg)
		i := rapid.IntRange(-1, len(v.Agents)-1).Draw(t, "agent")
		if i < 0 || len(v.Agents[i].Logins) == 0 {
			t.Skip("nobody to change")
		}
		a := &v.Agents[i]
		j := rapid.IntRange(0, len(a.Logins)-1).Draw(t, "login")
		device := a.Logins[j].Device
		a.Logins[j] = anyLogin(t, device)
		after := Decide(v, msg)
		if len(before) != len(after) {
			t.Fatalf("%d decisions became %d", len(before), len(after))
		}
		for k := range before {
			b, c := before[k], after[k]
			if b.Agent == a.ID && b.Device == device {
				continue
			}
			if b.Agent == a.ID && b.Channel == Push {
				b.Held, c.Held = false, false
			}
			if b != c {
				t.Fatalf("%+v became %+v when %s's login on %s changed", before[k], after[k], a.ID, device)
			}
		}
	})
}
