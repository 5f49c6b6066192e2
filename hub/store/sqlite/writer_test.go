package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"caac-hub/hub/notify"
)

func openHere(t *testing.T, o Options) *Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// hold keeps the writer busy until the function it returns is called.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	held, let := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- s.do(context.Background(), func(*tx) error { close(held); <-let; return nil })
	}()
	<-held
	return sync.OnceFunc(func() {
		close(let)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// queued waits until n operations wait for the writer.
func queued(s *Store, n int) {
	for len(s.ops) < n {
		runtime.Gosched()
	}
}

func TestFailedStatementFailsItsOwnOperationOnly(t *testing.T) {
	s := openHere(t, Options{})
	release := hold(t, s)
	defer release()
	const good = 5
	errs := make(chan error, good)
	bad := make(chan error, 1)
	for i := range good {
		go func() {
			_, err := s.PutAgent(t.Context(), notify.Agent{ID: fmt.Sprint(i)})
			errs <- err
		}()
	}
	go func() {
		bad <- s.do(t.Context(), func(x *tx) error {
			x.putDue(notify.Due{Key: "ring/1", Kind: notify.DueRing})
			_, err := x.c.exec("INSERT INTO agents (id, rev, doc) VALUES ('half', 1, NULL)")
			return err
		})
	}()
	queued(s, good+1)
	release()
	for range good {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := <-bad; !errors.Is(err, notify.ErrUnavailable) {
		t.Errorf("answered %v", err)
	}
	agents, err := s.ListAgents(t.Context(), "", 100)
	if err != nil || len(agents) != good {
		t.Errorf("%d agents, %v", len(agents), err)
	}
	if due, _ := s.Due(t.Context(), 0, []string{"ring/1"}); len(due) != 0 {
		t.Errorf("the failed operation left %+v", due)
	}
}

func TestEndedContextIsNotCarriedOut(t *testing.T) {
	s := openHere(t, Options{})
	release := hold(t, s)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error)
	go func() {
		_, err := s.PutAgent(ctx, notify.Agent{ID: "mei"})
		answered <- err
	}()
	queued(s, 1)
	cancel()
	err := <-answered // while the writer is still held
	if !errors.Is(err, context.Canceled) || !errors.Is(err, notify.ErrUnavailable) {
		t.Errorf("answered %v", err)
	}
	release()
	if agents, err := s.Agents(t.Context(), []string{"mei"}); err != nil || len(agents) != 0 {
		t.Errorf("have %v, %v", agents, err)
	}
}

func TestClosedStoreAnswersUnavailable(t *testing.T) {
	s := openHere(t, Options{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, put := s.PutAgent(t.Context(), notify.Agent{ID: "mei"})
	_, get := s.Agents(t.Context(), []string{"mei"})
	_, claim := s.Claim(t.Context(), []int{0}, time.Now(), 1, time.Second)
	for _, err := range []error{put, get, claim, s.Ready(t.Context()), s.Backup(t.Context(), t.TempDir()+"/b")} {
		if !errors.Is(err, notify.ErrUnavailable) {
			t.Errorf("answered %v", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestCloseCarriesOutWhatWasQueued(t *testing.T) {
	dir := t.TempDir()
	s := openHere(t, Options{Dir: dir})
	release := hold(t, s)
	const n = 20
	errs := make(chan error, n)
	for i := range n {
		go func() {
			_, err := s.PutAgent(t.Context(), notify.Agent{ID: fmt.Sprint(i)})
			errs <- err
		}()
	}
	queued(s, n)
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	release()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	again := openHere(t, Options{Dir: dir})
	if agents, err := again.ListAgents(t.Context(), "", 100); err != nil || len(agents) != n {
		t.Errorf("%d agents, %v", len(agents), err)
	}
}

func TestFullDatabaseRefusesWritesAndRecovers(t *testing.T) {
	s := openHere(t, Options{})
	limit := func(pages string) {
		t.Helper()
		err := s.do(t.Context(), func(x *tx) error {
			_, err := x.c.int("PRAGMA max_page_count=" + pages)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	limit("60")
	accept := func(i int) error {
		_, err := s.Accept(t.Context(), notify.Accept{Message: notify.Message{
			Conversation: "c", ID: fmt.Sprint(i), Text: string(make([]byte, 5000)), Accepted: time.Unix(int64(i+1), 0)}})
		return err
	}
	kept := 0
	for ; ; kept++ {
		if err := accept(kept); err != nil {
			if !errors.Is(err, notify.ErrUnavailable) {
				t.Fatal(err)
			}
			break
		}
	}
	if kept < 5 {
		t.Fatalf("full after %d messages", kept)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, notify.ErrUnavailable) {
		t.Errorf("ready says %v", err)
	}
	if _, err := s.Message(t.Context(), notify.Ref{Conversation: "c", Message: "0"}); err != nil {
		t.Errorf("reading: %v", err)
	}
	pending, err := s.Pending(t.Context(), time.Unix(0, 0))
	if err != nil || pending[notify.DueFanout].Count != kept {
		t.Errorf("pending %v, %v; want %d", pending, err, kept)
	}
	limit("100000")
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("ready says %v", err)
	}
	if err := accept(kept); err != nil {
		t.Fatal(err)
	}
	if c, err := s.Conversation(t.Context(), "c"); err != nil || c.Seq != int64(kept+1) {
		t.Errorf("seq %d, %v; want %d", c.Seq, err, kept+1)
	}
}

func TestSizeCapRemovesTheOldestFirst(t *testing.T) {
	s := openHere(t, Options{Retention: Retention{Bytes: 1 << 20}})
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	add := func(id string, accepted time.Time) {
		t.Helper()
		a, err := s.Accept(t.Context(), notify.Accept{Message: notify.Message{Conversation: "c", ID: id, Accepted: accepted}})
		if err != nil {
			t.Fatal(err)
		}
		f := notify.Fanout{Ref: a.Message.Ref(), Deliveries: []notify.Delivery{{ID: strings.Repeat("x", 2000), End: notify.EndNone}}}
		if _, err := s.Commit(t.Context(), 0, notify.Batch{Fanouts: []notify.Fanout{f}, Done: []notify.DueRef{{Key: a.Due[0].Key, Rev: a.Due[0].Rev}}}); err != nil {
			t.Fatal(err)
		}
	}
	const n = 600
	for i := range n {
		add(fmt.Sprintf("old%d", i), now.Add(-48*time.Hour+time.Duration(i)*time.Second))
		add(fmt.Sprintf("new%d", i), now.Add(-time.Hour+time.Duration(i)*time.Second))
	}
	swept, err := s.Sweep(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	if swept != n {
		t.Errorf("%d messages went, want the %d past the dedupe window", swept, n)
	}
	list, err := s.Messages(t.Context(), notify.TraceFilter{Limit: 500})
	if err != nil || len(list) != 500 {
		t.Fatalf("%d messages, %v", len(list), err)
	}
	records := 0
	for _, m := range list {
		f, err := s.Fanouts(t.Context(), m.Ref())
		if err != nil {
			t.Fatal(err)
		}
		records += len(f)
	}
	if records == 0 || records == len(list) {
		t.Errorf("%d of the newest %d messages have their deliveries", records, len(list))
	}
	if f, err := s.Fanouts(t.Context(), notify.Ref{Conversation: "c", Message: "new0"}); err != nil || len(f) != 0 {
		t.Errorf("the oldest kept message still has its deliveries (%v)", err)
	}
	if again, err := s.Sweep(t.Context(), now); err != nil || again != 0 {
		t.Errorf("a second sweep removed %d, %v", again, err)
	}
}

func TestFailedCommitLeavesMemoryAsItWas(t *testing.T) {
	s := openHere(t, Options{})
	if _, err := s.Accept(t.Context(), notify.Accept{Message: notify.Message{Conversation: "c", ID: "1"}, DueAt: time.Unix(1, 0)}); err != nil {
		t.Fatal(err)
	}
	claimed, err := s.Claim(t.Context(), []int{0}, time.Unix(2, 0), 1, time.Hour)
	if err != nil || len(claimed) != 1 {
		t.Fatal(claimed, err)
	}
	// The transaction is ended under the writer's hands: its COMMIT fails.
	err = s.do(t.Context(), func(x *tx) error {
		x.putDue(notify.Due{Key: "ring/1", Kind: notify.DueRing})
		_, err := x.c.exec("ROLLBACK")
		return err
	})
	if !errors.Is(err, notify.ErrUnavailable) {
		t.Fatalf("answered %v", err)
	}
	_, err = s.Commit(t.Context(), 0, notify.Batch{
		Add:  []notify.Add{{Agent: "mei", Conversation: "c", From: 1, To: 1}},
		Done: []notify.DueRef{{Key: claimed[0].Key, Rev: claimed[0].Rev}},
	})
	if err != nil {
		t.Fatalf("after it: %v", err)
	}
	if u, err := s.Unread(t.Context(), "mei", 1); err != nil || u.Total != 1 {
		t.Errorf("unread %+v, %v", u, err)
	}
}

func TestReloadKeepsLeases(t *testing.T) {
	s := openHere(t, Options{})
	put := notify.Batch{Due: []notify.Due{{Key: "ring/1", Kind: notify.DueRing}, {Key: "ring/2", Kind: notify.DueRing, At: time.Unix(3, 0)}}}
	if _, err := s.Commit(t.Context(), 0, put); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Claim(t.Context(), []int{0}, time.Unix(2, 0), 1, time.Hour); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	err := s.do(t.Context(), func(x *tx) error { x.s.broken = true; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := s.Claim(t.Context(), []int{0}, time.Unix(4, 0), 9, time.Hour)
	if err != nil || len(got) != 1 || got[0].Key != "ring/2" {
		t.Errorf("claimed %+v, %v", got, err)
	}
}
