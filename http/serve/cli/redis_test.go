//go:build redis

package cli_test

import (
	"strings"
	"testing"
	"time"

	"caac-hub/http/serve/cli"
	redistest "caac-hub/test/redis"
)

func TestEveryCommandWorksOnRedisOrSaysWhyNot(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	s, url := hub(t, "CAAC_REDIS_URL="+r.URL())
	s.environ = append(s.environ, "CAAC_REDIS_URL="+r.URL())
	end := time.Now().Add(10 * time.Second)
	for {
		if code, _, errs := s.run("health"); code == cli.OK {
			break
		} else if time.Now().After(end) {
			t.Fatalf("health: %s", errs)
		}
	}
	s.fails(cli.Usage, "apikey create", "send", "hello")
	key := s.ok("apikey", "create", "backend")
	if list := s.ok("apikey", "list"); !strings.Contains(list, "backend") {
		t.Errorf("apikey list:\n%s", list)
	}
	s.environ = append(s.environ, "CAAC_API_KEY="+key)
	var id string
	for id == "" {
		// A new key is accepted within 2 s.
		code, out, errs := s.run("send", "hello", "-c", "c1", "--agent", "mei", "--url", url)
		if code == cli.OK {
			id = strings.TrimSpace(out)
		} else if time.Now().After(end) {
			t.Fatalf("send: %s", errs)
		}
	}
	for !strings.Contains(s.ok("trace", id), "reached nobody: not_logged_in") {
		if time.Now().After(end) {
			t.Fatal("the trace does not end")
		}
	}
	if got := s.ok("outbox", "list"); got != "nothing failed for good" {
		t.Errorf("outbox list: %s", got)
	}
	if token := s.ok("token", "mei"); strings.Count(token, ".") != 2 {
		t.Errorf("token %q", token)
	}
	if shown := s.ok("vapid"); !strings.Contains(shown, "current") {
		t.Errorf("vapid:\n%s", shown)
	}
	s.ok("vapid", "rotate")
	if said := s.ok("redis-init"); !strings.Contains(said, "may be used") {
		t.Errorf("redis-init: %s", said)
	}
	if shown := s.ok("check-config"); !strings.Contains(shown, r.URL()) {
		t.Errorf("check-config:\n%s", shown)
	}
	s.fails(cli.Failed, "Redis' own means", "backup", t.TempDir()+"/copy")
	s.fails(cli.Failed, "holds no deployment's state", "migrate")
	s.ok("apikey", "revoke", strings.Split(key, "_")[1])
}

func TestStoppedHubIsMovedByCommand(t *testing.T) {
	dir := t.TempDir()
	s := shell{t, []string{"CAAC_DATA_DIR=" + dir}}
	s.ok("vapid")
	key := s.ok("apikey", "create", "backend")
	r := redistest.Start(t, redistest.Options{})
	said := s.ok("migrate", "--to", r.URL())
	if !strings.Contains(said, "keys and secrets") || !strings.Contains(said, "never a hub on "+dir) {
		t.Errorf("migrate:\n%s", said)
	}
	if list := s.ok("apikey", "list", "--set", "redis.url="+r.URL()); !strings.Contains(list, strings.Split(key, "_")[1]) {
		t.Errorf("the API keys in Redis:\n%s", list)
	}
	s.fails(cli.Usage, "--to", "migrate")
	s.fails(cli.Usage, "redis.url", "migrate", "--to", "http://localhost")
	s.fails(cli.Usage, "CAAC_REDIS_URL", "redis-init")
	r.Stop()
	s.fails(cli.Failed, "can't be reached", "migrate", "--to", r.URL())
	s.fails(cli.Failed, "can't be reached", "redis-init", "--set", "redis.url="+r.URL())
}
