package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/url"
	"strconv"

	"caac-hub/hub/notify"
)

const conversationColumns = "id, rev, contact, agent, team, version, seq, answered, newest"

func scanConversation(row []driverValue) notify.Conversation {
	return notify.Conversation{
		ID: text(row[0]), Rev: row[1].(int64), Contact: text(row[2]),
		Assignment: notify.Assignment{Agent: text(row[3]), Team: text(row[4]), Version: row[5].(int64)},
		Seq:        row[6].(int64), Answered: row[7].(int64), Newest: text(row[8]),
	}
}

func (c *conn) conversation(id string) (found notify.Conversation, ok bool, err error) {
	err = c.query(func(row []driverValue) error {
		found, ok = scanConversation(row), true
		return nil
	}, "SELECT "+conversationColumns+" FROM conversations WHERE id = ?", id)
	return found, ok, err
}

func (c *conn) putConversation(id string, v notify.Conversation) error {
	_, err := c.exec("INSERT OR REPLACE INTO conversations ("+conversationColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		id, v.Rev, v.Contact, v.Assignment.Agent, v.Assignment.Team, v.Assignment.Version, v.Seq, v.Answered, v.Newest)
	return err
}

// conversation returns a conversation as the transaction sees it.
func (t *tx) conversation(id string) (notify.Conversation, bool, error) {
	if c, ok := t.convs[id]; ok {
		return c, true, nil
	}
	if c, ok := t.s.convs[id]; ok {
		return c, true, nil
	}
	c, ok, err := t.c.conversation(id)
	if err == nil && ok {
		t.s.convs[id] = c
	}
	return c, ok, err
}

// stageConversation stages it at a new revision, which is returned.
func (t *tx) stageConversation(c notify.Conversation) int64 {
	c.Rev = t.rev()
	if t.convs == nil {
		t.convs = map[string]notify.Conversation{}
	}
	t.convs[c.ID] = c
	return c.Rev
}

// Conversation implements hub.Conversations.
func (s *Store) Conversation(ctx context.Context, id string) (notify.Conversation, error) {
	var found notify.Conversation
	err := s.read(ctx, func(c *conn) (err error) {
		var ok bool
		if found, ok, err = c.conversation(id); err == nil && !ok {
			err = notify.ErrNotFound
		}
		return err
	})
	return found, err
}

// PutConversation implements hub.Conversations.
func (s *Store) PutConversation(ctx context.Context, c notify.Conversation, due ...notify.Due) (int64, error) {
	var rev int64
	err := s.do(ctx, func(t *tx) error {
		stored, _, err := t.conversation(c.ID)
		if err != nil {
			return err
		}
		if stored.Rev != c.Rev {
			return notify.ErrConflict
		}
		for i := range due {
			if err := t.checkDue(due[i].Key, due[i].Rev); err != nil {
				return err
			}
		}
		for _, d := range due {
			t.putDue(d)
		}
		rev = t.stageConversation(c)
		return nil
	})
	return answer(rev, err)
}

// answer is the revision, or 0 with an error.
func answer(rev int64, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return rev, nil
}

const messageColumns = "conversation, id, seq, kind, text, thumbnail, contact, hash, sent, accepted, agent, team, version"

func scanMessage(row []driverValue) notify.Message {
	return notify.Message{
		Conversation: text(row[0]), ID: text(row[1]), Seq: row[2].(int64), Kind: notify.Kind(text(row[3])),
		Text: text(row[4]), Thumbnail: text(row[5]), Contact: text(row[6]), Hash: text(row[7]),
		Sent: notify.FromNanos(row[8].(int64)), Accepted: notify.FromNanos(row[9].(int64)),
		Assignment: notify.Assignment{Agent: text(row[10]), Team: text(row[11]), Version: row[12].(int64)},
	}
}

func (c *conn) message(ref notify.Ref) (found notify.Message, err error) {
	err = notify.ErrNotFound
	e := c.query(func(row []driverValue) error {
		found, err = scanMessage(row), nil
		return nil
	}, "SELECT "+messageColumns+" FROM messages WHERE id = ? AND conversation = ?", ref.Message, ref.Conversation)
	if e != nil {
		return found, e
	}
	return found, err
}

// Accept implements hub.Conversations. An inline assignment equal to the stored
// one, version included, is not stale.
func (s *Store) Accept(ctx context.Context, a notify.Accept) (notify.Accepted, error) {
	var accepted notify.Accepted
	err := s.do(ctx, func(t *tx) (err error) {
		accepted, err = t.accept(&a)
		return err
	})
	if err != nil {
		return notify.Accepted{}, err
	}
	return accepted, nil
}

