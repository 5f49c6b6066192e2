//go:build redis && linux

package redis_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"caac-hub/hub/notify"
	"caac-hub/hub/redisconn"
	redisstore "caac-hub/hub/store/redis"
	"caac-hub/hub/store/sqlite"
	redistest "caac-hub/test/redis"
)

var at = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// embedded makes an embedded store with something of everything.
func embedded(t *testing.T) *sqlite.Store {
	t.Helper()
	s := must(sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()}))(t)
	t.Cleanup(func() { s.Close() })
	ctx := t.Context()
	must(s.PutMeta(ctx, "vapid", []byte("v \n\x00"), 0))(t)
	must(s.PutTeam(ctx, notify.Team{ID: "t", Members: []string{"ken", "mei"}}))(t)
	b := notify.Batch{Revs: map[string]int64{}}
	a := must(s.Accept(ctx, notify.Accept{Message: notify.Message{Conversation: "c/1 ü", ID: "m 1", Kind: notify.Image, Text: "a\nb\n", Thumbnail: "https://img.example/1",
		Hash: "h", Sent: at, Accepted: at}, Conversation: &notify.Conversation{ID: "c/1 ü", Contact: "Ken", Assignment: notify.Assignment{Team: "t", Version: 3}}, DueAt: at}))(t)
	must(s.Accept(ctx, notify.Accept{Message: notify.Message{Conversation: "c/1 ü", ID: "m2", Hash: "h2", Accepted: at}, DueAt: at}))(t)
	f := notify.Fanout{Ref: a.Message.Ref(), Seq: 1, Assignment: 3, Parts: []int{0}, Decided: at}
	for i := range 200 {
		id := fmt.Sprintf("agent-%03d", i)
		b.Revs[id] = must(s.PutAgent(ctx, notify.Agent{ID: id, Name: "Mei"}))(t)
		b.Add = append(b.Add, notify.Add{Agent: id, Conversation: "c/1 ü", From: 1, To: 1, Assignment: 3})
		f.Deliveries = append(f.Deliveries, notify.Delivery{ID: "d" + id, Decision: notify.Decision{Agent: id, Device: "d", Channel: notify.InApp, Reason: notify.ActivelyViewing}})
	}
	b.Fanouts = []notify.Fanout{f}
	b.Due = []notify.Due{
		{Key: "deadline/c%2F1+%C3%BC/m+1", Kind: notify.DueDeadline, At: at.Add(3 * time.Second), Body: []byte(`{}`)},
		{Key: "ring/agent-007/d/c%2F1+%C3%BC", Kind: notify.DueRing, At: at, Attempt: 2, Body: []byte(`{"agent":"agent-007"}`)},
		{Key: "dead/x", Kind: notify.DueRing, At: at, Body: []byte(`{"agent":"agent-008"}`), Dead: "it failed"},
		{Key: "send/c%2F1+%C3%BC/m9", Kind: notify.DueSend, At: at},
	}
	b.Read = []notify.ReadUpto{{Agent: "agent-001", Conversation: "c/1 ü", Upto: 1}}
	b.Withdraw = []notify.Withdraw{{Agent: "agent-002", Conversation: "c/1 ü", Assignment: 4}}
	b.Done = []notify.DueRef{{Key: a.Due[0].Key, Rev: a.Due[0].Rev}}
	must(s.Commit(ctx, 0, b))(t)
	must(s.Commit(ctx, 0, notify.Batch{Add: []notify.Add{{Agent: "agent-003", Conversation: "c/1 ü", From: 4, To: 6, Assignment: 3}}}))(t)
	for _, id := range []string{"d1", "d2"} {
		must(s.PutDevice(ctx, notify.Device{ID: id, Permission: notify.Granted, Subscription: &notify.Subscription{Endpoint: "https://push.example/1"}}))(t)
	}
	return s
}

