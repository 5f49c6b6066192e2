package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"caac-hub/http/serve/cli"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// buffer may be read while it is written to.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

type shell struct {
	t       *testing.T
	environ []string
}

// run runs one command line to its end.
func (s shell) run(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	var out, errs buffer
	code = cli.Main(s.t.Context(), cli.Env{Command: "go run .", Args: args, Environ: s.environ, Stdout: &out, Stderr: &errs, Version: "test"})
	return code, out.String(), errs.String()
}

func (s shell) ok(args ...string) string {
	s.t.Helper()
	code, out, errs := s.run(args...)
	if code != cli.OK {
		s.t.Fatalf("%v ended %d\n%s%s", args, code, out, errs)
	}
	return strings.TrimSpace(out)
}

func (s shell) fails(want int, says string, args ...string) {
	s.t.Helper()
	code, out, errs := s.run(args...)
	if code != want || !strings.Contains(errs, says) {
		s.t.Errorf("%v ended %d, want %d saying %q\n%s%s", args, code, want, says, out, errs)
	}
}

var link = regexp.MustCompile(`http://localhost:(\d+)`)

// hub runs the hub by its command line; commands of the shell it returns find it.
func hub(t *testing.T, more ...string) (s shell, url string) {
	t.Helper()
	dir := t.TempDir()
	environ := append([]string{"CAAC_DATA_DIR=" + dir, "CAAC_LISTEN=localhost:0"}, more...)
	ctx, cancel := context.WithCancel(context.Background())
	var out, errs buffer
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Main(ctx, cli.Env{Command: "go run .", Environ: environ, Stdout: &out, Stderr: &errs, Version: "test"})
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case code := <-ended:
			if code != cli.OK {
				t.Errorf("the hub ended %d:\n%s", code, errs.String())
			}
		case <-time.After(20 * time.Second):
			t.Error("the hub did not end within 20 s")
		}
	})
	end := time.After(10 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if url = link.FindString(out.String()); url != "" {
			port := link.FindStringSubmatch(url)[1]
			return shell{t, []string{"CAAC_DATA_DIR=" + dir, "CAAC_LISTEN=localhost:" + port}}, url
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("the hub printed no link:\n%s%s", out.String(), errs.String())
		}
	}
}

func TestMessageSentFromTheShellIsTraced(t *testing.T) {
	s, url := hub(t)
	id := s.ok("send", "Is my order on its way?", "--agent", "mei", "--contact", "Ann", "-c", "c1")
	var story string
	end := time.Now().Add(5 * time.Second)
	for !strings.Contains(story, "reached nobody: not_logged_in") {
		if time.Now().After(end) {
			t.Fatalf("the trace does not end:\n%s", story)
		}
		story = s.ok("trace", id, "--text")
	}
	for _, want := range []string{"conversation c1, seq 1", "assigned to agent mei", "mei: none, not_logged_in"} {
		if !strings.Contains(story, want) {
			t.Errorf("the trace does not say %q:\n%s", want, story)
		}
	}
	var traces []map[string]any
	if err := json.Unmarshal([]byte(s.ok("trace", id, "--json", "-c", "c1")), &traces); err != nil || len(traces) != 1 {
		t.Errorf("--json gives %d traces, %v", len(traces), err)
	}
	if again := s.ok("send", "Is my order on its way?", "--agent", "mei", "--contact", "Ann", "-c", "c1", "--id", id, "--url", url); again != id {
		t.Errorf("sent again it is %q", again)
	}
	s.fails(cli.Failed, "message_conflict", "send", "other words", "-c", "c1", "--id", id)
	s.fails(cli.Failed, "unknown_agent", "send", "hi", "--agent", "nobody")
	s.fails(cli.Failed, "no message", "trace", "m-unknown")
}

func TestCommandsReachARunningHub(t *testing.T) {
	s, _ := hub(t)
	s.ok("health")
	s.ok("health", "--live")
	if got := s.ok("outbox", "list"); got != "nothing failed for good" {
		t.Errorf("outbox list: %s", got)
	}
	if got := s.ok("outbox", "retry", "--all"); got != "retried 0" {
		t.Errorf("outbox retry: %s", got)
	}
	key := s.ok("apikey", "create", "backend")
	id := strings.Split(key, "_")[1]
	if list := s.ok("apikey", "list"); !strings.Contains(list, id) || strings.Contains(list, key) {
		t.Errorf("apikey list:\n%s", list)
	}
	if list := s.ok("apikey", "list", "--json"); !strings.Contains(list, id) || strings.Contains(list, "hash") {
		t.Errorf("apikey list --json:\n%s", list)
	}
	s.ok("apikey", "revoke", id)
	s.fails(cli.Failed, "there is no API key", "apikey", "revoke", id)
	if token := s.ok("token", "mei"); strings.Count(token, ".") != 2 {
		t.Errorf("token %q", token)
	}
	s.fails(cli.Usage, "--ttl", "token", "mei", "--ttl", "-1s")
	if shown := s.ok("vapid"); strings.Contains(shown, "private") || !strings.Contains(shown, "current") {
		t.Errorf("vapid:\n%s", shown)
	}
	if shown := s.ok("vapid", "show", "--private", "--json"); !strings.Contains(shown, `"private"`) {
		t.Errorf("vapid show --private:\n%s", shown)
	}
	if said := s.ok("vapid", "rotate"); !strings.Contains(said, "signs for 0 subscriptions until the last is gone") {
		t.Errorf("vapid rotate:\n%s", said)
	}
	if shown := s.ok("vapid"); strings.Count(shown, "current") != 1 || strings.Count(shown, "older") != 1 || strings.Count(shown, "0 subscriptions") != 2 {
		t.Errorf("vapid after rotate:\n%s", shown)
	}
}