func (t *tx) accept(a *notify.Accept) (notify.Accepted, error) {
	m := a.Message
	c, _, err := t.conversation(m.Conversation)
	if err != nil {
		return notify.Accepted{}, err
	}
	c.ID = m.Conversation
	from, stale := c.Assignment, false
	if in := a.Conversation; in != nil {
		c.Assignment, stale = newAssignment(c.Assignment, in.Assignment)
		if in.Contact != "" {
			c.Contact = in.Contact
		}
	}
	changed := from.Agent != c.Assignment.Agent || from.Team != c.Assignment.Team
	upto := c.Seq
	c.Seq++
	c.Newest = m.ID
	m.Seq, m.Assignment = c.Seq, c.Assignment
	m.Sent, m.Accepted = notify.KeepTime(m.Sent), notify.KeepTime(m.Accepted)
	if m.Contact == "" {
		m.Contact = c.Contact
	}

	n, err := t.c.exec("INSERT INTO messages ("+messageColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		m.Conversation, m.ID, m.Seq, string(m.Kind), m.Text, m.Thumbnail, m.Contact, m.Hash,
		notify.Nanos(m.Sent), notify.Nanos(m.Accepted), m.Assignment.Agent, m.Assignment.Team, m.Assignment.Version)
	if err != nil {
		return notify.Accepted{}, err
	}
	if n == 0 {
		stored, err := t.c.message(m.Ref())
		if err != nil {
			return notify.Accepted{}, err
		}
		if stored.Hash != m.Hash {
			return notify.Accepted{}, notify.ErrContent
		}
		return notify.Accepted{Message: stored, Duplicate: true}, nil
	}

	t.stageConversation(c)
	accepted := notify.Accepted{Message: m, Stale: stale}
	if changed && upto > 0 {
		body, err := json.Marshal(notify.AssignBody{Conversation: c.ID, From: from, To: c.Assignment, Upto: upto})
		if err != nil {
			return notify.Accepted{}, err
		}
		accepted.Due = append(accepted.Due, t.putDue(notify.Due{
			Key: dueKey(notify.DueAssign, c.ID, strconv.FormatInt(c.Assignment.Version, 10)), Kind: notify.DueAssign, At: a.DueAt, Body: body,
		}))
	}
	ref, err := json.Marshal(m.Ref())
	if err != nil {
		return notify.Accepted{}, err
	}
	accepted.Due = append(accepted.Due, t.putDue(notify.Due{Key: dueKey(notify.DueFanout, c.ID, m.ID), Kind: notify.DueFanout, At: a.DueAt, Body: ref}))
	return accepted, nil
}

// newAssignment returns the assignment in force after one came along.
func newAssignment(have, in notify.Assignment) (now notify.Assignment, stale bool) {
	same := in.Agent == have.Agent && in.Team == have.Team
	switch {
	case in.Version == 0 && same:
		return have, false
	case in.Version == 0:
		in.Version = have.Version + 1
		return in, false
	case in.Version > have.Version:
		return in, false
	}
	return have, !same || in.Version != have.Version
}

// dueKey joins the parts so that no two keys mean the same.
func dueKey(kind notify.DueKind, conversation, rest string) string {
	return string(kind) + "/" + url.QueryEscape(conversation) + "/" + url.QueryEscape(rest)
}

// Message implements hub.Conversations.
func (s *Store) Message(ctx context.Context, ref notify.Ref) (notify.Message, error) {
	var found notify.Message
	err := s.read(ctx, func(c *conn) (err error) {
		found, err = c.message(ref)
		return err
	})
	return found, err
}

// maxMessages is the most messages one list has.
const maxMessages = 500

// Messages implements hub.Conversations.
func (s *Store) Messages(ctx context.Context, f notify.TraceFilter) ([]notify.Message, error) {
	if f.Limit < 1 || f.Limit > maxMessages {
		return nil, errors.New("limit: 1 to 500")
	}
	before := int64(math.MaxInt64)
	if !f.Before.IsZero() {
		before = notify.Nanos(f.Before)
	}
	where, args := "accepted < ?", []driverValue{before}
	if f.Message != "" {
		where, args = where+" AND id = ?", append(args, f.Message)
	}
	if f.Conversation != "" {
		where, args = where+" AND conversation = ?", append(args, f.Conversation)
	}
	var found []notify.Message
	err := s.read(ctx, func(c *conn) error {
		return c.query(func(row []driverValue) error {
			found = append(found, scanMessage(row))
			return nil
		}, "SELECT "+messageColumns+" FROM messages WHERE "+where+" ORDER BY accepted DESC, n DESC LIMIT ?", append(args, int64(f.Limit))...)
	})
	return found, err
}
