package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFlagsBeatEnvironmentBeatsFileBeatsDefault(t *testing.T) {
	path := write(t, "hub.yaml", `
listen: localhost:1
log:
  level: debug
  format: json
retention: {traces: 48h, trace_bytes: 64MiB}
origins: [https://a.example.com]
limits:
  queue: 10
  frames_per_second: 2.5
metrics: {public: false}
auth:
`)
	l, err := Load(Sources{
		File:    path,
		Environ: []string{"HOME=/home/x", "CAAC_LISTEN=localhost:2", "CAAC_LOG_LEVEL=warn", "CAAC_ORIGINS=https://b.example.com, https://c.example.com", "CAAC_LIMITS_QUEUE=20"},
		Flags:   map[string]string{"listen": "localhost:3"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Default(Demo, "/home/x/.local/state")
	want.Listen = "localhost:3"
	want.PublicURL = "http://localhost:3"
	want.Log.Level = "warn"
	want.Log.Format = "json"
	want.Retention.Traces = 48 * time.Hour
	want.Retention.TraceBytes = 64 << 20
	want.Origins = []string{"https://b.example.com", "https://c.example.com"}
	want.Limits.Queue = 20
	want.Limits.FramesPerSecond = 2.5
	want.Metrics.Public = false
	if diff := cmp.Diff(want, l.Config); diff != "" {
		t.Error(diff)
	}
}

func TestStateFolderFollowsTheUsersEnvironment(t *testing.T) {
	l, err := Load(Sources{Environ: []string{"HOME=/home/x", "XDG_STATE_HOME=/state"}})
	if err != nil {
		t.Fatal(err)
	}
	if l.DataDir != "/state/caac-hub" {
		t.Errorf("data_dir = %q", l.DataDir)
	}
}

func TestEveryMistakeIsReportedAtOnceWithItsKey(t *testing.T) {
	path := write(t, "hub.yaml", "listen: 8080\nlogg:\n  level: x\nretention:\n  traces: soon\norigins: nowhere\nmetrics: [1]\n")
	_, err := Load(Sources{
		File:    path,
		Environ: []string{"CAAC_LOG_LEVL=debug", "CAAC_LIMITS_QUEUE=many", "CAAC_REDIS_URI=redis://localhost", "CAAC_PREVIEW_CEILING=all", "OTHER=1"},
		Flags:   map[string]string{"drain_timeout": "1h", "no.such": "1"},
	})
	var m Mistakes
	if !errors.As(err, &m) {
		t.Fatalf("err = %v", err)
	}
	got := map[string]string{}
	for _, one := range m {
		if one.Allowed == "" || one.Wrong == "" {
			t.Errorf("%q says too little", one)
		}
		got[one.Key] = one.Source
	}
	want := map[string]string{
		"listen": path, "logg.level": path, "retention.traces": path, "origins": path, "metrics": path,
		"CAAC_LOG_LEVL": "environment", "CAAC_REDIS_URI": "environment",
		"limits.queue": "CAAC_LIMITS_QUEUE", "preview_ceiling": "CAAC_PREVIEW_CEILING",
		"drain_timeout": "flag", "no.such": "flag",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(err.Error(), "CAAC_LOG_LEVEL?") {
		t.Errorf("no hint at the variable meant:\n%v", err)
	}
}

func TestValuesThatAreNotAllowedAreRefused(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"mode", "test", "demo or production"},
		{"listen", "8080", "host:port"},
		{"listen", "localhost:99999", "0 to 65535"},
		{"listen", "0.0.0.0:8080", "reachable from other machines"},
		{"listen", ":8080", "reachable from other machines"},
		{"public_url", "https://hub.example.com/path", "more than an origin"},
		{"public_url", "http://hub.example.com", "not https"},
		{"public_url", "hub.example.com", "not an absolute URL"},
		{"origins", "https://a.example.com,*", "not an absolute URL"},
		{"origins", "https://u:p@a.example.com", "user name"},
		{"conversation_url", "https://a.example.com/c", "no {conversation}"},
		{"conversation_url", "https://a.example.com/{conversation}/{id}", "{id} is replaced by nothing"},
		{"conversation_url", "/c/{conversation}", "not an absolute URL"},
		{"miui_guide", "javascript:alert(1)", "not an absolute URL"},
		{"miui_guide", "http://guide.example.com/", "not https"},
		{"conversation_url", "https://{conversation}/", "placeholder in its host"},
		{"conversation_url", "https://a.example.com{conversation}/c", "placeholder in its host"},
		{"conversation_url", "https://a.example.com:{conversation}/", "not an absolute URL"},
		{"auth.jwt_secret", "short", "32"},
		{"auth.jwt_secret_file", "/does/not/exist", "no such file"},
		{"auth.jwks_url", "https://login.example.com/keys", "demo mode signs"},
		{"auth.leeway", "2m", "too long"},
		{"proxies", "10.0.0.0/33", "neither a network nor an address"},
		{"vapid.subject", "someone", "mailto:"},
		{"vapid.subject", "mailto:someone@localhost", "localhost"},
		{"push.proxy", "proxy:3128", "http://"},
		{"push.hosts", "push.example.com/x", "not a host name"},
		{"push.hosts", "*.example.com", "not a host name"},
		{"retention.traces", "1h", "too short"},
		{"retention.traces", "7", "not a duration"},
		{"retention.trace_bytes", "1MB", "too small"},
		{"retention.trace_bytes", "lots", "not a size"},
		{"limits.queue", "0", "out of range"},
		{"limits.queue", "2.5", "whole number"},
		{"limits.logins_per_device", "9", "out of range"},
		{"limits.frames_per_second", "NaN", "out of range"},
		{"limits.frames_per_second", "0", "out of range"},
		{"limits.write_timeout", "1ms", "too short"},
		{"limits.login_idle", "1h", "too short"},
		{"drain_timeout", "2m", "too long"},
		{"drain_delay", "2m", "too long"},
		{"drain_spread", "-1s", "too short"},
		{"node", "a b", "no such name"},
		{"redis.url", "localhost:6379", `scheme "localhost"`},
		{"redis.url", "http://localhost:6379", `scheme "http"`},
		{"redis.url", "redis://", "host is missing"},
		{"redis.url", "redis://localhost/zero", "database"},
		{"redis.url", "redis://localhost?colour=red", "colour"},
		{"redis.url_file", "/does/not/exist", "no such file"},
		{"redis.prefix", "caac:", "no such prefix"},
		{"redis.prefix", "", "no such prefix"},
		{"redis.wait", "1", "redis.url is empty"},
		{"redis.wait_timeout", "1ms", "too short"},
		{"log.level", "loud", "none of these"},
		{"log.format", "xml", "none of these"},
		{"page_duty", "perhaps", "neither true nor false"},
	} {
		t.Run(c.key+"="+c.value, func(t *testing.T) {
			_, err := Load(Sources{Flags: map[string]string{c.key: c.value}})
			var m Mistakes
			if !errors.As(err, &m) {
				t.Fatalf("accepted; err = %v", err)
			}
			if len(m) != 1 || m[0].Key != c.key {
				t.Errorf("want one mistake at %s, got %v", c.key, m)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\ndoes not say %q", err, c.want)
			}
		})
	}
}

func TestProductionRefusesAndSaysWhatToSet(t *testing.T) {
	_, err := Load(Sources{Environ: []string{"CAAC_MODE=production"}})
	if err == nil {
		t.Fatal("production started with nothing set")
	}
	for _, want := range []string{"CAAC_AUTH_JWT_SECRET_FILE=", "CAAC_AUTH_JWKS_URL=", "CAAC_ORIGINS=", "CAAC_CONVERSATION_URL="} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no example %s… in\n%v", want, err)
		}
	}
}