func TestBackupBesideARunningHubStartsAsAHub(t *testing.T) {
	s, _ := hub(t)
	s.ok("send", "hello", "-c", "c1")
	keys := s.ok("apikey", "list")
	dir := t.TempDir()
	file := filepath.Join(dir, "hub.db")
	s.ok("backup", file)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the backup's mode is %s", info.Mode())
	}
	s.fails(cli.Failed, "exists", "backup", file)
	restored := shell{t, []string{"CAAC_DATA_DIR=" + dir}}
	if got := restored.ok("apikey", "list"); got != keys {
		t.Errorf("the restored hub has other API keys:\n%s\nwant\n%s", got, keys)
	}
}

func TestTakenPortPrintsTheLineWithAnother(t *testing.T) {
	s, url := hub(t)
	taken := strings.TrimPrefix(url, "http://")
	s.environ = []string{"CAAC_DATA_DIR=" + t.TempDir()}
	code, _, errs := s.run("--listen", taken)
	if code != cli.Failed || !regexp.MustCompile(`(?m)^  go run \. --listen localhost:\d+$`).MatchString(errs) || strings.Contains(errs, "--listen "+taken) {
		t.Errorf("ended %d:\n%s", code, errs)
	}
}

func TestSecondHubOnOneFolderIsToldOfTheFirst(t *testing.T) {
	s, url := hub(t)
	s.fails(cli.Failed, "--data-dir ANOTHER-FOLDER", "--listen", strings.TrimPrefix(url, "http://"))
	s.fails(cli.Failed, "in use", "--listen", "localhost:0")
}

func TestAbsentHubIsSaid(t *testing.T) {
	// Nothing listens on port 9 of the loopback address.
	s := shell{t, []string{"CAAC_DATA_DIR=" + t.TempDir(), "CAAC_LISTEN=127.0.0.1:9", "CAAC_API_KEY=key"}}
	s.fails(cli.Failed, "no hub answers at http://127.0.0.1:9", "health")
	s.fails(cli.Unreachable, "no hub answers at http://127.0.0.1:9", "send", "hi")
	s.fails(cli.Unreachable, "no hub answers", "trace", "m1")
	s.fails(cli.Unreachable, "no hub answers", "outbox", "list")
}

func TestWrongUseEndsWithItsOwnCode(t *testing.T) {
	s := shell{t, []string{"CAAC_DATA_DIR=" + t.TempDir()}}
	s.fails(cli.Usage, "go run . --help", "nonsense")
	s.fails(cli.Usage, "unknown flag", "--nonsense")
	s.fails(cli.Usage, "KEY=VALUE", "--set", "listen", "version")
	s.fails(cli.Usage, "CAAC_API_KEY", "send", "hi")
	s.fails(cli.Usage, "--nobody", "send", "hi", "--nobody", "--agent", "mei")
	s.fails(cli.Usage, "--all", "outbox", "retry")
	s.fails(cli.Usage, "--url", "health", "--url", "localhost")
	s.fails(cli.Usage, "listen", "--listen", "8080", "serve")
	s.fails(cli.Usage, "CAAC_ORIGINS=", "--mode", "production")
	s.environ = append(s.environ, "CAAC_NONSENSE=1", "CAAC_LOG_LEVEL=loud")
	s.fails(cli.Usage, "CAAC_NONSENSE", "check-config")
	s.fails(cli.Usage, "log.level", "serve")
}

func TestHelpNamesEveryCommandAndGivesExamples(t *testing.T) {
	s := shell{t, nil}
	help := s.ok("--help")
	for _, command := range []string{"serve", "check-config", "vapid", "apikey", "token", "send", "trace", "outbox", "backup", "migrate", "redis-init", "health", "version"} {
		if !regexp.MustCompile(`(?m)^  ` + command + ` `).MatchString(help) {
			t.Errorf("--help does not name %s", command)
		}
		if command == "version" {
			continue
		}
		if text := s.ok(command, "--help"); !strings.Contains(text, "caac-hub "+command) || !strings.Contains(text, "Example") {
			t.Errorf("%s --help gives no example:\n%s", command, text)
		}
	}
	if got := s.ok("version"); got != "caac-hub test" {
		t.Errorf("version: %s", got)
	}
}

func TestCheckConfigPrintsWhatHoldsAndWhatIsWrong(t *testing.T) {
	s := shell{t, []string{"CAAC_LISTEN=localhost:1234"}}
	if got := s.ok("check-config"); !strings.Contains(got, `listen: "localhost:1234"`) || !strings.Contains(got, "# CAAC_LISTEN") {
		t.Errorf("check-config:\n%s", got)
	}
	code, out, errs := s.run("check-config", "--set", "drain_timeout=1h", "--set", "log.level=loud")
	if code != cli.Usage || !strings.Contains(out, "localhost:1234") || !strings.Contains(errs, "drain_timeout") || !strings.Contains(errs, "log.level") {
		t.Errorf("ended %d\n%s%s", code, out, errs)
	}
}
