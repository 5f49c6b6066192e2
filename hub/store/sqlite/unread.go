package sqlite

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"caac-hub/hub/notify"
)

// agent is the total of an agent's unread.
type agent struct {
	id string

	// As committed, under Store.mu.
	version int64
	total   int
	threads map[string]*thread // conversations with unread messages

	// The writer's, valid while batch is its current one.
	batch       uint64
	nextVersion int64
	nextTotal   int
}

// thread is the unread of all agents in one conversation, sorted by agent.
type thread struct {
	id      string
	entries []entry // as committed, under Store.mu; replaced, never changed
}

// staged is a thread as the transaction sees it.
type staged struct {
	thread  *thread
	entries []entry
	hint    int // where the next agent is likely to stand
}

// join says that an agent's unread in a conversation began or ended.
type join struct {
	agent  *agent
	thread *thread
	in     bool
}

func (m *memory) loadThread(conversation string, doc []byte) error {
	th := &thread{id: conversation}
	var err error
	th.entries, err = unpackEntries(doc, func(id []byte) *agent {
		a := m.agents[string(id)]
		if a == nil {
			a = &agent{id: string(id), version: m.floor}
			m.agents[a.id] = a
		}
		return a
	})
	if err != nil {
		return err
	}
	for i := range th.entries {
		e := &th.entries[i]
		if n, _ := e.unread(); n > 0 {
			e.agent.total += n
			e.agent.hold(th)
		}
	}
	m.threads[th.id] = th
	return nil
}

func (a *agent) hold(th *thread) {
	if a.threads == nil {
		a.threads = make(map[string]*thread, 1)
	}
	a.threads[th.id] = th
}

// agentNow returns the agent with its staged values set up.
func (t *tx) agentNow(id string) *agent {
	m := t.s.mem
	a := m.agents[id]
	if a == nil {
		a = &agent{id: id, version: m.floor}
		t.s.mu.Lock()
		m.agents[id] = a
		t.s.mu.Unlock()
	}
	return a
}

// bump gives the agent its next version and returns the one before.
func (t *tx) bump(a *agent, now int64) (prev int64) {
	if a.batch != t.batch {
		a.batch, a.nextVersion, a.nextTotal = t.batch, a.version, a.total
		t.agents = append(t.agents, a)
	}
	prev = a.nextVersion
	a.nextVersion = max(prev+1, now)
	t.high = max(t.high, a.nextVersion)
	return prev
}

// threadNow returns the conversation's unread, ready to be changed.
func (t *tx) threadNow(conversation string) *staged {
	if st := t.thread[conversation]; st != nil {
		return st
	}
	st := &staged{thread: t.s.mem.threads[conversation]}
	if st.thread == nil {
		st.thread = &thread{id: conversation}
	} else {
		st.entries = slices.Clone(st.thread.entries)
	}
	if t.thread == nil {
		t.thread = map[string]*staged{}
	}
	t.thread[conversation] = st
	return st
}

// find returns where the agent stands, or would stand.
func (st *staged) find(agent string) (int, bool) {
	if i := st.hint; i < len(st.entries) && st.entries[i].agent.id == agent {
		st.hint++
		return i, true
	}
	i, ok := slices.BinarySearchFunc(st.entries, agent, func(e entry, id string) int { return strings.Compare(e.agent.id, id) })
	st.hint = i + 1
	return i, ok
}

// touched remembers what an entry was before the operation.
type touched struct {
	st     *staged
	agent  string
	count  int
	newest int64
}

// unreadChange is one operation's change of unread.
type unreadChange struct {
	t       *tx
	id      uint64
	now     int64
	touched []touched
}

// entry returns the entry to be changed, made if missing, having noted what it
// was; the pointer is good until the next call.
func (u *unreadChange) entry(agent, conversation string) *entry {
	st := u.t.threadNow(conversation)
	i, ok := st.find(agent)
	if !ok {
		st.entries = slices.Insert(st.entries, i, entry{agent: u.t.agentNow(agent), stamp: u.now})
	}
	e := &st.entries[i]
	if e.touch != u.id {
		e.touch = u.id
		n, newest := e.unread()
		u.touched = append(u.touched, touched{st: st, agent: agent, count: n, newest: newest})
	}
	return e
}

