//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"caac-hub/http/serve/cli"
	"caac-hub/hub/notify"
)

const (
	origin = "https://caac.example.com"
	secret = "the secret of a load test, 32 bytes or more"
	// profileVariable names the file a profiled server writes its CPU profile to.
	profileVariable = "CAAC_LOAD_PROFILE"
)

// server is the program in a process of its own: on an empty data folder, or a
// node on a Redis.
type server struct {
	cmd  *exec.Cmd
	dir  string
	addr string // host:port
	key  string // API key
	gone chan struct{}
}

// startServer starts the program on a data folder. The caller stops it.
func startServer(ctx context.Context, s settings, name string) (*server, error) {
	v, err := startNode(ctx, s, name, "")
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(filepath.Join(v.dir, "data", "api-key"))
	if err != nil {
		v.stop()
		return nil, err
	}
	v.key = strings.TrimSpace(string(key))
	return v, nil
}

// flags configure the program, with limits that let one address load it. An
// empty url means that it keeps its state in dir.
func flags(dir, url string) []string {
	f := []string{
		"--mode", "production", "--listen", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"), "--log-level", "info",
		"--set", "origins=" + origin, "--set", "conversation_url=" + origin + "/{conversation}", "--set", "auth.jwt_secret=" + secret,
		"--set", "metrics.public=true", "--set", "log.format=json", "--set", "drain_delay=0s", "--set", "drain_spread=0s",
		"--set", "limits.sockets_per_address=1000000", "--set", "limits.handshakes_per_second=100000",
		"--set", "limits.frames_per_second=100000", "--set", "limits.queue=10000",
	}
	if url != "" {
		f = append(f, "--set", "redis.url="+url)
	}
	return f
}

// startNode starts the program. The caller stops it.
func startNode(ctx context.Context, s settings, name, url string) (*server, error) {
	dir, err := os.MkdirTemp("", "caac-load-data-")
	if err != nil {
		return nil, err
	}
	v := &server{dir: dir, gone: make(chan struct{})}
	binary, env := s.binary, os.Environ()
	if s.profile != "" {
		// The same program inside this binary, with the profiler around it.
		if binary, err = os.Executable(); err != nil {
			return nil, err
		}
		env = append(env, profileVariable+"="+filepath.Join(s.profile, name+".pprof"))
	}
	v.cmd = exec.CommandContext(ctx, binary, flags(dir, url)...)
	v.cmd.Env = env
	v.cmd.Cancel = func() error { return v.cmd.Process.Signal(syscall.SIGTERM) }
	v.cmd.WaitDelay = 20 * time.Second
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := v.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := v.cmd.Start(); err != nil {
		return nil, err
	}
	listening := make(chan string, 1)
	go func() {
		defer close(v.gone)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var line struct{ Msg, URL, Level, Path string }
			json.Unmarshal(lines.Bytes(), &line)
			if line.Msg == "listening" {
				listening <- line.URL
			}
			if s.verbose || line.Level != "INFO" && line.Path != "/readyz" {
				fmt.Fprintf(os.Stderr, "  server: %s\n", lines.Bytes())
			}
		}
	}()
	select {
	case url := <-listening:
		v.addr = strings.TrimPrefix(url, "http://")
	case <-v.gone:
		v.stop()
		return nil, errors.New("the program ended before it listened")
	case <-time.After(20 * time.Second):
		v.stop()
		return nil, errors.New("the program did not listen within 20 s")
	}
	return v, nil
}

// stop drains the server, ends it and removes its folder.
func (v *server) stop() {
	v.cmd.Process.Signal(syscall.SIGTERM)
	<-v.gone
	v.cmd.Wait()
	os.RemoveAll(v.dir)
}

