//go:build linux

// Package chaos kills the hub with SIGKILL at random moments under load and
// holds what is left against what was promised: a process with the real code,
// real sockets, a real store, and a push service on loopback TLS.
package chaos

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"caac-hub/config"
	"caac-hub/http/serve"
)

const (
	origin    = "https://caac.example.com"
	secret    = "the secret of the soak test, 32 bytes or more"
	childName = "CAAC_CHAOS_CHILD" // holds a child as JSON
)

// child is what a process that is the hub is told. It is this test binary,
// because the program itself dials no push service on loopback.
type child struct {
	Dir    string
	Listen string
	Push   string // address that every push host's name leads to
	Cert   string // PEM of the certificate that is trusted there
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childName); text != "" {
		if err := runChild(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func runChild(text string) error {
	var c child
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	l, err := config.Load(config.Sources{Flags: map[string]string{
		"mode": "production", "listen": c.Listen, "data_dir": c.Dir, "origins": origin,
		"conversation_url": origin + "/{conversation}", "auth.jwt_secret": secret, "metrics.public": "true",
		"limits.frames_per_second": "1000", "limits.requests_per_address": "10000",
	}})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(c.Cert)) {
		return fmt.Errorf("no certificate in %q", c.Cert)
	}
	var dialer net.Dialer
	p, err := serve.New(ctx, serve.Options{
		Config: l.Config, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), Version: "chaos",
		PushDial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, c.Push)
		},
		PushRootCAs: pool,
	})
	if err != nil {
		return err
	}
	return p.Run(ctx)
}

// program is the hub in a process of its own, which can be killed and started
// again on what it left.
type program struct {
	t    testing.TB
	env  string
	addr string
	dir  string
	key  string // API key
	log  *os.File
	cmd  *exec.Cmd
	http *http.Client
}

// startProgram starts the hub on an empty folder. When the test ends it is
// drained.
func startProgram(t testing.TB, s *pushService) *program {
	t.Helper()
	// The port must outlive a kill.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := &program{t: t, addr: l.Addr().String(), dir: filepath.Join(dir, "data")}
	l.Close()
	env, err := json.Marshal(child{Dir: p.dir, Listen: p.addr, Push: s.addr, Cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Certificate[0]}))})
	if err != nil {
		t.Fatal(err)
	}
	p.env = childName + "=" + string(env)
	if p.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	p.http = &http.Client{Transport: transport, Timeout: 10 * time.Second}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		p.stop()
		p.log.Close()
	})
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(p.dir, serve.FirstKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	p.key = strings.TrimSpace(string(key))
	return p
}

// start starts the process and returns once it is ready.
func (p *program) start() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	p.cmd = exec.Command(exe)
	p.cmd.Env = append(os.Environ(), p.env)
	p.cmd.Stderr = p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); pause() {
		resp, err := p.http.Get("http://" + p.addr + "/readyz")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("the hub was not ready within 30 s; it logged\n%s", p.logged())
}

// kill ends the process as a power cut would, and returns when it is gone.
func (p *program) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
	p.http.CloseIdleConnections()
	p.cmd = nil
}

func (p *program) stop() {
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(20*time.Second, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the hub did not drain: %v; it logged\n%s", err, p.logged())
	}
	p.cmd = nil
}

// logged is the end of what the hub warned of.
func (p *program) logged() string {
	b, _ := os.ReadFile(p.log.Name())
	return string(b[max(0, len(b)-4000):])
}

// statusError is an answer other than 2xx.
type statusError struct {
	status int
	said   string
}

func (e *statusError) Error() string { return strconv.Itoa(e.status) + " " + e.said }

// call does one request of the backend, or of an agent's page where header says
// so, and decodes the answer into out.
func (p *program) call(ctx context.Context, method, path string, header map[string]string, in, out any) error {
	body := new(bytes.Buffer)
	if in != nil {
		if err := json.NewEncoder(body).Encode(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.addr+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+p.key)
	req.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := p.http.Do(req)
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
func (p *program) must(method, path string, in, out any) {
	p.t.Helper()
	if err := p.call(p.t.Context(), method, path, nil, in, out); err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
}

func token(agent string) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Subject: agent, ExpiresAt: jwt.NewNumericDate(time.Now().Add(2 * time.Hour)),
	}).SignedString([]byte(secret))
}

// pause is the step of a wait for another process.
func pause() { time.Sleep(5 * time.Millisecond) }
