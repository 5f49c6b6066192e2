package storetest

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"pgregory.net/rapid"

	"caac-hub/hub/notify"
)

var unreadTests = []test{
	{"CountsSayWhatChanged", countsSayWhatChanged},
	{"ReplayChangesNothing", replayChangesNothing},
	{"CursorOnlyGrowsAndStopsAtTheSeq", cursors},
	{"WithdrawalFencesLateWork", fences},
	{"LateWithdrawalSparesNewerWork", lateWithdrawal},
	{"UnreadListsTheNewestFirst", unreadNewestFirst},
	{"VersionsGrowWithEveryChange", versionsGrow},
	{"VersionsGrowWhileTheClockStepsBack", clockStepsBack},
	{"HoldersHaveUnread", holders},
	{"UnreadAgreesWithSets", unreadAgreesWithSets},
	{"ManyAddOneAgentsUnread", manyAdd},
}

func countsSayWhatChanged(e *env) {
	ctx := e.Context()
	e.posts("c", 5)
	e.posts("c2", 5)
	a := e.neighbours(2)
	p := e.part(a[0])
	r := must(e.Commit(ctx, p, notify.Batch{Add: []notify.Add{
		{Agent: a[0], Conversation: "c", From: 1, To: 2, Assignment: 1},
		{Agent: a[1], Conversation: "c", From: 2, To: 2, Assignment: 1},
		{Agent: a[0], Conversation: "c2", From: 4, To: 4, Assignment: 1},
		{Agent: a[0], Conversation: "c", From: 3, To: 3, Assignment: 1},
	}}))(e)
	byAgent := map[string][]notify.Count{}
	for _, c := range r.Counts {
		byAgent[c.Agent] = append(byAgent[c.Agent], c)
	}
	e.eq("counts", len(r.Counts), 3)
	mine := byAgent[a[0]]
	e.eq("counts of one", len(mine), 2)
	if mine[0].Prev >= mine[0].Version || mine[1].Prev != mine[0].Version || mine[1].Version <= mine[0].Version {
		e.Fatalf("versions are no chain: %+v", mine)
	}
	e.eq("total", mine[1].Total, 4)
	for _, c := range r.Counts {
		want := map[string]string{a[0] + " c": "3 3 0", a[0] + " c2": "1 4 0", a[1] + " c": "1 2 0"}[c.Agent+" "+c.Conversation]
		e.eq(c.Agent+" "+c.Conversation, fmt.Sprint(c.Unread, c.Seq, c.Cursor), want)
	}
	r = must(e.Commit(ctx, p, notify.Batch{
		Add:  []notify.Add{{Agent: a[0], Conversation: "c", From: 5, To: 5, Assignment: 1}},
		Read: []notify.ReadUpto{{Agent: a[0], Conversation: "c", Upto: 2}},
	}))(e)
	e.eq("add and read", len(r.Counts), 1)
	c := r.Counts[0]
	e.eq("add and read", fmt.Sprint(c.Unread, c.Seq, c.Cursor, c.Total), "2 5 2 3")
	e.eq("chained", c.Prev, mine[1].Version)
	r = must(e.Commit(ctx, p, notify.Batch{
		Add:  []notify.Add{{Agent: a[1], Conversation: "c2", From: 1, To: 1}},
		Read: []notify.ReadUpto{{Agent: a[1], Conversation: "c2", Upto: 1}},
	}))(e)
	e.eq("added and read in one step", len(r.Counts), 0)
	r = e.apply(notify.Withdraw{Agent: a[0], Conversation: "c", Assignment: 2})
	e.eq("withdrawn", fmt.Sprint(r.Counts[0].Unread, r.Counts[0].Seq, r.Counts[0].Cursor, r.Counts[0].Total), "0 0 2 1")
}