// profiled is the program with a CPU profile of its whole life. SIGUSR1 has it
// write what its heap holds.
func profiled(file string) int {
	f, err := os.Create(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer pprof.StopCPUProfile()
	heap := make(chan os.Signal, 1)
	signal.Notify(heap, syscall.SIGUSR1)
	go func() {
		for range heap {
			runtime.GC()
			if f, err := os.Create(strings.TrimSuffix(file, ".pprof") + ".heap"); err == nil {
				pprof.Lookup("heap").WriteTo(f, 0)
				f.Close()
			}
		}
	}()
	ctx, stop := signalled()
	defer stop()
	return cli.Main(ctx, cli.Env{Command: "load", Args: os.Args[1:], Environ: nil, Stdout: os.Stdout, Stderr: os.Stderr, Version: "load"})
}

// usage is what the server has used so far.
type usage struct {
	cpu        time.Duration
	mallocs    float64
	allocated  float64 // bytes
	rss        int64
	goroutines int
	heap       int64 // bytes of spans in use
	stacks     int64
}

func (v *server) usage() (usage, error) {
	var u usage
	var err error
	if u.cpu, u.rss, err = processUsage(v.cmd.Process.Pid); err != nil {
		return u, err
	}
	m, err := v.metrics()
	if err != nil {
		return u, err
	}
	u.mallocs, u.allocated = m["go_memstats_mallocs_total"], m["go_memstats_alloc_bytes_total"]
	u.goroutines = int(m["go_goroutines"])
	u.heap, u.stacks = int64(m["go_memstats_heap_inuse_bytes"]), int64(m["go_memstats_stack_inuse_bytes"])
	return u, nil
}

// processUsage is the CPU a process has used, and its memory in bytes.
func processUsage(pid int) (cpu time.Duration, rss int64, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	// After the command, which may hold spaces: state is field 3, utime 14, stime 15, rss 24.
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	for _, i := range []int{14 - 3, 15 - 3} {
		ticks, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return 0, 0, err
		}
		cpu += time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100
	}
	pages, err := strconv.ParseInt(f[24-3], 10, 64)
	return cpu, pages * int64(os.Getpagesize()), err
}

// metrics reads the metrics that have no labels.
func (v *server) metrics() (map[string]float64, error) {
	resp, err := http.Get("http://" + v.addr + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if x, err := strconv.ParseFloat(value, 64); err == nil {
			out[name] = x
		}
	}
	return out, lines.Err()
}

// call does one request of the backend and decodes its answer into out, if given.
func (v *server) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	var reader io.Reader
	if in != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+v.addr+path, reader)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+v.key)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s %s", method, path, resp.Status, said)
	}
	if out != nil {
		return json.Unmarshal(said, out)
	}
	return nil
}

// putAgents makes agents on duty, agent-0 and on.
func (v *server) putAgents(ctx context.Context, n int) error {
	type item struct {
		ID     string `json:"id"`
		Name   string `json:"name"`
		OnDuty bool   `json:"on_duty"`
	}
	for from := 0; from < n; from += 500 {
		var items []item
		for i := from; i < min(n, from+500); i++ {
			items = append(items, item{agentID(i), fmt.Sprintf("Agent %d", i), true})
		}
		if err := v.call(ctx, "POST", "/v1/agents/bulk", map[string]any{"agents": items}, nil); err != nil {
			return err
		}
	}
	return nil
}

func agentID(i int) string { return "agent-" + strconv.Itoa(i) }

// settleWait is until after the deadline of what was just sent: before, what
// pages acknowledged is kept in memory, and the store has yet to be told.
const settleWait = 3400 * time.Millisecond

// settled waits until nothing of a message just sent is under way any more, and
// returns how many of its deliveries came to which end.
func (v *server) settled(ctx context.Context, conversation, message string) (map[notify.End]int, error) {
	if err := pause(ctx, settleWait); err != nil {
		return nil, err
	}
	end := time.Now().Add(30 * time.Second)
	for {
		var trace struct {
			Pending    bool              `json:"pending"`
			Deliveries []notify.Delivery `json:"deliveries"`
		}
		if err := v.call(ctx, "GET", "/v1/traces/"+conversation+"/"+message, nil, &trace); err != nil {
			return nil, err
		}
		if !trace.Pending {
			ends := map[notify.End]int{}
			for _, d := range trace.Deliveries {
				ends[d.End]++
			}
			return ends, nil
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("message %s of %s has not ended within 30 s", message, conversation)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// token signs an agent's token.
func token(agent string) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Subject: agent, ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}).SignedString([]byte(secret))
}
