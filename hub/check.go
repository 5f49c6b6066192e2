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

// shown is what a page was last told; the outbox's lock guards it.
type shown struct {
	version  int64 // of its agent's unread
	agent    int64 // revision of its agent
	device   int64 // revision of its device
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

// toldOf notes that the page was told of its agent and device as they are, and
// reports whether that was news of their settings.
func (s *socket) toldOf(a notify.Agent, d notify.Device) (news bool) {
	hash := fnv.New64a()
	hash.Write(encode(s.settingsOf(a, d)))
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	w := &s.out.shown
	if a.Rev < w.agent || d.Rev < w.device {
		return false
	}
	news = w.settings != hash.Sum64()
	w.agent, w.device, w.onDuty, w.settings = a.Rev, d.Rev, a.OnDuty, hash.Sum64()
	return news
}

// settingsOf asks a page that was told of another VAPID key for no new
// subscription: it would make it for that key, and be asked again.
func (s *socket) settingsOf(a notify.Agent, d notify.Device) wire.Settings {
	set := s.hub.settingsOf(a, d)
	current, _ := s.hub.push.Key()
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if s.out.shown.key != current {
		set.Device.Resubscribe = false
	}
	return set
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
		if was.agent < a.Rev || was.device < d.Rev {
			if was.onDuty != a.OnDuty {
				s.showDuty(ctx, a)
			}
			s.showSettings(a, d)
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
	s.send(encode(wire.SettingsFrame{Type: wire.TypeSettings, Settings: s.settingsOf(a, d)}))
	return nil
}
