package hub

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"caac-hub/hub/notify"
)

// NoReceipt is the cause of a device whose last pushes its push service accepted,
// and none brought a receipt.
//
// Other causes are the reasons of the rules. Two of ends stand for what the rules
// don't tell apart: SubscriptionGone for a device that had a subscription and has
// none now (NoSubscription: it never had one), and PushRejected for one whose push
// service refuses the key it was made for.
const NoReceipt notify.Reason = "no_receipt"

// UnreachableCauses are all the causes that an on-duty agent can be unreachable
// for. An agent who turned notifications off is not among them: they chose silence.
var UnreachableCauses = []notify.Reason{
	notify.NotLoggedIn, notify.DeviceOff, notify.PermissionDenied, notify.PermissionDefault,
	notify.NoSubscription, notify.SubscriptionGone, notify.PushRejected, NoReceipt,
}

// ReachAgent is an on-duty agent with the ways they can be reached by now.
type ReachAgent struct {
	ID        string        `json:"id"`
	Name      string        `json:"name"`
	Reachable bool          `json:"reachable"`       // somebody would notice a message on one of the logins
	Muted     bool          `json:"muted,omitempty"` // turned notifications off: not reachable, by choice
	Cause     notify.Reason `json:"cause,omitempty"` // of an agent who is neither reachable nor muted: of the login last seen
	Logins    []ReachLogin  `json:"logins"`          // last seen first
}

// ReachLogin is a login and what a message would do there now.
type ReachLogin struct {
	LoginInfo
	Channel notify.Channel `json:"channel"`         // as the rules decide for a message of a conversation that nobody has open
	Reason  notify.Reason  `json:"reason"`          // of the decision
	Cause   notify.Reason  `json:"cause,omitempty"` // why nobody would notice it
}

// Reach is one page of the on-duty agents, by id.
type Reach struct {
	Agents []ReachAgent
	Next   string // the after of what follows; empty: nothing
}

// ReachSummary counts on-duty agents: OnDuty are those who can be reached, those
// muted and those unreachable.
type ReachSummary struct {
	At          time.Time             `json:"at"`
	OnDuty      int                   `json:"on_duty"`
	Muted       int                   `json:"muted"`       // who turned notifications off; none of them is unreachable
	Unreachable map[notify.Reason]int `json:"unreachable"` // by each of UnreachableCauses
	Whole       bool                  `json:"whole"`       // false: there are more agents than are looked at
}

// Bounds of looking at who can be reached.
const (
	reachChunk  = 500
	reachAgents = 20_000           // looked at for a summary
	reachFresh  = 10 * time.Second // a summary holds for as long
)

// ReachFilter selects on-duty agents. Empty members select all.
type ReachFilter struct {
	After       string // ids after this one
	Team        string // its members
	Agent       string // an id, or what is part of a name
	Unreachable bool   // neither reachable nor muted
	Limit       int    // 1..500
}

// Reach answers on-duty agents by id, and how each can be reached now. It looks at
// no more than 2,000 agents.
func (h *Hub) Reach(ctx context.Context, f ReachFilter) (Reach, error) {
	out := Reach{Agents: []ReachAgent{}}
	var named map[string]bool
	if f.Agent != "" {
		var err error
		if named, err = h.agentsNamed(ctx, f.Agent); err != nil {
			return out, err
		}
	}
	after := f.After
	for looked := 0; looked < 4*reachChunk; {
		ids, more, err := h.reachIDs(ctx, after, f.Team, named)
		if err != nil {
			return out, err
		}
		agents, err := h.reachOf(ctx, ids)
		if err != nil {
			return out, err
		}
		for _, a := range agents {
			if f.Unreachable && a.Cause == "" {
				continue
			}
			if len(out.Agents) == f.Limit {
				out.Next = out.Agents[f.Limit-1].ID
				return out, nil
			}
			out.Agents = append(out.Agents, a)
		}
		if !more {
			return out, nil
		}
		looked += len(ids)
		after = ids[len(ids)-1]
	}
	out.Next = after
	return out, nil
}

// reachIDs lists agents by id: of a team, of those named, of both, or all.
func (h *Hub) reachIDs(ctx context.Context, after, team string, named map[string]bool) (ids []string, more bool, err error) {
	switch {
	case team != "":
		t, err := h.dir.team(ctx, team)
		if err != nil {
			return nil, false, err
		}
		ids = t.Members
		if named != nil {
			ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !named[id] })
		}
	case named != nil:
		ids = slices.Sorted(maps.Keys(named))
	default:
		all, err := h.store.ListAgents(ctx, after, reachChunk)
		for _, a := range all {
			ids = append(ids, a.ID)
		}
		return ids, len(all) == reachChunk, err
	}
	i, found := slices.BinarySearch(ids, after)
	if found {
		i++
	}
	ids = ids[i:]
	if len(ids) > reachChunk {
		return ids[:reachChunk], true, nil
	}
	return ids, false, nil
}

