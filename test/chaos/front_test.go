//go:build linux

package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// front is where the world meets the hub.
type front struct {
	t     testing.TB
	key   string   // API key
	pages string   // host and port that pages connect to
	nodes []string // host and port of every node, each asked in turn
	http  *http.Client
	turn  atomic.Int64
}

func newFront(t testing.TB, key, pages string, nodes ...string) *front {
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return &front{t: t, key: key, pages: pages, nodes: nodes, http: &http.Client{Transport: transport, Timeout: 10 * time.Second}}
}

// statusError is an answer other than 2xx.
type statusError struct {
	status int
	said   string
}

func (e *statusError) Error() string { return strconv.Itoa(e.status) + " " + e.said }

// call does one request of the backend, or of an agent's page where header says
// so, at the node whose turn it is, and decodes the answer into out.
func (f *front) call(ctx context.Context, method, path string, header map[string]string, in, out any) error {
	return f.ask(ctx, f.nodes[int(f.turn.Add(1))%len(f.nodes)], method, path, header, in, out)
}

// ask is call at one node.
func (f *front) ask(ctx context.Context, node, method, path string, header map[string]string, in, out any) error {
	body := new(bytes.Buffer)
	if in != nil {
		if err := json.NewEncoder(body).Encode(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+node+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+f.key)
	req.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := f.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said := new(bytes.Buffer)
	if _, err := said.ReadFrom(resp.Body); err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return &statusError{resp.StatusCode, said.String()}
	}
	if out != nil && said.Len() > 0 {
		return json.Unmarshal(said.Bytes(), out)
	}
	return nil
}

// must is call where nothing may fail.
func (f *front) must(method, path string, in, out any) {
	f.t.Helper()
	if err := f.call(f.t.Context(), method, path, nil, in, out); err != nil {
		f.t.Fatalf("%s %s: %v", method, path, err)
	}
}

func token(agent string) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Subject: agent, ExpiresAt: jwt.NewNumericDate(time.Now().Add(2 * time.Hour)),
	}).SignedString([]byte(secret))
}
