package http

import (
	"fmt"
	"slices"

	"github.com/labstack/echo/v4"

	"caac-hub/hub"
	"caac-hub/hub/notify"
)

// Bounds of one try.
const (
	maxTryAgents = 50
	maxTryLogins = 20
)

// tryInput is a world made up, and to whom its message is assigned.
type tryInput struct {
	Assignment struct {
		Agent string `json:"agent,omitempty"`
		Team  bool   `json:"team,omitempty"` // all the agents are the team
	} `json:"assignment"`
	Agents []tryAgent `json:"agents"`
}

type tryAgent struct {
	ID     string     `json:"id"`
	OnDuty bool       `json:"on_duty"`
	Muted  bool       `json:"muted,omitempty"`
	Logins []tryLogin `json:"logins,omitempty"`
}

type tryLogin struct {
	Device     string            `json:"device"`
	Page       string            `json:"page"` // closed, hidden, visible, active, or viewing: active with the message's conversation
	On         bool              `json:"on"`
	Permission notify.Permission `json:"permission"`
	Subscribed bool              `json:"subscribed,omitempty"`
	Lapsed     bool              `json:"lapsed,omitempty"` // a hidden page counts as hidden because it stopped renewing its claim to be visible
	Rang       bool              `json:"rang,omitempty"`   // it rang for this conversation within the last 5 s
}

// tried is what would happen. It reaches somebody where one of the decisions does.
type tried struct {
	Decisions []triedDecision `json:"decisions"`
}

type triedDecision struct {
	notify.Decision
	Row     int  `json:"row,omitempty"`   // of the rules; absent: none of them
	Reaches bool `json:"reaches"`         // somebody would notice it
	Waits   bool `json:"waits,omitempty"` // a ring that waits for the end of the burst, and then says how many messages wait
	// Unconfirmed is what follows where the page doesn't confirm it.
	Unconfirmed *notify.Decision `json:"unconfirmed,omitempty"`
}

func (s *Server) tryRules(c echo.Context) error {
	var in tryInput
	if err := s.read(c, &in); err != nil {
		return err
	}
	v, m, err := in.view()
	if err != nil {
		return err
	}
	ds := notify.Decide(v, m)
	out := tried{make([]triedDecision, len(ds))}
	for i, d := range ds {
		out.Decisions[i] = in.tried(v, d)
	}
	return ok(c, out)
}

// tried says of a decision what would come of it.
func (in *tryInput) tried(v notify.View, d notify.Decision) triedDecision {
	out := triedDecision{Decision: d, Row: notify.Row(d)}
	for i, a := range v.Agents {
		for j, l := range a.Logins {
			if a.ID != d.Agent || l.Device != d.Device {
				continue
			}
			out.Reaches = notify.Reaches(d, l.Presence())
			if d.Channel == notify.InApp || d.Channel == notify.Local {
				second := notify.DecideUnconfirmed(a, l)
				out.Unconfirmed = &second
			}
			out.Waits = in.Agents[i].Logins[j].Rang && (d.Channel == notify.Push || d.Channel == notify.Local)
		}
	}
	return out
}

// view is the world as the rules see it.
func (in *tryInput) view() (notify.View, *notify.Message, error) {
	const conversation = "c"
	if len(in.Agents) > maxTryAgents {
		return notify.View{}, nil, wrong("agents", "%d agents; at most %d are allowed", len(in.Agents), maxTryAgents)
	}
	v := notify.View{Assignment: notify.Assignment{Agent: in.Assignment.Agent}}
	if in.Assignment.Team {
		v.Assignment.Team = "t"
	}
	for i, a := range in.Agents {
		at := fmt.Sprintf("agents[%d]", i)
		if a.ID == "" || len(a.ID) > notify.MaxID || slices.Contains(v.Members, a.ID) {
			return v, nil, wrong(at+".id", "%.128q: an id of 1 to %d bytes that no other agent has is needed", a.ID, notify.MaxID)
		}
		if len(a.Logins) > maxTryLogins {
			return v, nil, wrong(at+".logins", "%d logins; at most %d are allowed", len(a.Logins), maxTryLogins)
		}
		av := notify.AgentView{ID: a.ID, OnDuty: a.OnDuty, Muted: a.Muted}
		for j, l := range a.Logins {
			lv, err := l.view(fmt.Sprintf("%s.logins[%d]", at, j), conversation)
			if err == nil && slices.ContainsFunc(av.Logins, func(o notify.LoginView) bool { return o.Device == l.Device }) {
				err = wrong(fmt.Sprintf("%s.logins[%d].device", at, j), "%.128q is a device that another login of the agent has", l.Device)
			}
			if err != nil {
				return v, nil, err
			}
			av.Logins = append(av.Logins, lv)
		}
		v.Members, v.Agents = append(v.Members, a.ID), append(v.Agents, av)
	}
	return v, &notify.Message{Conversation: conversation, ID: "m"}, nil
}

var tryPages = map[string]notify.Presence{
	"closed": notify.Closed, "hidden": notify.Hidden, "visible": notify.Visible, "active": notify.Active, "viewing": notify.Active,
}

func (l tryLogin) view(at, conversation string) (notify.LoginView, error) {
	v := notify.LoginView{Device: l.Device, SwitchOff: !l.On, Permission: l.Permission, Subscribed: l.Subscribed}
	if l.Device == "" || len(l.Device) > notify.MaxID {
		return v, wrong(at+".device", "%.128q: an id of 1 to %d bytes is needed", l.Device, notify.MaxID)
	}
	switch l.Permission {
	case notify.Granted, notify.Denied, notify.NotAsked:
	default:
		return v, wrong(at+".permission", "%.32q: granted, denied or default is allowed", l.Permission)
	}
	p, ok := tryPages[l.Page]
	if !ok {
		return v, wrong(at+".page", "%.32q: closed, hidden, visible, active or viewing is allowed", l.Page)
	}
	if l.Lapsed && p != notify.Hidden {
		return v, wrong(at+".lapsed", "a page that is %.32s: only a hidden one can have stopped renewing its claim", l.Page)
	}
	if p != notify.Closed {
		socket := notify.SocketView{ID: "s", Presence: p, Lapsed: l.Lapsed}
		if l.Page == "viewing" {
			socket.Viewing = conversation
		}
		v.Sockets = []notify.SocketView{socket}
	}
	return v, nil
}

func wrong(field, format string, a ...any) error {
	return &hub.Error{Kind: hub.Invalid, Code: "invalid", Field: field, Message: fmt.Sprintf(format, a...)}
}