func TestProductionStartsWithWhatItAsksFor(t *testing.T) {
	secret := write(t, "jwt", strings.Repeat("s", 32)+"\n")
	l, err := Load(Sources{Environ: []string{
		"CAAC_MODE=production", "CAAC_LISTEN=0.0.0.0:8080", "CAAC_AUTH_JWT_SECRET_FILE=" + secret,
		"CAAC_ORIGINS=https://CAAC.example.com/", "CAAC_CONVERSATION_URL=https://caac.example.com/chats/{conversation}"}})
	if err != nil {
		t.Fatal(err)
	}
	if l.Auth.JWTSecret != strings.Repeat("s", 32) {
		t.Errorf("secret %q still has its newline", l.Auth.JWTSecret)
	}
	if l.PublicURL != "https://caac.example.com" || l.VAPID.Subject != l.PublicURL {
		t.Errorf("public_url = %q, vapid.subject = %q", l.PublicURL, l.VAPID.Subject)
	}
	if l.PageDuty || l.Metrics.Public {
		t.Error("demo defaults in production")
	}
}

func TestProductionWantsOneGoodJudgeOfTokens(t *testing.T) {
	secret := strings.Repeat("s", 32)
	for _, c := range []struct {
		flags map[string]string
		want  string
	}{
		{map[string]string{"auth.jwks_url": "https://login.example.com/keys"}, ""},
		{map[string]string{"auth.jwks_url": "http://login.example.com/keys"}, "not https"},
		{map[string]string{"auth.jwks_file": "/does/not/exist"}, "no such file"},
		{map[string]string{"auth.jwks_url": "https://login.example.com/keys", "auth.jwt_secret": secret}, "more than one judge"},
	} {
		c.flags["mode"] = "production"
		c.flags["origins"] = "https://caac.example.com"
		c.flags["conversation_url"] = "https://caac.example.com/chats/{conversation}"
		_, err := Load(Sources{Flags: c.flags})
		if got := fmt.Sprint(err); (err == nil) != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%v: err = %v, want %q", c.flags, err, c.want)
		}
	}
}

