package hub

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"caac-hub/hub/notify"
)

// Agent shows one agent with their logins.
func (h *Hub) Agent(ctx context.Context, id string) (AgentInfo, error) {
	a, err := h.dir.agent(ctx, id)
	if err != nil {
		return AgentInfo{}, err
	}
	return h.agentInfo(ctx, a)
}

// ListAgents lists agents by id, after the given one.
func (h *Hub) ListAgents(ctx context.Context, after string, limit int) ([]AgentInfo, error) {
	agents, err := h.store.ListAgents(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	out := make([]AgentInfo, 0, len(agents))
	for _, a := range agents {
		info, err := h.agentInfo(ctx, a)
		if err != nil {
			return nil, err
		}
		out = append(out, info)
	}
	return out, nil
}

func (h *Hub) agentInfo(ctx context.Context, a notify.Agent) (AgentInfo, error) {
	info := AgentInfo{
		ID: a.ID, Name: a.Name, Locale: a.Locale, OnDuty: a.OnDuty, Notifications: !a.Muted,
		Preview: h.settingsOf(a, notify.Device{}).Preview, Version: a.Version, Logins: make([]LoginInfo, 0, len(a.Logins)),
	}
	snap, err := h.dir.view(ctx, []string{a.ID})
	if err != nil {
		return info, err
	}
	snap.withSockets(h.sockets)
	for _, l := range a.Logins {
		d := snap.devices[l.Device]
		_, v, _ := snap.login(a.ID, l.Device)
		info.Logins = append(info.Logins, h.loginInfo(a.ID, l, d, v))
	}
	return info, nil
}

func (h *Hub) loginInfo(agent string, l notify.Login, d notify.Device, v notify.LoginView) LoginInfo {
	li := LoginInfo{
		Agent: agent, Device: l.Device, Code: deviceCode(l.Device), Label: d.Label, Platform: d.Platform,
		Place: l.Place, Since: l.Since, Seen: l.Seen, Presence: v.Presence(), Sockets: len(v.Sockets), Settings: h.deviceSettings(d),
	}
	for _, s := range v.Sockets {
		if s.Presence == notify.Active {
			li.Viewing = s.Viewing
		}
	}
	return li
}

// Team shows one team.
func (h *Hub) Team(ctx context.Context, id string) (notify.Team, error) { return h.dir.team(ctx, id) }

// ListTeams lists teams by id, after the given one.
func (h *Hub) ListTeams(ctx context.Context, after string, limit int) ([]notify.Team, error) {
	return h.store.ListTeams(ctx, after, limit)
}

// Conversation shows one conversation.
func (h *Hub) Conversation(ctx context.Context, id string) (notify.Conversation, error) {
	c, err := h.store.Conversation(ctx, id)
	if errors.Is(err, notify.ErrNotFound) {
		return c, missing("conversation", id)
	}
	return c, err
}

// Device shows one device.
func (h *Hub) Device(ctx context.Context, id string) (DeviceInfo, error) {
	d, err := h.dir.device(ctx, id)
	if err != nil {
		return DeviceInfo{}, err
	}
	return DeviceInfo{
		ID: d.ID, Code: deviceCode(d.ID), Label: d.Label, Platform: d.Platform, Created: d.Created, Seen: d.Seen,
		Agents: append([]string{}, d.Agents...), Settings: h.deviceSettings(d), Host: h.pushHost(d.ID),
	}, nil
}

// Unread shows an agent's unread with at most limit conversations.
func (h *Hub) Unread(ctx context.Context, agent string, limit int) (UnreadInfo, error) {
	if _, err := h.dir.agent(ctx, agent); err != nil {
		return UnreadInfo{}, err
	}
	u, err := h.store.Unread(ctx, agent, limit)
	return UnreadInfo{
		Agent: agent, Version: u.Version, Total: u.Total,
		Conversations: append([]notify.ConversationUnread{}, u.Conversations...),
	}, err
}

// Trace answers everything that happened to a message. Its text is left out
// unless asked for.
func (h *Hub) Trace(ctx context.Context, ref notify.Ref, text bool) (Trace, error) {
	m, err := h.store.Message(ctx, ref)
	if errors.Is(err, notify.ErrNotFound) {
		return Trace{}, missing("message", ref.Message)
	}
	if err != nil {
		return Trace{}, err
	}
	return h.traceOf(ctx, m, text)
}

// Traces answers the traces of the messages selected, newest first.
func (h *Hub) Traces(ctx context.Context, f notify.TraceFilter, text bool) ([]Trace, error) {
	ms, err := h.store.Messages(ctx, f)
	if err != nil {
		return nil, err
	}
	out := make([]Trace, 0, len(ms))
	for _, m := range ms {
		t, err := h.traceOf(ctx, m, text)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func (h *Hub) traceOf(ctx context.Context, m notify.Message, text bool) (Trace, error) {
	m.Hash = ""
	if !text {
		m.Text, m.Thumbnail = "", ""
	}
	t := Trace{Message: m, Deliveries: []notify.Delivery{}}
	fs, err := h.store.Fanouts(ctx, m.Ref())
	if err != nil {
		return t, err
	}
	t.Pending = len(fs) == 0
	for i := range fs {
		f := &fs[i]
		if !f.Ended() {
			o := &traceOp{opResult: awaited(), ref: m.Ref()}
			h.at(f.Partition, o)
			if err := o.wait(ctx); err != nil {
				return t, err
			}
			if o.found != nil {
				f = o.found
			}
		}
		if t.Decided.IsZero() || f.Decided.Before(t.Decided) {
			t.Decided = f.Decided
		}
		t.Pending = t.Pending || !f.Ended() || len(fs) < len(f.Parts)
		t.Deliveries = append(t.Deliveries, f.Deliveries...)
	}
	slices.SortStableFunc(t.Deliveries, func(a, b notify.Delivery) int {
		if c := strings.Compare(a.Agent, b.Agent); c != 0 {
			return c
		}
		return strings.Compare(a.Device, b.Device)
	})
	t.ReachedNobody = !t.Pending && reachedNobody(t.Deliveries)
	for _, d := range t.Deliveries {
		t.Reached = t.Reached || d.End == notify.Acknowledged || d.End == notify.PushAccepted
		if t.ReachedNobody && !slices.Contains(t.Causes, d.EndReason) {
			t.Causes = append(t.Causes, d.EndReason)
		}
	}
	return t, nil
}

func reachedNobody(ds []notify.Delivery) bool {
	for _, d := range ds {
		if d.End != notify.EndNone && d.End != notify.Failed {
			return false
		}
	}
	return true
}

// traceOp reads a record that has not ended, with what pages have acknowledged
// since it was written.
type traceOp struct {
	opResult
	ref   notify.Ref
	found *notify.Fanout
}

func (o *traceOp) call() call { return call{Trace: &o.ref} }
func (o *traceOp) again()     {}

func (o *traceOp) stage(s *step) error {
	f, err := s.stored(o.ref)
	if errors.Is(err, notify.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for i := range f.Deliveries {
		d := &f.Deliveries[i]
		if fl := s.p.flights[d.ID]; fl != nil && fl.isAcked() && d.End == "" {
			fl.fold(d)
		}
	}
	o.found = &f
	return nil
}

// watchers are told what changes.
type watchers struct {
	mu  sync.Mutex
	all map[chan Event]struct{}
}

// Watch reports what changes until ctx ends, then closes the channel. A watcher
// that doesn't keep up loses the oldest.
func (h *Hub) Watch(ctx context.Context) <-chan Event {
	ch := make(chan Event, 256)
	h.watch.mu.Lock()
	h.watch.all[ch] = struct{}{}
	h.watch.mu.Unlock()
	poke(h.peers.hurry)
	context.AfterFunc(ctx, func() {
		h.watch.mu.Lock()
		defer h.watch.mu.Unlock()
		delete(h.watch.all, ch)
		close(ch)
	})
	return ch
}

func (h *Hub) changed(e Event) {
	h.watch.tell(e)
	h.peers.event(e)
}

// watched reports whether somebody watches here.
func (h *Hub) watched() bool {
	h.watch.mu.Lock()
	defer h.watch.mu.Unlock()
	return len(h.watch.all) > 0
}

func (w *watchers) tell(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.all {
		select {
		case ch <- e:
			continue
		default:
		}
		select {
		case <-ch:
		default:
		}
		select {
		case ch <- e:
		default:
		}
	}
}
