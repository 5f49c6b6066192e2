package hub

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"caac-hub/hub/notify"
)

// Bounds of one search. What a store has no index for is looked at message by
// message, the newest first.
const (
	searchMessages = 2000
	searchTime     = 3 * time.Second
	searchChunk    = 200
	maxRoom        = 100 * time.Millisecond
	maxChunk       = 500
	searchNamed    = 2000   // devices and agents that are told by name
	searchTold     = 20_000 // deliveries in one answer
)

// Search selects traces, newest first. Empty members select all.
type Search struct {
	notify.TraceFilter // Limit is how many traces are wanted

	// A delivery must have all of Agent, Device and Reason.
	Agent  string        // an agent's id, or what is part of a name
	Device string        // a device's id, or its code with or without the hyphen
	Reason notify.Reason // of the decision or of the one before it, its detail, of the end, or of what made it decide once more

	Team          string // the message was assigned to
	ReachedNobody bool

	Text  bool // with the messages' text
	Names bool // with the names of agents and devices
}

// LooksOn reports whether the search has to look at messages it may not find: it
// neither looks one up nor takes all.
func (q *Search) LooksOn() bool {
	return q.Message == "" && q.Conversation == "" && (q.Agent != "" || q.Device != "" || q.Reason != "" || q.Team != "" || q.ReachedNobody)
}

// Found is what a search found.
type Found struct {
	Traces []Trace
	Looked int // messages looked at
	// Before is where to go on: what is older was not looked at. Zero: there is
	// nothing older.
	Before  time.Time
	Agents  map[string]string     // names by id, where asked for
	Devices map[string]DeviceName // by id, where asked for
}

// DeviceName is what a device is told by.
type DeviceName struct {
	Code     string `json:"code"`
	Label    string `json:"label,omitempty"`
	Platform string `json:"platform,omitempty"`
}

// Search finds traces. It looks at no more than 2,000 messages, for no longer than
// 3 s and until it found 20,000 deliveries, and says how far it came. Messages
// accepted at the same time are answered together, even where they are more than
// wanted.
func (h *Hub) Search(ctx context.Context, q Search) (Found, error) {
	out := Found{Traces: []Trace{}}
	var agents map[string]bool
	if q.Agent != "" {
		var err error
		if agents, err = h.agentsNamed(ctx, q.Agent); err != nil {
			return out, err
		}
	}
	device, told := deviceMatcher(q.Device), 0
	f, end := q.TraceFilter, time.Now().Add(searchTime)
	f.Limit = searchChunk
	for {
		began := time.Now()
		ms, err := h.store.Messages(ctx, f)
		if err != nil {
			return out, err
		}
		more := len(ms) == f.Limit
		if more {
			if ms = withoutLastTime(ms); len(ms) == f.Limit && f.Limit < maxChunk {
				f.Limit = maxChunk
				continue
			}
			f.Limit = searchChunk
		}
		for i := range ms {
			m := &ms[i]
			edge := out.Looked > 0 && !m.Accepted.Equal(f.Before)
			if edge && (len(out.Traces) >= q.Limit || out.Looked >= searchMessages || told >= searchTold || time.Now().After(end)) {
				out.Before = f.Before
				return h.named(ctx, q, out)
			}
			f.Before = m.Accepted
			out.Looked++
			if q.Team != "" && m.Assignment.Team != q.Team {
				continue
			}
			t, err := h.traceOf(ctx, *m, q.Text)
			if err != nil {
				return out, err
			}
			if q.selects(&t, agents, device) {
				out.Traces = append(out.Traces, t)
				told += len(t.Deliveries)
			}
		}
		if !more {
			return h.named(ctx, q, out)
		}
		if err := leaveRoom(ctx, time.Since(began)); err != nil {
			return out, err
		}
	}
}

