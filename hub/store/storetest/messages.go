package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"caac-hub/hub/notify"
)

var messageTests = []test{
	{"MessageReadsBackAsAccepted", messageReadsBack},
	{"UnknownConversationIsMade", unknownConversation},
	{"InlineConversationIsUpserted", inlineConversation},
	{"NewAssignmentMakesWorkBeforeTheFanout", assignmentMakesWork},
	{"StaleAssignmentIsIgnored", staleAssignment},
	{"RepeatedMessageDoesNothing", repeatedMessage},
	{"OtherContentIsRefused", otherContent},
	{"KeysAreUnambiguous", keysAreUnambiguous},
	{"ManyWritersGetGaplessSeqs", gaplessSeqs},
	{"RacedIdIsAcceptedOnce", racedID},
	{"ConversationAndItsWorkArePutInOneStep", conversationWithWork},
	{"MessagesAreListedNewestFirst", messagesListed},
	{"ErasedMessageKeepsHashAndKind", erased},
}

func messageReadsBack(e *env) {
	m := notify.Message{Conversation: "c", ID: "m/1 ü", Kind: "sticker?", Text: "t\x00 \n", Thumbnail: "https://img.example/1",
		Contact: "Ken", Hash: "h", Sent: start.Add(123), Accepted: start.Add(time.Second)}
	a := must(e.Accept(e.Context(), notify.Accept{Message: m, DueAt: start}))(e)
	m.Seq = 1
	if !cmp.Equal(a.Message, m) {
		e.Fatal(cmp.Diff(a.Message, m))
	}
	if got := must(e.Message(e.Context(), m.Ref()))(e); !cmp.Equal(got, m) {
		e.Fatal(cmp.Diff(got, m))
	}
	_, err := e.Message(e.Context(), notify.Ref{Conversation: "c", Message: "none"})
	e.wantErr(err, notify.ErrNotFound)
	_, err = e.Message(e.Context(), notify.Ref{Conversation: "other", Message: m.ID})
	e.wantErr(err, notify.ErrNotFound)
}

func unknownConversation(e *env) {
	a := e.post("c", "m1")
	e.eq("assignment", a.Message.Assignment, notify.Assignment{})
	e.eq("work", keys(a.Due), []string{"fanout/c/m1"})
	d := a.Due[0]
	e.eq("kind and partition", fmt.Sprint(d.Kind, d.Partition), fmt.Sprint(notify.DueFanout, e.part("c")))
	if !d.At.Equal(start.Add(time.Second)) || d.Rev == 0 {
		e.Fatalf("work %+v", d)
	}
	stored := must(e.Due(e.Context(), d.Partition, []string{d.Key}))(e)
	if !cmp.Equal(stored, a.Due) {
		e.Fatal(cmp.Diff(stored, a.Due))
	}
	c := must(e.Conversation(e.Context(), "c"))(e)
	e.eq("conversation", notify.Conversation{ID: c.ID, Contact: c.Contact, Assignment: c.Assignment, Seq: c.Seq, Answered: c.Answered, Newest: c.Newest},
		notify.Conversation{ID: "c", Seq: 1, Newest: "m1"})
}

func inlineConversation(e *env) {
	in := accept("c", "m1")
	in.Conversation = &notify.Conversation{ID: "c", Contact: "Ken", Assignment: notify.Assignment{Agent: "mei", Version: 7}}
	a := must(e.Accept(e.Context(), in))(e)
	e.eq("assignment", a.Message.Assignment, in.Conversation.Assignment)
	in = accept("c", "m2")
	in.Conversation = &notify.Conversation{ID: "c", Assignment: notify.Assignment{Agent: "ken"}}
	a = must(e.Accept(e.Context(), in))(e)
	e.eq("version 0 with another agent", a.Message.Assignment, notify.Assignment{Agent: "ken", Version: 8})
	in = accept("c", "m3")
	in.Conversation = &notify.Conversation{ID: "c", Contact: "Kenji", Assignment: notify.Assignment{Agent: "ken"}}
	a = must(e.Accept(e.Context(), in))(e)
	e.eq("version 0 with the same agent", a.Message.Assignment, notify.Assignment{Agent: "ken", Version: 8})
	e.eq("work", keys(a.Due), []string{"fanout/c/m3"})
	c := must(e.Conversation(e.Context(), "c"))(e)
	e.eq("conversation", fmt.Sprint(c.Contact, c.Seq, c.Newest, c.Assignment), fmt.Sprint("Kenji", 3, "m3", notify.Assignment{Agent: "ken", Version: 8}))
}