func replayChangesNothing(e *env) {
	e.posts("c", 9)
	a := e.neighbours(1)[0]
	changes := []any{
		notify.Add{Agent: a, Conversation: "c", From: 1, To: 4, Assignment: 1},
		notify.ReadUpto{Agent: a, Conversation: "c", Upto: 2},
		notify.Add{Agent: a, Conversation: "c", From: 7, To: 9, Assignment: 1},
	}
	for _, c := range changes {
		e.eq("counts", len(e.apply(c).Counts), 1)
	}
	before := must(e.Unread(e.Context(), a, 9))(e)
	e.eq("unread", fmt.Sprint(before.Total, before.Conversations), "5 [{c 5 9 2}]")
	for _, c := range append(changes, notify.Add{Agent: a, Conversation: "c", From: 3, To: 3}, notify.Add{Agent: a, Conversation: "c", From: 4, To: 3}) {
		e.eq("counts of a replay", len(e.apply(c).Counts), 0)
	}
	e.eq("unread after replay", must(e.Unread(e.Context(), a, 9))(e), before)
	e.apply(notify.Withdraw{Agent: a, Conversation: "c", Assignment: 5})
	e.apply(notify.Add{Agent: a, Conversation: "c", From: 9, To: 9, Assignment: 6})
	e.eq("replayed withdrawal", len(e.apply(notify.Withdraw{Agent: a, Conversation: "c", Assignment: 5}).Counts), 0)
	e.eq("unread", must(e.Unread(e.Context(), a, 9))(e).Total, 1)
}

func cursors(e *env) {
	e.posts("c", 5)
	a := e.neighbours(1)[0]
	e.eq("read before it was applied", len(e.apply(notify.ReadUpto{Agent: a, Conversation: "c", Upto: 3}).Counts), 0)
	e.eq("late work at or below the cursor", len(e.apply(notify.Add{Agent: a, Conversation: "c", From: 1, To: 3}).Counts), 0)
	r := e.apply(notify.Add{Agent: a, Conversation: "c", From: 2, To: 5})
	e.eq("above the cursor", fmt.Sprint(r.Counts[0].Unread, r.Counts[0].Cursor), "2 3")
	e.eq("a cursor only grows", len(e.apply(notify.ReadUpto{Agent: a, Conversation: "c", Upto: 1}).Counts), 0)
	r = e.apply(notify.ReadUpto{Agent: a, Conversation: "c", Upto: 1 << 50})
	e.eq("stops at the seq", fmt.Sprint(r.Counts[0].Unread, r.Counts[0].Cursor), "0 5")
	e.post("c", "m6")
	r = e.apply(notify.Add{Agent: a, Conversation: "c", From: 6, To: 6})
	e.eq("the next message counts", fmt.Sprint(r.Counts[0].Unread, r.Counts[0].Cursor), "1 5")
	e.eq("nonsense", len(e.apply(notify.ReadUpto{Agent: a, Conversation: "none", Upto: 9}, notify.ReadUpto{Agent: a, Conversation: "c", Upto: -1}).Counts), 0)
}

func fences(e *env) {
	e.posts("c", 9)
	a := e.neighbours(1)[0]
	e.apply(notify.Add{Agent: a, Conversation: "c", From: 1, To: 2, Assignment: 3})
	r := e.apply(notify.Withdraw{Agent: a, Conversation: "c", Assignment: 4})
	e.eq("withdrawn", fmt.Sprint(r.Counts[0].Unread, r.Counts[0].Total), "0 0")
	late := notify.Add{Agent: a, Conversation: "c", From: 3, To: 3, Assignment: 3}
	r = e.apply(late)
	e.eq("late work", fmt.Sprint(len(r.Counts), r.Fenced), fmt.Sprint(0, []notify.Add{late}))
	e.eq("an older withdrawal lowers no fence", len(e.apply(notify.Withdraw{Agent: a, Conversation: "c", Assignment: 2}).Counts), 0)
	e.eq("still late", len(e.apply(late).Fenced), 1)
	again := late
	again.From, again.Assignment = 1, 5
	r = e.apply(again)
	e.eq("responsible again", fmt.Sprint(r.Counts[0].Unread, len(r.Fenced)), "3 0")
	first := e.apply(notify.Withdraw{Agent: a, Conversation: "c2", Assignment: 4})
	e.eq("withdrawal first", len(first.Counts), 0)
	e.eq("then late work", len(e.apply(notify.Add{Agent: a, Conversation: "c2", From: 1, To: 1, Assignment: 3}).Fenced), 1)
}

func lateWithdrawal(e *env) {
	e.posts("c", 9)
	a := e.neighbours(1)[0]
	e.apply(notify.Add{Agent: a, Conversation: "c", From: 4, To: 4, Assignment: 6})
	e.eq("an older assignment's withdrawal", len(e.apply(notify.Withdraw{Agent: a, Conversation: "c", Assignment: 5}).Counts), 0)
	e.eq("unread", must(e.Unread(e.Context(), a, 9))(e).Total, 1)
	e.eq("late work", len(e.apply(notify.Add{Agent: a, Conversation: "c", From: 1, To: 1, Assignment: 4}).Fenced), 1)
	e.eq("its own", e.apply(notify.Withdraw{Agent: a, Conversation: "c", Assignment: 6}).Counts[0].Unread, 0)
}

