package hub_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

var (
	seed  = flag.Uint64("seed", 0, "the one seed to run the random tests with")
	seeds = flag.Int("seeds", 6, "how many seeds to run the random tests with")
)

var (
	people = []string{"ken", "mei", "tom", "zoe"}
	teams  = map[string][]string{"east": {"ken", "mei"}, "west": {"mei", "tom", "zoe"}}
)

// thread is one conversation, driven at random by one goroutine, with a ledger
// kept by the plainest reading of the rules.
type thread struct {
	w          *world
	r          *rand.Rand
	id         string
	assignment hub.AssignmentInput
	seq        int64
	answered   int64
	cursor     map[string]int64
	unread     map[string]map[int64]bool
	messages   []notify.Ref
}

func newThread(w *world, id string, r *rand.Rand) *thread {
	return &thread{w: w, r: r, id: id, cursor: map[string]int64{}, unread: map[string]map[int64]bool{}}
}

func responsible(a hub.AssignmentInput) []string {
	if a.Agent != "" {
		return []string{a.Agent}
	}
	return teams[a.Team]
}

func (th *thread) add(agent string, seq int64) {
	if seq <= th.cursor[agent] {
		return
	}
	if th.unread[agent] == nil {
		th.unread[agent] = map[int64]bool{}
	}
	th.unread[agent][seq] = true
}

func (th *thread) read(agent string, upto int64) {
	th.cursor[agent] = max(th.cursor[agent], upto)
	maps.DeleteFunc(th.unread[agent], func(seq int64, _ bool) bool { return seq <= upto })
}

func (th *thread) assign(a hub.AssignmentInput) {
	before, now := responsible(th.assignment), responsible(a)
	same := a.Agent == th.assignment.Agent && a.Team == th.assignment.Team
	th.assignment = a
	if same {
		return
	}
	for _, id := range people {
		switch {
		case !slices.Contains(now, id):
			delete(th.unread, id)
		case !slices.Contains(before, id):
			for seq := th.answered + 1; seq <= th.seq; seq++ {
				th.add(id, seq)
			}
		}
	}
}

func (th *thread) anyone() hub.AssignmentInput {
	switch th.r.IntN(6) {
	case 0:
		return hub.AssignmentInput{}
	case 1:
		return hub.AssignmentInput{Team: "east"}
	case 2:
		return hub.AssignmentInput{Team: "west"}
	}
	return hub.AssignmentInput{Agent: people[th.r.IntN(len(people))]}
}

// step does one thing at random.
func (th *thread) step(ctx context.Context) error {
	h := th.w.hubs[th.r.IntN(len(th.w.hubs))]
	switch n := th.r.IntN(10); {
	case n < 5: // a message, maybe with a new assignment
		in := hub.MessageInput{
			ID: fmt.Sprintf("%s-%d", th.id, th.seq+1), Kind: notify.Text, Text: "hello",
			Conversation: hub.ConversationInput{ID: th.id, Contact: th.id},
		}
		if th.r.IntN(4) == 0 || th.seq == 0 {
			a := th.anyone()
			in.Conversation.Assignment = &a
			th.assign(a)
		}
		a := h.Messages(ctx, []hub.MessageInput{in})[0]
		if a.Err != nil {
			return a.Err
		}
		th.seq++
		if a.Seq != th.seq {
			return fmt.Errorf("seq %d, want %d", a.Seq, th.seq)
		}
		for _, id := range responsible(th.assignment) {
			th.add(id, th.seq)
		}
		th.messages = append(th.messages, notify.Ref{Conversation: th.id, Message: in.ID})
	case th.seq == 0:
	case n < 7: // a read, of all or of a part
		agent, upto := people[th.r.IntN(len(people))], 1+th.r.Int64N(th.seq)
		th.read(agent, upto)
		return h.Read(ctx, agent, th.id, upto)
	case n < 9: // a new assignment
		a := th.anyone()
		th.assign(a)
		_, err := h.PutConversation(ctx, hub.ConversationInput{ID: th.id, Assignment: &a})
		return err
	default:
		upto := 1 + th.r.Int64N(th.seq)
		if upto > th.answered {
			th.answered = upto
			for _, id := range people {
				if len(th.unread[id]) > 0 || slices.Contains(responsible(th.assignment), id) {
					th.read(id, upto)
				}
			}
		}
		return h.Answered(ctx, th.id, upto)
	}
	return nil
}

