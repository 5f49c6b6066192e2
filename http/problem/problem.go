// Package problem answers errors as problem details (RFC 9457) and reads JSON
// bodies strictly. It is the one place where the hub's errors become statuses.
package problem

import (
	"cmp"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"caac-hub/hub"
)

// ContentType of a problem (RFC 9457 section 6.1).
const ContentType = "application/problem+json"

// Problem is the body of every answer that is an error.
type Problem struct {
	Type     string `json:"type"`  // urn:caac:problem: and the code
	Title    string `json:"title"` // the status in words
	Status   int    `json:"status"`
	Code     string `json:"code"`               // stable, snake_case, for programs
	Detail   string `json:"detail"`             // what was wrong and what is allowed, for people
	Field    string `json:"field,omitempty"`    // JSON path of the offending member
	Instance string `json:"instance,omitempty"` // names this request, as the log does
}

// Status returns the HTTP status of a kind of error.
func Status(k hub.Kind) int {
	switch k {
	case hub.Invalid:
		return http.StatusBadRequest
	case hub.Unauthorized:
		return http.StatusUnauthorized
	case hub.Forbidden:
		return http.StatusForbidden
	case hub.NotFound:
		return http.StatusNotFound
	case hub.Conflict:
		return http.StatusConflict
	case hub.TooLarge:
		return http.StatusRequestEntityTooLarge
	case hub.TooMany:
		return http.StatusTooManyRequests
	case hub.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// New returns the problem of an error. Its detail never holds what is for
// operators only.
func New(err error) Problem {
	e := hub.AsError(err)
	p := withStatus(Status(e.Kind), e.Code, e.Message)
	p.Field = e.Field
	return p
}

// Write answers the request with the error: status, problem and the headers the
// status asks for. An error of ours goes to the log under the request's id.
func Write(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	var s *StatusError
	if errors.As(err, &s) {
		p := withStatus(s.Status, s.Code, s.Message)
		p.Instance = Instance(r)
		send(w, p)
		return
	}
	e := hub.AsError(err)
	p := New(e)
	p.Instance = Instance(r)
	h := w.Header()
	switch e.Kind {
	case hub.Unauthorized:
		h.Set("WWW-Authenticate", challenge(r, e.Code))
	case hub.TooMany, hub.Unavailable:
		h.Set("Retry-After", retryAfter(e.RetryAfter))
	}
	switch {
	case e.Kind == hub.Internal:
		log.ErrorContext(r.Context(), "request failed", "request", RequestID(r.Context()), "method", r.Method, "path", r.URL.Path, "err", err)
	case e.Kind == hub.Unavailable && e.Err != nil:
		log.WarnContext(r.Context(), "request refused", "request", RequestID(r.Context()), "method", r.Method, "path", r.URL.Path, "err", err)
	}
	send(w, p)
}

// StatusError is an error of HTTP itself, with a status no hub.Kind has.
type StatusError struct {
	Status  int
	Code    string
	Message string
}

func (e *StatusError) Error() string { return e.Code + ": " + e.Message }

func withStatus(status int, code, detail string) Problem {
	return Problem{Type: "urn:caac:problem:" + code, Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// send writes the problem; a body that follows an error is never cached.
func send(w http.ResponseWriter, p Problem) {
	b, err := json.Marshal(p)
	if err != nil {
		b = []byte(`{"type":"about:blank"}`)
	}
	h := w.Header()
	h.Del("ETag")
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	w.Write(b)
}

// challenge is RFC 6750 section 3: no error code where no token was sent.
func challenge(r *http.Request, code string) string {
	if r.Header.Get("Authorization") == "" {
		return `Bearer realm="caac"`
	}
	return `Bearer realm="caac", error="invalid_token", error_description="` + cmp.Or(code, "unauthorized") + `"`
}

// retryAfter is in whole seconds, at least one (RFC 9110 section 10.2.3).
func retryAfter(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}