func TestSecretGivenTwiceIsRefused(t *testing.T) {
	secret := write(t, "jwt", strings.Repeat("s", 32))
	_, err := Load(Sources{Flags: map[string]string{"auth.jwt_secret": strings.Repeat("t", 32), "auth.jwt_secret_file": secret}})
	if err == nil || !strings.Contains(err.Error(), "auth.jwt_secret is set too") {
		t.Errorf("err = %v", err)
	}
}

func TestRedisNeedsNoDataFolder(t *testing.T) {
	l, err := Load(Sources{Flags: map[string]string{"redis.url": "rediss://hub:pw@redis.example.com:6380/2", "data_dir": "", "redis.wait": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	if l.Redis.Prefix != "caac" || l.Redis.WaitTimeout != time.Second {
		t.Errorf("redis = %+v", l.Redis)
	}
}

func TestNoReplicaIsWaitedForInACluster(t *testing.T) {
	_, err := Load(Sources{Flags: map[string]string{"redis.url": "redis://n1:6379?addr=n2:6379", "redis.wait": "1"}})
	if m := (Mistakes)(nil); !errors.As(err, &m) || len(m) != 1 || m[0].Key != "redis.wait" {
		t.Errorf("err = %v", err)
	}
}

func TestRedisPasswordIsNeitherPrintedNorPartOfAMistake(t *testing.T) {
	for _, u := range []string{
		"redis://hub:pass-word@localhost:6379",
		"redis://hub:pass-word@s1:26379?master_name=caac&password=pass-word&addr=s2:26379",
		"redis://hub:pass-word@localhost:port",
		"redis://hub:pass-word@localhost/zero",
		"redis://hub:pass-word%zz@localhost",
		"hub:pass-word@localhost",
	} {
		l, err := Load(Sources{Environ: []string{"CAAC_REDIS_URL=" + u}})
		if got := l.Print() + fmt.Sprint(err); strings.Contains(got, "pass-word") {
			t.Errorf("%s: %s", u, got)
		}
	}
}

func TestFileThatIsNotThereOrNotYAMLIsAMistake(t *testing.T) {
	for path, want := range map[string]string{
		"/does/not/exist.yaml":               "no such file",
		write(t, "bad.yaml", "a: [1"):        "yaml",
		write(t, "twice.yaml", "a: 1\na: 2"): "already defined",
	} {
		_, err := Load(Sources{Environ: []string{"CAAC_CONFIG=" + path}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: err = %v, want %q", path, err, want)
		}
	}
}

func TestPrintHidesSecretsAndNamesSources(t *testing.T) {
	const secret = "not-to-be-seen-0123456789-0123456789"
	keyFile := write(t, "key", "hidden-key\n")
	l, err := Load(Sources{
		Environ: []string{"HOME=/home/x", "CAAC_AUTH_JWT_SECRET=" + secret, "CAAC_API_KEY_FILE=" + keyFile},
		Flags:   map[string]string{"push.proxy": "http://user:pass-word@proxy.example.com:3128"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(l.Print(), keyFile, "KEYFILE")
	for _, s := range []string{secret, "hidden-key", "pass-word"} {
		if strings.Contains(got, s) {
			t.Errorf("%q is shown", s)
		}
	}
	golden := filepath.Join("testdata", "print.yaml")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestPrintedConfigurationLoadsAgain(t *testing.T) {
	first, err := Load(Sources{Flags: map[string]string{"origins": "https://a.example.com,http://localhost:3000", "retention.trace_bytes": "1.5GB", "limits.write_timeout": "1500ms"}})
	if err != nil {
		t.Fatal(err)
	}
	again, err := Load(Sources{File: write(t, "hub.yaml", first.Print())})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first.Config, again.Config); diff != "" {
		t.Error(diff)
	}
}
