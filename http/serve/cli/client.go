package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"caac-hub/config"
	"caac-hub/http/problem"
	"caac-hub/http/serve"
)

// address is the flag of commands that ask a running hub.
type address struct {
	URL string `placeholder:"ORIGIN" help:"The hub to ask; default the configured listen address on this machine."`
}

// client asks a running hub's API.
type client struct {
	base string
	key  string
	http *http.Client
}

// client finds the hub and a key to show it.
func (a address) client(w *world) (*client, error) {
	c, err := w.load()
	if err != nil {
		return nil, err
	}
	base, err := a.base(c)
	if err != nil {
		return nil, err
	}
	key := c.APIKey
	if key == "" && c.Redis.URL != "" {
		return nil, usage("no API key: set CAAC_API_KEY or CAAC_API_KEY_FILE; %s apikey create NAME makes one", w.Command)
	}
	if key == "" {
		file := filepath.Join(c.DataDir, serve.FirstKeyFile)
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, usage("no API key: set CAAC_API_KEY or CAAC_API_KEY_FILE (%s, where the hub's first start leaves one, can't be read)", file)
		}
		key = strings.TrimSpace(string(b))
	}
	return &client{base, key, &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}}, nil
}

func (a address) base(c config.Config) (string, error) {
	if a.URL != "" {
		u, err := url.Parse(a.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return "", usage("--url %q: want an origin such as http://localhost:8080", a.URL)
		}
		return strings.TrimSuffix(a.URL, "/"), nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "", err
	}
	if port == "0" {
		return "", usage("the configuration listens on any free port: say with --url which one it is")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// ask sends a JSON body, if one is given, and returns the JSON of a good answer.
func (c *client) ask(ctx context.Context, method, path string, body any) ([]byte, error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, in)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Authorization", "Bearer "+c.key)
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, coded{unreachable(c.base, err), Unreachable}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, coded{unreachable(c.base, err), Unreachable}
	}
	if resp.StatusCode/100 == 2 {
		return b, nil
	}
	var p problem.Problem
	if json.Unmarshal(b, &p) != nil || p.Detail == "" {
		return nil, fmt.Errorf("%s answered %s", c.base, resp.Status)
	}
	if p.Field != "" {
		return nil, fmt.Errorf("%d %s (%s): %s", p.Status, p.Code, p.Field, p.Detail)
	}
	return nil, fmt.Errorf("%d %s: %s", p.Status, p.Code, p.Detail)
}

func unreachable(base string, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("no hub answers at %s: %w", base, err)
}

type healthCmd struct {
	address
	Live bool `help:"Ask only whether it lives (/livez), not whether it takes messages (/readyz)."`
}

func (healthCmd) Help() string {
	return "Prints the answer; exits 0 if it is good and 1 if not, an absent hub included.\n\nExample:\n  caac-hub health"
}

func (h *healthCmd) Run(ctx context.Context, w *world) error {
	c, err := w.load()
	if err != nil {
		return err
	}
	base, err := h.base(c)
	if err != nil {
		return err
	}
	path := "/readyz"
	if h.Live {
		path = "/livez"
	}
	_, err = (&client{base: base, http: &http.Client{Timeout: 2500 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}}).ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return coded{err, Failed}
	}
	w.printf("%s: ok\n", path)
	return nil
}
