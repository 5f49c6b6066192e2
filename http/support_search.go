package http

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"caac-hub/hub"
	"caac-hub/hub/notify"
)

// maxSearches is how many searches run at once, so that they leave room for
// messages: each may look at 2,000. One more waits for its turn, not for long.
const (
	maxSearches = 2
	searchTurn  = 2 * time.Second
)

type traceList struct {
	Traces  []hub.Trace               `json:"traces"`
	Looked  int                       `json:"looked"`           // messages looked at
	Before  *time.Time                `json:"before,omitempty"` // the before of what follows
	Agents  map[string]string         `json:"agents,omitempty"` // names by id
	Devices map[string]hub.DeviceName `json:"devices,omitempty"`
}

func (s *Server) listTraces(c echo.Context) error {
	q, err := search(c)
	if err != nil {
		return err
	}
	if q.LooksOn() {
		turn, cancel := context.WithTimeout(c.Request().Context(), searchTurn)
		defer cancel()
		select {
		case s.searches <- struct{}{}:
			defer func() { <-s.searches }()
		case <-turn.Done():
			return &hub.Error{Kind: hub.Unavailable, Code: "busy", Message: fmt.Sprintf("%d searches are at work here right now; try again", maxSearches), RetryAfter: time.Second}
		}
	}
	found, err := s.hub.Search(c.Request().Context(), q)
	if err != nil {
		return err
	}
	out := traceList{Traces: make([]hub.Trace, len(found.Traces)), Looked: found.Looked, Agents: found.Agents, Devices: found.Devices}
	for i, t := range found.Traces {
		out.Traces[i] = withDeliveries(t)
	}
	if !found.Before.IsZero() {
		out.Before = &found.Before
	}
	return ok(c, out)
}

// search reads what is searched for.
func search(c echo.Context) (q hub.Search, err error) {
	if err := onlyQuery(c, "conversation", "message", "agent", "device", "team", "reason", "reached_nobody", "before", "limit", "text", "names"); err != nil {
		return q, err
	}
	for name, to := range map[string]*string{
		"conversation": &q.Conversation, "message": &q.Message, "agent": &q.Agent, "device": &q.Device, "team": &q.Team, "reason": (*string)(&q.Reason),
	} {
		if *to = c.QueryParam(name); len(*to) > notify.MaxID {
			return q, tooLong(name, *to)
		}
	}
	if strings.Trim(string(q.Reason), "abcdefghijklmnopqrstuvwxyz_") != "" {
		return q, &hub.Error{Kind: hub.Invalid, Code: "invalid", Field: "reason", Message: fmt.Sprintf("%.64q is no reason: small letters and _ are allowed, as in page_closed", q.Reason)}
	}
	if q.Limit, err = number(c, "limit", 500); err != nil {
		return q, err
	}
	if q.ReachedNobody, err = flag(c, "reached_nobody"); err != nil {
		return q, err
	}
	if q.Names, err = flag(c, "names"); err != nil {
		return q, err
	}
	if q.Text, err = textFor(c); err != nil {
		return q, err
	}
	if v := c.QueryParam("before"); v != "" {
		if q.Before, err = time.Parse(time.RFC3339Nano, v); err != nil {
			return q, &hub.Error{Kind: hub.Invalid, Code: "invalid", Field: "before", Message: fmt.Sprintf("%.64q is not a time as RFC 3339 writes it: 2006-01-02T15:04:05Z", v)}
		}
	}
	return q, nil
}

func tooLong(name, v string) error {
	return &hub.Error{Kind: hub.Invalid, Code: "invalid", Field: name, Message: fmt.Sprintf("%s has %d bytes; at most %d are allowed", name, len(v), notify.MaxID)}
}

func (s *Server) getTrace(c echo.Context) error {
	if err := onlyQuery(c, "text"); err != nil {
		return err
	}
	text, err := textFor(c)
	if err != nil {
		return err
	}
	t, err := s.hub.Trace(c.Request().Context(), notify.Ref{Conversation: param(c, "conversation"), Message: param(c, "message")}, text)
	if err != nil {
		return err
	}
	return ok(c, withDeliveries(t))
}

