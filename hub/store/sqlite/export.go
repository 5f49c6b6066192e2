package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"caac-hub/hub/notify"
)

// Export calls entry with all that the store keeps, as of one moment, and stops
// at the first error. Records come before the due work about them; versions, which
// may be newer, come last. The store works on meanwhile, but keeps one connection
// busy, and what it writes meanwhile is not checkpointed.
func (s *Store) Export(ctx context.Context, entry func(notify.Entry) error) error {
	e := &exporter{ctx: ctx, entry: entry, versions: map[string]int64{}}
	err := s.read(ctx, func(c *conn) error {
		if _, err := c.exec("BEGIN"); err != nil {
			return err
		}
		err := e.tables(c)
		_, end := c.exec("ROLLBACK")
		return errors.Join(err, end)
	})
	if err != nil {
		return err
	}
	s.mu.RLock()
	for id := range e.versions {
		e.versions[id] = s.mem.floor
		if a := s.mem.agents[id]; a != nil {
			e.versions[id] = a.version
		}
	}
	s.mu.RUnlock()
	for id, version := range e.versions {
		if err := e.emit(notify.Entry{Version: &notify.VersionEntry{Agent: id, Version: version}}); err != nil {
			return err
		}
	}
	return nil
}

type exporter struct {
	ctx      context.Context
	entry    func(notify.Entry) error
	versions map[string]int64 // agents that have one
}

func (e *exporter) emit(entry notify.Entry) error {
	if err := e.ctx.Err(); err != nil {
		return unavailable(err)
	}
	return e.entry(entry)
}

func (e *exporter) tables(c *conn) error {
	for _, table := range []struct {
		sql string
		row func(row []driverValue) error
	}{
		{"SELECT id, rev, doc FROM agents ORDER BY id", func(row []driverValue) error {
			a, err := document(row, setAgent)
			e.versions[a.ID] = 0
			return e.next(notify.Entry{Agent: &a}, err)
		}},
		{"SELECT id, rev, doc FROM teams ORDER BY id", func(row []driverValue) error {
			t, err := document(row, setTeam)
			return e.next(notify.Entry{Team: &t}, err)
		}},
		// Should two have an endpoint, the one put last has it.
		{"SELECT id, rev, doc FROM devices ORDER BY rev", func(row []driverValue) error {
			d, err := document(row, setDevice)
			return e.next(notify.Entry{Device: &d}, err)
		}},
		{"SELECT name, rev, value FROM meta WHERE name <> '' ORDER BY name", func(row []driverValue) error {
			return e.emit(notify.Entry{Meta: &notify.MetaEntry{Name: text(row[0]), Rev: row[1].(int64), Value: blob(row[2])}})
		}},
		{"SELECT " + conversationColumns + " FROM conversations ORDER BY id", func(row []driverValue) error {
			v := scanConversation(row)
			return e.emit(notify.Entry{Conversation: &v})
		}},
		{"SELECT " + messageColumns + " FROM messages ORDER BY n", func(row []driverValue) error {
			m := scanMessage(row)
			return e.emit(notify.Entry{Message: &m})
		}},
		{"SELECT message, conversation, rev, doc FROM fanouts ORDER BY n", func(row []driverValue) error {
			f, err := notify.UnpackFanout(blob(row[3]))
			f.Ref, f.Rev = notify.Ref{Conversation: text(row[1]), Message: text(row[0])}, row[2].(int64)
			if err != nil {
				err = fmt.Errorf("the record of message %q is damaged: %w", f.Message, err)
			}
			return e.next(notify.Entry{Fanout: &f}, err)
		}},
		{"SELECT key, kind, at, attempt, body, dead, rev FROM due ORDER BY rev", func(row []driverValue) error {
			d := scanDue(row)
			return e.emit(notify.Entry{Due: &d})
		}},
		{"SELECT conversation, doc FROM unread ORDER BY conversation", func(row []driverValue) error {
			return e.unread(text(row[0]), blob(row[1]))
		}},
	} {
		if err := c.query(table.row, table.sql); err != nil {
			return err
		}
	}
	return nil
}

func (e *exporter) next(entry notify.Entry, err error) error {
	if err != nil {
		return unavailable(err)
	}
	return e.emit(entry)
}

func document[T any](row []driverValue, set func(v *T, id string, rev int64)) (T, error) {
	var v T
	id := text(row[0])
	if err := json.Unmarshal(blob(row[2]), &v); err != nil {
		return v, fmt.Errorf("the document of %q is damaged: %w", id, err)
	}
	set(&v, id, row[1].(int64))
	return v, nil
}

// unread takes a conversation's packed row apart.
func (e *exporter) unread(conversation string, doc []byte) error {
	entries, err := unpackEntries(doc, func(id []byte) *agent { return &agent{id: string(id)} })
	if err != nil {
		return unavailable(fmt.Errorf("unread of conversation %q: %w", conversation, err))
	}
	for i := range entries {
		from := &entries[i]
		u := &notify.UnreadEntry{
			Agent: from.agent.id, Conversation: conversation,
			Cursor: from.cursor, Fence: from.fence, Assigned: from.assigned, Stamp: from.stamp,
		}
		if from.first.lo != 0 {
			for _, s := range append([]span{from.first}, from.more...) {
				u.Unread = append(u.Unread, notify.Span{From: s.lo, To: s.hi})
			}
		}
		e.versions[u.Agent] = 0
		if err := e.emit(notify.Entry{Unread: u}); err != nil {
			return err
		}
	}
	return nil
}
