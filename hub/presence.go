package hub

import (
	"slices"
	"sync"
	"time"

	"caac-hub/hub/notify"
)

// registry holds every open socket of this node by agent, what each says of its
// page, and what the other nodes say of theirs. Its lock is held for memory work
// only.
type registry struct {
	mu      sync.Mutex
	agents  map[string][]*socket
	remotes map[string]int
	count   int
	away    away
	moved   map[loginKey]struct{} // logins whose sockets changed and nobody was told; nil: nobody is to be
	wake    func()                // called, with the lock, when there is something to tell
}

// loginKey names a login.
type loginKey struct{ agent, device string }

func newRegistry() *registry {
	return &registry{agents: map[string][]*socket{}, remotes: map[string]int{}, away: newAway()}
}

// movedLocked notes that a socket of a login changed.
func (r *registry) movedLocked(s *socket) {
	if r.moved == nil {
		return
	}
	r.moved[loginKey{s.agent, s.device}] = struct{}{}
	r.wake()
}

// page is what a socket's page claims and what the hub makes of it. The
// registry's lock guards it.
type page struct {
	visible bool
	focus   bool
	viewing string
	renewed time.Time
	lapsed  bool // the claim to be visible was not renewed in time
	doubted bool // it did not confirm what it should have shown; until its next sign of life
}

func (p *page) presence() notify.Presence {
	switch {
	case !p.visible || p.lapsed || p.doubted:
		return notify.Hidden
	case p.focus:
		return notify.Active
	}
	return notify.Visible
}

// add registers a socket and reports which limit it is over, if one: "agent" or "address".
func (r *registry) add(s *socket, l Limits) (over string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.agents[s.agent]) >= l.SocketsPerAgent {
		return "agent"
	}
	if r.remotes[s.remote] >= l.SocketsPerAddress {
		return "address"
	}
	r.agents[s.agent] = append(r.agents[s.agent], s)
	r.remotes[s.remote]++
	r.count++
	r.movedLocked(s)
	return ""
}

// remove takes a socket out and reports whether it was there.
func (r *registry) remove(s *socket) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.agents[s.agent]
	for i, o := range all {
		if o != s {
			continue
		}
		last := len(all) - 1
		all[i], all[last] = all[last], nil
		if last == 0 {
			delete(r.agents, s.agent)
		} else {
			r.agents[s.agent] = all[:last]
		}
		if r.remotes[s.remote]--; r.remotes[s.remote] == 0 {
			delete(r.remotes, s.remote)
		}
		r.count--
		r.movedLocked(s)
		return true
	}
	return false
}

// of returns the sockets of an agent, on one device or on all (device "").
func (r *registry) of(agent, device string) []*socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ofLocked(agent, device)
}

func (r *registry) ofLocked(agent, device string) []*socket {
	var out []*socket
	for _, s := range r.agents[agent] {
		if device == "" || s.device == device {
			out = append(out, s)
		}
	}
	return out
}

// all returns every socket.
func (r *registry) all() []*socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*socket, 0, r.count)
	for _, ss := range r.agents {
		out = append(out, ss...)
	}
	return out
}

// claim sets what a page says of itself and returns the presence of the socket
// before and after.
func (r *registry) claim(s *socket, visible, focus bool, viewing string, now time.Time) (before, after notify.Presence) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, was := s.page.presence(), s.page.viewing
	s.page = page{visible: visible, focus: visible && focus, viewing: viewing, renewed: now}
	if after = s.page.presence(); before != after || was != viewing {
		r.movedLocked(s)
	}
	return before, after
}

// doubt counts sockets of an agent, here or away, as hidden until their pages
// give their next sign of life. It returns the nodes of those that are away.
func (r *registry) doubt(agent string, ids []string) (nodes []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.agents[agent] {
		if slices.Contains(ids, s.id) {
			s.page.doubted = true
			r.movedLocked(s)
		}
	}
	return r.away.doubt(agent, ids)
}

// presence returns the socket's own presence and what it views.
func (r *registry) presence(s *socket) (notify.Presence, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return s.page.presence(), s.page.viewing
}

// lapse finds the sockets whose claim to be visible was not renewed since the
// time given, counts them as hidden, and returns them.
func (r *registry) lapse(since time.Time) []*socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*socket
	for _, ss := range r.agents {
		for _, s := range ss {
			if s.page.visible && !s.page.lapsed && s.page.renewed.Before(since) {
				s.page.lapsed = true
				r.movedLocked(s)
				out = append(out, s)
			}
		}
	}
	return out
}

// views fills the sockets of each login of the agents.
func (r *registry) views(agents []notify.AgentView) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range agents {
		ss, others := r.agents[agents[i].ID], r.away.agents[agents[i].ID]
		if len(ss) == 0 && len(others) == 0 {
			continue
		}
		for j := range agents[i].Logins {
			l := &agents[i].Logins[j]
			for _, s := range ss {
				if s.device == l.Device {
					l.Sockets = append(l.Sockets, s.viewLocked())
				}
			}
			for k := range others {
				if others[k].device == l.Device {
					l.Sockets = append(l.Sockets, others[k].SocketView)
				}
			}
		}
	}
}

// viewLocked is the socket as the rules see it.
func (s *socket) viewLocked() notify.SocketView {
	return notify.SocketView{
		ID: s.id, Presence: s.page.presence(), Viewing: s.page.viewing,
		Renewed: s.page.renewed.UnixNano(), Lapsed: s.page.lapsed,
	}
}

// open reports whether a login has an open page, here or on another node.
func (r *registry) open(agent, device string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.agents[agent], func(s *socket) bool { return s.device == device }) ||
		slices.ContainsFunc(r.away.agents[agent], func(p awayPage) bool { return p.device == device })
}

// elsewhere returns the pages of an agent open on other nodes, on one device or
// on all (device "").
func (r *registry) elsewhere(agent, device string) []awayPage {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []awayPage
	for _, p := range r.away.agents[agent] {
		if device == "" || p.device == device {
			out = append(out, p)
		}
	}
	return out
}

// onDevice returns the sockets of every agent on a device.
func (r *registry) onDevice(device string) []*socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*socket
	for _, ss := range r.agents {
		for _, s := range ss {
			if s.device == device {
				out = append(out, s)
			}
		}
	}
	return out
}

// tally counts the sockets of this node by presence.
func (r *registry) tally() map[notify.Presence]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := map[notify.Presence]int{}
	for _, ss := range r.agents {
		for _, s := range ss {
			n[s.page.presence()]++
		}
	}
	return n
}
