package http

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"caac-hub/hub"
	"caac-hub/hub/notify"
)

// maxUnread is how many conversations an unread answer lists.
const maxUnread = 200

func (s *Server) putAgent(c echo.Context) error {
	var in hub.AgentInput
	if err := s.read(c, &in); err != nil {
		return err
	}
	if err := named(c, &in.ID); err != nil {
		return err
	}
	return upsertOne(c, s.hub.PutAgents(c.Request().Context(), []hub.AgentInput{in}))
}

func (s *Server) putTeam(c echo.Context) error {
	var in hub.TeamInput
	if err := s.read(c, &in); err != nil {
		return err
	}
	if err := named(c, &in.ID); err != nil {
		return err
	}
	return upsertOne(c, s.hub.PutTeams(c.Request().Context(), []hub.TeamInput{in}))
}

func upsertOne(c echo.Context, as []hub.ItemAnswer) error {
	if err := as[0].Err; err != nil {
		return err
	}
	return ok(c, upserted{as[0].ID, as[0].Status})
}

func (s *Server) putAgents(c echo.Context) error {
	return bulk(s, c, "agents", func(in []hub.AgentInput) []item {
		return upsertItems(s.hub.PutAgents(c.Request().Context(), in))
	})
}

func (s *Server) putTeams(c echo.Context) error {
	return bulk(s, c, "teams", func(in []hub.TeamInput) []item {
		return upsertItems(s.hub.PutTeams(c.Request().Context(), in))
	})
}

func upsertItems(as []hub.ItemAnswer) []item {
	out := make([]item, len(as))
	for i, a := range as {
		if a.Err != nil {
			out[i] = failed(a.Err)
			continue
		}
		out[i] = good(http.StatusOK, upserted{a.ID, a.Status})
	}
	return out
}

type agentList struct {
	Agents []hub.AgentInfo `json:"agents"`
	Next   string          `json:"next,omitempty"` // the after of what follows
}

func (s *Server) listAgents(c echo.Context) error {
	if err := onlyQuery(c, "after", "limit"); err != nil {
		return err
	}
	after, limit, err := page(c, 500)
	if err != nil {
		return err
	}
	as, err := s.hub.ListAgents(c.Request().Context(), after, limit)
	if err != nil {
		return err
	}
	out := agentList{Agents: as}
	if as == nil {
		out.Agents = []hub.AgentInfo{}
	}
	if len(as) == limit {
		out.Next = as[limit-1].ID
	}
	return ok(c, out)
}

func (s *Server) getAgent(c echo.Context) error {
	a, err := s.hub.Agent(c.Request().Context(), param(c, "id"))
	if err != nil {
		return err
	}
	return ok(c, withLogins(a))
}

func withLogins(a hub.AgentInfo) hub.AgentInfo {
	if a.Logins == nil {
		a.Logins = []hub.LoginInfo{}
	}
	return a
}

type teamList struct {
	Teams []notify.Team `json:"teams"`
	Next  string        `json:"next,omitempty"`
}

func (s *Server) listTeams(c echo.Context) error {
	if err := onlyQuery(c, "after", "limit"); err != nil {
		return err
	}
	after, limit, err := page(c, 500)
	if err != nil {
		return err
	}
	ts, err := s.hub.ListTeams(c.Request().Context(), after, limit)
	if err != nil {
		return err
	}
	out := teamList{Teams: ts}
	if ts == nil {
		out.Teams = []notify.Team{}
	}
	if len(ts) == limit {
		out.Next = ts[limit-1].ID
	}
	return ok(c, out)
}

func (s *Server) getTeam(c echo.Context) error {
	t, err := s.hub.Team(c.Request().Context(), param(c, "id"))
	if err != nil {
		return err
	}
	return ok(c, t)
}

type dutyInput struct {
	OnDuty  *bool `json:"on_duty"`
	Version int64 `json:"version,omitempty"`
}

func (s *Server) setDuty(c echo.Context) error {
	var in dutyInput
	if err := s.read(c, &in); err != nil {
		return err
	}
	if in.OnDuty == nil {
		return required("on_duty")
	}
	id := param(c, "id")
	st, err := s.hub.SetDuty(c.Request().Context(), id, *in.OnDuty, in.Version)
	if err != nil {
		return err
	}
	return ok(c, upserted{id, st})
}

func required(field string) error {
	return &hub.Error{Kind: hub.Invalid, Code: "invalid", Field: field, Message: field + " is required"}
}

func (s *Server) agentUnread(c echo.Context) error { return s.unread(c, param(c, "id")) }

func (s *Server) unread(c echo.Context, agent string) error {
	u, err := s.hub.Unread(c.Request().Context(), agent, maxUnread)
	if err != nil {
		return err
	}
	if u.Conversations == nil {
		u.Conversations = []notify.ConversationUnread{}
	}
	return ok(c, u)
}

type readInput struct {
	Conversation string `json:"conversation"`
	Upto         int64  `json:"upto"`
}

func (s *Server) agentRead(c echo.Context) error { return s.markRead(c, param(c, "id")) }

func (s *Server) markRead(c echo.Context, agent string) error {
	var in readInput
	if err := s.read(c, &in); err != nil {
		return err
	}
	if in.Conversation == "" {
		return required("conversation")
	}
	if in.Upto < 1 {
		return &hub.Error{Kind: hub.Invalid, Code: "invalid", Field: "upto", Message: "upto is the seq of the newest message read: at least 1"}
	}
	if err := s.hub.Read(c.Request().Context(), agent, in.Conversation, in.Upto); err != nil {
		return err
	}
	return done(c)
}

type loginList struct {
	Logins []hub.LoginInfo `json:"logins"`
}

func (s *Server) agentLogins(c echo.Context) error {
	ls, err := s.hub.Devices(c.Request().Context(), param(c, "id"), "")
	if err != nil {
		return err
	}
	return ok(c, logins(ls))
}

func logins(ls []hub.LoginInfo) loginList {
	if ls == nil {
		ls = []hub.LoginInfo{}
	}
	return loginList{ls}
}

type ended struct {
	Ended int `json:"ended"` // how many logins did
}

// endLogins ends one login, or all where the path names no device.
func (s *Server) endLogins(c echo.Context) error {
	if strings.HasSuffix(c.Path(), ":device") && param(c, "device") == "" {
		return required("device")
	}
	n, err := s.hub.EndLogins(c.Request().Context(), param(c, "id"), param(c, "device"))
	if err != nil {
		return err
	}
	return ok(c, ended{n})
}

func (s *Server) getDevice(c echo.Context) error {
	d, err := s.hub.Device(c.Request().Context(), param(c, "id"))
	if err != nil {
		return err
	}
	if d.Agents == nil {
		d.Agents = []string{}
	}
	return ok(c, d)
}
