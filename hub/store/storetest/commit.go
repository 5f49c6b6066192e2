package storetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"caac-hub/hub/notify"
)

var commitTests = []test{
	{"FanoutReadsBackAsCommitted", fanoutReadsBack},
	{"FanoutsAreComparedByRevision", fanoutRevisions},
	{"BatchIsRefusedWholeOnAnyConflict", batchIsAtomic},
	{"DueWorkIsComparedByRevision", dueRevisions},
	{"RacedBatchWinsOnce", racedBatch},
	{"ConflictsLeaveNeighboursAlone", conflictsAmongOthers},
}

// fanout is a record that uses every field.
func fanout(ref notify.Ref, partition int) notify.Fanout {
	return notify.Fanout{
		Ref: ref, Partition: partition, Seq: 4, Assignment: 7, Parts: []int{0, 1, 63}, Decided: start.Add(5),
		Deliveries: []notify.Delivery{
			{ID: "d0", Decision: notify.Decision{Channel: notify.None, Reason: notify.Unassigned}, End: notify.EndNone, Ended: start},
			{
				ID:       "d1",
				Decision: notify.Decision{Agent: "mei", Device: "phone", Channel: notify.Push, Reason: notify.Unconfirmed, Detail: notify.LeaseExpired, Held: true},
				First:    &notify.Decision{Agent: "mei", Device: "phone", Channel: notify.Local, Reason: notify.VisibleUnfocused, Socket: "s1"},
				End:      notify.Merged, EndReason: notify.Read, Into: "d2", Ended: start.Add(time.Second),
				Events: []notify.Event{{At: start, Kind: notify.EventPushQueued}, {At: start.Add(1), Kind: notify.EventPushAnswer, Detail: "201 ok"}},
			},
			{ID: "d2", Decision: notify.Decision{Agent: "mei", Device: "tablet", Channel: notify.InApp, Reason: notify.ActivelyViewing}},
		},
	}
}

func fanoutReadsBack(e *env) {
	ctx := e.Context()
	ref := e.ref("c", "m1")
	agents := e.neighbours(1)
	p := e.part(agents[0])
	_, err := e.Fanout(ctx, p, ref)
	e.wantErr(err, notify.ErrNotFound)
	e.eq("records", len(must(e.Fanouts(ctx, ref))(e)), 0)
	f := fanout(ref, p)
	f.Rev = must(e.Commit(ctx, p, notify.Batch{Fanouts: []notify.Fanout{f}}))(e).Fanouts[0]
	if got := must(e.Fanout(ctx, p, ref))(e); !cmp.Equal(got, f) {
		e.Fatal(cmp.Diff(got, f))
	}
	if got := must(e.Fanouts(ctx, ref))(e); !cmp.Equal(got, []notify.Fanout{f}) {
		e.Fatal(cmp.Diff(got, []notify.Fanout{f}))
	}
	f.Deliveries[2].End = notify.Acknowledged
	f.Rev = must(e.Commit(ctx, p, notify.Batch{Fanouts: []notify.Fanout{f}}))(e).Fanouts[0]
	if got := must(e.Fanout(ctx, p, ref))(e); !cmp.Equal(got, f) {
		e.Fatal(cmp.Diff(got, f))
	}
}

