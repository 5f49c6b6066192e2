//go:build linux

// Package redistest starts real Redis servers for tests: one, a Cluster, or a
// master with replicas under Sentinel. They listen on spare loopback ports,
// keep their data in the test's directory and end with the test.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"caac-hub/test/process"
)

// BinaryVariable names the environment variable with the server to run where
// Options.Binary is empty, "valkey-server" say.
const BinaryVariable = "CAAC_TEST_REDIS_SERVER"

// patience bounds every wait for a server.
const patience = 60 * time.Second

// Options of a server, or of each server of a group.
type Options struct {
	// AppendFsync is always (also if empty), everysec or no; off keeps nothing
	// on disk, so that a restarted server is empty.
	AppendFsync string
	MaxMemory   string   // as in redis.conf, "20mb" say; writes beyond it are refused. Empty: no limit.
	Replicas    int      // of each master in a Cluster (0: none), of the master under Sentinel (0: 1)
	Args        []string // more of the command line: "--min-replicas-to-write", "1"
	Binary      string   // empty: what BinaryVariable says, else redis-server
}

// Server is one running, stopped or frozen server.
type Server struct {
	t       testing.TB
	name    string
	binary  string
	dir     string
	args    []string
	port    int
	busPort int // of a Cluster node
	client  *redis.Client

	mu  sync.Mutex
	cmd *exec.Cmd // nil while stopped
	run *process.Process
}

// Start starts one standalone server and returns once it answers.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := newServer(t, "redis", o)
	s.begin(o.lines()...)
	return s
}

func (o Options) binary(t testing.TB) string {
	t.Helper()
	binary := o.Binary
	if binary == "" {
		binary = os.Getenv(BinaryVariable)
	}
	if binary == "" {
		binary = "redis-server"
	}
	path, err := exec.LookPath(binary)
	if err != nil {
		t.Fatalf("%v: scripts/test-deps.sh installs what the tests need", err)
	}
	return path
}

// lines are the options as lines of a configuration file.
func (o Options) lines() []string {
	lines := []string{
		`save ""`,
		// A replica would otherwise be kept waiting for others to sync with.
		"repl-diskless-sync-delay 0",
		"repl-ping-replica-period 1",
	}
	switch o.AppendFsync {
	case "off":
		lines = append(lines, "appendonly no")
	case "":
		lines = append(lines, "appendonly yes", "appendfsync always")
	default:
		lines = append(lines, "appendonly yes", "appendfsync "+o.AppendFsync)
	}
	if o.MaxMemory != "" {
		lines = append(lines, "maxmemory "+o.MaxMemory, "maxmemory-policy noeviction")
	}
	return lines
}

// newServer is a server that begin starts. It ends with the test.
func newServer(t testing.TB, name string, o Options) *Server {
	t.Helper()
	s := &Server{t: t, name: name, binary: o.binary(t), dir: t.TempDir(), args: o.Args}
	t.Cleanup(func() {
		if s.client != nil {
			s.client.Close()
		}
		s.Kill()
		if t.Failed() {
			t.Logf("the end of %s's log:\n%s", s.name, s.logEnd())
		}
	})
	return s
}

// begin starts the server for the first time, on ports nobody else has.
func (s *Server) begin(lines ...string) {
	s.t.Helper()
	for range 20 {
		s.port, s.busPort = sparePort(), sparePort()
		own := []string{
			"port " + strconv.Itoa(s.port),
			"bind 127.0.0.1",
			"dir " + strconv.Quote(s.dir),
			"logfile " + strconv.Quote(s.logFile()),
			"daemonize no",
		}
		for _, line := range lines {
			own = append(own, strings.ReplaceAll(line, "BUSPORT", strconv.Itoa(s.busPort)))
		}
		config := strings.Join(own, "\n") + "\n"
		if err := os.WriteFile(s.configFile(), []byte(config), 0o600); err != nil {
			s.t.Fatal(err)
		}
		err := s.launch()
		if errors.Is(err, errPortTaken) {
			os.Remove(s.logFile())
			continue
		}
		if err != nil {
			s.t.Fatal(err)
		}
		s.client = newClient(s.Addr())
		return
	}
	s.t.Fatalf("%s: found no spare port", s.name)
}

var errPortTaken = errors.New("the port is taken")

// launch starts the program and returns once it answers.
func (s *Server) launch() error {
	args := append([]string{s.configFile()}, s.args...)
	cmd := exec.Command(s.binary, args...)
	cmd.Dir = s.dir
	run, err := process.Start(cmd)
	if err != nil {
		return err
	}
	client := newClient(s.Addr())
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = poll(ctx, func() error {
		select {
		case <-run.Ended():
			return errEnded
		default:
		}
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			return err
		}
		conn.Close()
		// Another's server may have taken the port and answer in our place.
		info, err := infoOf(ctx, client, "server")
		if err == nil && info["process_id"] != strconv.Itoa(cmd.Process.Pid) {
			err = fmt.Errorf("process %s answers", info["process_id"])
		}
		if err == nil {
			// While it loads its data it answers INFO, and nothing else.
			err = client.Ping(ctx).Err()
		}
		return answers(err)
	})
	if err != nil {
		run.Kill()
		log := s.logEnd()
		if strings.Contains(log, "Address already in use") {
			return errPortTaken
		}
		return fmt.Errorf("%s: %w: %s%s", s.name, err, run.Output(), log)
	}
	s.mu.Lock()
	s.cmd, s.run = cmd, run
	s.mu.Unlock()
	return nil
}

