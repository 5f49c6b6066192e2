package storetest

import (
	"fmt"
	"time"

	"caac-hub/hub/notify"
)

var sweepTests = []test{
	{"SweepRemovesOldTraces", sweepOld},
	{"SweepLeavesWorkThatHasNotEnded", sweepLeavesWork},
	{"SweepKeepsUnread", sweepKeepsUnread},
}

const day = 24 * time.Hour

// ended accepts a message and ends all its work.
func (e *env) ended(id string) notify.Ref {
	e.Helper()
	a := e.post("c", id)
	e.ok(finish(e, a))
	f := notify.Fanout{Ref: a.Message.Ref(), Partition: e.part("c"), Seq: a.Message.Seq,
		Deliveries: []notify.Delivery{{ID: id, End: notify.EndNone}}}
	must(e.Commit(e.Context(), f.Partition, notify.Batch{Fanouts: []notify.Fanout{f}}))(e)
	return a.Message.Ref()
}

func sweepOld(e *env) {
	ctx := e.Context()
	for i := range 600 {
		id := fmt.Sprintf("m%d", i)
		if i%100 == 0 {
			e.ended(id)
		} else if i > 590 {
			e.ok(finish(e, e.post("c", id)))
		}
	}
	ref := notify.Ref{Conversation: "c", Message: "m0"}
	e.eq("within a day", must(e.Sweep(ctx, start.Add(day-1)))(e), 0)
	e.eq("within a week", must(e.Sweep(ctx, start.Add(7*day-1)))(e), 0)
	e.eq("still a duplicate", must(e.Accept(ctx, accept("c", "m0")))(e).Duplicate, true)
	e.eq("after a week", must(e.Sweep(ctx, start.Add(8*day)))(e), 6+9)
	_, err := e.Message(ctx, ref)
	e.wantErr(err, notify.ErrNotFound)
	e.eq("records", len(must(e.Fanouts(ctx, ref))(e)), 0)
	e.eq("list", len(must(e.Messages(ctx, notify.TraceFilter{Limit: 500}))(e)), 0)
	e.eq("seq goes on", e.post("c", "m0").Message.Seq, 16)
}

func sweepLeavesWork(e *env) {
	ctx := e.Context()
	waiting := e.post("c", "fanout")
	e.ended("ended")
	deadline := e.ended("deadline")
	work := e.putDue(notify.Due{Partition: e.part("c"), Key: "deadline/c/deadline", Kind: notify.DueDeadline, At: start, Dead: "failed"})
	open := e.post("c", "open")
	e.ok(finish(e, open))
	f := notify.Fanout{Ref: open.Message.Ref(), Partition: e.part("c"), Deliveries: []notify.Delivery{{ID: "1", End: notify.EndNone}, {ID: "2"}}}
	f.Rev = must(e.Commit(ctx, f.Partition, notify.Batch{Fanouts: []notify.Fanout{f}}))(e).Fanouts[0]

	later := start.Add(30 * day)
	e.eq("swept", must(e.Sweep(ctx, later))(e), 1)
	for _, ref := range []notify.Ref{waiting.Message.Ref(), deadline, open.Message.Ref()} {
		must(e.Message(ctx, ref))(e)
	}
	e.eq("record", len(must(e.Fanouts(ctx, deadline))(e)), 1)

	e.ok(finish(e, waiting))
	must(e.Commit(ctx, e.part("c"), notify.Batch{Done: []notify.DueRef{{Key: work.Key, Rev: work.Rev}}}))(e)
	f.Deliveries[1].End = notify.Expired
	must(e.Commit(ctx, f.Partition, notify.Batch{Fanouts: []notify.Fanout{f}}))(e)
	e.eq("swept", must(e.Sweep(ctx, later))(e), 3)
}

func sweepKeepsUnread(e *env) {
	ctx := e.Context()
	e.ended("m1")
	e.ended("m2")
	e.ended("m3")
	agents := e.neighbours(2)
	e.apply(notify.Add{Agent: agents[0], Conversation: "c", From: 1, To: 3}, notify.Add{Agent: agents[1], Conversation: "c", From: 1, To: 3})
	e.apply(notify.ReadUpto{Agent: agents[0], Conversation: "c", Upto: 1}, notify.ReadUpto{Agent: agents[1], Conversation: "c", Upto: 3})
	before := must(e.Unread(ctx, agents[0], 9))(e)
	version := must(e.Versions(ctx, agents[1:]))(e)[0]
	must(e.Sweep(ctx, start.Add(day/2)))(e)
	e.eq("within a day a cursor holds", len(e.apply(notify.Add{Agent: agents[1], Conversation: "c", From: 1, To: 3}).Counts), 0)
	must(e.Sweep(ctx, start.Add(30*day)))(e)
	e.eq("unread", must(e.Unread(ctx, agents[0], 9))(e), before)
	if v := must(e.Versions(ctx, agents[1:]))(e)[0]; v < version {
		e.Fatalf("version %d, was %d", v, version)
	}
}