func assignmentMakesWork(e *env) {
	e.posts("c", 2)
	in := accept("c", "m3")
	in.Conversation = &notify.Conversation{ID: "c", Assignment: notify.Assignment{Agent: "mei", Team: "t", Version: 5}}
	a := must(e.Accept(e.Context(), in))(e)
	e.eq("work", keys(a.Due), []string{"assign/c/5", "fanout/c/m3"})
	var body notify.AssignBody
	e.ok(json.Unmarshal(a.Due[0].Body, &body))
	e.eq("body", body, notify.AssignBody{Conversation: "c", To: notify.Assignment{Agent: "mei", Team: "t", Version: 5}, Upto: 2})
	e.eq("kind", a.Due[0].Kind, notify.DueAssign)
	in = accept("c", "m4")
	in.Conversation = &notify.Conversation{ID: "c", Assignment: notify.Assignment{Agent: "mei", Team: "t", Version: 6}}
	a = must(e.Accept(e.Context(), in))(e)
	e.eq("work of a newer version that says the same", keys(a.Due), []string{"fanout/c/m4"})
	e.eq("version", a.Message.Assignment.Version, 6)
	in = accept("new", "m1")
	in.Conversation = &notify.Conversation{ID: "new", Assignment: notify.Assignment{Agent: "mei", Version: 1}}
	a = must(e.Accept(e.Context(), in))(e)
	e.eq("work of a first message: nobody loses or takes over anything", keys(a.Due), []string{"fanout/new/m1"})
}

func staleAssignment(e *env) {
	post := func(id string, as notify.Assignment) notify.Accepted {
		in := accept("c", id)
		in.Conversation = &notify.Conversation{ID: "c", Assignment: as}
		return must(e.Accept(e.Context(), in))(e)
	}
	e.eq("first", post("m1", notify.Assignment{Agent: "mei", Version: 5}).Stale, false)
	for i, as := range []notify.Assignment{{Agent: "ken", Version: 4}, {Agent: "ken", Version: 5}, {Agent: "mei", Version: 3}} {
		a := post(fmt.Sprintf("stale-%d", i), as)
		e.eq("stale", a.Stale, true)
		e.eq("assignment", a.Message.Assignment, notify.Assignment{Agent: "mei", Version: 5})
		e.eq("work", len(a.Due), 1)
	}
	e.eq("the same again", post("m2", notify.Assignment{Agent: "mei", Version: 5}).Stale, false)
}

func repeatedMessage(e *env) {
	first := e.post("c", "m1")
	again := accept("c", "m1")
	again.Message.Accepted = start.Add(time.Hour)
	again.Conversation = &notify.Conversation{ID: "c", Contact: "Other", Assignment: notify.Assignment{Agent: "ken", Version: 9}}
	a := must(e.Accept(e.Context(), again))(e)
	e.eq("duplicate", a.Duplicate, true)
	e.eq("work", len(a.Due), 0)
	if !cmp.Equal(a.Message, first.Message) {
		e.Fatal(cmp.Diff(a.Message, first.Message))
	}
	c := must(e.Conversation(e.Context(), "c"))(e)
	e.eq("conversation", fmt.Sprint(c.Contact, c.Seq, c.Assignment), fmt.Sprint("", 1, notify.Assignment{}))
	e.eq("the same id elsewhere", e.post("c2", "m1").Duplicate, false)
	e.ok(finish(e, first))
	e.eq("after its work has ended", must(e.Accept(e.Context(), again))(e).Duplicate, true)
}