// flag returns a query parameter that is true or false; absent it is false.
func flag(c echo.Context, name string) (bool, error) {
	switch v := c.QueryParam(name); v {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, &hub.Error{Kind: hub.Invalid, Code: "invalid", Field: name, Message: fmt.Sprintf("%.32q: true or false is allowed", v)}
	}
}

func withDeliveries(t hub.Trace) hub.Trace {
	if t.Deliveries == nil {
		t.Deliveries = []notify.Delivery{}
	}
	return t
}

type reachList struct {
	Agents  []hub.ReachAgent `json:"agents"`
	Next    string           `json:"next,omitempty"` // the after of what follows
	Summary hub.ReachSummary `json:"summary"`        // of all on-duty agents
}

func (s *Server) reach(c echo.Context) error {
	if err := onlyQuery(c, "after", "limit", "team", "agent", "unreachable"); err != nil {
		return err
	}
	f := hub.ReachFilter{Team: c.QueryParam("team"), Agent: c.QueryParam("agent")}
	for name, v := range map[string]string{"team": f.Team, "agent": f.Agent} {
		if len(v) > notify.MaxID {
			return tooLong(name, v)
		}
	}
	var err error
	if f.After, f.Limit, err = page(c, 500); err != nil {
		return err
	}
	if f.Unreachable, err = flag(c, "unreachable"); err != nil {
		return err
	}
	ctx := c.Request().Context()
	r, err := s.hub.Reach(ctx, f)
	if err != nil {
		return err
	}
	sum, err := s.hub.ReachSummary(ctx)
	if err != nil {
		return err
	}
	return ok(c, reachList{r.Agents, r.Next, sum})
}

// Bounds of the stream of changes.
const (
	maxStreams   = 64
	streamGather = 250 * time.Millisecond
	streamNamed  = 100 // messages or agents named at once
	streamBeat   = 15 * time.Second
)

// changes names what changed, a few times a second at most.
type changes struct {
	Messages []notify.Ref `json:"messages"`
	Agents   []string     `json:"agents"`
	More     bool         `json:"more"` // and what is not named
}

// events streams the names of what changes until the token ends, the client goes
// or the server does. A stream is checked anew before each thing it is told.
func (s *Server) events(c echo.Context) error {
	if err := onlyQuery(c); err != nil {
		return err
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return &hub.Error{Kind: hub.Unavailable, Code: "busy", Message: fmt.Sprintf("%d streams are open here already; try again", maxStreams), RetryAfter: 5 * time.Second}
	}
	w, r := c.Response(), c.Request()
	news := s.hub.Watch(r.Context())
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w.Writer)
	send := func(b []byte) bool {
		if _, err := s.supportPass(r); err != nil {
			return false
		}
		rc.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, err := w.Write(b)
		return err == nil && rc.Flush() == nil
	}
	beat, gather := time.NewTicker(streamBeat), time.NewTimer(streamGather)
	defer beat.Stop()
	defer gather.Stop()
	gather.Stop()
	waiting, refs, agents, more := false, map[notify.Ref]bool{}, map[string]bool{}, false
	good := send([]byte(": welcome\n\n"))
	for good {
		select {
		case <-r.Context().Done():
			return nil
		case <-s.ended:
			return nil
		case <-beat.C:
			good = send([]byte(": still here\n\n"))
		case e, open := <-news:
			if !open {
				return nil
			}
			switch {
			case len(refs)+len(agents) >= streamNamed:
				more = true
			case e.Message != "":
				refs[notify.Ref{Conversation: e.Conversation, Message: e.Message}] = true
			case e.Agent != "":
				agents[e.Agent] = true
			default:
				continue
			}
			if !waiting {
				waiting = true
				gather.Reset(streamGather)
			}
		case <-gather.C:
			good = send(changed(refs, agents, more))
			clear(refs)
			clear(agents)
			waiting, more = false, false
		}
	}
	return nil
}

// changed is one event of the stream (HTML Living Standard, section 9.2).
func changed(refs map[notify.Ref]bool, agents map[string]bool, more bool) []byte {
	c := changes{Messages: []notify.Ref{}, Agents: []string{}, More: more}
	for r := range refs {
		c.Messages = append(c.Messages, r)
	}
	for a := range agents {
		c.Agents = append(c.Agents, a)
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return fmt.Appendf(nil, "event: changed\ndata: %s\n\n", b)
}
