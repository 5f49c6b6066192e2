//go:build redis && linux

package redis_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"caac-hub/hub/notify"
	"caac-hub/hub/redisconn"
	redisstore "caac-hub/hub/store/redis"
	redistest "caac-hub/test/redis"
)

// nodes opens stores with connections of their own, as nodes do.
func nodes(t *testing.T, url string, n int) []*redisstore.Store {
	t.Helper()
	all := make([]*redisstore.Store, n)
	for i := range all {
		all[i] = ready(t, redisstore.Options{Conn: connect(t, redisconn.Options{URL: url})})
	}
	return all
}

func TestNodesThatRaceForDocumentsLoseNothing(t *testing.T) {
	ctx := t.Context()
	both := nodes(t, redistest.Start(t, redistest.Options{AppendFsync: "off"}).URL(), 2)
	must(both[0].PutAgent(ctx, notify.Agent{ID: "mei"}))(t)
	const each = 100
	var wg sync.WaitGroup
	var conflicts atomic.Int64
	for w := range 4 {
		wg.Go(func() {
			s := both[w%2]
			for range each {
				for {
					a := must(s.Agents(ctx, []string{"mei"}))(t)[0]
					a.Version++
					_, err := s.PutAgent(ctx, a)
					if err == nil {
						break
					}
					if !errors.Is(err, notify.ErrConflict) {
						t.Error(err)
						return
					}
					conflicts.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if v := must(both[1].Agents(ctx, []string{"mei"}))(t)[0].Version; v != 4*each {
		t.Errorf("version %d, want %d (%d conflicts)", v, 4*each, conflicts.Load())
	}
}

func TestNodesThatRaceForAMessageAcceptItOnce(t *testing.T) {
	ctx := t.Context()
	both := nodes(t, redistest.Start(t, redistest.Options{AppendFsync: "off"}).URL(), 2)
	const messages = 200
	var fresh, applied atomic.Int64
	var wg sync.WaitGroup
	p := notify.Partition("mei", 64)
	for w := range 4 {
		wg.Go(func() {
			s := both[w%2]
			for i := range messages {
				a, err := s.Accept(ctx, message("c", fmt.Sprint("m", i)))
				if err != nil {
					t.Error(err)
					return
				}
				if !a.Duplicate {
					fresh.Add(1)
				}
				// All carry it out, as when a lease ran out.
				_, err = s.Commit(ctx, p, notify.Batch{
					Fanouts: []notify.Fanout{{Ref: a.Message.Ref(), Partition: p, Seq: a.Message.Seq}},
					Add:     []notify.Add{{Agent: "mei", Conversation: "c", From: a.Message.Seq, To: a.Message.Seq}},
				})
				if err == nil {
					applied.Add(1)
				} else if !errors.Is(err, notify.ErrConflict) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	u := must(both[0].Unread(ctx, "mei", 1))(t)
	if fresh.Load() != messages || applied.Load() != messages || u.Total != messages || u.Conversations[0].Seq != messages {
		t.Errorf("%d accepted, %d applied, unread %+v; want %d each", fresh.Load(), applied.Load(), u, messages)
	}
}

func TestTwoDevicesNeverHaveOneEndpoint(t *testing.T) {
	ctx := t.Context()
	both := nodes(t, redistest.Start(t, redistest.Options{AppendFsync: "off"}).URL(), 2)
	for round := range 20 {
		endpoint := fmt.Sprintf("https://push.example/%d", round)
		var won atomic.Int64
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() {
				_, err := both[w%2].PutDevice(ctx, notify.Device{ID: fmt.Sprintf("d%d-%d", round, w), Subscription: &notify.Subscription{Endpoint: endpoint}})
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, notify.ErrConflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		holders := 0
		for _, d := range must(both[0].ListDevices(ctx, fmt.Sprintf("d%d-", round), 6))(t) {
			if d.Subscription.Endpoint == endpoint {
				holders++
			}
		}
		if won.Load() != 1 || holders != 1 {
			t.Fatalf("round %d: %d puts succeeded, %d devices have the endpoint", round, won.Load(), holders)
		}
	}
}

func TestEndpointGoesToAnotherDeviceOnceItIsFree(t *testing.T) {
	ctx := t.Context()
	server := redistest.Start(t, redistest.Options{AppendFsync: "off"})
	s := nodes(t, server.URL(), 1)[0]
	sub := &notify.Subscription{Endpoint: "https://push.example/1"}
	older := notify.Device{ID: "older", Subscription: sub}
	older.Rev = must(s.PutDevice(ctx, older))(t)
	newer := notify.Device{ID: "newer", Subscription: sub}
	if _, err := s.PutDevice(ctx, newer); !errors.Is(err, notify.ErrConflict) {
		t.Fatalf("error %v, want ErrConflict", err)
	}
	if err := s.DeleteDevice(ctx, older.ID, older.Rev); err != nil {
		t.Fatal(err)
	}
	newer.Rev = must(s.PutDevice(ctx, newer))(t)
	if d := must(s.DeviceByEndpoint(ctx, sub.Endpoint))(t); d.ID != "newer" {
		t.Errorf("the endpoint is of %q", d.ID)
	}
	newer.Subscription = nil
	must(s.PutDevice(ctx, newer))(t)
	must(s.Sweep(ctx, at.AddDate(100, 0, 0)))(t)
	left := 0
	for p := range 64 {
		left += int(must(server.Client().HLen(ctx, fmt.Sprintf("caac:{p%d}:endpoints", p)).Result())(t))
	}
	if left != 0 {
		t.Errorf("%d claims are left, and no device has an endpoint", left)
	}
}
