package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"
	"unicode/utf8"

	"caac-hub/hub/notify"
)

// takeoverDelay is when due work that its node has begun at once may be taken up
// by another.
const takeoverDelay = time.Second

// Messages accepts messages, each on its own, in order. An answer without Err
// means that the message and its fan-out are durable.
func (h *Hub) Messages(ctx context.Context, in []MessageInput) []MessageItem {
	out := make([]MessageItem, len(in))
	for i := range in {
		out[i].MessageAnswer, out[i].Err = h.accept(ctx, &in[i])
	}
	return out
}

func (h *Hub) accept(ctx context.Context, in *MessageInput) (MessageAnswer, error) {
	answer := MessageAnswer{Conversation: in.Conversation.ID, Message: in.ID}
	if !h.running.Load() {
		return answer, errEnded
	}
	if err := h.checkMessage(ctx, in); err != nil {
		return answer, err
	}
	now := time.Now()
	a := acceptOf(in, now)
	acc, err := h.store.Accept(ctx, a)
	if err != nil {
		h.metrics.messages.WithLabelValues(messageFailure(err)).Inc()
		return answer, err
	}
	answer.Seq, answer.Duplicate = acc.Message.Seq, acc.Duplicate
	if in.Conversation.Assignment != nil && !acc.Duplicate {
		answer.Assignment = Applied
		if acc.Stale {
			answer.Assignment = Stale
		}
	}
	if acc.Duplicate {
		h.metrics.messages.WithLabelValues("duplicate").Inc()
		return answer, nil
	}
	h.metrics.messages.WithLabelValues("accepted").Inc()
	// What was accepted is begun at once; what fails here stays due.
	work := context.WithoutCancel(ctx)
	for _, due := range acc.Due {
		if due.Kind == notify.DueFanout {
			err = h.fanout(work, &acc.Message, due, false)
		} else {
			err = h.carryOut(work, due)
		}
		if err != nil {
			h.log.Warn("work of an accepted message not begun; it will be tried again", "key", due.Key, "error", err)
			break
		}
	}
	h.changed(Event{Kind: "trace", Conversation: in.Conversation.ID, Message: in.ID})
	return answer, nil
}

func messageFailure(err error) string {
	if errors.Is(err, notify.ErrContent) {
		return "conflict"
	}
	return "failed"
}

func acceptOf(in *MessageInput, now time.Time) notify.Accept {
	sent := in.At
	if sent.IsZero() {
		sent = now
	}
	a := notify.Accept{
		Message: notify.Message{
			Conversation: in.Conversation.ID, ID: in.ID, Kind: in.Kind, Text: in.Text, Thumbnail: in.Thumbnail,
			Contact: in.Conversation.Contact, Hash: contentHash(in), Sent: sent, Accepted: now,
		},
		DueAt: now.Add(takeoverDelay),
	}
	if in.Conversation.Assignment != nil || in.Conversation.Contact != "" {
		c := notify.Conversation{ID: in.Conversation.ID, Contact: in.Conversation.Contact}
		if as := in.Conversation.Assignment; as != nil {
			c.Assignment = notify.Assignment{Agent: as.Agent, Team: as.Team, Version: as.Version}
		} else {
			c.Assignment.Version = -1
		}
		a.Conversation = &c
	}
	return a
}

