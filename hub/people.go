package hub

import (
	"context"
	"slices"
	"strings"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// PutAgents upserts agents, each on its own.
func (h *Hub) PutAgents(ctx context.Context, in []AgentInput) []ItemAnswer {
	out := make([]ItemAnswer, len(in))
	for i := range in {
		out[i].ID = in[i].ID
		out[i].Status, out[i].Err = h.putAgent(ctx, &in[i])
	}
	return out
}

func (h *Hub) putAgent(ctx context.Context, in *AgentInput) (Status, error) {
	if err := checkID("id", in.ID); err != nil {
		return "", err
	}
	if in.Name != nil {
		if err := checkText("name", *in.Name, MaxName); err != nil {
			return "", err
		}
	}
	if in.Locale != nil {
		if err := checkText("locale", *in.Locale, 35); err != nil {
			return "", err
		}
	}
	if in.Preview != nil {
		if err := checkPreview(*in.Preview); err != nil {
			return "", err
		}
	}
	if in.Version < 0 {
		return "", invalid("version", "version must not be negative")
	}
	status, duty := Applied, false
	a, err := h.dir.updateAgent(ctx, in.ID, func(a *notify.Agent) error {
		status = Applied
		if in.Version != 0 && in.Version <= a.Version {
			status = Stale
			return errKeep
		}
		if in.Version != 0 {
			a.Version = in.Version
		}
		assign(&a.Name, in.Name)
		assign(&a.Locale, in.Locale)
		assign(&a.Preview, in.Preview)
		duty = in.OnDuty != nil && *in.OnDuty != a.OnDuty
		assign(&a.OnDuty, in.OnDuty)
		return nil
	})
	if err != nil || status == Stale {
		return status, err
	}
	h.tellAgentSettings(ctx, a)
	if duty {
		h.tellDuty(ctx, a)
	}
	return status, nil
}

func assign[T any](to *T, v *T) {
	if v != nil {
		*to = *v
	}
}

func checkPreview(p notify.Preview) error {
	return oneOf("preview", p, notify.PreviewFull, notify.PreviewSender, notify.PreviewNone)
}

// PutTeams upserts teams, each on its own. Joining counts from the next message on.
func (h *Hub) PutTeams(ctx context.Context, in []TeamInput) []ItemAnswer {
	out := make([]ItemAnswer, len(in))
	for i := range in {
		out[i].ID = in[i].ID
		out[i].Status, out[i].Err = h.putTeam(ctx, &in[i])
	}
	return out
}

// MaxMembers bounds a team.
const MaxMembers = 10000

func (h *Hub) putTeam(ctx context.Context, in *TeamInput) (Status, error) {
	if err := checkID("id", in.ID); err != nil {
		return "", err
	}
	if err := checkText("name", in.Name, MaxName); err != nil {
		return "", err
	}
	if in.Version < 0 {
		return "", invalid("version", "version must not be negative")
	}
	if len(in.Members) > MaxMembers {
		return "", invalid("members", "a team has at most %d members", MaxMembers)
	}
	members := slices.Clone(in.Members)
	slices.Sort(members)
	members = slices.Compact(members)
	known, err := h.dir.agentsOf(ctx, members)
	if err != nil {
		return "", err
	}
	if len(known) < len(members) {
		var unknown []string
		for _, id := range members {
			if !slices.ContainsFunc(known, func(a notify.Agent) bool { return a.ID == id }) {
				unknown = append(unknown, quote(id))
			}
		}
		return "", &Error{Kind: Invalid, Code: "unknown_agent", Field: "members", Message: "these members are no known agents, put them first: " + strings.Join(unknown[:min(len(unknown), 10)], ", ")}
	}
	status := Applied
	_, err = h.dir.updateTeam(ctx, in.ID, func(t *notify.Team) error {
		status = Applied
		if in.Version != 0 && in.Version <= t.Version {
			status = Stale
			return errKeep
		}
		if in.Version != 0 {
			t.Version = in.Version
		}
		if in.Name != "" {
			t.Name = in.Name
		}
		t.Members = members
		return nil
	})
	return status, err
}

// SetDuty puts an agent on or off duty, as the backend says.
func (h *Hub) SetDuty(ctx context.Context, agent string, on bool, version int64) (Status, error) {
	if version < 0 {
		return "", invalid("version", "version must not be negative")
	}
	status, changed := Applied, false
	a, err := h.dir.updateAgent(ctx, agent, func(a *notify.Agent) error {
		if a.Rev == 0 {
			return missing("agent", agent)
		}
		status = Applied
		if version != 0 && version <= a.DutyVersion {
			status = Stale
			return errKeep
		}
		changed = a.OnDuty != on
		if !changed && version == 0 {
			return errKeep
		}
		if version != 0 {
			a.DutyVersion = version
		}
		a.OnDuty = on
		return nil
	})
	if err == nil && changed && status == Applied {
		h.tellDuty(ctx, a)
	}
	return status, err
}

// SetOwnDuty is SetDuty by the agent's own page, where configuration lets it.
func (h *Hub) SetOwnDuty(ctx context.Context, agent string, on bool) error {
	if !h.pageDuty {
		return &Error{Kind: Forbidden, Code: "duty_is_set_elsewhere", Message: "duty is set by the backend here"}
	}
	_, err := h.SetDuty(ctx, agent, on, 0)
	return err
}

// tellDuty tells the agent's pages their duty; on duty they are shown the whole
// truth at once, without a ring.
func (h *Hub) tellDuty(ctx context.Context, a notify.Agent) {
	for _, s := range h.sockets.of(a.ID, "") {
		s.showDuty(ctx, a)
	}
	h.changed(Event{Kind: "agent", Agent: a.ID})
}

func (s *socket) showDuty(ctx context.Context, a notify.Agent) {
	s.sendDuty(a)
	if a.OnDuty {
		s.truth(ctx)
	}
}

// SetPreferences changes an agent's own preferences.
func (h *Hub) SetPreferences(ctx context.Context, agent string, in PreferencesInput) (wire.Settings, error) {
	if in.Preview != nil {
		if err := checkPreview(*in.Preview); err != nil {
			return wire.Settings{}, err
		}
	}
	if in.Locale != nil {
		if err := checkText("locale", *in.Locale, 35); err != nil {
			return wire.Settings{}, err
		}
	}
	a, err := h.dir.updateAgent(ctx, agent, func(a *notify.Agent) error {
		if a.Rev == 0 {
			return missing("agent", agent)
		}
		if in.Notifications != nil {
			a.Muted = !*in.Notifications
		}
		assign(&a.Preview, in.Preview)
		assign(&a.Locale, in.Locale)
		return nil
	})
	if err != nil {
		return wire.Settings{}, err
	}
	h.tellAgentSettings(ctx, a)
	return h.settingsOf(a, notify.Device{}), nil
}