// finish ends the work of an accepted message.
func finish(e *env, a notify.Accepted) error {
	var done []notify.DueRef
	for _, d := range a.Due {
		done = append(done, notify.DueRef{Key: d.Key, Rev: d.Rev})
	}
	_, err := e.Commit(e.Context(), e.part(a.Message.Conversation), notify.Batch{Done: done})
	return err
}

func otherContent(e *env) {
	e.post("c", "m1")
	in := accept("c", "m1")
	in.Message.Hash = "other"
	in.Conversation = &notify.Conversation{ID: "c", Contact: "Other"}
	_, err := e.Accept(e.Context(), in)
	e.wantErr(err, notify.ErrContent)
	c := must(e.Conversation(e.Context(), "c"))(e)
	e.eq("conversation", fmt.Sprint(c.Contact, c.Seq), fmt.Sprint("", 1))
	e.eq("text", must(e.Message(e.Context(), notify.Ref{Conversation: "c", Message: "m1"}))(e).Text, "text of m1")
}

func keysAreUnambiguous(e *env) {
	seen := map[string]bool{}
	for _, ref := range []notify.Ref{{Conversation: "a/b", Message: "c"}, {Conversation: "a", Message: "b/c"}, {Conversation: "a%2Fb", Message: "c"}, {Conversation: "a b", Message: "c"}, {Conversation: "a+b", Message: "c"}} {
		key := e.post(ref.Conversation, ref.Message).Due[0].Key
		if seen[key] || strings.Count(key, "/") != 2 {
			e.Fatalf("key %q of %+v", key, ref)
		}
		seen[key] = true
	}
}

func gaplessSeqs(e *env) {
	const writers, each = 12, 25
	var mu sync.Mutex
	var seqs []int64
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				a, err := e.Accept(e.Context(), accept("c", fmt.Sprintf("%d-%d", w, i)))
				if err != nil {
					errs <- err
					return
				}
				mu.Lock()
				seqs = append(seqs, a.Message.Seq)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		e.Fatal(err)
	}
	slices.Sort(seqs)
	for i, seq := range seqs {
		if seq != int64(i+1) {
			e.Fatalf("seq %d at place %d", seq, i+1)
		}
	}
	c := must(e.Conversation(e.Context(), "c"))(e)
	e.eq("seq", c.Seq, writers*each)
	e.eq("newest", must(e.Message(e.Context(), notify.Ref{Conversation: "c", Message: c.Newest}))(e).Seq, c.Seq)
}

func racedID(e *env) {
	const writers, rounds = 8, 10
	for round := range rounds {
		id := fmt.Sprintf("m%d", round)
		accepted := make([]notify.Accepted, writers)
		errs := make([]error, writers)
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() { accepted[w], errs[w] = e.Accept(e.Context(), accept("c", id)) })
		}
		wg.Wait()
		e.ok(errors.Join(errs...))
		fresh := 0
		for _, a := range accepted {
			if !a.Duplicate {
				fresh++
			}
			e.eq("seq", a.Message.Seq, round+1)
		}
		e.eq("accepted", fresh, 1)
	}
}

func conversationWithWork(e *env) {
	ctx := e.Context()
	p := e.part("c")
	due := notify.Due{Partition: p, Key: "assign/c/1", Kind: notify.DueAssign, At: start, Body: []byte(`{}`)}
	rev := must(e.PutConversation(ctx, notify.Conversation{ID: "c"}, due))(e)
	e.eq("work", keys(must(e.Due(ctx, p, []string{"assign/c/1"}))(e)), []string{"assign/c/1"})
	other := due
	other.Key = "assign/c/2"
	_, err := e.PutConversation(ctx, notify.Conversation{ID: "c", Contact: "X", Rev: rev}, other, due)
	e.wantErr(err, notify.ErrConflict)
	_, err = e.PutConversation(ctx, notify.Conversation{ID: "c", Contact: "X", Rev: rev + 1}, other)
	e.wantErr(err, notify.ErrConflict)
	e.eq("work after conflicts", len(must(e.Due(ctx, p, []string{"assign/c/2"}))(e)), 0)
	e.eq("contact after conflicts", must(e.Conversation(ctx, "c"))(e).Contact, "")
}

