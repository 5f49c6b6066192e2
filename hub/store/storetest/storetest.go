// Package storetest is the conformance suite of hub.Store: what any store must
// do for the hub to keep its promises on it.
package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/notify"
)

// Subject makes the stores under test, with the default retention.
type Subject struct {
	// Open makes an empty store and closes it when the test ends. now is its
	// clock, for stores that have none of their own.
	Open func(t *testing.T, now func() time.Time) hub.Store
	// Reopen ends the store and opens it again with what it kept, as a restart
	// does; nil leaves the tests of that out.
	Reopen func(t *testing.T, s hub.Store, now func() time.Time) hub.Store
}

// Run tests a store against the whole contract.
func Run(t *testing.T, subject Subject) {
	for _, test := range slices.Concat(directoryTests, messageTests, commitTests, unreadTests, workTests, sweepTests) {
		t.Run(test.name, func(t *testing.T) {
			c := newClock()
			test.run(&env{T: t, Store: subject.Open(t, c.now), clock: c})
		})
	}
	if subject.Reopen == nil {
		return
	}
	for _, test := range restartTests {
		t.Run(test.name, func(t *testing.T) {
			c := newClock()
			e := &env{T: t, Store: subject.Open(t, c.now), clock: c}
			e.reopen = func() { e.Store = subject.Reopen(t, e.Store, c.now) }
			test.run(e)
		})
	}
}

type test struct {
	name string
	run  func(e *env)
}

// env is a test with its store.
type env struct {
	*testing.T
	hub.Store
	clock  *clock
	reopen func()
}

// clock is set by the test.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: start} }

// start is the time of the store's clock when a test begins.
var start = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func must[T any](v T, err error) func(e *env) T {
	return func(e *env) T {
		e.Helper()
		if err != nil {
			e.Fatal(err)
		}
		return v
	}
}

func (e *env) ok(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func (e *env) wantErr(got, want error) {
	e.Helper()
	if !errors.Is(got, want) {
		e.Fatalf("error %v, want %v", got, want)
	}
}

// eq compares plainly printed values: short to write and to read.
func (e *env) eq(what string, got, want any) {
	e.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		e.Fatalf("%s:\n got %s\nwant %s", what, g, w)
	}
}

func (e *env) part(id string) int { return notify.Partition(id, e.Partitions()) }

// neighbours returns n agents that live in one partition.
func (e *env) neighbours(n int) []string {
	var ids []string
	for i := 0; len(ids) < n; i++ {
		id := fmt.Sprintf("agent-%d", i)
		if len(ids) == 0 || e.part(id) == e.part(ids[0]) {
			ids = append(ids, id)
		}
	}
	return ids
}

// post accepts a text message.
func (e *env) post(conversation, id string) notify.Accepted {
	e.Helper()
	return must(e.Accept(e.Context(), accept(conversation, id)))(e)
}

// ref accepts a text message and names it.
func (e *env) ref(conversation, id string) notify.Ref {
	e.Helper()
	a := e.post(conversation, id)
	return a.Message.Ref()
}

func accept(conversation, id string) notify.Accept {
	return notify.Accept{
		Message: notify.Message{Conversation: conversation, ID: id, Kind: notify.Text, Text: "text of " + id, Hash: "hash of " + id, Sent: start, Accepted: start},
		DueAt:   start.Add(time.Second),
	}
}

// posts accepts n messages, so that the conversation's seq is n.
func (e *env) posts(conversation string, n int) {
	e.Helper()
	for i := range n {
		e.post(conversation, fmt.Sprintf("m%d", i+1))
	}
}

// apply commits changes of unread, one agent's partition after the other.
func (e *env) apply(changes ...any) notify.Result {
	e.Helper()
	batches := map[int]*notify.Batch{}
	var order []int
	batch := func(agent string) *notify.Batch {
		p := e.part(agent)
		if batches[p] == nil {
			batches[p] = &notify.Batch{}
			order = append(order, p)
		}
		return batches[p]
	}
	for _, c := range changes {
		switch c := c.(type) {
		case notify.Add:
			b := batch(c.Agent)
			b.Add = append(b.Add, c)
		case notify.ReadUpto:
			b := batch(c.Agent)
			b.Read = append(b.Read, c)
		case notify.Withdraw:
			b := batch(c.Agent)
			b.Withdraw = append(b.Withdraw, c)
		default:
			e.Fatalf("no change of unread: %T", c)
		}
	}
	var all notify.Result
	for _, p := range order {
		r := must(e.Commit(e.Context(), p, *batches[p]))(e)
		all.Counts = append(all.Counts, r.Counts...)
		all.Fenced = append(all.Fenced, r.Fenced...)
	}
	return all
}

// putDue puts a piece of work and returns it as it stands.
func (e *env) putDue(d notify.Due) notify.Due {
	e.Helper()
	r := must(e.Commit(e.Context(), d.Partition, notify.Batch{Due: []notify.Due{d}}))(e)
	d.Rev = r.Due[0]
	return d
}

// partitions are all there are.
func (e *env) partitions() []int {
	all := make([]int, e.Partitions())
	for i := range all {
		all[i] = i
	}
	return all
}

func keys(items []notify.Due) []string {
	ks := []string{}
	for _, d := range items {
		ks = append(ks, d.Key)
	}
	return ks
}
