//go:build redis && linux

package redis_test

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/hub/redisconn"
	redisstore "caac-hub/hub/store/redis"
	redistest "caac-hub/test/redis"
)

func delivery(agent int) notify.Delivery {
	return notify.Delivery{
		ID: fmt.Sprintf("%022d", agent),
		Decision: notify.Decision{Agent: fmt.Sprintf("agent-%04d", agent), Device: fmt.Sprintf("0198c0de-0000-7000-8000-%012d", agent),
			Channel: notify.InApp, Reason: notify.ActivelyViewing},
	}
}

// bench is a store with 1,000 agents by partition, on a server that keeps
// nothing on disk: what is measured is the store, not the disk.
type bench struct {
	*redisstore.Store
	server *redistest.Server
	agents [64][]int
	cpu    float64
}

func newBench(b *testing.B) *bench {
	server := redistest.Start(b, redistest.Options{AppendFsync: "off"})
	x := &bench{Store: ready(b, redisstore.Options{Conn: connect(b, redisconn.Options{URL: server.URL()})}), server: server}
	for i := range 1000 {
		p := notify.Partition(delivery(i).Agent, 64)
		x.agents[p] = append(x.agents[p], i)
	}
	return x
}

// used is the CPU time that Redis has used, in µs.
func (x *bench) used() float64 {
	info := x.server.Info("cpu")
	user, _ := strconv.ParseFloat(info["used_cpu_user"], 64)
	sys, _ := strconv.ParseFloat(info["used_cpu_sys"], 64)
	return (user + sys) * 1e6
}

func (x *bench) start(b *testing.B) {
	b.ReportAllocs()
	x.cpu = x.used()
	b.ResetTimer()
}

func (x *bench) stop(b *testing.B) {
	b.StopTimer()
	b.ReportMetric((x.used()-x.cpu)/float64(b.N), "redis-µs/op")
}

// BenchmarkAccept accepts messages of many conversations, from 64 callers at once.
func BenchmarkAccept(b *testing.B) {
	x := newBench(b)
	var n atomic.Int64
	b.SetParallelism(32)
	x.start(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			if _, err := x.Accept(b.Context(), message(fmt.Sprintf("conversation-%05d", i%5000), fmt.Sprintf("message-%09d", i))); err != nil {
				b.Error(err)
				return
			}
		}
	})
	x.stop(b)
}

// assignee carries a message through: accept, fan-out to an agent with two
// logins, deadline.
func (x *bench) assignee(ctx context.Context, i int) error {
	agent, conversation := i%500, fmt.Sprintf("conversation-%05d", i%5000)
	a, err := x.Accept(ctx, message(conversation, fmt.Sprintf("message-%09d", i)))
	if err != nil {
		return err
	}
	d := []notify.Delivery{delivery(agent), delivery(agent)}
	d[1].ID, d[1].Device = "other", "other"
	p := notify.Partition(d[0].Agent, 64)
	ref := a.Message.Ref()
	f := notify.Fanout{Ref: ref, Partition: p, Seq: a.Message.Seq, Decided: at, Parts: []int{p}, Deliveries: d}
	deadline := notify.Due{Partition: p, Key: "deadline/" + conversation + "/" + ref.Message, Kind: notify.DueDeadline, At: at.Add(3 * time.Second)}
	r, err := x.Commit(ctx, p, notify.Batch{
		Fanouts: []notify.Fanout{f}, Due: []notify.Due{deadline},
		Add: []notify.Add{{Agent: d[0].Agent, Conversation: conversation, From: a.Message.Seq, To: a.Message.Seq}},
	})
	if err != nil {
		return err
	}
	home := a.Due[0].Partition
	if _, err := x.Commit(ctx, home, notify.Batch{Done: []notify.DueRef{{Key: a.Due[0].Key, Rev: a.Due[0].Rev}}}); err != nil {
		return err
	}
	f.Rev = r.Fanouts[0]
	for j := range d {
		d[j].End, d[j].Ended = notify.Acknowledged, at.Add(time.Second)
		d[j].Events = []notify.Event{{At: at.Add(time.Second), Kind: notify.EventAcknowledged}}
	}
	_, err = x.Commit(ctx, p, notify.Batch{
		Fanouts: []notify.Fanout{f}, Done: []notify.DueRef{{Key: deadline.Key, Rev: r.Due[0]}},
		Settled: []notify.Settled{{Ref: ref, Parts: f.Parts}},
	})
	return err
}

// BenchmarkAssigneeMessage takes messages for one agent with two logins through
// the store as the hub does, from 64 callers at once, and reports what a message
// that has come to its end takes up.
func BenchmarkAssigneeMessage(b *testing.B) {
	x := newBench(b)
	memory := func() float64 {
		n, _ := strconv.ParseFloat(x.server.Info("memory")["used_memory"], 64)
		return n
	}
	// The conversations and agents are there before.
	for i := range 5000 {
		if err := x.assignee(b.Context(), i); err != nil {
			b.Fatal(err)
		}
	}
	before := memory()
	var n atomic.Int64
	n.Store(5000)
	b.SetParallelism(32)
	x.start(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := x.assignee(b.Context(), int(n.Add(1))); err != nil {
				b.Error(err)
				return
			}
		}
	})
	x.stop(b)
	b.ReportMetric((memory()-before)/float64(b.N), "redis-bytes/op")
}

// BenchmarkTeamCommit is the fan-out to a team of 1,000: a commit in each of its
// partitions, all at once.
func BenchmarkTeamCommit(b *testing.B) {
	x := newBench(b)
	x.start(b)
	for i := 0; b.Loop(); i++ {
		errs := make(chan error, 64)
		for p, agents := range x.agents {
			go func() {
				ref := notify.Ref{Conversation: "c", Message: fmt.Sprintf("message-%09d", i)}
				f := notify.Fanout{Ref: ref, Partition: p, Decided: at}
				batch := notify.Batch{Due: []notify.Due{{Partition: p, Key: "deadline/c/" + ref.Message, Kind: notify.DueDeadline, At: at}}}
				for _, a := range agents {
					d := delivery(a)
					f.Deliveries = append(f.Deliveries, d)
					batch.Add = append(batch.Add, notify.Add{Agent: d.Agent, Conversation: "c", From: int64(i + 1), To: int64(i + 1)})
				}
				batch.Fanouts = []notify.Fanout{f}
				r, err := x.Commit(b.Context(), p, batch)
				if err == nil && len(r.Counts) != len(agents) {
					err = fmt.Errorf("%d counts", len(r.Counts))
				}
				errs <- err
			}()
		}
		for range x.agents {
			if err := <-errs; err != nil {
				b.Fatal(err)
			}
		}
	}
	x.stop(b)
}

// BenchmarkClaimIdle looks for due work in all partitions where none is due, one
// caller after the other.
func BenchmarkClaimIdle(b *testing.B) {
	x := newBench(b)
	for i := range 1000 {
		if _, err := x.Commit(b.Context(), i%64, notify.Batch{Due: []notify.Due{{Partition: i % 64, Key: fmt.Sprint("ring/", i), Kind: notify.DueRing, At: at.AddDate(50, 0, 0)}}}); err != nil {
			b.Fatal(err)
		}
	}
	all := make([]int, 64)
	for i := range all {
		all[i] = i
	}
	x.start(b)
	for b.Loop() {
		due, err := x.Claim(b.Context(), all, at, 64, time.Second)
		if err != nil || len(due) > 0 {
			b.Fatal(due, err)
		}
	}
	x.stop(b)
}
