//go:build linux

package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
	front   *front
	hub     *program // where it is one
	members []string // of the team
	devices []*device
	seen    *sightings
	still   atomic.Bool // pages keep their states
	threads []*thread
	back    []*producer
	posted  atomic.Int64
}

// newWorld is a world around a hub of one node.
func newWorld(t testing.TB, seed uint64) *world {
	t.Helper()
	s := startPushService(t)
	p, f := startProgram(t, s)
	w := worldAround(t, seed, s, f, 1)
	w.hub = p
	return w
}

// worldAround has some copies of every kind of device; the team is those of the first.
func worldAround(t testing.TB, seed uint64, s *pushService, f *front, copies int) *world {
	t.Helper()
	w := &world{t: t, push: s, front: f, seen: &sightings{}}
	var agents []string
	var all []conduct
	for i := range copies {
		for _, c := range conducts {
			if i > 0 {
				c.agent = fmt.Sprintf("%s-%d", c.agent, i+1)
			}
			if all = append(all, c); !slices.Contains(agents, c.agent) {
				agents = append(agents, c.agent)
			}
		}
		if i == 0 {
			agents = append(agents, stranger)
			w.members = slices.Clone(agents)
		}
	}
	for _, id := range agents {
		f.must("PUT", "/v1/agents/"+id, map[string]any{"name": id, "on_duty": !isOff(id)}, nil)
	}
	f.must("PUT", "/v1/teams/all", map[string]any{"members": w.members}, nil)
	for i, c := range all {
		d := &device{conduct: c, front: f, seen: w.seen, random: rand.New(rand.NewPCG(seed, uint64(i)))}
		if err := d.settle(t.Context(), w.push); err != nil {
			t.Fatalf("%s's %s: %v", c.agent, c.name, err)
		}
		w.devices = append(w.devices, d)
	}
	thread := func(id, team string, holders ...string) {
		w.threads = append(w.threads, &thread{id: id, team: team, holders: holders, read: map[string]int64{}})
	}
	for _, id := range agents {
		thread("of-"+id, "", id)
	}
	thread("of-all", "all")
	thread("of-all-too", "all")
	thread("of-nobody", "")
	thread("moved", "", "mei", "ken", "away", "restless")
	for i := range 4 * copies {
		b := &producer{front: f, random: rand.New(rand.NewPCG(seed, 1000+uint64(i))), pace: 25 * time.Millisecond, posted: &w.posted}
		for j := i; j < len(w.threads); j += 4 * copies {
			b.threads = append(b.threads, w.threads[j])
		}
		w.back = append(w.back, b)
	}
	return w
}

func isOff(agent string) bool { return strings.HasPrefix(agent, "off") }

