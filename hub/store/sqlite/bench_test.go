package sqlite_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/hub/store/sqlite"
)

var at = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func message(conversation, id string) notify.Accept {
	return notify.Accept{
		Message: notify.Message{Conversation: conversation, ID: id, Kind: notify.Text, Text: "Hello, is anybody there? My order has not arrived.",
			Contact: "Ken", Hash: "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU", Sent: at, Accepted: at},
		DueAt: at.Add(time.Second),
	}
}

func delivery(agent int) notify.Delivery {
	return notify.Delivery{
		ID: fmt.Sprintf("dlv_%022d", agent),
		Decision: notify.Decision{Agent: fmt.Sprintf("agent-%04d", agent), Device: fmt.Sprintf("0198c0de-0000-7000-8000-%012d", agent),
			Channel: notify.InApp, Reason: notify.ActivelyViewing},
	}
}

// one takes a message through the store as the hub does: accept, fan-out,
// deadline.
func one(ctx context.Context, s *sqlite.Store, agents []string, deliveries []notify.Delivery, conversation, id string) error {
	a, err := s.Accept(ctx, message(conversation, id))
	if err != nil {
		return err
	}
	ref := a.Message.Ref()
	b := notify.Batch{
		Fanouts: []notify.Fanout{{Ref: ref, Seq: a.Message.Seq, Decided: at, Deliveries: deliveries}},
		Due:     []notify.Due{{Key: "deadline/" + conversation + "/" + id, Kind: notify.DueDeadline, At: at.Add(3 * time.Second)}},
		Done:    []notify.DueRef{{Key: a.Due[0].Key, Rev: a.Due[0].Rev}},
	}
	for _, agent := range agents {
		b.Add = append(b.Add, notify.Add{Agent: agent, Conversation: conversation, From: a.Message.Seq, To: a.Message.Seq})
	}
	r, err := s.Commit(ctx, 0, b)
	if err != nil {
		return err
	}
	f := b.Fanouts[0]
	f.Rev = r.Fanouts[0]
	f.Deliveries = append([]notify.Delivery(nil), deliveries...)
	for i := range f.Deliveries {
		d := &f.Deliveries[i]
		d.End, d.Ended = notify.Acknowledged, at.Add(time.Second)
		d.Events = []notify.Event{{At: at, Kind: notify.EventPushQueued}, {At: at.Add(time.Second), Kind: notify.EventAcknowledged}}
	}
	_, err = s.Commit(ctx, 0, notify.Batch{
		Fanouts: []notify.Fanout{f},
		Done:    []notify.DueRef{{Key: b.Due[0].Key, Rev: r.Due[0]}},
		Settled: []notify.Settled{{Ref: ref, Parts: []int{0}}},
	})
	return err
}

// report adds the rate, and the rows written for each.
func report(b *testing.B, s *sqlite.Store, rate string) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), rate)
	rows, err := s.Rows()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(rows)/float64(b.N), "rows/op")
}

// BenchmarkAssigneeMessage is a message for one agent with two logins, from 64
// callers at once.
func BenchmarkAssigneeMessage(b *testing.B) {
	s := open(b, sqlite.Options{Dir: b.TempDir()})
	var n atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(n.Add(1))
			agent := i % 500
			d := []notify.Delivery{delivery(agent), delivery(agent)}
			d[1].ID, d[1].Device = "other", "other"
			if err := one(b.Context(), s, []string{d[0].Agent}, d, fmt.Sprintf("conversation-%05d", i%5000), fmt.Sprintf("message-%09d", i)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	report(b, s, "messages/s")
}

// BenchmarkTeamCommit is the fan-out to 1,000 agents alone, one at a time.
func BenchmarkTeamCommit(b *testing.B) {
	s := open(b, sqlite.Options{Dir: b.TempDir()})
	const members = 1000
	f := notify.Fanout{Decided: at}
	adds := make([]notify.Add, members)
	for i := range members {
		f.Deliveries = append(f.Deliveries, delivery(i))
		adds[i] = notify.Add{Agent: f.Deliveries[i].Agent, Conversation: "c"}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f.Ref = notify.Ref{Conversation: "c", Message: fmt.Sprintf("message-%09d", i)}
		for j := range adds {
			adds[j].From, adds[j].To = int64(i+1), int64(i+1)
		}
		r, err := s.Commit(b.Context(), 0, notify.Batch{
			Add:     adds,
			Fanouts: []notify.Fanout{f},
			Due:     []notify.Due{{Key: "deadline/c/" + f.Message, Kind: notify.DueDeadline, At: at}},
		})
		if err != nil || len(r.Counts) != members {
			b.Fatal(len(r.Counts), err)
		}
	}
	report(b, s, "commits/s")
}

// BenchmarkTeamMessage is a message for a team of 1,000, from 4 callers at once.
func BenchmarkTeamMessage(b *testing.B) {
	s := open(b, sqlite.Options{Dir: b.TempDir()})
	const members = 1000
	agents := make([]string, members)
	deliveries := make([]notify.Delivery, members)
	for i := range members {
		deliveries[i] = delivery(i)
		agents[i] = deliveries[i].Agent
	}
	var n atomic.Int64
	b.SetParallelism(2)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			if err := one(b.Context(), s, agents, deliveries, fmt.Sprintf("conversation-%02d", i%20), fmt.Sprintf("message-%09d", i)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	report(b, s, "messages/s")
}
