//go:build linux

package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// conducts are the devices of the world, one of every kind.
var conducts = []conduct{
	{agent: "mei", name: "desktop", states: []wire.PageState{active}, tabs: 2},
	{agent: "mei", name: "phone", states: []wire.PageState{hidden}, closed: true, subscribe: true},
	{agent: "ken", name: "desktop", states: []wire.PageState{hidden}, tabs: 1, subscribe: true},
	{agent: "mute", name: "desktop", states: []wire.PageState{active}, mute: true, tabs: 1, subscribe: true},
	{agent: "aside", name: "desktop", states: []wire.PageState{visible}, tabs: 1, subscribe: true},
	{agent: "bare", name: "desktop", states: []wire.PageState{visible, active}, tabs: 1},
	{agent: "away", name: "phone", states: []wire.PageState{hidden}, closed: true, subscribe: true},
	{agent: "restless", name: "desktop", states: []wire.PageState{active, visible, hidden}, tabs: 2, subscribe: true},
	{agent: "off", name: "desktop", states: []wire.PageState{active}, tabs: 1, subscribe: true},
}

const stranger = "stranger" // an agent who never logged in

// world is the hub with everything around it.
type world struct {
	t       testing.TB
	push    *pushService
	hub     *program
	members []string // of the team
	devices []*device
	rung    *rings
	threads []*thread
	back    []*producer
}

func newWorld(t testing.TB, seed uint64) *world {
	t.Helper()
	w := &world{t: t, push: startPushService(t), rung: &rings{}}
	w.hub = startProgram(t, w.push)
	for _, c := range conducts {
		if !slices.Contains(w.members, c.agent) {
			w.members = append(w.members, c.agent)
		}
	}
	w.members = append(w.members, stranger)
	for _, id := range w.members {
		w.hub.must("PUT", "/v1/agents/"+id, map[string]any{"name": id, "on_duty": id != "off"}, nil)
	}
	w.hub.must("PUT", "/v1/teams/all", map[string]any{"members": w.members}, nil)
	for i, c := range conducts {
		d := &device{conduct: c, p: w.hub, rung: w.rung, random: rand.New(rand.NewPCG(seed, uint64(i)))}
		if err := d.settle(t.Context(), w.push); err != nil {
			t.Fatalf("%s's %s: %v", c.agent, c.name, err)
		}
		w.devices = append(w.devices, d)
	}
	thread := func(id, team string, holders ...string) {
		w.threads = append(w.threads, &thread{id: id, team: team, holders: holders, read: map[string]int64{}})
	}
	for _, id := range w.members {
		thread("of-"+id, "", id)
	}
	thread("of-all", "all")
	thread("of-all-too", "all")
	thread("of-nobody", "")
	thread("moved", "", "mei", "ken", "away", "restless")
	for i := range 4 {
		b := &producer{p: w.hub, random: rand.New(rand.NewPCG(seed, 1000+uint64(i)))}
		for j := i; j < len(w.threads); j += 4 {
			b.threads = append(b.threads, w.threads[j])
		}
		w.back = append(w.back, b)
	}
	return w
}

