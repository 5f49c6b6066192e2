//go:build linux

// Package process starts the programs that browser tests need, so that none
// outlives its test: each in a process group of its own, killed by the kernel
// if the test dies.
package process

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const markName = "CAAC_TEST_PROCESS"

// Process is a running program with all the processes it started.
type Process struct {
	cmd    *exec.Cmd
	mark   string
	output *tail
	ended  chan struct{}
}

// Start starts cmd. Its environment is extended, its SysProcAttr replaced, and
// its standard error kept for Output unless cmd has taken it. The caller must Kill it.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, output: &tail{}, ended: make(chan struct{})}
	p.mark = fmt.Sprintf("%s=%d-%d", markName, os.Getpid(), time.Now().UnixNano())
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, p.mark)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if cmd.Stderr == nil {
		cmd.Stderr = p.output
	}
	// Children of the program may hold its standard error after it has gone.
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	go func() {
		cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// Ended is closed when the program itself has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Output is the end of what the program wrote to its standard error.
func (p *Process) Output() string { return p.output.String() }

// Freeze stops the program and all processes of its group (SIGSTOP), as a
// suspended machine would. Thaw lets them go on.
func (p *Process) Freeze() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGSTOP) }

// Thaw lets a frozen program go on.
func (p *Process) Thaw() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGCONT) }

// Members are the ids of the processes that belong to the program now,
// including those that left its process group.
func (p *Process) Members() []int {
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && pid != os.Getpid() && p.owns(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (p *Process) owns(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// pid (command) state parent group: the command may hold spaces and parentheses.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 3 || fields[0] == "Z" || fields[0] == "X" {
		return false
	}
	if fields[2] == strconv.Itoa(p.cmd.Process.Pid) {
		return true
	}
	environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return slices.Contains(strings.Split(string(environ), "\x00"), p.mark)
}

// Quit waits up to grace for the program to end by itself, then kills what is left.
func (p *Process) Quit(grace time.Duration) error {
	select {
	case <-p.ended:
	case <-time.After(grace):
	}
	return p.Kill()
}

// Kill ends the program and everything it started, and returns when all are gone.
func (p *Process) Kill() error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		members := p.Members()
		for _, pid := range members {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		select {
		case <-p.ended:
			if len(members) == 0 {
				return nil
			}
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: processes %v survive SIGKILL", filepath.Base(p.cmd.Path), members)
		}
		pause()
	}
}

// pause is the step of a wait for something the kernel does not tell of.
func pause() { time.Sleep(5 * time.Millisecond) }

// tail keeps the last 16 KiB written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if len(t.buf) > 16<<10 {
		t.buf = slices.Clone(t.buf[len(t.buf)-16<<10:])
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