func unreadNewestFirst(e *env) {
	ctx := e.Context()
	a := e.neighbours(1)[0]
	u := must(e.Unread(ctx, a, 9))(e)
	e.eq("nobody yet", fmt.Sprint(u.Total, len(u.Conversations)), "0 0")
	for i, c := range []string{"c1", "c2", "c3", "c4"} {
		e.posts(c, 9)
		e.clock.add(time.Duration(i%2) * time.Second)
		e.apply(notify.Add{Agent: a, Conversation: c, From: 2, To: 3})
	}
	e.apply(notify.Add{Agent: a, Conversation: "c2", From: 4, To: 4})
	e.apply(notify.ReadUpto{Agent: a, Conversation: "c1", Upto: 2})
	e.apply(notify.ReadUpto{Agent: a, Conversation: "c3", Upto: 3})
	u = must(e.Unread(ctx, a, 9))(e)
	e.eq("all", fmt.Sprint(u.Total, u.Conversations), "6 [{c2 3 4 0} {c4 2 3 0} {c1 1 3 2}]")
	u = must(e.Unread(ctx, a, 1))(e)
	e.eq("limited", fmt.Sprint(u.Total, u.Conversations), "6 [{c2 3 4 0}]")
	u = must(e.Unread(ctx, a, 0))(e)
	e.eq("only the total", fmt.Sprint(u.Total, len(u.Conversations)), "6 0")
}

func versionsGrow(e *env) {
	ctx := e.Context()
	e.posts("c", 9)
	agents := e.neighbours(2)
	var last int64
	for i := range 5 {
		r := e.apply(notify.Add{Agent: agents[0], Conversation: "c", From: int64(i + 1), To: int64(i + 1)})
		v := r.Counts[0].Version
		if v <= last || r.Counts[0].Prev != last && i > 0 {
			e.Fatalf("version %d (prev %d) after %d", v, r.Counts[0].Prev, last)
		}
		last = v
		e.eq("versions", must(e.Versions(ctx, []string{agents[0]}))(e), []int64{v})
		e.eq("unread's version", must(e.Unread(ctx, agents[0], 1))(e).Version, v)
	}
	vs := must(e.Versions(ctx, []string{agents[1], agents[0], "nobody"}))(e)
	e.eq("parallel to the ids", fmt.Sprint(len(vs), vs[1]), fmt.Sprint(3, last))
	e.apply(notify.ReadUpto{Agent: agents[0], Conversation: "c", Upto: 1 << 40})
	if v := must(e.Versions(ctx, agents[:1]))(e)[0]; v <= last {
		e.Fatalf("reading left version %d at %d", last, v)
	}
}

func clockStepsBack(e *env) {
	e.posts("c", 9)
	a := e.neighbours(1)[0]
	first := e.apply(notify.Add{Agent: a, Conversation: "c", From: 1, To: 1}).Counts[0]
	e.clock.add(-time.Hour)
	second := e.apply(notify.Add{Agent: a, Conversation: "c", From: 2, To: 2}).Counts[0]
	if second.Version <= first.Version || second.Prev != first.Version {
		e.Fatalf("version %d after %d", second.Version, first.Version)
	}
}

func holders(e *env) {
	e.posts("c", 9)
	agents := e.neighbours(3)
	e.eq("nobody", len(must(e.Holders(e.Context(), "c"))(e)), 0)
	for _, a := range agents {
		e.apply(notify.Add{Agent: a, Conversation: "c", From: 1, To: 2})
	}
	e.apply(notify.ReadUpto{Agent: agents[1], Conversation: "c", Upto: 2})
	got := must(e.Holders(e.Context(), "c"))(e)
	slices.Sort(got)
	e.eq("holders", got, []string{agents[0], agents[2]})
	e.eq("elsewhere", len(must(e.Holders(e.Context(), "other"))(e)), 0)
}

// unreadModel is the naive unread: sets of seqs.
type unreadModel struct {
	applied  map[int64]bool
	cursor   int64
	fence    int64
	assigned int64
}

func (m *unreadModel) unread() []int64 {
	return slices.Sorted(maps.Keys(m.applied))
}