// open opens the devices' pages until close is called.
func (w *world) open() (closePages func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, d := range w.devices {
		if d.closed {
			continue
		}
		for range d.tabs {
			p := &page{d: d}
			d.pages = append(d.pages, p)
			wg.Go(func() { p.live(ctx) })
		}
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// outcome is what became of everything.
type outcome struct {
	accepted, deliveries int
	ends                 map[notify.End]int
	pushes, repeated     int
	local                int
}

// check holds what the hub answers now against the ledger and the guarantees.
func (w *world) check(kills []time.Time) outcome {
	w.t.Helper()
	o := outcome{ends: map[notify.End]int{}}
	w.quiet()
	pushed := w.checkRings(&o, kills)
	for _, th := range w.threads {
		for _, m := range th.accepted {
			o.accepted++
			w.checkTrace(&o, th, m, pushed)
		}
	}
	w.checkUnread()
	w.checkPages()
	return o
}

// quiet waits until nothing of any message is under way.
func (w *world) quiet() {
	w.t.Helper()
	end := time.Now().Add(60 * time.Second)
	for _, th := range w.threads {
		for _, m := range slices.Backward(th.accepted) {
			for {
				tr := w.trace(th.id, m.id)
				if !tr.Pending {
					break
				}
				if time.Now().After(end) {
					w.t.Fatalf("message %s has not ended: %+v; the hub logged\n%s", m.id, tr.Deliveries, w.hub.logged())
				}
				time.Sleep(50 * time.Millisecond)
			}
		}
	}
}

func (w *world) trace(conversation, message string) hub.Trace {
	w.t.Helper()
	var tr hub.Trace
	w.hub.must("GET", "/v1/traces/"+conversation+"/"+message, nil, &tr)
	return tr
}

// checkTrace holds that every login of every recipient of a message has its end.
func (w *world) checkTrace(o *outcome, th *thread, m post, pushed map[string]bool) {
	w.t.Helper()
	tr := w.trace(th.id, m.id)
	if tr.Message.Seq != m.seq {
		w.t.Errorf("message %s was accepted with seq %d and has %d", m.id, m.seq, tr.Message.Seq)
	}
	if tr.Message.Text != "" {
		w.t.Errorf("message %s has ended and its text is still there", m.id)
	}
	missing := map[string]bool{}
	recipients := notify.Recipients(tr.Message.Assignment, w.members)
	for _, agent := range recipients {
		none := true
		for _, d := range w.devices {
			if d.agent == agent {
				missing[agent+" "+d.auth.ID], none = true, false
			}
		}
		if none {
			missing[agent+" "] = true
		}
	}
	if len(recipients) == 0 {
		missing[" "] = true
	}
	for _, d := range tr.Deliveries {
		o.deliveries++
		o.ends[d.End]++
		delete(missing, d.Agent+" "+d.Device)
		switch d.End {
		case "":
			w.t.Errorf("message %s has no end for %s on %s: %+v", m.id, d.Agent, d.Device, d)
		case notify.PushAccepted:
			if !pushed[d.ID] {
				w.t.Errorf("message %s ended push_accepted for %s and no push came: %+v", m.id, d.Agent, d)
			}
		case notify.Failed:
			if w.device(d.Device).subscribe {
				w.t.Errorf("message %s failed for %s, who has a subscription: %+v", m.id, d.Agent, d)
			}
		}
	}
	for who := range missing {
		w.t.Errorf("message %s has no delivery for %s: %+v", m.id, who, tr.Deliveries)
	}
}

func (w *world) device(id string) *device {
	for _, d := range w.devices {
		if d.auth.ID == id {
			return d
		}
	}
	w.t.Fatalf("a delivery to the unknown device %q", id)
	return nil
}

// checkRings holds that a message rings a login once: whatever repeats has the
// same id, so that the worker shows it again silently, and only a kill makes a
// push repeat. It returns the ids that were pushed.
func (w *world) checkRings(o *outcome, kills []time.Time) map[string]bool {
	w.t.Helper()
	type told struct {
		ref    notify.Ref
		device string
	}
	ids := map[told][]string{}
	ring := func(x told, id string) {
		if !slices.Contains(ids[x], id) {
			ids[x] = append(ids[x], id)
		}
	}
	last := map[string]time.Time{}
	pushed := map[string]bool{}
	for _, a := range w.push.all() {
		o.pushes++
		ring(told{notify.Ref{Conversation: a.data.Conversation, Message: a.data.Message}, a.data.Device}, a.data.ID)
		if before, ok := last[a.data.ID]; ok {
			o.repeated++
			if !slices.ContainsFunc(kills, func(k time.Time) bool { return k.After(before.Add(-time.Second)) && k.Before(a.at) }) {
				w.t.Errorf("message %s was pushed to %s at %v and again at %v, and nothing was killed between", a.data.Message, a.data.Agent, before, a.at)
			}
		}
		last[a.data.ID], pushed[a.data.ID] = a.at, true
	}
	w.rung.mu.Lock()
	defer w.rung.mu.Unlock()
	for _, r := range w.rung.all {
		o.local++
		ring(told{r.ref, r.device}, r.id)
	}
	for x, all := range ids {
		// An agent who gets the conversation back is told anew.
		if len(all) > 1 && x.ref.Conversation != "moved" {
			w.t.Errorf("message %s rang %d times on %s: %v", x.ref.Message, len(all), x.device, all)
		}
	}
	return pushed
}

// checkUnread holds every agent's unread against the ledger.
func (w *world) checkUnread() {
	w.t.Helper()
	for _, agent := range w.members {
		want, total := map[string]int{}, 0
		for _, th := range w.threads {
			if slices.Contains(th.recipients(w.members), agent) {
				if n := th.unread(agent); n > 0 {
					want[th.id] = n
					total += n
				}
			}
		}
		got := w.unread(agent)
		for _, c := range got.Conversations {
			if c.Unread != want[c.Conversation] {
				w.t.Errorf("%s has %d unread in %s; the ledger says %d", agent, c.Unread, c.Conversation, want[c.Conversation])
			}
			delete(want, c.Conversation)
		}
		for id, n := range want {
			w.t.Errorf("%s has nothing unread in %s; the ledger says %d", agent, id, n)
		}
		if got.Total != total {
			w.t.Errorf("%s has %d unread; the ledger says %d", agent, got.Total, total)
		}
	}
}

func (w *world) unread(agent string) hub.UnreadInfo {
	w.t.Helper()
	var u hub.UnreadInfo
	w.hub.must("GET", "/v1/agents/"+agent+"/unread", nil, &u)
	return u
}

// checkPages holds that every open page shows the truth within 10 s.
func (w *world) checkPages() {
	w.t.Helper()
	end := time.Now().Add(10 * time.Second)
	for _, d := range w.devices {
		if d.agent == "off" {
			continue // counts come on duty
		}
		for i, p := range d.pages {
			for {
				u := w.unread(d.agent)
				p.mu.Lock()
				version, total, known := p.version, p.total, p.known
				p.mu.Unlock()
				if known && version == u.Version && total == u.Total {
					break
				}
				if time.Now().After(end) {
					w.t.Errorf("page %d of %s shows %d (version %d), the store has %d (version %d)", i, d.agent, total, version, u.Total, u.Version)
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
		}
	}
}

func (o outcome) String() string {
	return fmt.Sprintf("%d messages accepted, %d deliveries ended %v, %d pushes of which %d repeated, %d local rings",
		o.accepted, o.deliveries, o.ends, o.pushes, o.repeated, o.local)
}
