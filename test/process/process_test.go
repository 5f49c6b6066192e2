//go:build linux

package process

import (
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func start(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start(exec.Command("sh", "-c", script))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill() })
	return p
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); pause() {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestKillEndsChildrenToo(t *testing.T) {
	p := start(t, "sleep 1000 & sleep 1000 & wait")
	waitFor(t, "three processes", func() bool { return len(p.Members()) == 3 })
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if left := p.Members(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestKillEndsChildrenThatLeftTheGroup(t *testing.T) {
	p := start(t, "setsid sleep 1000 & wait")
	waitFor(t, "a child in a group of its own", func() bool {
		for _, pid := range p.Members() {
			if group, _ := syscall.Getpgid(pid); group == pid && pid != p.cmd.Process.Pid {
				return true
			}
		}
		return false
	})
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if left := p.Members(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFrozenProcessCanBeKilled(t *testing.T) {
	p := start(t, "sleep 1000 & wait")
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
}

func TestOutputKeepsTheEnd(t *testing.T) {
	p := start(t, "seq 100000 >&2; echo the end >&2")
	<-p.Ended()
	if out := p.Output(); len(out) > 16<<10 || out[len(out)-8:] != "the end\n" {
		t.Errorf("%d bytes, ending in %q", len(out), out[max(0, len(out)-20):])
	}
}
