package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	hubhttp "caac-hub/http"
)

// controlSocket is the Unix socket in the data folder through which commands
// reach the running hub. Whoever may open the folder may do all of Admin.
const controlSocket = "control.sock"

// maxSocketPath is the longest path a Unix socket may have everywhere.
const maxSocketPath = 103

// controlRequest names one method of Admin with what it takes.
type controlRequest struct {
	Method  string        `json:"method"`
	Private bool          `json:"private,omitempty"`
	Name    string        `json:"name,omitempty"` // of a key, or the agent
	TTL     time.Duration `json:"ttl,omitempty"`  // nanoseconds
}

type controlAnswer struct {
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// listenControl opens the control socket of a data folder that this process
// holds the lock of. The answer is nil, nil where the path is too long for one.
func listenControl(dir string) (net.Listener, error) {
	path, err := filepath.Abs(filepath.Join(dir, controlSocket))
	if err != nil {
		return nil, err
	}
	if len(path) > maxSocketPath {
		return nil, nil
	}
	// A hub that was killed leaves its socket behind.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func controlHandler(a Admin, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q controlRequest
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&q); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		result, err := q.call(r.Context(), a)
		log.InfoContext(r.Context(), "operator's command", "method", q.Method, "ok", err == nil)
		var answer controlAnswer
		if err == nil {
			answer.Result, err = json.Marshal(result)
		}
		if err != nil {
			answer = controlAnswer{Error: err.Error()}
		}
		json.NewEncoder(w).Encode(answer)
	})
}

func (q controlRequest) call(ctx context.Context, a Admin) (any, error) {
	switch q.Method {
	case "vapid":
		return a.VAPID(ctx, q.Private)
	case "rotate_vapid":
		return a.RotateVAPID(ctx)
	case "create_key":
		return a.CreateKey(ctx, q.Name)
	case "keys":
		return a.Keys(ctx)
	case "revoke_key":
		return nil, a.RevokeKey(ctx, q.Name)
	case "token":
		return a.Token(ctx, q.Name, q.TTL)
	}
	return nil, fmt.Errorf("the running hub knows no method %q", q.Method)
}

// remoteAdmin asks a running hub.
type remoteAdmin struct {
	client *http.Client
}

func dialControl(ctx context.Context, dir string) (*remoteAdmin, bool) {
	path, err := filepath.Abs(filepath.Join(dir, controlSocket))
	if err != nil {
		return nil, false
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	c, err := dial(ctx, "", "")
	if err != nil {
		return nil, false
	}
	c.Close()
	return &remoteAdmin{&http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}, true
}

func (a *remoteAdmin) close() error {
	a.client.CloseIdleConnections()
	return nil
}

func (a *remoteAdmin) ask(ctx context.Context, q controlRequest, result any) error {
	body, err := json.Marshal(q)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://hub/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := a.client.Do(r)
	if err != nil {
		return fmt.Errorf("the running hub does not answer: %w", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var answer controlAnswer
	if err := json.Unmarshal(b, &answer); err != nil {
		return fmt.Errorf("the running hub answered %s", resp.Status)
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Result, result)
}

func (a *remoteAdmin) VAPID(ctx context.Context, private bool) (out []VAPIDKey, err error) {
	return out, a.ask(ctx, controlRequest{Method: "vapid", Private: private}, &out)
}

func (a *remoteAdmin) RotateVAPID(ctx context.Context) (out VAPIDKey, err error) {
	return out, a.ask(ctx, controlRequest{Method: "rotate_vapid"}, &out)
}

func (a *remoteAdmin) CreateKey(ctx context.Context, name string) (out CreatedKey, err error) {
	return out, a.ask(ctx, controlRequest{Method: "create_key", Name: name}, &out)
}

func (a *remoteAdmin) Keys(ctx context.Context) (out []hubhttp.APIKey, err error) {
	return out, a.ask(ctx, controlRequest{Method: "keys"}, &out)
}

func (a *remoteAdmin) RevokeKey(ctx context.Context, id string) error {
	return a.ask(ctx, controlRequest{Method: "revoke_key", Name: id}, nil)
}

func (a *remoteAdmin) Token(ctx context.Context, agent string, ttl time.Duration) (out Token, err error) {
	return out, a.ask(ctx, controlRequest{Method: "token", Name: agent, TTL: ttl}, &out)
}
