// Package bustest is the conformance suite of hub.Bus: what every bus must do.
package bustest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"caac-hub/hub"
	"caac-hub/hub/bus"
	"caac-hub/hub/notify"
)

// Run runs the suite. deploy makes a new deployment; every call of what it
// returns gives one more node's bus of it. They end with the test given to deploy.
func Run(t *testing.T, deploy func(t *testing.T) (next func() hub.Bus)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, next func() hub.Bus)
	}{
		{"PublishToAllReachesAllAndTheSender", toAll},
		{"PublishToNodeReachesThatNodeAlone", toNode},
		{"NodeIDIsNoPattern", noPattern},
		{"UnknownNodeIsNoError", unknownNode},
		{"OneSendersMessagesComeOnceAndInOrder", order},
		{"ManySendersMessagesComeOnceAndInOrder", manySenders},
		{"LargestMessageArrivesWhole", largest},
		{"SenderMayReuseItsBuffer", reuse},
		{"PublishedRightAfterJoinIsHeard", afterJoin},
		{"LeaveEndsReceiveForGood", leave},
		{"LeaveWaitsForTheReceiveUnderWay", underWay},
		{"LeaveLeavesNoGoroutine", goroutines},
		{"NodeJoinsAgain", joinAgain},
		{"SlowReceiverLosesNothingThatItsQueueHolds", slow},
		{"OverfullReceiverKeepsTheNewestAndHoldsUpNobody", overfull},
		{"EndedContextIsUnavailable", endedContext},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, deploy(t)) })
	}
	t.Run("DeploymentsDoNotHearEachOther", func(t *testing.T) { apart(t, deploy(t), deploy(t)) })
}

const patience = 20 * time.Second

// ear is a node that has joined, and what it hears.
type ear struct {
	t     *testing.T
	node  string
	heard chan []byte
	leave func()
}

func join(t *testing.T, b hub.Bus, node string) *ear {
	t.Helper()
	e := &ear{t: t, node: node, heard: make(chan []byte, 1<<16)}
	e.joinAs(b, func(data []byte) { e.heard <- data })
	return e
}

func (e *ear) joinAs(b hub.Bus, receive func([]byte)) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), patience)
	defer cancel()
	leave, err := b.Join(ctx, e.node, receive)
	if err != nil {
		e.t.Fatalf("%s joins: %v", e.node, err)
	}
	e.leave = sync.OnceFunc(leave)
	e.t.Cleanup(e.leave)
}

func (e *ear) next() string {
	e.t.Helper()
	select {
	case data := <-e.heard:
		return string(data)
	case <-time.After(patience):
		e.t.Fatalf("%s waited in vain for a message", e.node)
		return ""
	}
}

func (e *ear) expect(want ...string) {
	e.t.Helper()
	for _, w := range want {
		if got := e.next(); got != w {
			e.t.Fatalf("%s heard %.100q, want %.100q", e.node, got, w)
		}
	}
}

func publish(t *testing.T, b hub.Bus, node, data string) {
	t.Helper()
	if err := b.Publish(t.Context(), node, []byte(data)); err != nil {
		t.Fatalf("publish to %q: %v", node, err)
	}
}

func toAll(t *testing.T, next func() hub.Bus) {
	a, b, c := next(), next(), next()
	ears := []*ear{join(t, a, "a"), join(t, b, "b"), join(t, c, "c")}
	publish(t, a, "", "one")
	publish(t, b, "", "two, after one was sent")
	for _, e := range ears {
		e.expect("one", "two, after one was sent")
	}
}

func toNode(t *testing.T, next func() hub.Bus) {
	a, b, c := next(), next(), next()
	ears := map[string]*ear{"a": join(t, a, "a"), "b": join(t, b, "b"), "c": join(t, c, "c")}
	publish(t, a, "b", "for b")
	publish(t, a, "a", "for a itself")
	publish(t, a, "", "end")
	ears["a"].expect("for a itself", "end")
	ears["b"].expect("for b", "end")
	ears["c"].expect("end")
}

func noPattern(t *testing.T, next func() hub.Bus) {
	a, b := next(), next()
	odd := []string{"*", "n?", "{n}", "[a-z]", "n m", "n:all", "all", "節點"}
	plain := join(t, a, "nn")
	var ears []*ear
	for _, node := range odd {
		ears = append(ears, join(t, b, node))
	}
	for _, node := range odd {
		publish(t, a, node, "for "+node)
	}
	publish(t, a, "nn", "for nn")
	publish(t, a, "", "end")
	for _, e := range ears {
		e.expect("for "+e.node, "end")
	}
	plain.expect("for nn", "end")
}

func unknownNode(t *testing.T, next func() hub.Bus) {
	a := next()
	publish(t, a, "nobody", "lost")
	e := join(t, a, "a")
	publish(t, a, "nobody", "lost")
	publish(t, a, "a", "end")
	e.expect("end")
}