// strict is a page that holds the counts to the letter of the protocol: what
// does not follow on what it shows makes it ask for everything.
type strict struct {
	*page
	shown     map[string]int
	at, total int64
	gaps      int
	locals    map[string]int
	next      int
}

func (p *strict) catchUp() {
	p.mu.Lock()
	frames := p.frames[p.next:]
	p.next = len(p.frames)
	p.mu.Unlock()
	for _, f := range frames {
		switch f["type"] {
		case wire.TypeWelcome:
			var w wire.Welcome
			again(f, &w)
			if w.Version < p.at || w.Same {
				continue
			}
			p.at, p.total = w.Version, int64(w.Total)
			p.shown = map[string]int{}
			for _, c := range w.Conversations {
				p.shown[c.Conversation] = c.Unread
			}
		case wire.TypeCounts:
			var c wire.Counts
			again(f, &c)
			p.take(c)
		case wire.TypeNotify:
			if f["channel"] == string(notify.Local) {
				p.locals[f["id"].(string)]++
			}
			if f["counts"] != nil {
				var c wire.Counts
				again(f["counts"], &c)
				p.take(c)
			}
		}
	}
}

func (p *strict) take(c wire.Counts) {
	switch {
	case c.Version <= p.at:
	case c.Prev != p.at:
		p.gaps++
		p.send(wire.Client{Type: wire.TypeRefresh})
	default:
		p.at, p.total = c.Version, int64(c.Total)
		for _, x := range c.Changed {
			p.shown[x.Conversation] = x.Unread
			if x.Unread == 0 {
				delete(p.shown, x.Conversation)
			}
		}
	}
}

func (w *world) strict(agent, state string, device ...wire.DeviceAuth) *strict {
	w.t.Helper()
	return &strict{page: w.open(agent, state, device...), shown: map[string]int{}, locals: map[string]int{}}
}

// truth checks a page against the store.
func (p *strict) truth(t *testing.T) {
	t.Helper()
	u, err := p.w.now().Unread(t.Context(), p.agent, 1000)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{}
	for _, c := range u.Conversations {
		want[c.Conversation] = c.Unread
	}
	if p.total != int64(u.Total) || !maps.Equal(p.shown, want) {
		t.Errorf("%s's page shows (%d) %v at %d, the store has (%d) %v at %d", p.agent, p.total, p.shown, p.at, u.Total, want, u.Version)
	}
}