func TestStateOfAnEmbeddedHubMovesOver(t *testing.T) {
	ctx := t.Context()
	from := embedded(t)
	server := redistest.Start(t, redistest.Options{AppendFsync: "off"})
	to := ready(t, redisstore.Options{Conn: connect(t, redisconn.Options{URL: server.URL()})})
	move := func() {
		t.Helper()
		var batch []notify.Entry
		if err := from.Export(ctx, func(e notify.Entry) error {
			batch = append(batch, e)
			if len(batch) < 37 {
				return nil
			}
			err := to.Import(ctx, batch)
			batch = nil
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := to.Import(ctx, batch); err != nil {
			t.Fatal(err)
		}
	}
	same := func() {
		t.Helper()
		eq := func(what string, got, want any) {
			t.Helper()
			if diff := cmp.Diff(got, want); diff != "" {
				t.Fatalf("%s: %s", what, diff)
			}
		}
		eq("agents", must(to.ListAgents(ctx, "", 1000))(t), must(from.ListAgents(ctx, "", 1000))(t))
		eq("teams", must(to.ListTeams(ctx, "", 1000))(t), must(from.ListTeams(ctx, "", 1000))(t))
		eq("devices", must(to.ListDevices(ctx, "", 1000))(t), must(from.ListDevices(ctx, "", 1000))(t))
		eq("endpoint", must(to.DeviceByEndpoint(ctx, "https://push.example/1"))(t), must(from.DeviceByEndpoint(ctx, "https://push.example/1"))(t))
		a, revA, err := to.Meta(ctx, "vapid")
		b, revB, _ := from.Meta(ctx, "vapid")
		if err != nil || string(a) != string(b) || revA != revB {
			t.Fatalf("meta: %q %d %v, want %q %d", a, revA, err, b, revB)
		}
		eq("conversation", must(to.Conversation(ctx, "c/1 ü"))(t), must(from.Conversation(ctx, "c/1 ü"))(t))
		eq("messages", must(to.Messages(ctx, notify.TraceFilter{Limit: 9}))(t), must(from.Messages(ctx, notify.TraceFilter{Limit: 9}))(t))
		eq("holders", must(to.Holders(ctx, "c/1 ü"))(t), must(from.Holders(ctx, "c/1 ü"))(t))
		for i := range 200 {
			id := fmt.Sprintf("agent-%03d", i)
			eq(id, must(to.Unread(ctx, id, 9))(t), must(from.Unread(ctx, id, 9))(t))
		}
		pendingTo, pendingFrom := must(to.Pending(ctx, at))(t), must(from.Pending(ctx, at))(t)
		deadlines := pendingTo[notify.DueDeadline]
		if deadlines.Count < 40 {
			t.Fatalf("%d deadlines: one for each partition with a record of it is wanted", deadlines.Count)
		}
		deadlines.Count = 1
		pendingTo[notify.DueDeadline] = deadlines
		eq("pending", pendingTo, pendingFrom)
		eq("dead", keysOf(must(to.Dead(ctx, 9))(t)), keysOf(must(from.Dead(ctx, 9))(t)))
	}
	move()
	same()
	records := must(to.Fanouts(ctx, notify.Ref{Conversation: "c/1 ü", Message: "m 1"}))(t)
	n := 0
	for _, f := range records {
		n += len(f.Deliveries)
		for _, d := range f.Deliveries {
			if notify.Partition(d.Agent, to.Partitions()) != f.Partition || len(f.Parts) != len(records) {
				t.Fatalf("a delivery of %s is in partition %d; the record says %v of %d parts", d.Agent, f.Partition, f.Parts, len(records))
			}
		}
	}
	if n != 200 {
		t.Fatalf("%d deliveries, want 200", n)
	}
	move()
	same()
	// What moved on in the new place stays.
	mei := must(to.Agents(ctx, []string{"agent-000"}))(t)[0]
	mei.Name = "Ken"
	must(to.PutAgent(ctx, mei))(t)
	must(to.Commit(ctx, notify.Partition("agent-000", 64), notify.Batch{Read: []notify.ReadUpto{{Agent: "agent-000", Conversation: "c/1 ü", Upto: 2}}}))(t)
	move()
	if got := must(to.Agents(ctx, []string{"agent-000"}))(t)[0].Name; got != "Ken" {
		t.Errorf("name %q, want Ken", got)
	}
	if u := must(to.Unread(ctx, "agent-000", 9))(t); u.Total != 0 {
		t.Errorf("unread %+v, want none", u)
	}
}

func keysOf(due []notify.Due) string {
	var keys []string
	for _, d := range due {
		keys = append(keys, d.Key)
	}
	b, _ := json.Marshal(keys)
	return string(b)
}