func order(t *testing.T, next func() hub.Bus) {
	a, b := next(), next()
	ears := []*ear{join(t, a, "a"), join(t, b, "b")}
	want := map[*ear][]string{}
	for i := range 1000 {
		to := []string{"", "b", "", "a"}[i%4]
		data := fmt.Sprint(i, " to ", to)
		publish(t, a, to, data)
		for _, e := range ears {
			if to == "" || to == e.node {
				want[e] = append(want[e], data)
			}
		}
	}
	for _, e := range ears {
		e.expect(want[e]...)
	}
	publish(t, b, "", "end")
	for _, e := range ears {
		e.expect("end")
	}
}

func manySenders(t *testing.T, next func() hub.Bus) {
	const senders, messages = 12, 100
	buses := []hub.Bus{next(), next(), next()}
	var ears []*ear
	for i, b := range buses {
		ears = append(ears, join(t, b, fmt.Sprint("n", i)))
	}
	var sending sync.WaitGroup
	for s := range senders {
		sending.Go(func() {
			for i := range messages {
				if err := buses[s%len(buses)].Publish(t.Context(), "", fmt.Appendf(nil, "%d %d", s, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	sending.Wait()
	for _, e := range ears {
		var got [senders]int
		for range senders * messages {
			var s, i int
			data := e.next()
			if _, err := fmt.Sscan(data, &s, &i); err != nil || i != got[s] {
				t.Fatalf("%s heard %q, want message %d of sender %d", e.node, data, got[s], s)
			}
			got[s]++
		}
	}
	publish(t, buses[0], "", "end")
	for _, e := range ears {
		e.expect("end")
	}
}

func big(seed byte) []byte {
	data := make([]byte, hub.MaxBusMessage)
	for i := range data {
		data[i] = byte(i*7+i>>8) + seed
	}
	return data
}

func largest(t *testing.T, next func() hub.Bus) {
	a, b := next(), next()
	e := join(t, b, "b")
	for i, to := range []string{"", "b"} {
		if err := a.Publish(t.Context(), to, big(byte(i))); err != nil {
			t.Fatal(err)
		}
		if got := e.next(); got != string(big(byte(i))) {
			t.Errorf("to %q: %d bytes arrived, or others than were sent", to, len(got))
		}
	}
	publish(t, a, "b", "")
	publish(t, a, "b", "after an empty one")
	e.expect("", "after an empty one")
}

func reuse(t *testing.T, next func() hub.Bus) {
	a, b := next(), next()
	ears := []*ear{join(t, a, "a"), join(t, b, "b")}
	buf := make([]byte, 0, 64)
	for i := range 100 {
		buf = fmt.Append(buf[:0], i)
		if err := a.Publish(t.Context(), "", buf); err != nil {
			t.Fatal(err)
		}
		copy(buf, "overwritten")
	}
	for _, e := range ears {
		for i := range 100 {
			e.expect(fmt.Sprint(i))
		}
	}
}

func afterJoin(t *testing.T, next func() hub.Bus) {
	a, b := next(), next()
	for i := range 100 {
		node := fmt.Sprint("n", i)
		e := join(t, b, node)
		sender := []hub.Bus{a, b}[i%2]
		if i/2%2 == 0 {
			publish(t, sender, "", "to all")
			publish(t, sender, node, "to one")
			e.expect("to all", "to one")
		} else {
			publish(t, sender, node, "to one")
			publish(t, sender, "", "to all")
			e.expect("to one", "to all")
		}
		e.leave()
	}
}

// barrage publishes to all from a goroutine until it is stopped, no faster than
// a receiver can follow: a full queue drops.
func barrage(t *testing.T, b hub.Bus) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var sending sync.WaitGroup
	sending.Go(func() {
		pace := time.NewTicker(100 * time.Microsecond)
		defer pace.Stop()
		for ctx.Err() == nil {
			if err := b.Publish(ctx, "", []byte("barrage")); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			<-pace.C
		}
	})
	return func() {
		cancel()
		sending.Wait()
	}
}

func leave(t *testing.T, next func() hub.Bus) {
	a, b := next(), next()
	stop := barrage(t, a)
	defer stop()
	for i := range 20 {
		var left, after atomic.Bool
		e := &ear{t: t, node: fmt.Sprint("n", i)}
		heard := make(chan struct{}, 1)
		e.joinAs(b, func([]byte) {
			if left.Load() {
				after.Store(true)
			}
			select {
			case heard <- struct{}{}:
			default:
			}
		})
		select {
		case <-heard:
		case <-time.After(patience):
			t.Fatal("the barrage is not heard")
		}
		e.leave()
		left.Store(true)
		// Whoever joins now hears what the one that left must not.
		witness := join(t, b, "witness")
		publish(t, a, "", "after")
		for end := time.Now().Add(patience); witness.next() != "after"; {
			if time.Now().After(end) {
				t.Fatal("the witness hears the barrage alone")
			}
		}
		witness.leave()
		if after.Load() {
			t.Fatal("receive was called after leave had returned")
		}
	}
}

func goroutines(t *testing.T, next func() hub.Bus) {
	a := next()
	visit := func() {
		e := join(t, a, "a")
		publish(t, a, "", "hello")
		e.expect("hello")
		e.leave()
	}
	visit()
	before := goleak.IgnoreCurrent()
	for range 5 {
		visit()
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

func joinAgain(t *testing.T, next func() hub.Bus) {
	a, b := next(), next()
	for i := range 3 {
		e := join(t, a, "a")
		publish(t, b, "a", fmt.Sprint("visit ", i))
		e.expect(fmt.Sprint("visit ", i))
		e.leave()
		publish(t, b, "a", "nobody is there")
	}
}

// blocked is an ear whose receive waits from its first message on until go is called.
func blocked(t *testing.T, b hub.Bus, node string) (e *ear, resume func()) {
	e = &ear{t: t, node: node, heard: make(chan []byte, 1<<16)}
	gate := make(chan struct{})
	stuck := make(chan struct{})
	first := sync.OnceFunc(func() { close(stuck) })
	e.joinAs(b, func(data []byte) {
		first()
		<-gate
		e.heard <- data
	})
	resume = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(resume) // before the one that leaves
	publish(t, b, node, "stuck")
	select {
	case <-stuck:
	case <-time.After(patience):
		t.Fatal("the first message is not heard")
	}
	return e, resume
}

func underWay(t *testing.T, next func() hub.Bus) {
	a, b := next(), next()
	e, resume := blocked(t, b, "slow")
	witness := join(t, b, "witness")
	publish(t, a, "", "waiting")
	witness.expect("waiting")
	left := make(chan struct{})
	go func() {
		e.leave()
		close(left)
	}()
	select {
	case <-left:
		t.Error("leave returned while receive was running")
	case <-time.After(50 * time.Millisecond):
	}
	resume()
	select {
	case <-left:
	case <-time.After(patience):
		t.Fatal("leave does not return")
	}
	if n := len(e.heard); n != 1 {
		t.Errorf("%d messages were received, want the one that was under way", n)
	}
}

func slow(t *testing.T, next func() hub.Bus) {
	const messages = 2000
	a, b := next(), next()
	e, resume := blocked(t, b, "slow")
	other := join(t, b, "other")
	for i := range messages {
		publish(t, a, "", fmt.Sprint(i))
	}
	for i := range messages {
		other.expect(fmt.Sprint(i))
	}
	resume()
	e.expect("stuck")
	for i := range messages {
		e.expect(fmt.Sprint(i))
	}
}

func overfull(t *testing.T, next func() hub.Bus) {
	const messages = bus.MaxBytes/hub.MaxBusMessage + 16
	a, b := next(), next()
	e, resume := blocked(t, b, "slow")
	other := join(t, b, "other")
	data := big(0)
	for i := range messages {
		data[0] = byte(i)
		if err := a.Publish(t.Context(), "", data); err != nil {
			t.Fatal(err)
		}
		if got := other.next(); got != string(data) {
			t.Fatalf("the other node heard something else than message %d", i)
		}
	}
	resume()
	e.expect("stuck")
	heard := 0
	for last := -1; last != messages-1; heard++ {
		got := e.next()
		if int(got[0]) <= last {
			t.Fatalf("message %d came after %d", got[0], last)
		}
		last = int(got[0])
	}
	if heard == messages {
		t.Error("nothing was dropped: the queue has no bound")
	}
	publish(t, a, "slow", "end")
	e.expect("end")
}

func endedContext(t *testing.T, next func() hub.Bus) {
	a := next()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Join(ctx, "a", func([]byte) {}); !errors.Is(err, notify.ErrUnavailable) {
		t.Errorf("join: %v", err)
	}
	if err := a.Publish(ctx, "a", []byte("data")); !errors.Is(err, notify.ErrUnavailable) {
		t.Errorf("publish: %v", err)
	}
	e := join(t, a, "a")
	publish(t, a, "a", "end")
	e.expect("end")
}

func apart(t *testing.T, one, two func() hub.Bus) {
	a, b := one(), two()
	ea, eb := join(t, a, "n"), join(t, b, "n")
	publish(t, a, "", "to all of the first")
	publish(t, b, "", "to all of the second")
	publish(t, a, "n", "to n of the first")
	publish(t, b, "n", "to n of the second")
	ea.expect("to all of the first", "to n of the first")
	eb.expect("to all of the second", "to n of the second")
	publish(t, a, "", "end")
	publish(t, b, "", "end")
	ea.expect("end")
	eb.expect("end")
}
