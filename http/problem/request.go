package problem

import (
	"context"
	"crypto/rand"
	"net/http"
)

type requestIDKey struct{}

// WithRequestID gives the request an id: the X-Request-Id it came with, if that
// is 1 to 64 characters of [A-Za-z0-9._-], or a new one.
func WithRequestID(r *http.Request) (*http.Request, string) {
	id := r.Header.Get("X-Request-Id")
	if !plain(id) {
		id = rand.Text()
	}
	return r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)), id
}

// RequestID returns the id of the request with this context, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// Instance names the request in a problem.
func Instance(r *http.Request) string {
	if id := RequestID(r.Context()); id != "" {
		return "urn:caac:request:" + id
	}
	return ""
}

func plain(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