// leaveRoom waits half as long as a part of a search took: messages come first, and
// a search takes no more than two thirds of a core.
func leaveRoom(ctx context.Context, took time.Duration) error {
	room := time.NewTimer(min(took/2, maxRoom))
	defer room.Stop()
	select {
	case <-room.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// withoutLastTime leaves out the messages of the oldest time, of which there may
// be more, unless there is no other.
func withoutLastTime(ms []notify.Message) []notify.Message {
	last := ms[len(ms)-1].Accepted
	i := slices.IndexFunc(ms, func(m notify.Message) bool { return m.Accepted.Equal(last) })
	if i == 0 {
		return ms
	}
	return ms[:i]
}

func (q *Search) selects(t *Trace, agents map[string]bool, device func(id string) bool) bool {
	if q.ReachedNobody && !t.ReachedNobody {
		return false
	}
	if q.Agent == "" && q.Device == "" && q.Reason == "" {
		return true
	}
	return slices.ContainsFunc(t.Deliveries, func(d notify.Delivery) bool {
		return (q.Agent == "" || agents[d.Agent]) && device(d.Device) &&
			(q.Reason == "" || hasReason(&d, q.Reason))
	})
}

// hasReason reports whether a delivery is what it is for this reason, among others.
func hasReason(d *notify.Delivery, r notify.Reason) bool {
	of := func(x *notify.Decision) bool { return x.Reason == r || x.Detail == r }
	return of(&d.Decision) || d.EndReason == r || d.First != nil && of(d.First) ||
		slices.ContainsFunc(d.Events, func(e notify.Event) bool {
			return e.Kind == notify.EventRedecided && e.Detail == string(r)
		})
}

// agentsNamed answers the agents that are meant: the one of this id; where there is
// none now, what is left of it and those whose name has it as a part, in any case of
// letters. It looks at no more than 20,000 agents.
func (h *Hub) agentsNamed(ctx context.Context, idOrName string) (map[string]bool, error) {
	out := map[string]bool{idOrName: true}
	if known, err := h.dir.agentsOf(ctx, []string{idOrName}); err != nil || len(known) > 0 {
		return out, err
	}
	part := strings.ToLower(strings.TrimSpace(idOrName))
	after := ""
	for looked := 0; looked < reachAgents && part != ""; looked += reachChunk {
		all, err := h.store.ListAgents(ctx, after, reachChunk)
		if err != nil {
			return nil, err
		}
		for _, a := range all {
			if strings.Contains(strings.ToLower(a.Name), part) {
				out[a.ID] = true
			}
		}
		if len(all) < reachChunk {
			break
		}
		after = all[len(all)-1].ID
	}
	return out, nil
}

// deviceMatcher reports of device ids whether they are meant by an id or a code.
func deviceMatcher(idOrCode string) func(id string) bool {
	if idOrCode == "" {
		return func(string) bool { return true }
	}
	code := strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(idOrCode), "-", ""))
	known := map[string]bool{"": false}
	return func(id string) bool {
		is, ok := known[id]
		if !ok {
			is = id == idOrCode || strings.ReplaceAll(deviceCode(id), "-", "") == code
			known[id] = is
		}
		return is
	}
}

// named adds the names of agents and devices, where asked for.
func (h *Hub) named(ctx context.Context, q Search, out Found) (Found, error) {
	if !q.Names {
		return out, nil
	}
	var agents, devices []string
	for _, t := range out.Traces {
		agents = append(agents, t.Message.Assignment.Agent)
		for _, d := range t.Deliveries {
			agents, devices = append(agents, d.Agent), append(devices, d.Device)
		}
	}
	out.Agents, out.Devices = map[string]string{}, map[string]DeviceName{}
	as, err := h.dir.agentsOf(ctx, onceEach(agents))
	if err != nil {
		return out, err
	}
	for _, a := range as {
		out.Agents[a.ID] = cmp.Or(a.Name, a.ID)
	}
	ds, err := h.dir.devicesOf(ctx, onceEach(devices))
	if err != nil {
		return out, err
	}
	for _, d := range ds {
		out.Devices[d.ID] = DeviceName{Code: deviceCode(d.ID), Label: d.Label, Platform: d.Platform}
	}
	return out, nil
}

// onceEach returns at most searchNamed of the ids, each once.
func onceEach(ids []string) []string {
	slices.Sort(ids)
	ids = slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return id == "" })
	return ids[:min(len(ids), searchNamed)]
}
