package serve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"caac-hub/config"
	"caac-hub/http/serve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func configure(t *testing.T, dir string, more map[string]string) config.Config {
	t.Helper()
	flags := map[string]string{"listen": "localhost:0", "data_dir": dir}
	for k, v := range more {
		flags[k] = v
	}
	l, err := config.Load(config.Sources{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	return l.Config
}

// start runs a program until stop is called or the test ends; stop returns
// what Run did.
func start(t *testing.T, c config.Config) (p *serve.Program, stop func() error) {
	t.Helper()
	p, err := serve.New(t.Context(), serve.Options{Config: c, Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	var once bool
	stop = func() error {
		if once {
			return nil
		}
		once = true
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(20 * time.Second):
			return errors.New("the program did not drain within 20 s")
		}
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return p, stop
}

var client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func get(t *testing.T, url, bearer string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func firstKey(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, serve.FirstKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func TestFirstStartIsLiveReadyAndLeavesAKeyForItsOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p, _ := start(t, configure(t, dir, nil))
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		if status, body := get(t, p.URL()+path, ""); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body := get(t, p.URL()+"/v1/agents", firstKey(t, dir)); status != http.StatusOK {
		t.Errorf("the first API key is answered %d %s", status, body)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s may be read by others: %s", f.Name(), info.Mode())
		}
	}
}

func TestBothLoopbackAddressesAnswer(t *testing.T) {
	p, _ := start(t, configure(t, t.TempDir(), nil))
	_, port, _ := strings.Cut(strings.TrimPrefix(p.URL(), "http://"), ":")
	hosts := []string{"127.0.0.1"}
	if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		l.Close()
		hosts = append(hosts, "::1")
	}
	for _, host := range hosts {
		if status, _ := get(t, "http://"+net.JoinHostPort(host, port)+"/livez", ""); status != http.StatusOK {
			t.Errorf("%s answers %d", host, status)
		}
	}
}

func TestSecondStartFindsEverythingAgain(t *testing.T) {
	dir := t.TempDir()
	c := configure(t, dir, nil)
	state := func() (keys, vapid string) {
		a, done, err := serve.OpenAdmin(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		v, err := a.VAPID(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		k, err := a.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(k), fmt.Sprint(v)
	}
	p, stop := start(t, c)
	if p.FirstKeyFile() == "" {
		t.Error("the first start made no API key")
	}
	keys, vapid := state()
	key := firstKey(t, dir)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if k, v := state(); k != keys || v != vapid {
		t.Errorf("stopped, the store has %s %s; running it had %s %s", k, v, keys, vapid)
	}
	p, _ = start(t, c)
	if file := p.FirstKeyFile(); file != "" {
		t.Errorf("the second start made another API key in %s", file)
	}
	if k, v := state(); k != keys || v != vapid {
		t.Errorf("after a restart the store has %s %s; it had %s %s", k, v, keys, vapid)
	}
	if status, body := get(t, p.URL()+"/v1/agents", key); status != http.StatusOK {
		t.Errorf("the first key is answered %d %s", status, body)
	}
}

func TestTakenPortNamesAFreeOne(t *testing.T) {
	p, _ := start(t, configure(t, t.TempDir(), nil))
	taken := strings.TrimPrefix(p.URL(), "http://")
	_, err := serve.New(t.Context(), serve.Options{Config: configure(t, t.TempDir(), map[string]string{"listen": taken}), Log: slog.New(slog.DiscardHandler)})
	var e *serve.TakenError
	if !errors.As(err, &e) {
		t.Fatalf("err = %v", err)
	}
	if e.Free == taken || !strings.HasPrefix(e.Free, "localhost:") {
		t.Errorf("free is %q", e.Free)
	}
}

func TestFolderInUseIsSaidAndNothingIsLeftOpen(t *testing.T) {
	dir := t.TempDir()
	start(t, configure(t, dir, nil))
	_, err := serve.New(t.Context(), serve.Options{Config: configure(t, dir, nil), Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("err = %v", err)
	}
}

func TestNothingIsLeftRunningWhenAStartFails(t *testing.T) {
	c := configure(t, t.TempDir(), nil)
	c.VAPID.Subject = "mailto:nobody@localhost"
	if p, err := serve.New(t.Context(), serve.Options{Config: c, Log: slog.New(slog.DiscardHandler)}); err == nil {
		p.Close()
		t.Error("started with a subject that push services refuse")
	}
}

func TestDemoAsksForACodeOnlyAtAPublicAddress(t *testing.T) {
	p, stop := start(t, configure(t, t.TempDir(), nil))
	if p.Code() != "" {
		t.Error("a code for localhost")
	}
	stop()
	p, _ = start(t, configure(t, t.TempDir(), map[string]string{"public_url": "https://demo.example.com"}))
	if len(p.Code()) < 9 {
		t.Errorf("code %q", p.Code())
	}
}

func TestRevokedKeyIsRefusedByTheRunningHub(t *testing.T) {
	dir := t.TempDir()
	c := configure(t, dir, nil)
	p, _ := start(t, c)
	a, done, err := serve.OpenAdmin(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	made, err := a.CreateKey(t.Context(), "backend")
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the new key is accepted", func() bool {
		status, _ := get(t, p.URL()+"/v1/agents", made.Key)
		return status == http.StatusOK
	})
	if err := a.RevokeKey(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	within(t, "the revoked key is refused", func() bool {
		status, _ := get(t, p.URL()+"/v1/agents", made.Key)
		return status == http.StatusUnauthorized
	})
	if err := a.RevokeKey(t.Context(), made.ID); err == nil {
		t.Error("a key was revoked twice")
	}
}

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	end := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func TestTokensCarryWhatTheConfigurationAsksFor(t *testing.T) {
	c := configure(t, t.TempDir(), map[string]string{
		"mode": "production", "origins": "https://caac.example.com", "auth.jwt_secret": strings.Repeat("s", 32),
		"conversation_url": "https://caac.example.com/{conversation}", "auth.issuer": "caac", "auth.audience": "hub",
	})
	p, _ := start(t, c)
	a, done, err := serve.OpenAdmin(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	made, err := a.CreateKey(t.Context(), "backend")
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.URL()+"/v1/agents/mei", strings.NewReader(`{"name":"Mei"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+made.Key)
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	token, err := a.Token(t.Context(), "mei", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := get(t, p.URL()+"/v1/me", token.Token); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := get(t, p.URL()+"/metrics", ""); status != http.StatusUnauthorized {
		t.Errorf("in production /metrics without a key is answered %d", status)
	}
}

func TestKeySetFileJudgesTokens(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "jwks.json")
	set := `{"keys":[{"kty":"EC","crv":"P-256","kid":"a","alg":"ES256","use":"sig",` +
		`"x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY","y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}]}`
	if err := os.WriteFile(file, []byte(set), 0o600); err != nil {
		t.Fatal(err)
	}
	c := configure(t, dir, map[string]string{
		"mode": "production", "origins": "https://caac.example.com", "auth.jwks_file": file,
		"conversation_url": "https://caac.example.com/{conversation}",
	})
	p, _ := start(t, c)
	if status, body := get(t, p.URL()+"/v1/me", "no-token"); status != 401 {
		t.Errorf("%d %s", status, body)
	}
	a, done, err := serve.OpenAdmin(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if _, err := a.Token(t.Context(), "mei", time.Minute); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a token without a secret: %v", err)
	}
}

func TestLogIsJSONUnlessSomeoneReadsIt(t *testing.T) {
	var b strings.Builder
	serve.NewLog(&b, "warn", "auto").Info("quiet")
	serve.NewLog(&b, "info", "auto").Info("loud")
	if got := b.String(); strings.Contains(got, "quiet") || !strings.HasPrefix(got, "{") {
		t.Errorf("log is %q", got)
	}
}

func TestReadinessEndsBeforeServing(t *testing.T) {
	c := configure(t, t.TempDir(), map[string]string{"drain_delay": "1s"})
	p, stop := start(t, c)
	key := firstKey(t, c.DataDir)
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	within(t, "the node says that it is going", func() bool {
		status, body := get(t, p.URL()+"/readyz", "")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "going")
	})
	if status, body := get(t, p.URL()+"/v1/agents", key); status != http.StatusOK {
		t.Errorf("while others find out, it answers %d %s", status, body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
