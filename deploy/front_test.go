//go:build redis

package deploy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"caac-hub/config"
	hubhttp "caac-hub/http"
	"caac-hub/http/serve"
	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
	redistest "caac-hub/test/redis"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	origin  = "https://caac.example.com"
	secret  = "a-secret-of-the-tests-0123456789-0123456789"
	patient = 20 * time.Second
)

// running is a program of a test.
type running struct {
	*serve.Program
	stop func() error // once
}

func run(t *testing.T, flags map[string]string) running {
	t.Helper()
	l, err := config.Load(config.Sources{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	p, err := serve.New(t.Context(), serve.Options{Config: l.Config, Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patient + 10*time.Second):
			return fmt.Errorf("the node did not end")
		}
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return running{p, stop}
}

func (r running) address() string { return strings.TrimPrefix(r.URL(), "http://") }

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patient)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within %s: %s", patient, what)
		}
	}
}

// front is a real nginx with this folder's nginx.conf before the nodes.
type front struct {
	url    string
	client *http.Client // trusts its certificate
}

func startNginx(t *testing.T, nodes ...string) front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen := l.Addr().String()
	l.Close()
	file, trusted := nginxConf(t, listen, nodes...)
	var said strings.Builder
	c := exec.Command(nginxBinary(t), "-p", filepath.Dir(file), "-c", file, "-g", "daemon off;")
	c.Stderr = &said
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		c.Process.Signal(syscall.SIGTERM)
		if err := c.Wait(); err != nil || t.Failed() {
			t.Logf("nginx: %v\n%s", err, said.String())
		}
	})
	f := front{"https://" + listen, &http.Client{Transport: transport, Timeout: patient}}
	until(t, "nginx listens", func() bool {
		resp, err := f.client.Get(f.url + "/metrics")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusNotFound
	})
	return f
}

func (f front) post(ctx context.Context, key, path, body string) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	if strings.HasSuffix(path, "/mei") {
		r.Method = http.MethodPut
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	resp, err := f.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// connect opens a page's socket and returns after its welcome.
func (f front) connect(ctx context.Context) (*websocket.Conn, wire.Welcome, error) {
	var w wire.Welcome
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	c, _, err := websocket.Dial(ctx, f.url+"/v1/socket", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: f.client.Transport}, HTTPHeader: http.Header{"Origin": {origin}}, Subprotocols: []string{wire.Subprotocol},
	})
	if err != nil {
		return nil, w, err
	}
	token, _, err := hubhttp.SignToken([]byte(secret), "mei", time.Hour)
	if err != nil {
		return c, w, err
	}
	hello, err := json.Marshal(wire.Client{
		Type: wire.TypeHello, Token: token, Place: "/", Label: "a page", Platform: "desktop",
		State: &wire.PageState{}, Permission: notify.Granted,
	})
	if err != nil {
		return c, w, err
	}
	if err := c.Write(ctx, websocket.MessageText, hello); err != nil {
		return c, w, err
	}
	_, data, err := c.Read(ctx)
	if err != nil {
		return c, w, err
	}
	if err := json.Unmarshal(data, &w); err != nil || w.Type != wire.TypeWelcome {
		return c, w, fmt.Errorf("no welcome but %s", data)
	}
	return c, w, nil
}

// page keeps a socket open through nginx: told to come back, it opens the next
// one before it lets go of the old.
type page struct {
	moved atomic.Int32 // times it was told to come back, and did
	total atomic.Int32 // badge, as last told
	lost  atomic.Int32 // times its socket ended without a word
}

func (p *page) live(ctx context.Context, t *testing.T, f front, c *websocket.Conn) {
	defer func() { c.CloseNow() }()
	for {
		_, data, err := c.Read(ctx)
		if ctx.Err() != nil {
			return
		}
		var frame struct {
			Type  string
			Total int32
		}
		if err != nil {
			p.lost.Add(1)
		} else if err := json.Unmarshal(data, &frame); err != nil {
			t.Error(err)
			return
		}
		switch {
		case err == nil && frame.Type == wire.TypeCounts:
			p.total.Store(frame.Total)
		case err != nil || frame.Type == wire.TypeBye:
			next, w, err := f.connect(ctx)
			if err != nil {
				t.Errorf("the page does not come back: %v", err)
				return
			}
			c.CloseNow()
			c = next
			p.total.Store(int32(w.Total))
			p.moved.Add(1)
		}
	}
}