// reachOf says of those of the agents who are on duty how they can be reached.
func (h *Hub) reachOf(ctx context.Context, ids []string) ([]ReachAgent, error) {
	snap, err := h.dir.view(ctx, ids)
	if err != nil {
		return nil, err
	}
	var out []ReachAgent
	for _, v := range snap.withSockets(h.sockets) {
		if v.OnDuty {
			out = append(out, h.reach(snap, v))
		}
	}
	slices.SortFunc(out, func(a, b ReachAgent) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// reachAgent says how an on-duty agent can be reached: what the rules decide, and
// whether what they trust in still works.
func (h *Hub) reach(s snapshot, v notify.AgentView) ReachAgent {
	a := s.agents[v.ID]
	out := ReachAgent{ID: a.ID, Name: a.Name, Muted: a.Muted, Logins: make([]ReachLogin, 0, len(v.Logins))}
	decisions := notify.Decide(notify.View{Assignment: notify.Assignment{Agent: v.ID}, Agents: []notify.AgentView{v}}, &notify.Message{Conversation: nobodys})
	decided := make(map[string]notify.Decision, len(decisions))
	for _, d := range decisions {
		decided[d.Device] = d
	}
	for i, l := range a.Logins {
		d, view, dec := s.devices[l.Device], v.Logins[i], decided[l.Device]
		login := ReachLogin{LoginInfo: h.loginInfo(a.ID, l, d, view), Channel: dec.Channel, Reason: dec.Reason, Cause: cause(dec, d, view)}
		out.Reachable = out.Reachable || login.Cause == ""
		out.Logins = append(out.Logins, login)
	}
	slices.SortStableFunc(out.Logins, func(a, b ReachLogin) int { return b.Seen.Compare(a.Seen) })
	switch {
	case out.Reachable, out.Muted:
	case len(out.Logins) == 0:
		out.Cause = notify.NotLoggedIn
	default:
		out.Cause = out.Logins[0].Cause
	}
	return out
}

// nobodys is a conversation that no page can have open: longer than an id may be.
var nobodys = strings.Repeat("-", notify.MaxID+1)

// cause says why nobody would notice a message on a login; empty where somebody would.
func cause(dec notify.Decision, d notify.Device, l notify.LoginView) notify.Reason {
	switch {
	case !notify.Reaches(dec, l.Presence()):
		if dec.Reason == notify.NoSubscription && d.Generation > 0 {
			return notify.SubscriptionGone
		}
		return dec.Reason
	case dec.Channel != notify.Push:
		return ""
	case d.Resubscribe:
		return notify.PushRejected
	case d.Subscription != nil && d.Unheard == d.Subscription.Generation:
		return NoReceipt
	}
	return ""
}

// reachCache keeps the last summary.
type reachCache struct {
	turn chan struct{} // taken while it is made
	last ReachSummary
}

// ReachSummary counts the on-duty agents and those who can't be reached, as of at
// most 10 s ago. It looks at no more than 20,000 agents.
func (h *Hub) ReachSummary(ctx context.Context) (ReachSummary, error) {
	c := &h.reachable
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return ReachSummary{}, ctx.Err()
	}
	if !c.last.At.IsZero() && time.Since(c.last.At) < reachFresh {
		return c.last.clone(), nil
	}
	sum := ReachSummary{At: time.Now().UTC(), Unreachable: make(map[notify.Reason]int, len(UnreachableCauses))}
	for _, r := range UnreachableCauses {
		sum.Unreachable[r] = 0
	}
	after := ""
	for looked := 0; looked < reachAgents; looked += reachChunk {
		ids, more, err := h.reachIDs(ctx, after, "", nil)
		if err != nil {
			return sum, err
		}
		agents, err := h.reachOf(ctx, ids)
		if err != nil {
			return sum, err
		}
		for _, a := range agents {
			sum.OnDuty++
			switch {
			case a.Muted:
				sum.Muted++
			case !a.Reachable:
				sum.Unreachable[a.Cause]++
			}
		}
		if !more {
			sum.Whole = true
			break
		}
		after = ids[len(ids)-1]
	}
	c.last = sum
	return sum.clone(), nil
}

func (s ReachSummary) clone() ReachSummary {
	s.Unreachable = maps.Clone(s.Unreachable)
	return s
}