// audit checks, once everything is quiet, that every delivery of the threads has
// an end, that unread is what the ledgers say, and that nothing rang twice.
func audit(t *testing.T, w *world, threads []*thread, pages []*strict) {
	t.Helper()
	want := map[string]map[string]int{}
	for _, id := range people {
		want[id] = map[string]int{}
	}
	for _, th := range threads {
		for id, seqs := range th.unread {
			if len(seqs) > 0 {
				want[id][th.id] = len(seqs)
			}
		}
		for _, ref := range th.messages {
			tr := w.trace(ref)
			if tr.Pending || len(tr.Deliveries) == 0 {
				t.Errorf("%s has not ended: %+v", ref.Message, tr.Deliveries)
			}
			// A store of several partitions erases the text after the last end.
			w.until(time.Second, func() bool { return w.trace(ref).Message.Text == "" })
		}
	}
	for _, id := range people {
		u, err := w.hub.Unread(t.Context(), id, 1000)
		if err != nil {
			t.Fatal(err)
		}
		have := map[string]int{}
		for _, c := range u.Conversations {
			have[c.Conversation] = c.Unread
		}
		if !maps.Equal(have, want[id]) {
			t.Errorf("%s has unread %v, the ledger says %v", id, have, want[id])
		}
	}
	rang := map[string]int{}
	for _, s := range w.push.take() {
		rang[s.payload.Notification.Data.ID]++
	}
	for _, p := range pages {
		for id, n := range p.locals {
			if w.doubts { // what a page confirmed may have been lost: the push shows the same again, silently
				n = max(n, rang[id]) - rang[id]
			}
			rang[id] += n
		}
	}
	for id, n := range rang {
		if n > 1 {
			t.Errorf("%s rang %d times", id, n)
		}
	}
	dead, err := w.hub.Dead(t.Context(), 10)
	if err != nil || len(dead) > 0 {
		t.Errorf("dead work %+v %v, want none", dead, err)
	}
	due, err := w.store.Pending(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for kind, b := range due {
		if b.Count > 0 {
			t.Errorf("%d pieces of due work of kind %s are left", b.Count, kind)
		}
	}
}

func everySeed(t *testing.T, n int, fn func(t *testing.T, seed uint64)) {
	from := uint64(1)
	if *seed != 0 {
		from, n = *seed, 1
	}
	for s := from; s < from+uint64(n); s++ {
		t.Run(fmt.Sprintf("seed=%d", s), func(t *testing.T) { fn(t, s) })
	}
}

func TestPagesEndAtTheTruth(t *testing.T) {
	everySeed(t, *seeds, func(t *testing.T, seed uint64) {
		run(t, func(t *testing.T, w *world) { pagesEndAtTheTruth(t, w, seed, nil) })
	})
}

// pagesEndAtTheTruth drives everything at random. before, where it is given, is
// called before each of the 40 rounds.
func pagesEndAtTheTruth(t *testing.T, w *world, seed uint64, before func(round int)) {
	r := rand.New(rand.NewPCG(seed, 1))
	w.agent(people...)
	for id, members := range teams {
		w.team(id, members...)
	}
	var pages []*strict
	devices := map[string]wire.DeviceAuth{}
	states := []string{"active", "visible", "hidden", "active viewing elsewhere"}
	for _, id := range people {
		p := w.strict(id, states[r.IntN(len(states))])
		p.subscribe()
		devices[id] = p.device
		pages = append(pages, p, w.strict(id, states[r.IntN(len(states))], p.device), w.strict(id, "hidden"))
	}
	var threads []*thread
	for i := range 5 {
		threads = append(threads, newThread(w, fmt.Sprintf("c%d", i), rand.New(rand.NewPCG(seed, uint64(2+i)))))
	}
	w.settle()
	churn := seed%2 == 0 // pages come and go, duty changes
	for round := range 40 {
		if before != nil {
			before(round)
		}
		var wg sync.WaitGroup
		for _, th := range threads {
			wg.Go(func() {
				for range 1 + th.r.IntN(4) {
					if err := th.step(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		w.wait(time.Duration(r.IntN(300)) * time.Millisecond)
		for i, p := range pages {
			p.catchUp()
			switch n := r.IntN(20); {
			case n == 0:
				p.state(states[r.IntN(len(states))])
			case n == 1 && churn && i%3 != 2:
				p.close()
				pages[i] = w.strict(p.agent, states[r.IntN(len(states))], devices[p.agent])
			}
		}
		if churn && r.IntN(4) == 0 {
			if _, err := w.hub.SetDuty(t.Context(), people[r.IntN(len(people))], r.IntN(2) == 0, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, id := range people {
		if _, err := w.hub.SetDuty(t.Context(), id, true, 0); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		w.wait(100 * time.Millisecond)
		for _, p := range pages {
			p.catchUp()
		}
	}
	for _, p := range pages {
		p.truth(t)
		if !churn && before == nil && p.gaps > 0 {
			t.Errorf("%s's page missed a version %d times", p.agent, p.gaps)
		}
	}
	w.wait(10 * time.Second)
	audit(t, w, threads, nil)
	for _, p := range pages {
		p.close()
	}
	idle(t, w)
}

// idle checks, with every page closed, that nothing of the work is left in memory.
func idle(t *testing.T, w *world) {
	t.Helper()
	var left map[string]int
	w.until(40*time.Second, func() bool {
		left = map[string]int{}
		for i, h := range w.hubs {
			for what, n := range h.Sizes() {
				if n != 0 {
					left[fmt.Sprintf("%s at %d", what, i)] = n
				}
			}
		}
		return len(left) == 0
	})
	if len(left) > 0 {
		t.Errorf("left in memory: %v", left)
	}
}
