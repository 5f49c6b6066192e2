package sqlite

import "fmt"

// memory is what is answered without touching the disk. The writer alone
// changes it, under Store.mu; only leases are changed by Claim and Release.
type memory struct {
	revs    map[string]int64 // agent id -> revision
	due     map[string]*item
	ready   queue // items no lease covers, by At
	leased  queue // items a lease covers, by its end
	agents  map[string]*agent
	threads map[string]*thread // conversation id -> the unread of its agents
	floor   int64              // no version at or above it was given out before the start
}

func newMemory() *memory {
	return &memory{
		revs:    map[string]int64{},
		due:     map[string]*item{},
		leased:  queue{leased: true},
		agents:  map[string]*agent{},
		threads: map[string]*thread{},
	}
}

// load builds the memory anew from the database. Leases of items that did not
// change stay.
func (s *Store) load() error {
	m := newMemory()
	reserved, err := s.w.int("SELECT value FROM state WHERE name = 'reserved'")
	if err != nil {
		return err
	}
	m.floor = reserved
	err = s.w.query(func(row []driverValue) error {
		m.revs[text(row[0])] = row[1].(int64)
		return nil
	}, "SELECT id, rev FROM agents")
	if err != nil {
		return err
	}
	err = s.w.query(func(row []driverValue) error {
		m.putDue(scanDue(row))
		return nil
	}, "SELECT key, kind, at, attempt, body, dead, rev FROM due")
	if err != nil {
		return err
	}
	err = s.w.query(func(row []driverValue) error {
		if err := m.loadThread(text(row[0]), blob(row[1])); err != nil {
			return fmt.Errorf("unread of conversation %q: %w", text(row[0]), err)
		}
		return nil
	}, "SELECT conversation, doc FROM unread")
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, old := range s.mem.due {
		if it := m.due[key]; it != nil && it.Rev == old.Rev && old.queue == &s.mem.leased {
			m.lease(it, old.until)
		}
	}
	s.mem = m
	s.reserved = reserved
	s.lastRev = max(s.lastRev, reserved)
	return nil
}
