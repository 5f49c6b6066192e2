package storetest

import (
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"

	"caac-hub/hub/notify"
)

var restartTests = []test{
	{"RestartKeepsEverything", restartKeeps},
	{"RestartRollsNoVersionBack", restartVersions},
	{"RestartVoidsLeases", restartLeases},
}

func restartKeeps(e *env) {
	ctx := e.Context()
	agents := e.neighbours(2)
	p := e.part(agents[0])
	rev := must(e.PutAgent(ctx, notify.Agent{ID: agents[0], Name: "Mei"}))(e)
	e.posts("c", 9)
	a := must(e.Accept(ctx, notify.Accept{Message: notify.Message{Conversation: "c", ID: "last", Hash: "h", Accepted: start},
		Conversation: &notify.Conversation{ID: "c", Contact: "Ken", Assignment: notify.Assignment{Agent: agents[0], Version: 4}}, DueAt: start}))(e)
	f := fanout(a.Message.Ref(), p)
	f.Rev = must(e.Commit(ctx, p, notify.Batch{
		Revs:    map[string]int64{agents[0]: rev},
		Fanouts: []notify.Fanout{f},
		Add: []notify.Add{
			{Agent: agents[0], Conversation: "c", From: 2, To: 3}, {Agent: agents[0], Conversation: "c", From: 6, To: 7},
			{Agent: agents[0], Conversation: "c", From: 9, To: 9}, {Agent: agents[1], Conversation: "c", From: 1, To: 10, Assignment: 3},
		},
		Read:     []notify.ReadUpto{{Agent: agents[0], Conversation: "c", Upto: 2}},
		Withdraw: []notify.Withdraw{{Agent: agents[1], Conversation: "c", Assignment: 4}},
	}))(e).Fanouts[0]
	conversation := must(e.Conversation(ctx, "c"))(e)
	unread := must(e.Unread(ctx, agents[0], 9))(e)
	e.eq("unread", fmt.Sprint(unread.Total, unread.Conversations), "4 [{c 4 9 2}]")

	e.reopen()

	e.eq("conversation", must(e.Conversation(ctx, "c"))(e), conversation)
	if got := must(e.Message(ctx, a.Message.Ref()))(e); !cmp.Equal(got, a.Message) {
		e.Fatal(cmp.Diff(got, a.Message))
	}
	if got := must(e.Fanout(ctx, p, a.Message.Ref()))(e); !cmp.Equal(got, f) {
		e.Fatal(cmp.Diff(got, f))
	}
	var dueKeys []string
	for _, d := range a.Due {
		dueKeys = append(dueKeys, d.Key)
	}
	if got := must(e.Due(ctx, e.part("c"), dueKeys))(e); !cmp.Equal(got, a.Due) {
		e.Fatal(cmp.Diff(got, a.Due))
	}
	got := must(e.Unread(ctx, agents[0], 9))(e)
	e.eq("unread", fmt.Sprint(got.Total, got.Conversations), fmt.Sprint(unread.Total, unread.Conversations))
	e.eq("holders", must(e.Holders(ctx, "c"))(e), agents[:1])
	e.eq("cursor", len(e.apply(notify.Add{Agent: agents[0], Conversation: "c", From: 1, To: 3}).Counts), 0)
	e.eq("fence", len(e.apply(notify.Add{Agent: agents[1], Conversation: "c", From: 1, To: 3, Assignment: 3}).Fenced), 1)
	_, err := e.Commit(ctx, p, notify.Batch{Revs: map[string]int64{agents[0]: 0}})
	e.wantErr(err, notify.ErrConflict)
	must(e.Commit(ctx, p, notify.Batch{Revs: map[string]int64{agents[0]: rev}}))(e)
	e.eq("the next seq", e.post("c", "next").Message.Seq, 11)
	e.eq("duplicate", e.post("c", "m1").Duplicate, true)
}

func restartVersions(e *env) {
	ctx := e.Context()
	e.posts("c", 20)
	agents := e.neighbours(2)
	last := map[string]int64{}
	seq := int64(0)
	for round := range 5 {
		seq++
		for _, a := range agents {
			r := e.apply(notify.Add{Agent: a, Conversation: "c", From: seq, To: seq})
			c := r.Counts[0]
			if c.Version <= last[a] || c.Prev < last[a] {
				e.Fatalf("round %d: version %d (prev %d) after %d", round, c.Version, c.Prev, last[a])
			}
			last[a] = c.Version
		}
		if round == 3 {
			// Nothing is left that would remember the versions.
			e.apply(notify.ReadUpto{Agent: agents[0], Conversation: "c", Upto: 20}, notify.ReadUpto{Agent: agents[1], Conversation: "c", Upto: 20})
			must(e.Sweep(ctx, e.clock.now().Add(40*day)))(e)
			seq = 0
			e.posts("d", 20)
			for _, a := range agents {
				last[a] = must(e.Versions(ctx, []string{a}))(e)[0]
			}
		}
		e.clock.add(-time.Hour)
		e.reopen()
		for i, v := range must(e.Versions(ctx, agents))(e) {
			if v < last[agents[i]] {
				e.Fatalf("round %d: version %d after a restart, was %d", round, v, last[agents[i]])
			}
		}
		if round == 3 {
			for _, a := range agents {
				c := e.apply(notify.Add{Agent: a, Conversation: "d", From: 1, To: 1}).Counts[0]
				if c.Version <= last[a] {
					e.Fatalf("version %d after a restart, was %d", c.Version, last[a])
				}
				last[a] = c.Version
			}
			return
		}
	}
}

func restartLeases(e *env) {
	e.putDue(ring("2", start.Add(1)))
	d := e.putDue(ring("1", start))
	e.eq("claimed", len(e.claim(start.Add(2), 9)), 2)
	e.reopen()
	now := start.Add(2)
	got := e.claim(now, 9)
	if len(got) == 0 {
		// A store that keeps its leases over a restart lets them run out.
		now = now.Add(lease)
		got = e.claim(now, 9)
	}
	e.eq("claimed", keys(got), []string{"ring/1", "ring/2"})
	d.Attempt = 1
	d = e.putDue(d)
	e.reopen()
	stored := must(e.Due(e.Context(), 0, []string{"ring/1"}))(e)
	e.eq("work", fmt.Sprint(stored[0].Attempt, stored[0].Rev), fmt.Sprint(1, d.Rev))
	fresh := e.putDue(ring("3", start))
	if fresh.Rev <= 0 || fresh.Rev == d.Rev {
		e.Fatalf("revision %d", fresh.Rev)
	}
}
