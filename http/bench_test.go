package http

import (
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"caac-hub/http/problem"
	"caac-hub/hub"
)

// BenchmarkReadMessage is what the hot path costs beside net/http and the hub:
// the API key, the body and its strict decode.
func BenchmarkReadMessage(b *testing.B) {
	const body = `{"id":"m-1042","conversation":{"id":"c-7","contact":"A contact","assignment":{"agent":"mei","version":3}},"kind":"text","text":"Is it still in stock? I would take two of them today.","at":"2026-11-22T16:00:00Z"}`
	store := &metaStore{}
	key, _, err := CreateAPIKey(context.Background(), store, "bench")
	if err != nil {
		b.Fatal(err)
	}
	keys := NewAPIKeys(store)
	r := httptest.NewRequest("POST", "/v1/messages", nil)
	r.Header.Set("Content-Type", "application/json")
	b.ReportAllocs()
	for b.Loop() {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		if _, err := keys.Verify(r.Context(), key); err != nil {
			b.Fatal(err)
		}
		var in hub.MessageInput
		if err := problem.Read(nil, r, 128<<10, &in); err != nil {
			b.Fatal(err)
		}
	}
}