func fanoutRevisions(e *env) {
	ctx := e.Context()
	put := func(id string, rev int64) (notify.Result, error) {
		return e.Commit(ctx, 0, notify.Batch{Fanouts: []notify.Fanout{{Ref: notify.Ref{Conversation: "c", Message: id}, Rev: rev}}})
	}
	e.posts("c", 2)
	_, err := put("m1", 5)
	e.wantErr(err, notify.ErrConflict)
	first := must(put("m1", 0))(e).Fanouts[0]
	_, err = put("m1", 0)
	e.wantErr(err, notify.ErrConflict)
	second := must(put("m1", first))(e).Fanouts[0]
	if first == second || second == 0 {
		e.Fatalf("revisions %d, %d", first, second)
	}
	_, err = put("m1", first)
	e.wantErr(err, notify.ErrConflict)
	_, err = e.Commit(ctx, 0, notify.Batch{Fanouts: []notify.Fanout{
		{Ref: notify.Ref{Conversation: "c", Message: "m2"}},
		{Ref: notify.Ref{Conversation: "c", Message: "m1"}, Rev: first},
	}})
	e.wantErr(err, notify.ErrConflict)
	_, err = e.Fanout(ctx, 0, notify.Ref{Conversation: "c", Message: "m2"})
	e.wantErr(err, notify.ErrNotFound)
	r := must(e.Commit(ctx, 0, notify.Batch{Fanouts: []notify.Fanout{
		{Ref: notify.Ref{Conversation: "c", Message: "m2"}},
		{Ref: notify.Ref{Conversation: "c", Message: "m1"}, Rev: second},
	}}))(e)
	e.eq("revisions", len(r.Fanouts), 2)
	must(put("m1", r.Fanouts[1]))(e)
}

func batchIsAtomic(e *env) {
	ctx := e.Context()
	agents := e.neighbours(2)
	p := e.part(agents[0])
	var revs []int64
	for _, id := range agents {
		revs = append(revs, must(e.PutAgent(ctx, notify.Agent{ID: id}))(e))
	}
	ref := e.ref("c", "m1")
	f := fanout(ref, p)
	f.Rev = must(e.Commit(ctx, p, notify.Batch{Fanouts: []notify.Fanout{f}}))(e).Fanouts[0]
	work := e.putDue(notify.Due{Partition: p, Key: "ring/1", Kind: notify.DueRing, At: start})

	good := func() notify.Batch {
		g := f
		g.Seq = 99
		return notify.Batch{
			Revs:    map[string]int64{agents[0]: revs[0], agents[1]: revs[1]},
			Add:     []notify.Add{{Agent: agents[0], Conversation: "c", From: 1, To: 1}},
			Fanouts: []notify.Fanout{g},
			Due:     []notify.Due{{Partition: p, Key: "ring/2", Kind: notify.DueRing, At: start}},
			Done:    []notify.DueRef{{Key: work.Key, Rev: work.Rev}},
			Settled: []notify.Settled{{Ref: ref, Parts: []int{p}}},
		}
	}
	bad := map[string]func(b *notify.Batch){
		"an agent moved":          func(b *notify.Batch) { b.Revs[agents[1]]-- },
		"an agent does not exist": func(b *notify.Batch) { b.Revs["nobody"] = 3 },
		"a record exists":         func(b *notify.Batch) { b.Fanouts[0].Rev = 0 },
		"a record moved":          func(b *notify.Batch) { b.Fanouts[0].Rev++ },
		"work exists": func(b *notify.Batch) {
			b.Due = append(b.Due, notify.Due{Partition: p, Key: work.Key, Kind: notify.DueRing, At: start})
		},
		"work does not exist": func(b *notify.Batch) { b.Due[0].Rev = 4 },
		"ended work moved":    func(b *notify.Batch) { b.Done[0].Rev++ },
		"ended work is absent": func(b *notify.Batch) {
			b.Done = append(b.Done, notify.DueRef{Key: "ring/none"})
		},
	}
	for what, spoil := range bad {
		b := good()
		spoil(&b)
		r, err := e.Commit(ctx, p, b)
		if !errors.Is(err, notify.ErrConflict) || len(r.Counts) > 0 {
			e.Fatalf("%s: answered %+v, %v", what, r, err)
		}
		e.eq(what+": unread", must(e.Unread(ctx, agents[0], 9))(e).Total, 0)
		e.eq(what+": record", must(e.Fanout(ctx, p, ref))(e).Seq, f.Seq)
		e.eq(what+": work", keys(must(e.Due(ctx, p, []string{"ring/1", "ring/2"}))(e)), []string{"ring/1"})
		e.eq(what+": text", must(e.Message(ctx, ref))(e).Text, "text of m1")
	}
	r := must(e.Commit(ctx, p, good()))(e)
	e.eq("counts, records, work", fmt.Sprint(len(r.Counts), len(r.Fanouts), len(r.Due)), "1 1 1")
	e.eq("work", keys(must(e.Due(ctx, p, []string{"ring/1", "ring/2"}))(e)), []string{"ring/2"})
	_, err := e.Commit(ctx, p, good())
	e.wantErr(err, notify.ErrConflict)
}

