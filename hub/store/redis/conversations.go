package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"caac-hub/hub/notify"
)

// A conversation's row is "rev version seq answered agent team newest contact".
// A message's is "stamp seq version agent team contact hash kind sent accepted" and,
// until it is erased, a line with its thumbnail and then its text. Strings are
// tokens. accept.lua writes and compares both.

func conversationRow(c *notify.Conversation) string {
	return fmt.Sprintf("%d %d %d %s %s %s %s", c.Assignment.Version, c.Seq, c.Answered,
		token(c.Assignment.Agent), token(c.Assignment.Team), token(c.Newest), token(c.Contact))
}

func parseConversation(id, row string) (notify.Conversation, error) {
	f := strings.Split(row, " ")
	if len(f) != 8 {
		return notify.Conversation{}, damaged("conversation", id, fmt.Errorf("%d fields", len(f)))
	}
	return notify.Conversation{
		ID: id, Rev: number(f[0]), Contact: untoken(f[7]),
		Assignment: notify.Assignment{Agent: untoken(f[4]), Team: untoken(f[5]), Version: number(f[1])},
		Seq:        number(f[2]), Answered: number(f[3]), Newest: untoken(f[6]),
	}, nil
}

// messageTail is what of a message's head the script does not fill in.
func messageTail(m *notify.Message) string {
	return fmt.Sprintf("%s %d %d", token(string(m.Kind)), notify.Nanos(m.Sent), notify.Nanos(m.Accepted))
}

func messageTexts(m *notify.Message) string {
	if m.Thumbnail == "" && m.Text == "" {
		return ""
	}
	return "\n" + token(m.Thumbnail) + "\n" + m.Text
}

// parseMessage also returns the stamp, which orders messages of one time.
func parseMessage(ref notify.Ref, row string) (m notify.Message, stamp int64, err error) {
	head, texts, _ := strings.Cut(row, "\n")
	f := strings.Split(head, " ")
	if len(f) != 10 {
		return m, 0, damaged("message", ref.Message, fmt.Errorf("%d fields", len(f)))
	}
	m = notify.Message{
		Conversation: ref.Conversation, ID: ref.Message, Seq: number(f[1]), Kind: notify.Kind(untoken(f[7])),
		Contact: untoken(f[5]), Hash: untoken(f[6]),
		Sent: notify.FromNanos(number(f[8])), Accepted: notify.FromNanos(number(f[9])),
		Assignment: notify.Assignment{Agent: untoken(f[3]), Team: untoken(f[4]), Version: number(f[2])},
	}
	thumbnail, text, _ := strings.Cut(texts, "\n")
	m.Thumbnail, m.Text = untoken(thumbnail), text
	return m, number(f[0]), nil
}

// Conversation implements hub.Conversations.
func (s *Store) Conversation(ctx context.Context, id string) (notify.Conversation, error) {
	cmd := redis.NewStringCmd(ctx, "hget", s.keys[part(id)].conversations, escape(id))
	if err := s.each(ctx, cmd); err != nil {
		return notify.Conversation{}, err
	}
	if cmd.Err() == redis.Nil {
		return notify.Conversation{}, notify.ErrNotFound
	}
	return parseConversation(id, cmd.Val())
}

// PutConversation implements hub.Conversations.
func (s *Store) PutConversation(ctx context.Context, c notify.Conversation, due ...notify.Due) (int64, error) {
	p := part(c.ID)
	k := &s.keys[p]
	args := []any{escape(c.ID), c.Rev, conversationRow(&c), len(due)}
	var err error
	for i := range due {
		if args, err = dueArgs(args, &due[i]); err != nil {
			return 0, err
		}
	}
	return revision(s.write(ctx, putConversationScript, p, []string{k.conversations, k.due, k.dueTimes, k.dueKinds}, args...))
}

// Accept implements hub.Conversations. An inline assignment equal to the stored
// one, version included, is not stale.
func (s *Store) Accept(ctx context.Context, a notify.Accept) (notify.Accepted, error) {
	m := a.Message
	p := part(m.Conversation)
	k := &s.keys[p]
	conv, ref := escape(m.Conversation), refKey(m.Ref())
	body, err := json.Marshal(m.Ref())
	if err != nil {
		return notify.Accepted{}, err
	}
	fanout := notify.Due{Partition: p, Key: dueKey(notify.DueFanout, m.Conversation, m.ID), Kind: notify.DueFanout, At: notify.KeepTime(a.DueAt), Body: body}
	assign := notify.Due{Partition: p, Key: dueKey(notify.DueAssign, m.Conversation) + "/", Kind: notify.DueAssign, At: fanout.At}
	inline, in := 0, notify.Conversation{}
	if a.Conversation != nil {
		inline, in = 1, *a.Conversation
	}
	values, err := s.write(ctx, acceptScript, p,
		[]string{k.conversations, k.messages, k.messageTimes, k.messageIDs, k.due, k.dueTimes, k.dueKinds},
		conv, ref, token(m.ID),
		token(m.Hash), token(m.Contact), messageTail(&m), messageTexts(&m), micros(m.Accepted),
		inline, in.Assignment.Version, token(in.Assignment.Agent), token(in.Assignment.Team), token(in.Contact),
		fanout.Key, micros(fanout.At), kindScore(&fanout), dueHead(&fanout), "\n"+string(body),
		assign.Key, kindScore(&assign), dueHead(&assign),
	)
	if said, ok := err.(*errStatus); ok && said.status == "duplicate" {
		stored, _, err := parseMessage(m.Ref(), str(said.values[0]))
		return notify.Accepted{Message: stored, Duplicate: true}, err
	}
	if err != nil {
		return notify.Accepted{}, err
	}
	accepted := notify.Accepted{Stale: number(values[1]) == 1}
	if accepted.Message, _, err = parseMessage(m.Ref(), str(values[0])+messageTexts(&m)); err != nil {
		return notify.Accepted{}, err
	}
	if key := str(values[2]); key != "" {
		assign.Key, assign.Rev = key, number(values[3])
		if assign.Body, err = assignBody(strings.TrimPrefix(str(values[4]), assignMark)); err != nil {
			return notify.Accepted{}, err
		}
		accepted.Due = append(accepted.Due, assign)
	}
	fanout.Rev = number(values[5])
	accepted.Due = append(accepted.Due, fanout)
	return accepted, nil
}

// Message implements hub.Conversations.
func (s *Store) Message(ctx context.Context, ref notify.Ref) (notify.Message, error) {
	cmd := redis.NewStringCmd(ctx, "hget", s.keys[part(ref.Conversation)].messages, refKey(ref))
	if err := s.each(ctx, cmd); err != nil {
		return notify.Message{}, err
	}
	if cmd.Err() == redis.Nil {
		return notify.Message{}, notify.ErrNotFound
	}
	m, _, err := parseMessage(ref, cmd.Val())
	return m, err
}