var errEnded = errors.New("it ended by itself")

// answers takes an error that an answer carries, other than "not ready yet",
// for an answer.
func answers(err error) error {
	var said redis.Error
	if errors.As(err, &said) && !redis.IsLoadingError(err) && !redis.IsMasterDownError(err) {
		return nil
	}
	return err
}

// Addr is the server's address.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL is the server's address as redisconn takes it.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Client is a client of this one server, for the test's own use. It does not
// retry and is closed with the test.
func (s *Server) Client() *redis.Client { return s.client }

// Kill ends the server at once (SIGKILL), frozen or not.
func (s *Server) Kill() {
	s.t.Helper()
	if _, run := s.take(); run != nil {
		if err := run.Kill(); err != nil {
			s.t.Error(err)
		}
	}
}

// Stop ends the server as an operator would (SIGTERM) and waits for its end.
func (s *Server) Stop() {
	s.t.Helper()
	cmd, run := s.take()
	if run == nil {
		return
	}
	cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-run.Ended():
	case <-time.After(patience):
		s.t.Errorf("%s: did not end after SIGTERM", s.name)
	}
	if err := run.Kill(); err != nil {
		s.t.Error(err)
	}
}

func (s *Server) take() (*exec.Cmd, *process.Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd, run := s.cmd, s.run
	s.cmd, s.run = nil, nil
	return cmd, run
}

// Running says whether the server was started and not ended since.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run != nil
}

// Restart starts the server again with its port and data, having killed it if
// it runs, and returns once it answers.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := poll(ctx, func() error {
		err := s.launch()
		if errors.Is(err, errPortTaken) {
			os.Remove(s.logFile())
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// Freeze suspends the server (SIGSTOP): its connections stay, and say nothing.
func (s *Server) Freeze() { s.signal((*process.Process).Freeze) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() { s.signal((*process.Process).Thaw) }

func (s *Server) signal(do func(*process.Process) error) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == nil {
		s.t.Fatalf("%s is not running", s.name)
	}
	if err := do(s.run); err != nil {
		s.t.Fatal(err)
	}
}

// Empty removes all its data (FLUSHALL).
func (s *Server) Empty() {
	s.t.Helper()
	s.must(s.client.FlushAll(context.Background()))
}

// Config sets one parameter of the running server (CONFIG SET).
func (s *Server) Config(key, value string) {
	s.t.Helper()
	s.must(s.client.ConfigSet(context.Background(), key, value))
}

// Info is one section of INFO, the values by name.
func (s *Server) Info(section string) map[string]string {
	s.t.Helper()
	info, err := infoOf(context.Background(), s.client, section)
	if err != nil {
		s.t.Fatalf("%s: %v", s.name, err)
	}
	return info
}

// Await waits until an INFO section is as wanted.
func (s *Server) Await(section string, ok func(info map[string]string) bool) {
	s.t.Helper()
	await(s.t, s.name, func(ctx context.Context) error { return s.is(ctx, section, ok) })
}

// is answers nil if an INFO section is as wanted.
func (s *Server) is(ctx context.Context, section string, ok func(info map[string]string) bool) error {
	info, err := infoOf(ctx, s.client, section)
	if err == nil && !ok(info) {
		err = fmt.Errorf("%s: INFO %s: %v", s.name, section, info)
	}
	return err
}

func (s *Server) must(cmd redis.Cmder) {
	s.t.Helper()
	if err := cmd.Err(); err != nil {
		s.t.Fatalf("%s: %v: %v", s.name, cmd.Args(), err)
	}
}

func (s *Server) configFile() string { return filepath.Join(s.dir, "redis.conf") }
func (s *Server) logFile() string    { return filepath.Join(s.dir, "redis.log") }

func (s *Server) logEnd() string {
	log, _ := os.ReadFile(s.logFile())
	return string(log[max(0, len(log)-4<<10):])
}

func newClient(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr:                     addr,
		Protocol:                 2,
		MaxRetries:               -1,
		ContextTimeoutEnabled:    true,
		DialerRetries:            1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

func infoOf(ctx context.Context, c *redis.Client, section string) (map[string]string, error) {
	text, err := c.Info(ctx, section).Result()
	if err != nil {
		return nil, err
	}
	return fields(text), nil
}

// fields reads lines of name:value.
func fields(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			values[name] = value
		}
	}
	return values
}

// sparePort picks a port that is free now, below those that the kernel gives to
// outgoing connections, so that none of them sits there when a server restarts.
func sparePort() int {
	for {
		port := 10000 + rand.IntN(22000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			l.Close()
			return port
		}
	}
}

func await(t testing.TB, what string, try func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := poll(ctx, func() error { return try(ctx) }); err != nil {
		t.Fatalf("waited in vain for %s: %v", what, err)
	}
}

// poll tries until it succeeds, the program has ended, or ctx is done; it
// returns the last error.
func poll(ctx context.Context, try func() error) error {
	step := time.NewTicker(10 * time.Millisecond)
	defer step.Stop()
	for {
		err := try()
		if err == nil || errors.Is(err, errEnded) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-step.C:
		}
	}
}