func dueRevisions(e *env) {
	ctx := e.Context()
	d := notify.Due{Key: "ring/1", Kind: notify.DueRing, At: start.Add(7), Attempt: 2, Body: []byte(`{"a":1}`)}
	d = e.putDue(d)
	if got := must(e.Due(ctx, 0, []string{"ring/1", "ring/2"}))(e); !cmp.Equal(got, []notify.Due{d}) {
		e.Fatal(cmp.Diff(got, []notify.Due{d}))
	}
	old := d.Rev
	d.Attempt, d.Dead = 3, "failed"
	d = e.putDue(d)
	if got := must(e.Due(ctx, 0, []string{"ring/1"}))(e); !cmp.Equal(got, []notify.Due{d}) {
		e.Fatal(cmp.Diff(got, []notify.Due{d}))
	}
	done := func(rev int64) error {
		_, err := e.Commit(ctx, 0, notify.Batch{Done: []notify.DueRef{{Key: "ring/1", Rev: rev}}})
		return err
	}
	e.wantErr(done(old), notify.ErrConflict)
	e.wantErr(done(0), notify.ErrConflict)
	e.ok(done(d.Rev))
	e.wantErr(done(d.Rev), notify.ErrConflict)
	// Made anew, it is other work than before.
	fresh := notify.Due{Key: "ring/1", Kind: notify.DueRing, At: start}
	fresh = e.putDue(fresh)
	e.wantErr(done(old), notify.ErrConflict)
	e.wantErr(done(d.Rev), notify.ErrConflict)
	e.ok(done(fresh.Rev))
}

// racedBatch has many carry out the same fan-out at once, as nodes do when a
// lease runs out.
func racedBatch(e *env) {
	ctx := e.Context()
	agents := e.neighbours(3)
	p := e.part(agents[0])
	const writers, rounds = 6, 8
	for round := range rounds {
		a := e.post("c", fmt.Sprintf("m%d", round))
		b := notify.Batch{
			Fanouts: []notify.Fanout{{Ref: a.Message.Ref(), Partition: p, Seq: a.Message.Seq}},
			Due:     []notify.Due{{Partition: p, Key: fmt.Sprintf("deadline/c/m%d", round), Kind: notify.DueDeadline, At: start}},
		}
		for _, id := range agents {
			b.Add = append(b.Add, notify.Add{Agent: id, Conversation: "c", From: a.Message.Seq, To: a.Message.Seq})
		}
		errs := make([]error, writers)
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() { _, errs[w] = e.Commit(ctx, p, b) })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				e.wantErr(err, notify.ErrConflict)
			}
		}
		e.eq("winners", won, 1)
		e.eq("unread", must(e.Unread(ctx, agents[1], 1))(e).Total, round+1)
	}
}

func conflictsAmongOthers(e *env) {
	ctx := e.Context()
	const writers, each = 8, 10
	var wg sync.WaitGroup
	errs := make(chan error, writers*each)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				b := notify.Batch{Due: []notify.Due{{Key: fmt.Sprintf("ring/%d-%d", w, i), Kind: notify.DueRing, At: start}}}
				conflict := w%2 == 1
				if conflict {
					b.Done = []notify.DueRef{{Key: "ring/none", Rev: 1}}
				}
				if _, err := e.Commit(ctx, 0, b); errors.Is(err, notify.ErrConflict) != conflict || err != nil && !conflict {
					errs <- fmt.Errorf("writer %d: %w", w, err)
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		e.Fatal(err)
	}
	e.eq("work", must(e.Pending(ctx, start))(e)[notify.DueRing].Count, writers/2*each)
}