func unreadAgreesWithSets(e *env) {
	const messages = 12
	run := 0
	rapid.Check(e.T, func(t *rapid.T) {
		run++
		agents := e.neighbours(2)
		convs := []string{fmt.Sprintf("a%d", run), fmt.Sprintf("b%d", run)}
		for _, c := range convs {
			e.posts(c, messages)
		}
		model := map[string]*unreadModel{}
		for _, a := range agents {
			for _, c := range convs {
				model[a+" "+c] = &unreadModel{applied: map[int64]bool{}}
			}
		}
		before := map[string]int{}
		for _, a := range agents {
			before[a] = must(e.Unread(e.Context(), a, 1))(e).Total
		}
		seq := rapid.Int64Range(0, messages+2)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			a := rapid.SampledFrom(agents).Draw(t, "agent")
			c := rapid.SampledFrom(convs).Draw(t, "conversation")
			m := model[a+" "+c]
			as := rapid.Int64Range(1, 4).Draw(t, "assignment")
			old := m.unread()
			fenced := 0
			var r notify.Result
			switch rapid.SampledFrom([]string{"add", "add", "add", "read", "withdraw"}).Draw(t, "what") {
			case "add":
				add := notify.Add{Agent: a, Conversation: c, From: seq.Draw(t, "from"), To: min(seq.Draw(t, "to"), messages), Assignment: as}
				r = e.apply(add)
				if as < m.fence {
					fenced = 1
					break
				}
				for s := max(add.From, m.cursor+1); s <= add.To; s++ {
					if !m.applied[s] {
						m.applied[s] = true
						m.assigned = max(m.assigned, as)
					}
				}
			case "read":
				upto := seq.Draw(t, "upto")
				r = e.apply(notify.ReadUpto{Agent: a, Conversation: c, Upto: upto})
				m.cursor = max(m.cursor, min(upto, messages))
				maps.DeleteFunc(m.applied, func(s int64, _ bool) bool { return s <= m.cursor })
			case "withdraw":
				r = e.apply(notify.Withdraw{Agent: a, Conversation: c, Assignment: as})
				m.fence = max(m.fence, as)
				if m.assigned <= as {
					clear(m.applied)
				}
			}
			now := m.unread()
			changed := 0
			if !slices.Equal(old, now) {
				changed = 1
			}
			if len(r.Counts) != changed || len(r.Fenced) != fenced {
				t.Fatalf("unread went from %v to %v, fenced %d; answered %+v", old, now, fenced, r)
			}
			for _, a := range agents {
				want, total := map[string]notify.ConversationUnread{}, before[a]
				for _, c := range convs {
					m := model[a+" "+c]
					if u := m.unread(); len(u) > 0 {
						want[c] = notify.ConversationUnread{Conversation: c, Unread: len(u), Seq: u[len(u)-1], Cursor: m.cursor}
						total += len(u)
					}
				}
				got := must(e.Unread(e.Context(), a, 1<<30))(e)
				have := map[string]notify.ConversationUnread{}
				for _, u := range got.Conversations {
					if slices.Contains(convs, u.Conversation) {
						have[u.Conversation] = u
					}
				}
				if !maps.Equal(want, have) || got.Total != total {
					t.Fatalf("%s: have %v, total %d; want %v, total %d", a, have, got.Total, want, total)
				}
			}
		}
	})
}

func manyAdd(e *env) {
	const writers, each = 8, 20
	e.posts("c", 1)
	a := e.neighbours(1)[0]
	var wg sync.WaitGroup
	var mu sync.Mutex
	next := map[int64]int64{} // version by the one before
	errs := make([]error, writers)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				seq := int64(w*each + i + 1)
				r, err := e.Commit(e.Context(), e.part(a), notify.Batch{Add: []notify.Add{{Agent: a, Conversation: "c", From: seq, To: seq}}})
				if err != nil {
					errs[w] = err
					return
				}
				mu.Lock()
				next[r.Counts[0].Prev] = r.Counts[0].Version
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		e.ok(err)
	}
	u := must(e.Unread(e.Context(), a, 1))(e)
	e.eq("total", u.Total, writers*each)
	e.eq("distinct versions before", len(next), writers*each)
	version := slices.Min(slices.Collect(maps.Keys(next)))
	for range writers * each {
		version = next[version]
	}
	e.eq("the chain of versions ends at", version, u.Version)
}
