//go:build linux

// Load measures the hub on this machine: the real program in a process of its
// own, real sockets over loopback, pages that acknowledge like real ones. What
// it prints is the server's own memory and CPU, read from /proc.
//
//	go run ./test/load
//	go run ./test/load -only messages,team -seconds 20
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

// settings are what a run can be asked for.
type settings struct {
	binary  string // the program
	profile string // folder for CPU profiles of the server; empty: none
	sockets int
	team    int
	rate    int
	traces  int
	length  time.Duration // of each measured stretch
	verbose bool          // the server's log is shown
}

// measures are the parts of a run, in order.
var measures = []struct {
	name string
	run  func(context.Context, settings, *table) error
}{
	{"idle", idle},
	{"messages", messages},
	{"team", team},
	{"push", pushes},
	{"cost", costs},
	{"compare", compare},
	{"support", support},
}

func names() string {
	var all []string
	for _, m := range measures {
		all = append(all, m.name)
	}
	return strings.Join(all, ", ")
}

func main() {
	if file := os.Getenv(profileVariable); file != "" {
		os.Exit(profiled(file))
	}
	var s settings
	var seconds int
	only := flag.String("only", "", "comma-separated parts of: "+names())
	flag.IntVar(&s.sockets, "sockets", 10_000, "idle sockets")
	flag.IntVar(&s.team, "members", 1000, "agents of the team")
	flag.IntVar(&s.traces, "traces", 10_000, "messages that support's page looks for")
	flag.IntVar(&s.rate, "rate", 2000, "messages per second of the open loop")
	flag.IntVar(&seconds, "seconds", 6, "length of each measured stretch; of those that compare hubs a quarter")
	flag.StringVar(&s.profile, "profile", "", "folder for CPU profiles of the server")
	flag.BoolVar(&s.verbose, "v", false, "show the server's log")
	flag.Parse()
	s.length = time.Duration(seconds) * time.Second
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s, *only); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings, only string) error {
	var wanted []string
	if only != "" {
		wanted = strings.Split(only, ",")
	}
	for _, w := range wanted {
		if !slices.ContainsFunc(measures, func(m struct {
			name string
			run  func(context.Context, settings, *table) error
		}) bool {
			return m.name == w
		}) {
			return fmt.Errorf("-only %q: the parts are %s", w, names())
		}
	}
	if err := raiseFiles(uint64(s.sockets) + 4096); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "caac-load-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s.binary = filepath.Join(dir, "caac-hub")
	build := exec.CommandContext(ctx, "go", "build", "-o", s.binary, "caac-hub")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building the program: %w", err)
	}
	// The collector of this process competes with the server for the cores.
	debug.SetGCPercent(400)

	t := &table{}
	for _, m := range measures {
		if len(wanted) > 0 && !slices.Contains(wanted, m.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s …\n", m.name)
		if err := m.run(ctx, s, t); err != nil {
			t.write(os.Stdout)
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	fmt.Printf("\n%s, %d cores shared by server and clients, %s\n", runtime.Version(), runtime.NumCPU(), runtime.GOOS)
	t.write(os.Stdout)
	return nil
}

// raiseFiles raises the limit on open files, for this process and the server it
// starts.
func raiseFiles(least uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Cur >= least {
		return nil
	}
	limit.Cur, limit.Max = least, max(limit.Max, least)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("%d open files are needed: %w (ulimit -n)", least, err)
	}
	return nil
}
