//go:build redis

package serve_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"caac-hub/config"
	"caac-hub/http/serve"
	redistest "caac-hub/test/redis"
)

// onRedis configures a node in production mode whose state is in Redis.
func onRedis(t *testing.T, url string, more map[string]string) config.Config {
	t.Helper()
	flags := map[string]string{
		"mode": "production", "redis.url": url, "auth.jwt_secret": strings.Repeat("s", 32),
		"origins": "https://caac.example.com", "conversation_url": "https://caac.example.com/{conversation}",
		"data_dir": "", "drain_spread": "0s",
	}
	for k, v := range more {
		flags[k] = v
	}
	return configure(t, flags["data_dir"], flags)
}

// ask posts a message to a node and returns the answer.
func ask(t *testing.T, p *serve.Program, key, id string) (status int, retryAfter string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL()+"/v1/messages",
		strings.NewReader(fmt.Sprintf(`{"id":%q,"kind":"text","text":"hello","conversation":{"id":"c1"}}`, id)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Retry-After")
}

func ready(t *testing.T, p *serve.Program) {
	t.Helper()
	within(t, "the node is ready", func() bool {
		status, _ := get(t, p.URL()+"/readyz", "")
		return status == http.StatusOK
	})
}

// unready waits until /readyz says why not, and holds that the node lives.
func unready(t *testing.T, p *serve.Program, why string) {
	t.Helper()
	said := ""
	end := time.Now().Add(10 * time.Second)
	for status := 0; status != http.StatusServiceUnavailable || !strings.Contains(said, why); {
		if time.Now().After(end) {
			t.Fatalf("/readyz says %d %s, want 503 with %q", status, said, why)
		}
		status, said = get(t, p.URL()+"/readyz", "")
	}
	if status, body := get(t, p.URL()+"/livez", ""); status != http.StatusOK || !strings.Contains(body, "live") {
		t.Errorf("/livez: %d %s", status, body)
	}
}

func apiKey(t *testing.T, c config.Config) string {
	t.Helper()
	a, done, err := serve.OpenAdmin(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	made, err := a.CreateKey(t.Context(), "backend")
	if err != nil {
		t.Fatal(err)
	}
	return made.Key
}

func initialise(t *testing.T, c config.Config) {
	t.Helper()
	if err := serve.InitRedis(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func TestNodeStartsWithoutItsRedisAndComesToLife(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	c := onRedis(t, r.URL(), nil)
	initialise(t, c)
	key := apiKey(t, c)
	r.Stop()
	p, _ := start(t, c)
	unready(t, p, "Redis can't be reached")
	if status, after := ask(t, p, key, "m1"); status != http.StatusServiceUnavailable || after == "" {
		t.Errorf("a message is answered %d, Retry-After %q", status, after)
	}
	r.Restart()
	ready(t, p)
	if status, _ := ask(t, p, key, "m1"); status != http.StatusAccepted {
		t.Errorf("a message is answered %d", status)
	}
}

func TestNodeThatNeverReachesItsRedisEndsInTime(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	c := onRedis(t, r.URL(), nil)
	r.Stop()
	p, stop := start(t, c)
	unready(t, p, "Redis can't be reached")
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestWrongRedisIsAnErrorAtOnce(t *testing.T) {
	r := redistest.Start(t, redistest.Options{Args: []string{"--requirepass", "right"}})
	for url, says := range map[string]string{
		r.URL(): "password",
		strings.Replace(r.URL(), "redis://", "redis://:wrong@", 1): "password",
	} {
		p, err := serve.New(t.Context(), serve.Options{Config: onRedis(t, url, nil), Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			p.Close()
			t.Errorf("started with %s", url)
			continue
		}
		if !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "wrong@") {
			t.Errorf("%v", err)
		}
	}
}

func TestProductionAsksBeforeItTakesANewRedis(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	c := onRedis(t, r.URL(), nil)
	p, _ := start(t, c)
	unready(t, p, "redis-init")
	if _, done, err := serve.OpenAdmin(t.Context(), c); err != nil {
		t.Error(err)
	} else {
		done()
	}
	initialise(t, c)
	ready(t, p)
	initialise(t, c)
	ready(t, p)
}

func TestDemoTakesANewRedisByItself(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	p, _ := start(t, configure(t, t.TempDir(), map[string]string{"redis.url": r.URL()}))
	ready(t, p)
	if file := p.FirstKeyFile(); file != "" {
		t.Errorf("an API key nobody asked for is in %s", file)
	}
}

func TestNodesThatStartTogetherAreOneDeployment(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	c := onRedis(t, r.URL(), nil)
	initialise(t, c)
	var nodes [3]*serve.Program
	var starting sync.WaitGroup
	for i := range nodes {
		starting.Go(func() { nodes[i], _ = start(t, c) })
	}
	starting.Wait()
	key := apiKey(t, c)
	_, first := get(t, nodes[0].URL()+"/v1/vapid", "")
	for i, p := range nodes {
		ready(t, p)
		if _, vapid := get(t, p.URL()+"/v1/vapid", ""); vapid != first || !strings.Contains(vapid, "public") {
			t.Errorf("node %d has the VAPID key %s, node 0 %s", i, vapid, first)
		}
		within(t, "the key is accepted", func() bool {
			status, _ := get(t, p.URL()+"/v1/agents", key)
			return status == http.StatusOK
		})
	}
}

func TestNewVAPIDKeyReachesEveryNodeWithoutARestart(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	c := onRedis(t, r.URL(), nil)
	initialise(t, c)
	one, _ := start(t, c)
	two, _ := start(t, c)
	a, done, err := serve.OpenAdmin(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	k, err := a.RotateVAPID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*serve.Program{one, two} {
		within(t, "the new key is current", func() bool {
			_, vapid := get(t, p.URL()+"/v1/vapid", "")
			return strings.Contains(vapid, k.Public)
		})
	}
}

func TestRedisInTroubleIsToldAndPassesWithoutARestart(t *testing.T) {
	for name, trouble := range map[string]struct {
		begin, end func(r *redistest.Server)
		says       string
	}{
		"away":          {(*redistest.Server).Kill, (*redistest.Server).Restart, "Redis"},
		"frozen":        {(*redistest.Server).Freeze, (*redistest.Server).Thaw, "in time"},
		"out of memory": {func(r *redistest.Server) { r.Config("maxmemory", "1") }, func(r *redistest.Server) { r.Config("maxmemory", "0") }, "out of memory"},
		"read-only": {func(r *redistest.Server) { r.Client().ReplicaOf(t.Context(), "127.0.0.1", "1") },
			func(r *redistest.Server) { r.Client().ReplicaOf(t.Context(), "NO", "ONE") }, "replica"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := redistest.Start(t, redistest.Options{})
			c := onRedis(t, r.URL(), nil)
			initialise(t, c)
			key := apiKey(t, c)
			p, _ := start(t, c)
			ready(t, p)
			if status, _ := ask(t, p, key, "m1"); status != http.StatusAccepted {
				t.Fatalf("before: %d", status)
			}
			trouble.begin(r)
			unready(t, p, trouble.says)
			if status, after := ask(t, p, key, "m2"); status != http.StatusServiceUnavailable || after == "" {
				t.Errorf("a message is answered %d, Retry-After %q", status, after)
			}
			trouble.end(r)
			ready(t, p)
			if status, _ := ask(t, p, key, "m2"); status != http.StatusAccepted {
				t.Errorf("after: %d", status)
			}
		})
	}
}

func TestEmptiedRedisIsUsedAgainOnlyOnceSomeoneSaysSo(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	c := onRedis(t, r.URL(), nil)
	initialise(t, c)
	key := apiKey(t, c)
	p, _ := start(t, c)
	ready(t, p)
	if status, _ := ask(t, p, key, "m0"); status != http.StatusAccepted {
		t.Fatalf("before: %d", status)
	}
	_, vapid := get(t, p.URL()+"/v1/vapid", "")
	r.Empty()
	unready(t, p, "redis-init")
	if status, after := ask(t, p, key, "m1"); status != http.StatusServiceUnavailable || after == "" {
		t.Errorf("a message is answered %d, Retry-After %q", status, after)
	}
	initialise(t, c)
	ready(t, p)
	// What pages and backend hold of the old state survives in the nodes that run.
	a, done, err := serve.OpenAdmin(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	within(t, "the VAPID key is back in Redis", func() bool {
		keys, err := a.VAPID(t.Context(), false)
		return err == nil && len(keys) == 1 && strings.Contains(vapid, keys[0].Public)
	})
	within(t, "the backend's API key is good again", func() bool {
		status, _ := ask(t, p, key, "m1")
		return status == http.StatusAccepted
	})
}

func TestBackupSaysWhatToDoInstead(t *testing.T) {
	c := onRedis(t, "redis://localhost:1", nil)
	err := serve.Backup(t.Context(), c, filepath.Join(t.TempDir(), "copy"))
	if err == nil || !strings.Contains(err.Error(), "Redis' own means") {
		t.Errorf("err = %v", err)
	}
}

func TestNodeOnRedisTouchesNoDataFolder(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	dir := filepath.Join(t.TempDir(), "data")
	c := onRedis(t, r.URL(), map[string]string{"data_dir": dir})
	initialise(t, c)
	p, stop := start(t, c)
	ready(t, p)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s: %v", dir, err)
	}
}