// contentHash is what makes a repeated message the same one: everything of the
// message itself, without the conversation's assignment, which moves on.
func contentHash(in *MessageInput) string {
	at := ""
	if !in.At.IsZero() {
		at = in.At.UTC().Format(time.RFC3339Nano)
	}
	sum := sha256.New()
	for _, part := range []string{string(in.Kind), in.Text, in.Thumbnail, at} {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

func (h *Hub) checkMessage(ctx context.Context, in *MessageInput) error {
	if err := checkID("id", in.ID); err != nil {
		return err
	}
	if err := checkID("conversation.id", in.Conversation.ID); err != nil {
		return err
	}
	if in.Kind == "" || len(in.Kind) > 64 || checkID("kind", string(in.Kind)) != nil {
		return invalid("kind", "kind must be given: text, image, emoji, sticker, video, or another word of at most 64 bytes, shown as a file")
	}
	if len(in.Text) > MaxText {
		return invalid("text", "text is %d bytes long; at most %d are allowed", len(in.Text), MaxText)
	}
	if !utf8.ValidString(in.Text) {
		return invalid("text", "text must be UTF-8")
	}
	if y := in.At.UTC().Year(); !in.At.IsZero() && (y < 1970 || y > 2199) {
		return invalid("at", "at is in the year %d; 1970 to 2199 are allowed", y)
	}
	if in.Thumbnail != "" {
		u, err := url.Parse(in.Thumbnail)
		if err != nil || u.Scheme != "https" || u.Host == "" || len(in.Thumbnail) > MaxURL {
			return invalid("thumbnail", "thumbnail must be an https URL of at most %d bytes", MaxURL)
		}
	}
	return h.checkConversation(ctx, "conversation.", &in.Conversation)
}

func (h *Hub) checkConversation(ctx context.Context, at string, in *ConversationInput) error {
	if err := checkText(at+"contact", in.Contact, MaxName); err != nil {
		return err
	}
	as := in.Assignment
	if as == nil {
		return nil
	}
	if as.Version < 0 {
		return invalid(at+"assignment.version", "version must not be negative")
	}
	if as.Agent != "" {
		if _, err := h.dir.agent(ctx, as.Agent); err != nil {
			return inField(err, at+"assignment.agent")
		}
	}
	if as.Team != "" {
		if _, err := h.dir.team(ctx, as.Team); err != nil {
			return inField(err, at+"assignment.team")
		}
	}
	return nil
}

// inField makes an unknown id inside a request the request's fault.
func inField(err error, field string) error {
	if e := AsError(err); e.Kind == NotFound {
		return &Error{Kind: Invalid, Code: e.Code, Message: e.Message + "; put it first", Field: field}
	}
	return err
}

// PutConversation upserts a conversation; a new assignment is carried out at
// once. Status is Stale if the assignment's version is not above the stored one.
func (h *Hub) PutConversation(ctx context.Context, in ConversationInput) (Status, error) {
	if err := checkID("id", in.ID); err != nil {
		return "", err
	}
	if err := h.checkConversation(ctx, "", &in); err != nil {
		return "", err
	}
	for range casTries {
		c, err := h.store.Conversation(ctx, in.ID)
		if errors.Is(err, notify.ErrNotFound) {
			c = notify.Conversation{ID: in.ID}
		} else if err != nil {
			return "", err
		}
		if in.Contact != "" {
			c.Contact = in.Contact
		}
		from := c.Assignment
		var due []notify.Due
		if as := in.Assignment; as != nil {
			if as.Version != 0 && as.Version <= from.Version {
				return Stale, nil
			}
			c.Assignment = notify.Assignment{Agent: as.Agent, Team: as.Team, Version: as.Version}
			if as.Version == 0 {
				c.Assignment.Version = from.Version
				if as.Agent != from.Agent || as.Team != from.Team {
					c.Assignment.Version++
				}
			}
			if c.Seq > 0 && (as.Agent != from.Agent || as.Team != from.Team) {
				d, err := h.conversationDue(notify.DueAssign, in.ID, c.Assignment.Version, notify.AssignBody{
					Conversation: in.ID, From: from, To: c.Assignment, Upto: c.Seq,
				})
				if err != nil {
					return "", err
				}
				due = append(due, d)
			}
		}
		_, err = h.store.PutConversation(ctx, c, due...)
		if errors.Is(err, notify.ErrConflict) {
			continue
		}
		if err != nil {
			return "", err
		}
		h.begin(ctx, due)
		h.changed(Event{Kind: "conversation", Conversation: in.ID})
		return Applied, nil
	}
	return "", notify.ErrConflict
}

// conversationDue makes due work of a conversation, to be begun at once.
func (h *Hub) conversationDue(kind notify.DueKind, conversation string, n int64, body any) (notify.Due, error) {
	data, err := json.Marshal(body)
	return notify.Due{
		Partition: notify.Partition(conversation, h.store.Partitions()),
		Key:       dueKey(kind, conversation, fmt.Sprint(n)), Kind: kind,
		At: time.Now().Add(takeoverDelay), Body: data,
	}, err
}

// begin carries out due work that was just put; what fails stays due.
func (h *Hub) begin(ctx context.Context, due []notify.Due) {
	ctx = context.WithoutCancel(ctx)
	for _, d := range due {
		stored, err := h.store.Due(ctx, d.Partition, []string{d.Key})
		if err == nil && len(stored) == 1 {
			err = h.carryOut(ctx, stored[0])
		}
		if err != nil {
			h.log.Warn("work not begun; it will be tried again", "key", d.Key, "error", err)
		}
	}
}

// Answered moves everyone's cursor to upto; 0 means everything so far.
func (h *Hub) Answered(ctx context.Context, conversation string, upto int64) error {
	if err := checkID("conversation", conversation); err != nil {
		return err
	}
	if upto < 0 {
		return invalid("upto", "upto must not be negative")
	}
	for range casTries {
		c, err := h.store.Conversation(ctx, conversation)
		if errors.Is(err, notify.ErrNotFound) {
			return missing("conversation", conversation)
		}
		if err != nil {
			return err
		}
		to := min(upto, c.Seq)
		if upto == 0 {
			to = c.Seq
		}
		if to <= c.Answered {
			return nil
		}
		c.Answered = to
		d, err := h.conversationDue(notify.DueAnswered, conversation, to, notify.AnsweredBody{Conversation: conversation, Upto: to})
		if err != nil {
			return err
		}
		_, err = h.store.PutConversation(ctx, c, d)
		if errors.Is(err, notify.ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		h.begin(ctx, []notify.Due{d})
		return nil
	}
	return notify.ErrConflict
}

// Read moves an agent's cursor in a conversation up to a seq; it only grows.
func (h *Hub) Read(ctx context.Context, agent, conversation string, upto int64) error {
	if err := checkID("conversation", conversation); err != nil {
		return err
	}
	if upto <= 0 {
		return invalid("upto", "upto must be the seq of a message, 1 or more")
	}
	if _, err := h.dir.agent(ctx, agent); err != nil {
		return err
	}
	c, err := h.store.Conversation(ctx, conversation)
	if errors.Is(err, notify.ErrNotFound) {
		return missing("conversation", conversation)
	}
	if err != nil {
		return err
	}
	o := &readOp{opResult: awaited(), agent: agent, conversation: conversation, upto: min(upto, c.Seq), reason: notify.Read}
	if o.upto == 0 {
		return nil
	}
	h.at(h.partitionOf(agent).n, o)
	return o.wait(ctx)
}

// scheduledBody is the body of a DueSend.
type scheduledBody struct {
	Input MessageInput `json:"input"`
}

// Schedule keeps a message durably and accepts it at the time given.
func (h *Hub) Schedule(ctx context.Context, in MessageInput, at time.Time) error {
	if err := h.checkMessage(ctx, &in); err != nil {
		return err
	}
	if time.Until(at) > 24*time.Hour {
		return invalid("at", "a message can be scheduled at most 24 hours ahead")
	}
	body, err := json.Marshal(scheduledBody{in})
	if err != nil {
		return err
	}
	n := notify.Partition(in.Conversation.ID, h.store.Partitions())
	_, err = h.store.Commit(ctx, n, notify.Batch{Due: []notify.Due{{
		Partition: n, Key: dueKey(notify.DueSend, in.Conversation.ID, in.ID), Kind: notify.DueSend, At: at, Body: body,
	}}})
	if errors.Is(err, notify.ErrConflict) {
		return &Error{Kind: Conflict, Code: "already_scheduled", Message: "a message of this id is scheduled already", Field: "id"}
	}
	return err
}

// Preview answers what Decide says now for the message, changing nothing.
func (h *Hub) Preview(ctx context.Context, in MessageInput) ([]notify.Decision, error) {
	if in.ID == "" {
		in.ID = "preview"
	}
	if err := h.checkMessage(ctx, &in); err != nil {
		return nil, err
	}
	as := notify.Assignment{}
	if in.Conversation.Assignment != nil {
		as.Agent, as.Team = in.Conversation.Assignment.Agent, in.Conversation.Assignment.Team
	} else if c, err := h.store.Conversation(ctx, in.Conversation.ID); err == nil {
		as = c.Assignment
	}
	members, err := h.dir.members(ctx, as)
	if err != nil {
		return nil, err
	}
	snap, err := h.dir.view(ctx, notify.Recipients(as, members))
	if err != nil {
		return nil, err
	}
	m := acceptOf(&in, time.Now()).Message
	return notify.Decide(notify.View{Assignment: as, Members: members, Agents: snap.withSockets(h.sockets)}, &m), nil
}