// counts gives every entry whose unread changed its version.
func (u *unreadChange) counts() []notify.Count {
	var counts []notify.Count
	for _, was := range u.touched {
		i, _ := was.st.find(was.agent)
		e := &was.st.entries[i]
		n, newest := e.unread()
		if n == was.count && newest == was.newest {
			if n == 0 {
				e.stamp = max(e.stamp, u.now)
			}
			continue
		}
		prev := u.t.bump(e.agent, u.now)
		e.agent.nextTotal += n - was.count
		if n == 0 || newest > was.newest {
			e.stamp = e.agent.nextVersion
		}
		if (n == 0) != (was.count == 0) {
			u.t.joins = append(u.t.joins, join{e.agent, was.st.thread, n > 0})
		}
		if counts == nil {
			counts = make([]notify.Count, 0, len(u.touched))
		}
		counts = append(counts, notify.Count{
			Agent: was.agent, Conversation: was.st.thread.id, Unread: n, Seq: newest, Cursor: e.cursor,
			Prev: prev, Version: e.agent.nextVersion, Total: e.agent.nextTotal,
		})
	}
	return counts
}

// putThread writes the unread of a conversation, or removes the row.
func (c *conn) putThread(conversation string, entries []entry) error {
	if len(entries) == 0 {
		_, err := c.exec("DELETE FROM unread WHERE conversation = ?", conversation)
		return err
	}
	c.pack = packEntries(c.pack[:0], entries)
	_, err := c.exec("INSERT OR REPLACE INTO unread (conversation, doc) VALUES (?, ?)", conversation, c.pack)
	return err
}

func (m *memory) applyUnread(t *tx) {
	for id, st := range t.thread {
		if len(st.entries) == 0 {
			delete(m.threads, id)
			continue
		}
		st.thread.entries = st.entries
		m.threads[id] = st.thread
	}
	for _, a := range t.agents {
		a.version, a.total = a.nextVersion, a.nextTotal
	}
	for _, j := range t.joins {
		if j.in {
			j.agent.hold(j.thread)
		} else {
			delete(j.agent.threads, j.thread.id)
		}
	}
}

// Unread implements hub.Store.
func (s *Store) Unread(ctx context.Context, id string, limit int) (notify.Unread, error) {
	if err := s.usable(ctx); err != nil {
		return notify.Unread{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	u := notify.Unread{Agent: id, Version: s.mem.floor}
	a := s.mem.agents[id]
	if a == nil {
		return u, nil
	}
	u.Version, u.Total = a.version, a.total
	type held struct {
		stamp int64
		notify.ConversationUnread
	}
	all := make([]held, 0, len(a.threads))
	for _, th := range a.threads {
		i, ok := slices.BinarySearchFunc(th.entries, id, func(e entry, id string) int { return strings.Compare(e.agent.id, id) })
		if !ok {
			continue
		}
		e := &th.entries[i]
		n, newest := e.unread()
		all = append(all, held{e.stamp, notify.ConversationUnread{Conversation: th.id, Unread: n, Seq: newest, Cursor: e.cursor}})
	}
	slices.SortFunc(all, func(a, b held) int {
		if c := cmp.Compare(b.stamp, a.stamp); c != 0 {
			return c
		}
		return strings.Compare(a.Conversation, b.Conversation)
	})
	for _, h := range all[:min(max(limit, 0), len(all))] {
		u.Conversations = append(u.Conversations, h.ConversationUnread)
	}
	return u, nil
}

// Versions implements hub.Store.
func (s *Store) Versions(ctx context.Context, agents []string) ([]int64, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	versions := make([]int64, len(agents))
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i, id := range agents {
		versions[i] = s.mem.floor
		if a := s.mem.agents[id]; a != nil {
			versions[i] = a.version
		}
	}
	return versions, nil
}

// Holders implements hub.Store; the agents are sorted.
func (s *Store) Holders(ctx context.Context, conversation string) ([]string, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	var holders []string
	s.mu.RLock()
	defer s.mu.RUnlock()
	if th := s.mem.threads[conversation]; th != nil {
		for i := range th.entries {
			if n, _ := th.entries[i].unread(); n > 0 {
				holders = append(holders, th.entries[i].agent.id)
			}
		}
	}
	return holders, nil
}
