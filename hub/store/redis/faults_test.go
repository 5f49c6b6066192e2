//go:build redis && linux

package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/hub/redisconn"
	redisstore "caac-hub/hub/store/redis"
	redistest "caac-hub/test/redis"
)

func message(conversation, id string) notify.Accept {
	return notify.Accept{
		Message: notify.Message{Conversation: conversation, ID: id, Kind: notify.Text, Text: "Hello, is anybody there? My order has not arrived.",
			Contact: "Ken", Hash: "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU", Sent: at, Accepted: at},
		DueAt: at.Add(time.Second),
	}
}

func unavailable(t testing.TB, err error, says string) {
	t.Helper()
	if !errors.Is(err, notify.ErrUnavailable) || !strings.Contains(err.Error(), says) {
		t.Fatalf("error %v, want one that is notify.ErrUnavailable and says %q", err, says)
	}
}

// eventually waits until try answers nil.
func eventually(t testing.TB, within time.Duration, try func() error) {
	t.Helper()
	end := time.Now().Add(within)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v still: %v", within, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestFlushedScriptsAreSentAgain(t *testing.T) {
	server := redistest.Start(t, redistest.Options{AppendFsync: "off"})
	s := ready(t, redisstore.Options{Conn: connect(t, redisconn.Options{URL: server.URL()})})
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 {
				a, err := s.Accept(t.Context(), message(fmt.Sprint("c", w), fmt.Sprint("m", i)))
				if err == nil && (a.Duplicate || a.Message.Seq != int64(i+1)) {
					err = fmt.Errorf("accepted %+v", a)
				}
				if err == nil && i%10 == w {
					err = server.Client().ScriptFlush(t.Context()).Err()
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Fatal(err)
	}
}

func TestReplicaTakesNoWriteAndSaysSo(t *testing.T) {
	server := redistest.Start(t, redistest.Options{AppendFsync: "off"})
	s := ready(t, redisstore.Options{Conn: connect(t, redisconn.Options{URL: server.URL()})})
	must(s.Accept(t.Context(), message("c", "m1")))(t)
	must(server.Client().ReplicaOf(t.Context(), "127.0.0.1", "1").Result())(t)
	_, err := s.Accept(t.Context(), message("c", "m2"))
	unavailable(t, err, "replica")
	unavailable(t, s.Ready(t.Context()), "replica")
	must(server.Client().ReplicaOf(t.Context(), "NO", "ONE").Result())(t)
	eventually(t, 5*time.Second, func() error { return s.Ready(t.Context()) })
	if seq := must(s.Accept(t.Context(), message("c", "m2")))(t).Message.Seq; seq != 2 {
		t.Errorf("seq %d, want 2", seq)
	}
}

func TestStoreGoesOnAfterAFailover(t *testing.T) {
	group := redistest.StartSentinel(t, redistest.Options{AppendFsync: "off"})
	s := ready(t, redisstore.Options{Conn: connect(t, redisconn.Options{URL: group.URL(), Wait: 1})})
	accepted := 0
	post := func() error {
		_, err := s.Accept(t.Context(), message("c", fmt.Sprint("m", accepted)))
		if err == nil {
			accepted++
		} else if !errors.Is(err, notify.ErrUnavailable) {
			t.Fatal(err)
		}
		return err
	}
	for range 20 {
		if err := post(); err != nil {
			t.Fatal(err)
		}
	}
	group.Failover()
	// Nobody is left to confirm writes: they are made, and not counted as made.
	for i := 0; i < 3; i++ {
		if err := post(); err == nil {
			t.Fatal("a write was confirmed by a replica, and there is none")
		}
	}
	alone := open(t, redisstore.Options{Conn: connect(t, redisconn.Options{URL: group.URL()})})
	eventually(t, 20*time.Second, func() error { return alone.Ready(t.Context()) })
	for i := range accepted {
		if _, err := alone.Message(t.Context(), notify.Ref{Conversation: "c", Message: fmt.Sprint("m", i)}); err != nil {
			t.Errorf("message %d of %d that were accepted: %v", i, accepted, err)
		}
	}
}

func TestTooFewReplicasIsUnavailableForTheRepetitionToo(t *testing.T) {
	group := redistest.StartSentinel(t, redistest.Options{AppendFsync: "off"})
	master, replica := group.Servers[0], group.Servers[1]
	c := connect(t, redisconn.Options{URL: master.URL(), Wait: 1, WaitTimeout: 100 * time.Millisecond})
	s := ready(t, redisstore.Options{Conn: c})
	must(s.Accept(t.Context(), message("c", "m1")))(t)
	replica.Freeze()
	defer replica.Thaw()
	_, err := s.Accept(t.Context(), message("c", "m2"))
	unavailable(t, err, "replicas")
	if !errors.Is(err, redisconn.ErrReplicas) {
		t.Errorf("error %v is not ErrReplicas", err)
	}
	_, err = s.Accept(t.Context(), message("c", "m2"))
	unavailable(t, err, "replicas")
	replica.Thaw()
	eventually(t, 10*time.Second, func() error {
		a, err := s.Accept(t.Context(), message("c", "m2"))
		if err == nil && !a.Duplicate {
			t.Fatal("the write had not happened")
		}
		return err
	})
}

func TestRedisOutOfMemoryRefusesAndChangesNothing(t *testing.T) {
	server := redistest.Start(t, redistest.Options{AppendFsync: "off", MaxMemory: "4mb"})
	s := ready(t, redisstore.Options{Conn: connect(t, redisconn.Options{URL: server.URL()})})
	large := message("c", "")
	large.Message.Text = strings.Repeat("x", 20_000)
	n := 0
	for {
		large.Message.ID = fmt.Sprint("m", n)
		if _, err := s.Accept(t.Context(), large); err != nil {
			unavailable(t, err, "out of memory")
			break
		}
		if n++; n > 1000 {
			t.Fatal("20 MB went into 4 MB")
		}
	}
	server.Config("maxmemory", "1mb") // so that the smallest write is too much
	unavailable(t, s.Ready(t.Context()), "out of memory")
	_, err := s.PutAgent(t.Context(), notify.Agent{ID: "mei"})
	unavailable(t, err, "out of memory")
	_, err = s.Commit(t.Context(), 0, notify.Batch{
		Add: []notify.Add{{Agent: "mei", Conversation: "c", From: 1, To: 1}},
		Due: []notify.Due{{Key: "ring/1", Kind: notify.DueRing, At: at}},
	})
	unavailable(t, err, "out of memory")
	if c := must(s.Conversation(t.Context(), "c"))(t); c.Seq != int64(n) || c.Newest != fmt.Sprint("m", n-1) {
		t.Errorf("conversation %+v after %d messages", c, n)
	}
	if _, err := s.Message(t.Context(), notify.Ref{Conversation: "c", Message: large.Message.ID}); !errors.Is(err, notify.ErrNotFound) {
		t.Errorf("the message that was refused: %v", err)
	}
	if due := must(s.Due(t.Context(), 0, []string{"ring/1"}))(t); len(due) > 0 {
		t.Errorf("work of the batch that was refused: %v", due)
	}
	server.Config("maxmemory", "64mb")
	must(s.Accept(t.Context(), large))(t)
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSizeBoundsWhatIsKeptForLookingBack(t *testing.T) {
	server := redistest.Start(t, redistest.Options{AppendFsync: "off"})
	open := func(bytes int64) *redisstore.Store {
		return ready(t, redisstore.Options{Conn: connect(t, redisconn.Options{URL: server.URL()}), Retention: redisstore.Retention{Bytes: bytes}})
	}
	s := open(1 << 40)
	ctx := t.Context()
	const messages = 2000
	for i := range messages {
		a := message(fmt.Sprint("c", i%50), fmt.Sprint("m", i))
		a.Message.Accepted = at.Add(time.Duration(i) * time.Minute)
		got := must(s.Accept(ctx, a))(t)
		p := got.Due[0].Partition
		f := notify.Fanout{Ref: got.Message.Ref(), Partition: p, Deliveries: []notify.Delivery{{ID: strings.Repeat("d", 2000), End: notify.EndNone}}}
		must(s.Commit(ctx, p, notify.Batch{Fanouts: []notify.Fanout{f}, Done: []notify.DueRef{{Key: got.Due[0].Key, Rev: got.Due[0].Rev}}}))(t)
	}
	now := at.Add(messages * time.Minute)
	if n := must(s.Sweep(ctx, now))(t); n != 0 {
		t.Fatalf("%d messages went although there is room", n)
	}
	tight := open(1 << 20) // less than what Redis itself needs: all may go
	if n := must(tight.Sweep(ctx, now))(t); n < messages-24*60-2 || n > messages-24*60+2 {
		t.Errorf("%d messages went, want all but those of a day: %d", n, messages-24*60)
	}
	newest := notify.Ref{Conversation: fmt.Sprint("c", (messages-1)%50), Message: fmt.Sprint("m", messages-1)}
	must(s.Message(ctx, newest))(t)
	if f := must(s.Fanouts(ctx, newest))(t); len(f) > 0 {
		t.Error("the newest message's record is still there")
	}
	again := message(newest.Conversation, newest.Message)
	if !must(s.Accept(ctx, again))(t).Duplicate {
		t.Error("a message of the last day is no duplicate any more")
	}
}

func TestRestartedRedisHasAllThatWasAccepted(t *testing.T) {
	server := redistest.Start(t, redistest.Options{AppendFsync: "always"})
	s := ready(t, redisstore.Options{Conn: connect(t, redisconn.Options{URL: server.URL()})})
	rev := must(s.PutAgent(t.Context(), notify.Agent{ID: "mei"}))(t)
	p := notify.Partition("mei", 64)
	for i := range 100 {
		must(s.Accept(t.Context(), message("c", fmt.Sprint("m", i))))(t)
	}
	r := must(s.Commit(t.Context(), p, notify.Batch{Revs: map[string]int64{"mei": rev}, Add: []notify.Add{{Agent: "mei", Conversation: "c", From: 1, To: 100}}}))(t)
	server.Kill()
	_, err := s.Accept(t.Context(), message("c", "lost"))
	unavailable(t, err, "Redis")
	unavailable(t, s.Ready(t.Context()), "Redis")
	server.Restart()
	eventually(t, 10*time.Second, func() error { return s.Ready(t.Context()) })
	if a := must(s.Accept(t.Context(), message("c", "m99")))(t); !a.Duplicate || a.Message.Seq != 100 {
		t.Errorf("accepted again: %+v", a)
	}
	u := must(s.Unread(t.Context(), "mei", 1))(t)
	if u.Total != 100 || u.Version != r.Counts[0].Version {
		t.Errorf("unread %+v, want 100 at version %d", u, r.Counts[0].Version)
	}
	if n := must(s.Pending(t.Context(), at))(t)[notify.DueFanout].Count; n != 100 {
		t.Errorf("%d fan-outs wait, want 100", n)
	}
}

func TestNewOrEmptiedRedisTakesNothingUntilTheOperatorSaysSo(t *testing.T) {
	ctx := t.Context()
	server := redistest.Start(t, redistest.Options{AppendFsync: "off"})
	opt := redisstore.Options{Conn: connect(t, redisconn.Options{URL: server.URL()})}
	s, operator := open(t, opt), open(t, opt)
	refused := func() {
		t.Helper()
		unavailable(t, s.Ready(ctx), "caac-hub redis-init")
		_, err := s.Accept(ctx, message("c", "m1"))
		unavailable(t, err, "caac-hub redis-init")
		_, err = s.PutAgent(ctx, notify.Agent{ID: "mei"})
		unavailable(t, err, "caac-hub redis-init")
		_, err = s.Commit(ctx, 0, notify.Batch{})
		unavailable(t, err, "caac-hub redis-init")
	}
	confirmed := func() {
		t.Helper()
		if err := operator.Init(ctx); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Second, func() error { return s.Ready(ctx) })
	}
	refused()
	confirmed()
	must(s.Accept(ctx, message("c", "m1")))(t)
	server.Empty()
	refused()
	confirmed()
	if a := must(s.Accept(ctx, message("c", "m1")))(t); a.Duplicate {
		t.Error("a message of before was found in an emptied Redis")
	}
	// One shard emptied.
	must(server.Client().Del(ctx, fmt.Sprintf("caac:{p%d}:identity", notify.Partition("c", 64))).Result())(t)
	_, err := s.Accept(ctx, message("c", "m2"))
	unavailable(t, err, "caac-hub redis-init")
	_, err = s.PutTeam(ctx, notify.Team{ID: "elsewhere"})
	unavailable(t, err, "caac-hub redis-init")
	confirmed()
	must(s.Accept(ctx, message("c", "m2")))(t)
}

func TestAnotherDeploymentsRedisIsRefused(t *testing.T) {
	ctx := t.Context()
	server := redistest.Start(t, redistest.Options{AppendFsync: "off"})
	opt := redisstore.Options{Conn: connect(t, redisconn.Options{URL: server.URL()})}
	s := ready(t, opt)
	must(s.PutTeam(ctx, notify.Team{ID: "t"}))(t)
	for p := range 64 {
		must(server.Client().Set(ctx, fmt.Sprintf("caac:{p%d}:identity", p), "another", 0).Result())(t)
	}
	_, err := s.PutTeam(ctx, notify.Team{ID: "t2"})
	unavailable(t, err, "another deployment")
	unavailable(t, s.Ready(ctx), "another deployment")
	if err := open(t, opt).Ready(ctx); err != nil {
		t.Errorf("a store opened anew: %v", err)
	}
	if err := s.Init(ctx); err != nil {
		t.Fatal(err)
	}
	must(s.PutTeam(ctx, notify.Team{ID: "t2"}))(t)
}

func TestInitByManyAtOnceAgreesOnOneIdentity(t *testing.T) {
	server := redistest.Start(t, redistest.Options{AppendFsync: "off"})
	conn := connect(t, redisconn.Options{URL: server.URL()})
	stores := make([]*redisstore.Store, 8)
	var wg sync.WaitGroup
	for i := range stores {
		stores[i] = open(t, redisstore.Options{Conn: conn})
		wg.Go(func() {
			if err := stores[i].Init(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, s := range stores {
		if _, err := s.PutTeam(t.Context(), notify.Team{ID: fmt.Sprint("t", i)}); err != nil {
			t.Error(err)
		}
	}
}

func TestFrozenRedisIsUnavailableWithinSeconds(t *testing.T) {
	server := redistest.Start(t, redistest.Options{AppendFsync: "off"})
	opt := redisstore.Options{Conn: connect(t, redisconn.Options{URL: server.URL()})}
	stranger, s := open(t, opt), ready(t, opt) // the stranger does not know the identity yet
	server.Freeze()
	defer server.Thaw()
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			_, err := []*redisstore.Store{s, stranger}[i%2].Accept(t.Context(), message("c", fmt.Sprint("m", i)))
			if !errors.Is(err, notify.ErrUnavailable) {
				t.Errorf("error %v", err)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Accept(ctx, message("c", "short"))
	unavailable(t, err, "in time")
	if took := time.Since(begin); took > 500*time.Millisecond {
		t.Errorf("a context of 50 ms was kept for %v", took)
	}
	wg.Wait()
	if took := time.Since(begin); took > 3500*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	server.Thaw()
	eventually(t, 5*time.Second, func() error { return s.Ready(t.Context()) })
}
