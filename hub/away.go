package hub

import (
	"slices"

	"caac-hub/hub/notify"
)

// away is what the other nodes say of their open pages: each is the authority
// on its own. It belongs to the registry's lock.
type away struct {
	agents map[string][]awayPage
	nodes  map[string]*awayNode
}

// awayNode is what a node has told of, each with the number of the letter that
// did: a snapshot that it wrote before is older.
type awayNode struct {
	logins map[loginKey]int64
	ended  map[loginKey]int64 // logins whose last page went
}

// awayPage is an open page on another node.
type awayPage struct {
	notify.SocketView
	agent, device, node string
}

// loginPages is what a node tells of one of its logins: all its open pages
// there; none: the last one went.
type loginPages struct {
	Agent  string     `json:"a"`
	Device string     `json:"d"`
	Pages  []pageView `json:"p,omitempty"`
}

// pageView is a notify.SocketView on the bus.
type pageView struct {
	ID       string `json:"i"`
	Presence int    `json:"p"`
	Viewing  string `json:"v,omitempty"`
	Renewed  int64  `json:"r"`
	Lapsed   bool   `json:"l,omitempty"`
}

func newAway() away {
	return away{agents: map[string][]awayPage{}, nodes: map[string]*awayNode{}}
}

// put takes a node's word for a login and returns the pages that can confirm
// nothing any more.
func (w *away) put(node string, l loginPages, letter int64) (lost []awayPage) {
	key := loginKey{l.Agent, l.Device}
	before := w.agents[l.Agent]
	after := slices.DeleteFunc(slices.Clone(before), func(p awayPage) bool { return p.node == node && p.device == l.Device })
	for _, v := range l.Pages {
		if v.Presence < int(notify.Hidden) || v.Presence > int(notify.Active) {
			continue
		}
		after = append(after, awayPage{
			notify.SocketView{ID: v.ID, Presence: notify.Presence(v.Presence), Viewing: v.Viewing, Renewed: v.Renewed, Lapsed: v.Lapsed},
			l.Agent, l.Device, node,
		})
	}
	for _, p := range before {
		if p.node == node && p.device == l.Device && p.Presence >= notify.Visible &&
			!slices.ContainsFunc(after, func(n awayPage) bool { return n.ID == p.ID && n.Presence >= notify.Visible }) {
			lost = append(lost, p)
		}
	}
	if len(after) == 0 {
		delete(w.agents, l.Agent)
	} else {
		w.agents[l.Agent] = after
	}
	n := w.node(node)
	if len(l.Pages) == 0 {
		delete(n.logins, key)
		n.ended[key] = letter
	} else {
		delete(n.ended, key)
		n.logins[key] = letter
	}
	return lost
}

func (w *away) node(id string) *awayNode {
	n := w.nodes[id]
	if n == nil {
		n = &awayNode{logins: map[loginKey]int64{}, ended: map[loginKey]int64{}}
		w.nodes[id] = n
	}
	return n
}

// doubt counts pages as hidden and returns their nodes.
func (w *away) doubt(agent string, ids []string) (nodes []string) {
	pages := w.agents[agent]
	for i := range pages {
		if slices.Contains(ids, pages[i].ID) {
			pages[i].Presence = min(pages[i].Presence, notify.Hidden)
			if !slices.Contains(nodes, pages[i].node) {
				nodes = append(nodes, pages[i].node)
			}
		}
	}
	return nodes
}

// heard takes what a node tells of its logins.
func (r *registry) heard(node string, logins []loginPages, letter int64) (lost []awayPage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range logins {
		lost = append(lost, r.away.put(node, l, letter)...)
	}
	return lost
}

// heardAll takes everything a node has to tell, as of one of its letters. What
// it told later stays.
func (r *registry) heardAll(node string, logins []loginPages, letter int64) (lost []awayPage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.away.node(node)
	keep := make(map[loginKey]bool, len(logins))
	for _, l := range logins {
		key := loginKey{l.Agent, l.Device}
		keep[key] = true
		if n.logins[key] <= letter && n.ended[key] <= letter {
			lost = append(lost, r.away.put(node, l, letter)...)
		}
	}
	for key, told := range n.logins {
		if told <= letter && !keep[key] {
			lost = append(lost, r.away.put(node, loginPages{Agent: key.agent, Device: key.device}, letter)...)
		}
	}
	clear(n.ended)
	return lost
}

// forgetEnded drops what only a snapshot under way would need.
func (r *registry) forgetEnded(node string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.away.node(node).ended)
}

// forget drops everything a node told: it is gone.
func (r *registry) forget(node string) (lost []awayPage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.away.node(node).logins {
		lost = append(lost, r.away.put(node, loginPages{Agent: key.agent, Device: key.device}, 0)...)
	}
	delete(r.away.nodes, node)
	return lost
}

// takeMoved returns what to tell of the logins whose sockets changed since.
func (r *registry) takeMoved() []loginPages {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]loginPages, 0, len(r.moved))
	for key := range r.moved {
		out = append(out, r.pagesLocked(key))
	}
	clear(r.moved)
	return out
}

// everything returns what to tell of all logins with open pages.
func (r *registry) everything() []loginPages {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := map[loginKey]bool{}
	for _, ss := range r.agents {
		for _, s := range ss {
			keys[loginKey{s.agent, s.device}] = true
		}
	}
	out := make([]loginPages, 0, len(keys))
	for key := range keys {
		out = append(out, r.pagesLocked(key))
	}
	return out
}

func (r *registry) pagesLocked(key loginKey) loginPages {
	l := loginPages{Agent: key.agent, Device: key.device}
	for _, s := range r.agents[key.agent] {
		if s.device == key.device {
			v := s.viewLocked()
			l.Pages = append(l.Pages, pageView{ID: v.ID, Presence: int(v.Presence), Viewing: v.Viewing, Renewed: v.Renewed, Lapsed: v.Lapsed})
		}
	}
	return l
}
