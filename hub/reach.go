package hub

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
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

// ReachAgent is an on-duty agent with the ways they can be reached by now.
type ReachAgent struct {
	ID        string        `json:"id"`
	Name      string        `json:"name"`
	Reachable bool          `json:"reachable"`
	Cause     notify.Reason `json:"cause,omitempty"` // of an agent who is not: of the login last seen
	Logins    []ReachLogin  `json:"logins"`          // last seen first
}

// ReachLogin is a login and what a message would do there now.
type ReachLogin struct {
	LoginInfo
	Channel notify.Channel `json:"channel"`         // as the rules decide for a message of a conversation that nobody has open
	Reason  notify.Reason  `json:"reason"`          // of the decision
	Cause   notify.Reason  `json:"cause,omitempty"` // why it reaches nobody
}

// Reach is one page of the on-duty agents, by id.
type Reach struct {
	Agents []ReachAgent
	Next   string // the after of what follows; empty: nothing
}

// ReachSummary counts on-duty agents.
type ReachSummary struct {
	At          time.Time             `json:"at"`
	OnDuty      int                   `json:"on_duty"`
	Unreachable map[notify.Reason]int `json:"unreachable"` // by cause; a cause that holds for nobody may be 0 or absent
	Whole       bool                  `json:"whole"`       // false: there are more agents than are looked at
}

// Bounds of looking at who can be reached.
const (
	reachChunk  = 500
	reachAgents = 20_000           // looked at for a summary
	reachFresh  = 10 * time.Second // a summary holds for as long
)

// Reach answers the on-duty agents after the given id and how each can be reached
// now; only those who can't, if asked for; of one team, if named. It looks at no more than
// 2,000 agents and answers no more than limit.
func (h *Hub) Reach(ctx context.Context, after, team string, unreachable bool, limit int) (Reach, error) {
	out := Reach{Agents: []ReachAgent{}}
	for looked := 0; looked < 4*reachChunk; {
		ids, more, err := h.reachIDs(ctx, after, team)
		if err != nil {
			return out, err
		}
		agents, err := h.reachOf(ctx, ids)
		if err != nil {
			return out, err
		}
		for _, a := range agents {
			if unreachable && a.Reachable {
				continue
			}
			if len(out.Agents) == limit {
				out.Next = out.Agents[limit-1].ID
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

// reachIDs lists agents, of a team or of all, by id.
func (h *Hub) reachIDs(ctx context.Context, after, team string) (ids []string, more bool, err error) {
	if team != "" {
		t, err := h.dir.team(ctx, team)
		if err != nil {
			return nil, false, err
		}
		i, found := slices.BinarySearch(t.Members, after)
		if found {
			i++
		}
		ids = t.Members[i:]
		if len(ids) > reachChunk {
			return ids[:reachChunk], true, nil
		}
		return ids, false, nil
	}
	all, err := h.store.ListAgents(ctx, after, reachChunk)
	for _, a := range all {
		ids = append(ids, a.ID)
	}
	return ids, len(all) == reachChunk, err
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
			out = append(out, snap.reach(v))
		}
	}
	slices.SortFunc(out, func(a, b ReachAgent) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// reach says how an on-duty agent can be reached: what the rules decide, and
// whether what they trust in still works.
func (s snapshot) reach(v notify.AgentView) ReachAgent {
	a := s.agents[v.ID]
	out := ReachAgent{ID: a.ID, Name: a.Name, Logins: make([]ReachLogin, 0, len(v.Logins))}
	decisions := notify.Decide(notify.View{Assignment: notify.Assignment{Agent: v.ID}, Agents: []notify.AgentView{v}}, &notify.Message{})
	decided := make(map[string]notify.Decision, len(decisions))
	for _, d := range decisions {
		decided[d.Device] = d
	}
	for i, l := range a.Logins {
		d, view, dec := s.devices[l.Device], v.Logins[i], decided[l.Device]
		login := ReachLogin{LoginInfo: loginInfo(a.ID, l, d, view), Channel: dec.Channel, Reason: dec.Reason, Cause: cause(dec, d, view)}
		out.Reachable = out.Reachable || login.Cause == ""
		out.Logins = append(out.Logins, login)
	}
	slices.SortStableFunc(out.Logins, func(a, b ReachLogin) int { return b.Seen.Compare(a.Seen) })
	switch {
	case out.Reachable:
	case len(out.Logins) == 0:
		out.Cause = notify.NotLoggedIn
	default:
		out.Cause = out.Logins[0].Cause
	}
	return out
}

// cause says why a login can't be reached; empty where it can. A login with a
// page, however hidden, shows its counts at least.
func cause(dec notify.Decision, d notify.Device, l notify.LoginView) notify.Reason {
	switch {
	case dec.Channel == notify.None && dec.Reason == notify.NoSubscription && d.Generation > 0:
		return notify.SubscriptionGone
	case dec.Channel == notify.None:
		return dec.Reason
	case dec.Channel != notify.Push || l.Presence() != notify.Closed:
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
	mu   sync.Mutex // held while it is made
	last ReachSummary
}

// ReachSummary counts the on-duty agents and those who can't be reached, as of at
// most 10 s ago. It looks at no more than 20,000 agents.
func (h *Hub) ReachSummary(ctx context.Context) (ReachSummary, error) {
	c := &h.reachable
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.last.At.IsZero() && time.Since(c.last.At) < reachFresh {
		return c.last.clone(), nil
	}
	sum := ReachSummary{At: time.Now().UTC(), Unreachable: map[notify.Reason]int{}}
	for r := range c.last.Unreachable {
		sum.Unreachable[r] = 0 // a gauge that was shown goes back to 0
	}
	after := ""
	for looked := 0; looked < reachAgents; looked += reachChunk {
		ids, more, err := h.reachIDs(ctx, after, "")
		if err != nil {
			return sum, err
		}
		agents, err := h.reachOf(ctx, ids)
		if err != nil {
			return sum, err
		}
		for _, a := range agents {
			sum.OnDuty++
			if !a.Reachable {
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