// open opens the devices' pages until close is called.
func (w *world) open() (closePages func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, d := range w.devices {
		if d.closed {
			continue
		}
		for range d.tabs {
			p := &page{d: d, still: &w.still}
			d.pages = append(d.pages, p)
			wg.Go(func() { p.live(ctx) })
		}
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// disturbance is when something was broken on purpose.
type disturbance struct {
	what     string
	from, to time.Time
}

// outcome is what became of everything.
type outcome struct {
	accepted, lost      int
	deliveries, endless int
	ends                map[notify.End]int
	pushes, local       int
	repeated, rangTwice int
	unreadOff, pagesOff int
}

// check holds what the hub answers now against the ledger and the guarantees.
func (w *world) check(disturbed []disturbance) outcome {
	w.t.Helper()
	o := outcome{ends: map[notify.End]int{}}
	w.quiet()
	w.checkPages(&o)
	w.seen.mu.Lock()
	seen := slices.Clone(w.seen.all)
	w.seen.mu.Unlock()
	s := watch(seen, w.push.all())
	w.checkRings(&o, s, disturbed)
	w.checkTraces(&o, s)
	w.checkUnread(&o)
	for _, d := range w.devices {
		for _, p := range d.pages {
			for _, why := range p.refused {
				w.t.Errorf("a page of %s was told not to come back: %s", d.agent, why)
			}
		}
	}
	return o
}

// quiet waits until nothing of any message is due, and nothing has failed for good.
func (w *world) quiet() {
	w.t.Helper()
	end := time.Now().Add(60 * time.Second)
	for {
		due, err := w.due()
		if err == nil && due == 0 {
			break
		}
		if time.Now().After(end) {
			w.t.Errorf("%v pieces of work are due after 60 s: %v", due, err)
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	var list struct{ Dead []hub.DeadWork }
	w.front.must("GET", "/v1/outbox", nil, &list)
	for _, d := range list.Dead {
		w.t.Errorf("%s failed for good: %s", d.Key, d.Why)
	}
}

// due is how much work must still be done.
func (w *world) due() (float64, error) {
	resp, err := w.front.http.Get("http://" + w.front.nodes[0] + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	sum, kinds := 0.0, 0
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok && strings.HasPrefix(name, "caac_due{") {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0, err
			}
			sum, kinds = sum+n, kinds+1
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	if kinds == 0 {
		return 0, errors.New("the metrics do not say what is due")
	}
	return sum, nil
}

// checkTraces looks at every message that was accepted.
func (w *world) checkTraces(o *outcome, s screens) {
	type item struct {
		th *thread
		m  post
	}
	items := make(chan item)
	var mu sync.Mutex // guards o
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for x := range items {
				var tr hub.Trace
				err := w.front.call(context.Background(), "GET", "/v1/traces/"+x.th.id+"/"+x.m.id, nil, nil, &tr)
				mu.Lock()
				o.accepted++
				if err != nil {
					o.lost++
					w.t.Errorf("message %s was accepted: %v", x.m.id, err)
				} else {
					w.checkTrace(o, x.th, x.m, tr, s)
				}
				mu.Unlock()
			}
		})
	}
	for _, th := range w.threads {
		for _, m := range th.accepted {
			items <- item{th, m}
		}
	}
	close(items)
	wg.Wait()
}

// checkTrace holds that every login of every recipient of a message has its end.
func (w *world) checkTrace(o *outcome, th *thread, m post, tr hub.Trace, s screens) {
	if tr.Message.Seq != m.seq {
		w.t.Errorf("message %s was accepted with seq %d and has %d", m.id, m.seq, tr.Message.Seq)
	}
	if tr.Pending {
		o.endless++
		w.t.Errorf("message %s is under way though nothing is due: %+v", m.id, tr.Deliveries)
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
			o.endless++
			w.t.Errorf("message %s has no end for %s on %s: %+v", m.id, d.Agent, d.Device, d)
		case notify.PushAccepted:
			if !s.pushed[d.ID] {
				w.t.Errorf("message %s ended push_accepted for %s and no push came: %+v", m.id, d.Agent, d)
			}
		case notify.Acknowledged:
			if !s.told[d.ID] {
				w.t.Errorf("message %s ended acknowledged for %s and no page showed it: %+v", m.id, d.Agent, d)
			}
		case notify.Failed:
			if w.device(d.Device).subscribe {
				w.t.Errorf("message %s failed for %s, who has a subscription: %+v", m.id, d.Agent, d)
			}
		}
	}
	for who := range missing {
		o.endless++
		w.t.Errorf("message %s has no delivery for %q: %+v", m.id, who, tr.Deliveries)
	}
}

func (w *world) device(id string) *device {
	for _, d := range w.devices {
		if d.auth.ID == id {
			return d
		}
	}
	w.t.Errorf("a delivery to the unknown device %q", id)
	return &device{}
}

// settles is how long after something was broken its work may still be repeated.
const settles = 10 * time.Second

// checkRings holds that a message rings a login once, and that what is shown
// again silently was pushed again because something was broken.
func (w *world) checkRings(o *outcome, s screens, disturbed []disturbance) {
	w.t.Helper()
	o.pushes, o.local, o.repeated = s.pushes, s.local, len(s.silent)
	for _, r := range s.silent {
		if r.before.page == nil && !slices.ContainsFunc(disturbed, func(d disturbance) bool {
			return d.from.Before(r.again.at) && d.to.Add(settles).After(r.before.at)
		}) {
			w.t.Errorf("message %s was pushed at %v and again at %v, and nothing was broken between", r.again.ref.Message, r.before.at, r.again.at)
		}
	}
	for k, rang := range s.rings {
		allowed := 1
		for _, th := range w.threads {
			if th.id == k.ref.Conversation && len(th.holders) > 1 {
				// An agent who gets the conversation back is told anew.
				ids := map[string]bool{}
				for _, r := range rang {
					ids[r.id] = true
				}
				allowed = len(ids)
			}
		}
		if len(rang) > allowed {
			o.rangTwice++
			text := ""
			for _, r := range rang {
				text += fmt.Sprintf("\n%s by %s as %s", r.at.Format(time.StampMilli), r.channel, r.id)
			}
			w.t.Errorf("message %s rang %d times on %s's %s:%s\n%+v", k.ref.Message, len(rang), w.device(k.device).agent, w.device(k.device).name, text, w.trace(k.ref.Conversation, k.ref.Message).Deliveries)
		}
	}
}

func (w *world) trace(conversation, message string) hub.Trace {
	w.t.Helper()
	var tr hub.Trace
	w.front.must("GET", "/v1/traces/"+conversation+"/"+message, nil, &tr)
	return tr
}

// checkUnread holds every agent's unread against the ledger.
func (w *world) checkUnread(o *outcome) {
	w.t.Helper()
	off := func(format string, args ...any) {
		w.t.Helper()
		o.unreadOff++
		w.t.Errorf(format, args...)
	}
	agents := slices.Clone(w.members)
	for _, d := range w.devices {
		agents = append(agents, d.agent)
	}
	slices.Sort(agents)
	for _, agent := range slices.Compact(agents) {
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
				off("%s has %d unread in %s; the ledger says %d", agent, c.Unread, c.Conversation, want[c.Conversation])
			}
			delete(want, c.Conversation)
		}
		for id, n := range want {
			off("%s has nothing unread in %s; the ledger says %d", agent, id, n)
		}
		if got.Total != total {
			off("%s has %d unread; the ledger says %d", agent, got.Total, total)
		}
	}
}

func (w *world) unread(agent string) hub.UnreadInfo {
	w.t.Helper()
	var u hub.UnreadInfo
	w.front.must("GET", "/v1/agents/"+agent+"/unread", nil, &u)
	return u
}

// checkPages holds that every open page shows the truth within 10 s.
func (w *world) checkPages(o *outcome) {
	w.t.Helper()
	end := time.Now().Add(10 * time.Second)
	for _, d := range w.devices {
		if isOff(d.agent) {
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
					o.pagesOff++
					w.t.Errorf("page %d of %s shows %d (version %d), the store has %d (version %d)", i, d.agent, total, version, u.Total, u.Version)
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
		}
	}
}

func (o outcome) String() string {
	return fmt.Sprintf("%d messages accepted, %d deliveries ended %v, %d pushes and %d local notifications, %d shown again silently",
		o.accepted, o.deliveries, o.ends, o.pushes, o.local, o.repeated)
}