func TestNodeEndsBehindNginxAndNothingIsLost(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	flags := map[string]string{
		"mode": "production", "listen": "127.0.0.1:0", "redis.url": r.URL(), "auth.jwt_secret": secret, "origins": origin,
		"conversation_url": origin + "/{conversation}", "proxies": "127.0.0.1", "drain_spread": "500ms", "data_dir": "",
	}
	l, err := config.Load(config.Sources{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.InitRedis(t.Context(), l.Config); err != nil {
		t.Fatal(err)
	}
	nodes := []running{run(t, flags), run(t, flags), run(t, flags)}
	a, done, err := serve.OpenAdmin(t.Context(), l.Config)
	if err != nil {
		t.Fatal(err)
	}
	key, err := a.CreateKey(t.Context(), "backend")
	if err != nil {
		t.Fatal(err)
	}
	if err := done(); err != nil {
		t.Fatal(err)
	}
	f := startNginx(t, nodes[0].address(), nodes[1].address(), nodes[2].address())
	for range nodes { // each of them has to learn of the key
		until(t, "the agent is put", func() bool {
			status, err := f.post(t.Context(), key.Key, "/v1/agents/mei", `{"name":"Mei","on_duty":true}`)
			return err == nil && status == http.StatusOK
		})
	}

	ctx, leave := context.WithCancel(context.Background())
	var living sync.WaitGroup
	defer living.Wait()
	defer leave()
	pages := make([]*page, 9)
	for i := range pages {
		c, _, err := f.connect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		pages[i] = new(page)
		living.Go(func() { pages[i].live(ctx, t, f, c) })
	}
	var posted atomic.Int32
	posting, endPosting := context.WithCancel(ctx)
	defer endPosting()
	living.Go(func() {
		for posting.Err() == nil {
			id := posted.Load() + 1
			body := fmt.Sprintf(`{"id":"m%d","kind":"text","text":"hello","conversation":{"id":"c1","assignment":{"agent":"mei","version":1}}}`, id)
			status, err := f.post(ctx, key.Key, "/v1/messages", body)
			if err != nil || status != http.StatusAccepted {
				t.Errorf("message %d: %d %v", id, status, err)
				return
			}
			posted.Add(1)
		}
	})
	until(t, "messages are posted", func() bool { return posted.Load() > 20 })
	if err := nodes[0].stop(); err != nil {
		t.Error(err)
	}
	before := posted.Load()
	until(t, "messages are posted to the others", func() bool { return posted.Load() > before+20 })
	endPosting()

	moved := 0
	for _, p := range pages {
		moved += int(p.moved.Load())
		if n := p.lost.Load(); n != 0 {
			t.Errorf("a page lost its socket %d times", n)
		}
	}
	if moved == 0 || moved == len(pages) {
		t.Errorf("%d of %d pages were sent elsewhere by one node of three", moved, len(pages))
	}
	until(t, "every page shows every message", func() bool {
		for _, p := range pages {
			if p.total.Load() != posted.Load() {
				return false
			}
		}
		return true
	})
}

func TestNginxPassesEventsAsTheyHappen(t *testing.T) {
	node := run(t, map[string]string{"listen": "127.0.0.1:0", "data_dir": t.TempDir(), "public_url": "https://demo.example.com"})
	_, port, err := net.SplitHostPort(node.address())
	if err != nil {
		t.Fatal(err)
	}
	at := "127.0.0.1:" + port
	f := startNginx(t, at, at, at)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	f.client.Jar = jar
	resp, err := f.client.PostForm(f.url+"/demo/code", url.Values{"code": {node.Code()}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp, err = f.client.Get(f.url + "/demo/events"); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Fatalf("%s, %s", resp.Status, ct)
	}
	// Far less than what a proxy would gather before it passes anything on, and the
	// stream goes on.
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "retry:") {
		t.Errorf("the stream begins with %q, %v", lines.Text(), lines.Err())
	}
}
