package http

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"caac-hub/http/problem"
	"caac-hub/hub"
)

func (s *Server) putConversation(c echo.Context) error {
	var in hub.ConversationInput
	if err := s.read(c, &in); err != nil {
		return err
	}
	if err := named(c, &in.ID); err != nil {
		return err
	}
	st, err := s.hub.PutConversation(c.Request().Context(), in)
	if err != nil {
		return err
	}
	return ok(c, upserted{in.ID, st})
}

func (s *Server) getConversation(c echo.Context) error {
	v, err := s.hub.Conversation(c.Request().Context(), param(c, "id"))
	if err != nil {
		return err
	}
	return ok(c, v)
}

type answeredInput struct {
	Upto int64 `json:"upto,omitempty"` // seq; 0: everything so far
}

func (s *Server) answered(c echo.Context) error {
	var in answeredInput
	if hasBody(c.Request()) {
		if err := s.read(c, &in); err != nil {
			return err
		}
	}
	if in.Upto < 0 {
		return &hub.Error{Kind: hub.Invalid, Code: "invalid", Field: "upto", Message: "upto is a seq: at least 1, or 0 for everything so far"}
	}
	if err := s.hub.Answered(c.Request().Context(), param(c, "id"), in.Upto); err != nil {
		return err
	}
	return done(c)
}

func hasBody(r *http.Request) bool { return r.ContentLength != 0 }

// postMessage is the hot path: one read into a kept buffer, one decode.
func (s *Server) postMessage(c echo.Context) error {
	var in [1]hub.MessageInput
	if err := s.read(c, &in[0]); err != nil {
		return err
	}
	a := s.hub.Messages(c.Request().Context(), in[:])[0]
	if a.Err != nil {
		return a.Err
	}
	return c.JSON(http.StatusAccepted, a.MessageAnswer)
}

func (s *Server) postMessages(c echo.Context) error {
	return bulk(s, c, "messages", func(in []hub.MessageInput) []item {
		as := s.hub.Messages(c.Request().Context(), in)
		out := make([]item, len(as))
		for i, a := range as {
			if a.Err != nil {
				out[i] = failed(a.Err)
				continue
			}
			out[i] = good(http.StatusAccepted, a.MessageAnswer)
		}
		return out
	})
}

// bulk reads {name: [item, ...]}, decodes each item by itself and hands those
// that are good to do, whose answers are parallel to what it is given.
func bulk[T any](s *Server, c echo.Context, name string, do func([]T) []item) error {
	var body map[string]rawItems
	if err := problem.Read(c.Response(), c.Request(), s.limits.BulkBody, &body); err != nil {
		return err
	}
	for k := range body {
		if k != name {
			return &hub.Error{Kind: hub.Invalid, Code: "unknown_field", Field: k, Message: fmt.Sprintf("there is no member %.128q here; %q holds the items", k, name)}
		}
	}
	raw := body[name]
	if len(raw) == 0 {
		return &hub.Error{Kind: hub.Invalid, Code: "invalid", Field: name, Message: fmt.Sprintf("%q must hold 1 to %d items", name, s.limits.Batch)}
	}
	if len(raw) > s.limits.Batch {
		return &hub.Error{Kind: hub.TooLarge, Code: "batch_too_large", Field: name, Message: fmt.Sprintf("at most %d items are allowed", s.limits.Batch)}
	}
	out := make([]item, len(raw))
	in := make([]T, 0, len(raw))
	at := make([]int, 0, len(raw)) // in[i] is item at[i]
	for i, b := range raw {
		var v T
		if err := problem.Decode(b, &v); err != nil {
			out[i] = failed(err)
			continue
		}
		in, at = append(in, v), append(at, i)
	}
	if len(in) > 0 {
		for i, a := range do(in) {
			out[at[i]] = a
		}
	}
	return ok(c, items{out})
}

// rawItems are the items of a bulk body, at most one more than there may be: in
// 12 MiB are millions.
type rawItems []json.RawMessage

// UnmarshalJSON implements json.Unmarshaler.
func (r *rawItems) UnmarshalJSON(b []byte) error {
	if b[0] != '[' {
		return json.Unmarshal(b, (*[]json.RawMessage)(r))
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() && len(*r) <= maxBatch {
		var one json.RawMessage
		if err := d.Decode(&one); err != nil {
			return err
		}
		*r = append(*r, one)
	}
	return nil
}

type deadList struct {
	Dead []hub.DeadWork `json:"dead"`
}

func (s *Server) outbox(c echo.Context) error {
	if err := onlyQuery(c, "limit"); err != nil {
		return err
	}
	limit, err := number(c, "limit", 500)
	if err != nil {
		return err
	}
	d, err := s.hub.Dead(c.Request().Context(), limit)
	if err != nil {
		return err
	}
	if d == nil {
		d = []hub.DeadWork{}
	}
	return ok(c, deadList{d})
}

type retryInput struct {
	Key string `json:"key,omitempty"` // empty: all
}

type retried struct {
	Retried int `json:"retried"`
}

func (s *Server) retryOutbox(c echo.Context) error {
	var in retryInput
	if hasBody(c.Request()) {
		if err := s.read(c, &in); err != nil {
			return err
		}
	}
	n, err := s.hub.RetryDead(c.Request().Context(), in.Key)
	if err != nil {
		return err
	}
	return ok(c, retried{n})
}
