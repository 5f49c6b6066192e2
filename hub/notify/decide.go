package notify

import (
	"cmp"
	"slices"
	"strings"
)

// Decide says, for every login of every recipient of a message, over which
// channel it is told and why. It is pure and total; what it returns is sorted by
// agent, then device, and is never empty: where nobody is to be told, or a
// recipient has no login, one decision of record says so. Agent ids in v.Agents
// and devices among an agent's logins are unique.
func Decide(v View, m *Message) []Decision {
	if id := v.Assignment.Agent; id != "" {
		i := slices.IndexFunc(v.Agents, func(a AgentView) bool { return a.ID == id })
		if i < 0 {
			return []Decision{notLoggedIn(id)}
		}
		return decideAgent(make([]Decision, 0, max(1, len(v.Agents[i].Logins))), &v.Agents[i], m)
	}
	members := Recipients(v.Assignment, v.Members)
	if len(members) == 0 {
		return []Decision{{Channel: None, Reason: Unassigned}}
	}
	agents := v.Agents
	if !slices.IsSortedFunc(agents, byID) {
		agents = slices.SortedFunc(slices.Values(agents), byID)
	}
	n := max(0, len(members)-len(agents))
	for i := range agents {
		n += max(1, len(agents[i].Logins))
	}
	out := make([]Decision, 0, n)
	next := 0
	for _, id := range members {
		for next < len(agents) && agents[next].ID < id {
			next++
		}
		if next == len(agents) || agents[next].ID != id {
			out = append(out, notLoggedIn(id))
			continue
		}
		out = decideAgent(out, &agents[next], m)
	}
	return out
}

// Recipients returns the ids of the agents a message under the assignment is
// for, sorted and each once: the assignee alone, else the members of the team.
// It may return members itself.
func Recipients(a Assignment, members []string) []string {
	switch {
	case a.Agent != "":
		return []string{a.Agent}
	case a.Team == "":
		return nil
	}
	for i := 1; i < len(members); i++ {
		if members[i-1] >= members[i] {
			members = slices.Clone(members)
			slices.Sort(members)
			return slices.Compact(members)
		}
	}
	return members
}

// Presence returns the strongest presence of the login's sockets.
func (l LoginView) Presence() Presence {
	p := Closed
	for i := range l.Sockets {
		p = max(p, l.Sockets[i].Presence)
	}
	return p
}

// DecideUnconfirmed is the second decision for a login whose in_app or local no
// page confirmed: push, or none. None with reason Unconfirmed means that there
// is no way left, and its delivery ends Failed.
func DecideUnconfirmed(a AgentView, l LoginView) Decision {
	d := Decision{Agent: a.ID, Device: l.Device, Channel: None, Reason: Unconfirmed}
	if r := cmp.Or(agentSilence(&a), deviceSilence(&l)); r != "" {
		d.Reason = r
	} else if l.Subscribed {
		d.Channel = Push
	}
	return d
}

// Silences returns everything that would keep a message from ringing on a login
// that no page of is looked at, in the order of the rules. Nil means it rings.
func Silences(a AgentView, l LoginView) []Reason {
	var rs []Reason
	if !a.OnDuty {
		rs = append(rs, OffDuty)
	}
	if a.Muted {
		rs = append(rs, AgentMuted)
	}
	if l.SwitchOff {
		rs = append(rs, DeviceOff)
	}
	if l.Permission != Granted {
		rs = append(rs, ungranted(l.Permission))
	}
	if !l.Subscribed {
		rs = append(rs, NoSubscription)
	}
	return rs
}

func decideAgent(out []Decision, a *AgentView, m *Message) []Decision {
	if len(a.Logins) == 0 {
		return append(out, notLoggedIn(a.ID))
	}
	first, viewed := len(out), false
	for i := range a.Logins {
		d := decideLogin(a, &a.Logins[i], m)
		viewed = viewed || d.Reason == ViewingConversation
		out = append(out, d)
	}
	own := out[first:]
	if viewed {
		for i := range own {
			own[i].Held = own[i].Channel == Push
		}
	}
	if !slices.IsSortedFunc(own, byDevice) {
		slices.SortFunc(own, byDevice)
	}
	return out
}

// decideLogin goes through the table of design section 3.2; the first row that
// matches wins.
func decideLogin(a *AgentView, l *LoginView, m *Message) Decision {
	d := Decision{Agent: a.ID, Device: l.Device, Channel: None}
	if d.Reason = agentSilence(a); d.Reason != "" {
		return d
	}
	presence, best := Closed, -1
	viewing, lapsed := false, false
	for i := range l.Sockets {
		s := &l.Sockets[i]
		if s.Presence == Closed {
			continue
		}
		presence = max(presence, s.Presence)
		viewing = viewing || s.Presence == Active && s.Viewing == m.Conversation
		lapsed = lapsed || s.Lapsed
		if best < 0 || stronger(s, &l.Sockets[best]) {
			best = i
		}
	}
	switch {
	case viewing:
		d.Channel, d.Reason = InApp, ViewingConversation
		return d
	case presence == Active:
		d.Channel, d.Reason = InApp, ActivelyViewing
		return d
	}
	if d.Reason = deviceSilence(l); d.Reason != "" {
		if presence != Closed {
			d.Channel = InApp
		}
		return d
	}
	switch {
	case presence == Visible:
		d.Channel, d.Reason, d.Socket = Local, VisibleUnfocused, l.Sockets[best].ID
	case presence == Hidden && !l.Subscribed:
		d.Channel, d.Reason, d.Socket = Local, NoSubscription, l.Sockets[best].ID
	case !l.Subscribed:
		d.Reason = NoSubscription
	case presence == Hidden:
		d.Channel, d.Reason = Push, PageHidden
		if lapsed {
			d.Detail = LeaseExpired
		}
	default:
		d.Channel, d.Reason = Push, PageClosed
	}
	return d
}

// agentSilence is rows 1 and 2; empty where neither holds.
func agentSilence(a *AgentView) Reason {
	switch {
	case !a.OnDuty:
		return OffDuty
	case a.Muted:
		return AgentMuted
	}
	return ""
}

// deviceSilence is rows 5 and 6; empty where neither holds.
func deviceSilence(l *LoginView) Reason {
	switch {
	case l.SwitchOff:
		return DeviceOff
	case l.Permission != Granted:
		return ungranted(l.Permission)
	}
	return ""
}

func ungranted(p Permission) Reason {
	if p == Denied {
		return PermissionDenied
	}
	return PermissionDefault
}

func stronger(a, b *SocketView) bool {
	if a.Presence != b.Presence {
		return a.Presence > b.Presence
	}
	if a.Renewed != b.Renewed {
		return a.Renewed > b.Renewed
	}
	return a.ID < b.ID
}

func notLoggedIn(agent string) Decision {
	return Decision{Agent: agent, Channel: None, Reason: NotLoggedIn}
}

func byID(a, b AgentView) int    { return strings.Compare(a.ID, b.ID) }
func byDevice(a, b Decision) int { return strings.Compare(a.Device, b.Device) }