func messagesListed(e *env) {
	ctx := e.Context()
	// Accepted out of the order of their times.
	for _, i := range []int{3, 1, 4, 0, 2} {
		in := accept([]string{"even", "odd"}[i%2], fmt.Sprintf("m%d", i))
		in.Message.Accepted = start.Add(time.Duration(i) * time.Millisecond)
		must(e.Accept(ctx, in))(e)
	}
	in := accept("odd", "m2")
	in.Message.Accepted = start.Add(10 * time.Millisecond)
	must(e.Accept(ctx, in))(e)
	list := func(f notify.TraceFilter) (ids []string) {
		for _, m := range must(e.Messages(ctx, f))(e) {
			ids = append(ids, m.Conversation+" "+m.ID)
		}
		return ids
	}
	e.eq("all", list(notify.TraceFilter{Limit: 500}), []string{"odd m2", "even m4", "odd m3", "even m2", "odd m1", "even m0"})
	e.eq("limit", list(notify.TraceFilter{Limit: 2}), []string{"odd m2", "even m4"})
	e.eq("before", list(notify.TraceFilter{Before: start.Add(3 * time.Millisecond), Limit: 2}), []string{"even m2", "odd m1"})
	e.eq("conversation", list(notify.TraceFilter{Conversation: "odd", Limit: 9}), []string{"odd m2", "odd m3", "odd m1"})
	e.eq("message", list(notify.TraceFilter{Message: "m2", Limit: 9}), []string{"odd m2", "even m2"})
	e.eq("both", list(notify.TraceFilter{Message: "m2", Conversation: "even", Limit: 9}), []string{"even m2"})
	e.eq("all three", list(notify.TraceFilter{Message: "m2", Conversation: "odd", Before: start, Limit: 9}), []string(nil))
}

func erased(e *env) {
	in := accept("c", "m1")
	in.Message.Thumbnail = "https://img.example/1"
	m := must(e.Accept(e.Context(), in))(e).Message
	settle := func(p int, parts ...int) []notify.Ref {
		return must(e.Commit(e.Context(), p, notify.Batch{Settled: []notify.Settled{{Ref: m.Ref(), Parts: parts}}}))(e).Whole
	}
	// Where there are partitions enough, it is fanned out to three of them; one
	// comes later and names more than the others know of.
	all := e.partitions()
	all = all[:min(len(all), 3)]
	for i, p := range all[:len(all)-1] {
		e.eq("whole", len(settle(p, all[:2]...)), 0)
		if i == 0 {
			e.eq("whole, said again", len(settle(p, all...)), 0)
		}
	}
	if got := must(e.Message(e.Context(), m.Ref()))(e); got.Text == "" {
		e.Fatal("the text went before the message came to its end everywhere")
	}
	e.eq("whole", settle(all[len(all)-1], all...), []notify.Ref{m.Ref()})
	must(e.Commit(e.Context(), 0, notify.Batch{Settled: []notify.Settled{{Ref: notify.Ref{Conversation: "c", Message: "none"}, Parts: []int{0}}}}))(e)
	m.Text, m.Thumbnail = "", ""
	if got := must(e.Message(e.Context(), m.Ref()))(e); !cmp.Equal(got, m) {
		e.Fatal(cmp.Diff(got, m))
	}
	e.eq("still a duplicate", must(e.Accept(e.Context(), in))(e).Duplicate, true)
}
