//go:build linux

// Package chaos kills, freezes and cuts off the hub at random moments under load
// and holds what is left against what was promised: processes with the real code,
// real sockets, a real store, and a push service on loopback TLS.
package chaos

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
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

	"go.uber.org/goleak"

	"caac-hub/config"
	"caac-hub/http/serve"
)

const (
	origin    = "https://caac.example.com"
	secret    = "the secret of the soak test, 32 bytes or more"
	childName = "CAAC_CHAOS_CHILD" // holds a child as JSON
)

// child is what a process that is a node of the hub is told. It is this test
// binary, because the program itself dials no push service on loopback.
type child struct {
	Listen string
	Push   string // address that every push host's name leads to
	Cert   string // PEM of the certificate that is trusted there
	Config map[string]string
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

// configure is the configuration of a node, with some of it given.
func configure(more map[string]string) (config.Config, error) {
	flags := map[string]string{
		"mode": "production", "origins": origin, "conversation_url": origin + "/{conversation}",
		"auth.jwt_secret": secret, "metrics.public": "true", "drain_spread": "1s", "retention.trace_bytes": "8GiB",
		"limits.frames_per_second": "1000", "limits.requests_per_address": "10000",
	}
	maps.Copy(flags, more)
	l, err := config.Load(config.Sources{Flags: flags})
	return l.Config, err
}

func runChild(text string) error {
	var c child
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	c.Config["listen"] = c.Listen
	configured, err := configure(c.Config)
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
		Config: configured, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), Version: "chaos",
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

// program is a node of the hub in a process of its own, which can be killed and
// started again on what it left.
type program struct {
	t     testing.TB
	env   string
	addr  string
	log   *os.File
	cmd   *exec.Cmd
	ended chan error // gets the end of cmd
	http  *http.Client
}

// newProgram is a node that was not started. When the test ends it is drained.
func newProgram(t testing.TB, s *pushService, config map[string]string) *program {
	t.Helper()
	// The port must outlive a kill, and no connection of anybody may sit there.
	l := listenLow(t)
	p := &program{t: t, addr: l.Addr().String(), http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}}
	l.Close()
	env, err := json.Marshal(child{Listen: p.addr, Push: s.addr, Config: config,
		Cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Certificate[0]}))})
	if err != nil {
		t.Fatal(err)
	}
	p.env = childName + "=" + string(env)
	if p.log, err = os.Create(filepath.Join(t.TempDir(), "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.stop()
		p.log.Close()
	})
	return p
}

// listenLow listens on a port below those that the kernel gives to outgoing
// connections.
func listenLow(t testing.TB) net.Listener {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(10000+rand.IntN(22000))))
		if err == nil {
			return l
		}
	}
	t.Fatal("found no spare port")
	return nil
}

// startProgram starts the hub as one node on an empty folder.
func startProgram(t testing.TB, s *pushService) (*program, *front) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	p := newProgram(t, s, map[string]string{"data_dir": dir})
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, serve.FirstKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	return p, newFront(t, strings.TrimSpace(string(key)), p.addr, p.addr)
}

// launch starts the process.
func (p *program) launch() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), p.env)
	cmd.Stderr = p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	p.cmd, p.ended = cmd, ended
	return nil
}

// start starts the process and returns once it is ready.
func (p *program) start() error {
	if err := p.launch(); err != nil {
		return err
	}
	return p.awaitReady()
}

func (p *program) awaitReady() error {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); pause() {
		if p.ready() {
			return nil
		}
	}
	return fmt.Errorf("the hub was not ready within 30 s; it logged\n%s", p.logged())
}

func (p *program) ready() bool {
	resp, err := p.http.Get("http://" + p.addr + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// signal tells the process something; one that has ended does not mind.
func (p *program) signal(s syscall.Signal) {
	if p.cmd != nil {
		p.cmd.Process.Signal(s)
	}
}

// kill ends the process as a power cut would, and returns when it is gone.
func (p *program) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
	p.cmd = nil
}

// stop drains the node.
func (p *program) stop() {
	if p.cmd == nil {
		return
	}
	p.signal(syscall.SIGTERM)
	kill := time.AfterFunc(20*time.Second, func() { p.signal(syscall.SIGKILL) })
	defer kill.Stop()
	if err := <-p.ended; err != nil {
		p.t.Errorf("the hub did not drain: %v; it logged\n%s", err, p.logged())
	}
	p.cmd = nil
}

// logged is the end of what the hub warned of, refusals apart.
func (p *program) logged() string {
	b, _ := os.ReadFile(p.log.Name())
	text := ""
	for line := range strings.Lines(string(b)) {
		if !strings.Contains(line, "request refused") {
			text += line
		}
	}
	return text[max(0, len(text)-4000):]
}

// pause is the step of a wait for another process.
func pause() { time.Sleep(5 * time.Millisecond) }
