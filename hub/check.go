package hub

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// Times of the comparison of what pages show with the store.
const (
	checkEvery = 10 * time.Second
	freshFor   = 3 * time.Second // a new socket is compared each second for as long: the others may not know it yet
)

// keysAtOnce is how many pages are told of a new VAPID key each second. Each then
// subscribes anew, and many may share a network address.
const keysAtOnce = 20

// shown is what a page was last told, in the order of its frames: each is queued
// and noted in one step. The outbox's lock guards it.
type shown struct {
	version  int64 // of its agent's unread
	agent    int64 // revision of its agent; 0: its welcome is on its way
	device   int64 // revision of its device
	duty     int64 // revision of the agent whose duty it was told
	onDuty   bool
	settings uint64 // hash
	key      string // id of the VAPID key
}

// told notes that the page was told of a version of its agent's unread.
func (s *socket) told(version int64) {
	s.out.mu.Lock()
	s.out.shown.version = max(s.out.shown.version, version)
	s.out.mu.Unlock()
}

// toldKey notes that the page was told of a VAPID key.
func (s *socket) toldKey(id string) {
	s.out.mu.Lock()
	s.out.shown.key = id
	s.out.mu.Unlock()
}

// showWelcome sends full state, made of an agent and a device. It does not where
// the page was told of newer ones meanwhile, unless always is set, and reports it.
func (s *socket) showWelcome(w wire.Welcome, a notify.Agent, d notify.Device, always bool) bool {
	frame, settings := encode(w), hashOf(w.Settings)
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	x := &s.out.shown
	if !always && (a.Rev < max(x.agent, x.duty) || d.Rev < x.device) {
		return false
	}
	s.queueLocked(frame)
	*x = shown{max(x.version, w.Version), a.Rev, d.Rev, a.Rev, a.OnDuty, settings, w.VAPID.ID}
	return true
}

// showSettings sends the page the settings as they are, if they are news to it or
// always is set. A page that was told of another VAPID key is asked for no new
// subscription: it would make it for that key, and be asked again.
func (s *socket) showSettings(a notify.Agent, d notify.Device, always bool) {
	set := s.hub.settingsOf(a, d)
	current, _ := s.hub.push.Key()
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	x := &s.out.shown
	if a.Rev < x.agent || d.Rev < x.device {
		return
	}
	if x.key != current {
		set.Device.Resubscribe = false
	}
	settings := hashOf(set)
	news := x.settings != settings
	x.agent, x.device, x.settings = a.Rev, d.Rev, settings
	if news || always {
		s.flushCountsLocked()
		s.queueLocked(encode(wire.SettingsFrame{Type: wire.TypeSettings, Settings: set}))
	}
}

// sendDuty tells the page its agent's duty, unless it was told of a newer one.
func (s *socket) sendDuty(a notify.Agent) {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	x := &s.out.shown
	if a.Rev < x.duty {
		return
	}
	x.duty, x.onDuty = a.Rev, a.OnDuty
	s.flushCountsLocked()
	s.queueLocked(encode(wire.DutyFrame{Type: wire.TypeDuty, OnDuty: a.OnDuty}))
}

func hashOf(set wire.Settings) uint64 {
	hash := fnv.New64a()
	hash.Write(encode(set))
	return hash.Sum64()
}

// checkLoop compares what pages were told with the store, and tells them the
// truth where it differs, until ctx ends: what nodes tell each other may be lost.
func (h *Hub) checkLoop(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	all := time.Now()
	for {
		var ss []*socket
		select {
		case <-ctx.Done():
			return
		case ss = <-h.peers.checks:
		case now := <-tick.C:
			ss = h.sockets.all()
			h.tellKey(ctx, ss)
			if now.Sub(all) < checkEvery {
				ss = slices.DeleteFunc(ss, func(s *socket) bool { return now.Sub(s.since) > freshFor })
			} else {
				all = now
			}
		}
		for len(ss) > 0 && ctx.Err() == nil {
			n := min(len(ss), 500)
			if err := h.check(ctx, ss[:n]); err != nil && ctx.Err() == nil {
				h.log.Warn("pages not compared with the store; they will be", "error", err)
				break
			}
			ss = ss[n:]
		}
	}
}

// check compares what sockets' pages were told with the store.
func (h *Hub) check(ctx context.Context, ss []*socket) error {
	var ids, deviceIDs []string
	for _, s := range ss {
		ids, deviceIDs = append(ids, s.agent), append(deviceIDs, s.device)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	slices.Sort(deviceIDs)
	deviceIDs = slices.Compact(deviceIDs)
	agents, err := h.dir.agentsOf(ctx, ids)
	if err != nil {
		return err
	}
	devices, err := h.dir.devicesOf(ctx, deviceIDs)
	if err != nil {
		return err
	}
	versions, err := h.store.Versions(ctx, ids)
	if err != nil {
		return err
	}
	agentOf, deviceOf := map[string]notify.Agent{}, map[string]notify.Device{}
	for _, a := range agents {
		agentOf[a.ID] = a
	}
	for _, d := range devices {
		deviceOf[d.ID] = d
	}
	for _, s := range ss {
		a, d := agentOf[s.agent], deviceOf[s.device]
		if !slices.ContainsFunc(a.Logins, func(l notify.Login) bool { return l.Device == s.device }) {
			s.end(wire.CloseLoggedOut, "the login ended")
			continue
		}
		i, _ := slices.BinarySearch(ids, s.agent)
		s.out.mu.Lock()
		was := s.out.shown
		s.out.mu.Unlock()
		if was.agent == 0 {
			continue // its welcome is on its way
		}
		if was.onDuty != a.OnDuty && was.duty <= a.Rev {
			s.showDuty(ctx, a)
		}
		if was.agent < a.Rev || was.device < d.Rev {
			s.showSettings(a, d, false)
		}
		if a.OnDuty && was.version < versions[i] { // off duty, unread grows silently
			s.truth(ctx)
		}
	}
	return nil
}

// tellKey tells pages that were told of another VAPID key of the current one, a
// few at a time, so that they subscribe anew.
func (h *Hub) tellKey(ctx context.Context, ss []*socket) {
	current, _ := h.push.Key()
	n := 0
	for _, s := range ss {
		s.out.mu.Lock()
		was := s.out.shown.key
		s.out.mu.Unlock()
		if was == "" || was == current {
			continue
		}
		if n++; n > keysAtOnce || ctx.Err() != nil {
			return
		}
		if err := s.renew(ctx); err != nil && !errors.Is(err, notify.ErrNotFound) {
			s.toldKey(was)
			return // the store is away: pages stay, and are told once it is back
		}
	}
}

// renew tells a page of the VAPID key, and of its settings even if they are no
// news: what they say of the subscription is now judged by another key.
func (s *socket) renew(ctx context.Context) error {
	if err := s.welcome(ctx, 0, ""); err != nil {
		return err
	}
	// Read after what the welcome was, so that they are not older.
	a, err := s.hub.dir.agent(ctx, s.agent)
	if err != nil {
		return err
	}
	d, err := s.hub.dir.device(ctx, s.device)
	if err != nil {
		return err
	}
	s.showSettings(a, d, true)
	return nil
}
