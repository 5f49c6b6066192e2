//go:build unix

package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/hub/store/sqlite"
)

// TestMain runs a child's part where a test started this binary again.
func TestMain(m *testing.M) {
	switch dir := os.Getenv("STORE_TEST_DIR"); os.Getenv("STORE_TEST_CHILD") {
	case "":
		os.Exit(m.Run())
	case "write":
		writeUntilKilled(dir)
	case "full":
		if err := fillDisk(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
}

func child(t *testing.T, part, dir string) *exec.Cmd {
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), "STORE_TEST_CHILD="+part, "STORE_TEST_DIR="+dir)
	c.Stderr = os.Stderr
	return c
}

const (
	crashWriters = 8
	crashRounds  = 4
	crashLines   = 150 // acknowledged before each kill
)

// writeUntilKilled prints each message after the store answered that it is kept
// and told.
func writeUntilKilled(dir string) {
	s, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	var out sync.Mutex
	for w := range crashWriters {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				agent, conversation := fmt.Sprintf("agent-%d", w%3), fmt.Sprintf("c%d", w%2)
				a, err := s.Accept(context.Background(), message(conversation, id))
				if err != nil {
					fmt.Println("error", err)
					return
				}
				r, err := s.Commit(context.Background(), 0, notify.Batch{
					Add:     []notify.Add{{Agent: agent, Conversation: conversation, From: a.Message.Seq, To: a.Message.Seq}},
					Fanouts: []notify.Fanout{{Ref: a.Message.Ref(), Seq: a.Message.Seq}},
					Done:    []notify.DueRef{{Key: a.Due[0].Key, Rev: a.Due[0].Rev}},
				})
				if err != nil {
					fmt.Println("error", err)
					return
				}
				out.Lock()
				fmt.Println("kept", conversation, id, a.Message.Seq, agent, r.Counts[0].Version)
				out.Unlock()
			}
		}()
	}
	select {}
}

func TestKilledStoreKeepsWhatItAcknowledged(t *testing.T) {
	dir := t.TempDir()
	type kept struct {
		ref   notify.Ref
		seq   int64
		agent string
	}
	var all []kept
	versions := map[string]int64{}
	for round := range crashRounds {
		c := child(t, "write", dir)
		stdout, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stdout)
		for n := 0; lines.Scan(); n++ {
			var k kept
			var version int64
			if _, err := fmt.Sscanf(lines.Text(), "kept %s %s %d %s %d", &k.ref.Conversation, &k.ref.Message, &k.seq, &k.agent, &version); err != nil {
				t.Errorf("round %d: %q", round, lines.Text())
				break
			}
			all = append(all, k)
			versions[k.agent] = max(versions[k.agent], version)
			if n == crashLines {
				c.Process.Kill()
			}
		}
		c.Process.Kill()
		c.Wait()
		if t.Failed() {
			return
		}
		// The next round starts on what this one left, as the hub would.
		s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		for agent, v := range versions {
			have, err := s.Versions(t.Context(), []string{agent})
			if err != nil || have[0] < v {
				t.Errorf("round %d: version of %s is %v (%v), was %d", round, agent, have, err, v)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}

	s := open(t, sqlite.Options{Dir: dir})
	seqs := map[string]map[int64]bool{"c0": {}, "c1": {}}
	for _, k := range all {
		m, err := s.Message(t.Context(), k.ref)
		if err != nil || m.Seq != k.seq || seqs[k.ref.Conversation][k.seq] {
			t.Errorf("message %v: seq %d, want %d (%v)", k.ref, m.Seq, k.seq, err)
		}
		seqs[k.ref.Conversation][k.seq] = true
		if _, err := s.Fanout(t.Context(), 0, k.ref); err != nil {
			t.Errorf("record of %v: %v", k.ref, err)
		}
	}
	// What was kept without an answer is whole too: told, or still waiting.
	told, total := 0, 0
	for _, c := range []string{"c0", "c1"} {
		conversation, err := s.Conversation(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		total += int(conversation.Seq)
	}
	for i := range 3 {
		u, err := s.Unread(t.Context(), fmt.Sprintf("agent-%d", i), 1)
		if err != nil {
			t.Fatal(err)
		}
		told += u.Total
	}
	pending, err := s.Pending(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if waiting := pending[notify.DueFanout].Count; told+waiting != total || told < len(all) {
		t.Errorf("%d accepted, %d told (%d acknowledged), %d waiting", total, told, len(all), waiting)
	}
	t.Logf("%d acknowledged, %d accepted, %d kills", len(all), total, crashRounds)
}

// fillDisk forbids files to grow: writes and commits fail as on a full disk.
func fillDisk(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	ctx := context.Background()
	s, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		return err
	}
	limit := func(bytes uint64) error {
		var l syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			return err
		}
		l.Cur = bytes
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l)
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	for round := range 3 {
		var kept, failed []string
		if err := limit(uint64(700_000 * (round + 1))); err != nil {
			return err
		}
		for i := 0; len(failed) < 5 && i < 5000; i++ {
			id := fmt.Sprintf("%d-%d", round, i)
			_, err := s.Accept(ctx, message("c", id))
			switch {
			case err == nil:
				kept = append(kept, id)
			case errors.Is(err, notify.ErrUnavailable):
				failed = append(failed, id)
			default:
				return fmt.Errorf("message %s: %w", id, err)
			}
		}
		if len(kept) == 0 || len(failed) < 5 {
			return fmt.Errorf("round %d: %d kept, %d failed", round, len(kept), len(failed))
		}
		if err := s.Ready(ctx); !errors.Is(err, notify.ErrUnavailable) {
			return fmt.Errorf("round %d: ready says %v", round, err)
		}
		if err := limit(uint64(before.Cur)); err != nil {
			return err
		}
		if err := s.Ready(ctx); err != nil {
			return fmt.Errorf("round %d: with room again: %w", round, err)
		}
		for _, id := range kept {
			if _, err := s.Message(ctx, notify.Ref{Conversation: "c", Message: id}); err != nil {
				return fmt.Errorf("kept message %s: %w", id, err)
			}
		}
		for _, id := range failed {
			a, err := s.Accept(ctx, message("c", id))
			if err != nil || a.Duplicate {
				return fmt.Errorf("refused message %s, again: duplicate %v, %w", id, a.Duplicate, err)
			}
		}
	}
	c, err := s.Conversation(ctx, "c")
	if err != nil {
		return err
	}
	pending, err := s.Pending(ctx, at)
	if err != nil {
		return err
	}
	if n := pending[notify.DueFanout].Count; int64(n) != c.Seq {
		return fmt.Errorf("%d messages have their work, seq %d", n, c.Seq)
	}
	return s.Close()
}

func TestFullDiskLosesNothingAndRecovers(t *testing.T) {
	out, err := child(t, "full", t.TempDir()).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
