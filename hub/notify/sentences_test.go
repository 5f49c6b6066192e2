package notify

import (
	"slices"
	"sort"
)

// The rules once more, the slow way: every sentence of design sections 3.1 to
// 3.3 is one entry of a list, asked in turn, and nothing is shared with Decide.

type sentence struct {
	when func(w world) bool
	then func(w world) (Channel, Reason)
}

// world is all that a sentence may speak of.
type world struct {
	agent AgentView
	login LoginView
	msg   Message
}

func (w world) sockets(min Presence) []SocketView {
	var out []SocketView
	for _, s := range w.login.Sockets {
		if s.Presence >= min {
			out = append(out, s)
		}
	}
	return out
}

func (w world) is(p Presence) bool {
	return len(w.sockets(p)) > 0 && len(w.sockets(p+1)) == 0
}

func (w world) closed() bool { return len(w.sockets(Hidden)) == 0 }

func (w world) activeOnThisConversation() bool {
	return slices.ContainsFunc(w.sockets(Active), func(s SocketView) bool { return s.Viewing == w.msg.Conversation })
}

func says(c Channel, r Reason) func(world) (Channel, Reason) {
	return func(world) (Channel, Reason) { return c, r }
}

func inAppIfItHasSocketsElseNone(r func(world) Reason) func(world) (Channel, Reason) {
	return func(w world) (Channel, Reason) {
		if w.closed() {
			return None, r(w)
		}
		return InApp, r(w)
	}
}

func deviceOff(world) Reason { return DeviceOff }

func permissionReason(w world) Reason {
	return map[Permission]Reason{Denied: PermissionDenied, NotAsked: PermissionDefault}[w.login.Permission]
}

var (
	row1 = sentence{func(w world) bool { return !w.agent.OnDuty }, says(None, OffDuty)}
	row2 = sentence{func(w world) bool { return w.agent.Muted }, says(None, AgentMuted)}
	row3 = sentence{world.activeOnThisConversation, says(InApp, ViewingConversation)}
	row4 = sentence{func(w world) bool { return w.is(Active) }, says(InApp, ActivelyViewing)}
	row5 = sentence{func(w world) bool { return w.login.SwitchOff }, inAppIfItHasSocketsElseNone(deviceOff)}
	row6 = sentence{func(w world) bool { return w.login.Permission != Granted }, inAppIfItHasSocketsElseNone(permissionReason)}
	row7 = sentence{func(w world) bool { return w.is(Visible) }, says(Local, VisibleUnfocused)}
	row8 = sentence{func(w world) bool { return w.is(Hidden) && !w.login.Subscribed }, says(Local, NoSubscription)}
	row9 = sentence{func(w world) bool { return w.closed() && !w.login.Subscribed }, says(None, NoSubscription)}
	r10a = sentence{func(w world) bool { return w.is(Hidden) }, says(Push, PageHidden)}
	r10b = sentence{world.closed, says(Push, PageClosed)}

	table = []sentence{row1, row2, row3, row4, row5, row6, row7, row8, row9, r10a, r10b}
)

func firstMatch(w world, sentences []sentence) (int, Decision) {
	for i, s := range sentences {
		if s.when(w) {
			c, r := s.then(w)
			return i, Decision{Agent: w.agent.ID, Device: w.login.Device, Channel: c, Reason: r}
		}
	}
	panic("no sentence speaks of this world")
}

// naive is Decide, written from the sentences.
func naive(v View, m *Message) []Decision {
	type key struct{ agent, device string }
	all := map[key]Decision{}

	responsible := map[string]bool{}
	if v.Assignment.Agent != "" {
		responsible[v.Assignment.Agent] = true
	} else if v.Assignment.Team != "" {
		for _, member := range v.Members {
			responsible[member] = true
		}
	}
	if len(responsible) == 0 {
		all[key{}] = Decision{Channel: None, Reason: Unassigned}
	}

	for id := range responsible {
		known := map[string]AgentView{}
		for _, a := range v.Agents {
			known[a.ID] = a
		}
		if len(known[id].Logins) == 0 {
			all[key{id, ""}] = Decision{Agent: id, Channel: None, Reason: NotLoggedIn}
			continue
		}
		for _, l := range known[id].Logins {
			w := world{known[id], l, *m}
			_, d := firstMatch(w, table)
			if d.Channel == Local {
				d.Socket = theOnePage(w)
			}
			if d.Reason == PageHidden && slices.ContainsFunc(l.Sockets, func(s SocketView) bool { return s.Lapsed }) {
				d.Detail = LeaseExpired
			}
			for _, other := range known[id].Logins {
				if row, _ := firstMatch(world{known[id], other, *m}, table); row == 2 && other.Device != l.Device && d.Channel == Push {
					d.Held = true
				}
			}
			all[key{id, l.Device}] = d
		}
	}

	out := []Decision{}
	for _, d := range all {
		out = append(out, d)
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Agent == out[j].Agent {
			return out[i].Device < out[j].Device
		}
		return out[i].Agent < out[j].Agent
	})
	return out
}

// theOnePage is the strongest and most recently renewed of the login's pages.
func theOnePage(w world) string {
	pages := w.sockets(Hidden)
	sort.Slice(pages, func(i, j int) bool { return pages[i].ID < pages[j].ID })
	sort.SliceStable(pages, func(i, j int) bool { return pages[i].Renewed > pages[j].Renewed })
	sort.SliceStable(pages, func(i, j int) bool { return pages[i].Presence > pages[j].Presence })
	return pages[0].ID
}

// naiveUnconfirmed is DecideUnconfirmed, written from the sentences: the outcome
// can only be push or none, and rows 1, 2, 5 and 6 still hold.
func naiveUnconfirmed(a AgentView, l LoginView) Decision {
	l.Sockets = nil
	_, d := firstMatch(world{agent: a, login: l}, []sentence{
		row1, row2, row5, row6,
		{func(w world) bool { return w.login.Subscribed }, says(Push, Unconfirmed)},
		{func(w world) bool { return !w.login.Subscribed }, says(None, Unconfirmed)},
	})
	return d
}
