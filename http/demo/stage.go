package demo

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"caac-hub/http/problem"
	"caac-hub/hub"
	"caac-hub/hub/notify"
)

// maxBody is the largest body the demo reads, in bytes.
const maxBody = 128 << 10

// contactName is who writes where the stage names nobody.
const contactName = "Contact"

// sender is what sending as a contact asks of the hub.
type sender interface {
	Messages(ctx context.Context, in []hub.MessageInput) []hub.MessageItem
	Schedule(ctx context.Context, in hub.MessageInput, at time.Time) error
	Preview(ctx context.Context, in hub.MessageInput) ([]notify.Decision, error)
	Answered(ctx context.Context, conversation string, upto int64) error
}

type agentState struct {
	ID     string       `json:"id"`
	Name   string       `json:"name"`
	OnDuty bool         `json:"on_duty"`
	Muted  bool         `json:"muted"`
	Logins []loginState `json:"logins"`
}

type loginState struct {
	Device     string            `json:"device"`
	Code       string            `json:"code"`
	Label      string            `json:"label"`
	Presence   string            `json:"presence"`
	Permission notify.Permission `json:"permission"`
	On         bool              `json:"on"`
	Subscribed bool              `json:"subscribed"`
	Viewing    string            `json:"viewing,omitempty"`
}

type teamState struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Members []string `json:"members"`
}

type conversationState struct {
	ID         string            `json:"id"`
	Contact    string            `json:"contact"`
	Assignment notify.Assignment `json:"assignment"`
	Seq        int64             `json:"seq"`
	Last       *line             `json:"last,omitempty"` // of the transcript
}

type state struct {
	Agents        []agentState        `json:"agents"`
	Team          teamState           `json:"team"`
	Conversations []conversationState `json:"conversations"` // newest first
	PublicURL     string              `json:"public_url"`
	MIUIGuide     string              `json:"miui_guide"`
}

func describe(a hub.AgentInfo) agentState {
	out := agentState{ID: a.ID, Name: a.Name, OnDuty: a.OnDuty, Muted: !a.Notifications, Logins: make([]loginState, len(a.Logins))}
	for i, l := range a.Logins {
		out.Logins[i] = loginState{
			Device: l.Device, Code: l.Code, Label: l.Label, Presence: l.Presence.String(), Viewing: l.Viewing,
			Permission: l.Settings.Permission, On: l.Settings.On, Subscribed: l.Settings.Subscribed,
		}
	}
	return out
}

func (d *Demo) state(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	out := state{Agents: []agentState{}, Conversations: []conversationState{}, PublicURL: d.PublicURL, MIUIGuide: d.MIUIGuide}
	agents, err := d.Hub.ListAgents(ctx, "", 50)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	for _, a := range agents {
		out.Agents = append(out.Agents, describe(a))
	}
	t, err := d.Hub.Team(ctx, team)
	if err != nil && !isNotFound(err) {
		d.fail(w, r, err)
		return
	}
	out.Team = teamState{ID: team, Name: cmp.Or(t.Name, teamName), Members: append([]string{}, t.Members...)}
	for _, id := range d.room.conversations() {
		c, err := d.Hub.Conversation(ctx, id)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			d.fail(w, r, err)
			return
		}
		out.Conversations = append(out.Conversations, conversationState{c.ID, c.Contact, c.Assignment, c.Seq, d.room.last(id)})
	}
	answer(w, http.StatusOK, out)
}

func (d *Demo) token(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Agent string `json:"agent"`
	}
	if err := problem.Read(w, r, maxBody, &in); err != nil {
		d.fail(w, r, err)
		return
	}
	if _, err := d.Hub.Agent(r.Context(), in.Agent); err != nil {
		d.fail(w, r, err)
		return
	}
	token, expires, err := d.Sign(in.Agent, tokenTTL)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires"`
	}{token, expires.UTC()})
}

type messageInput struct {
	Conversation string      `json:"conversation,omitempty"`
	Contact      string      `json:"contact,omitempty"`
	Kind         notify.Kind `json:"kind"`
	Text         string      `json:"text,omitempty"`
	Thumbnail    string      `json:"thumbnail,omitempty"`
	To           *struct {
		Agent string `json:"agent,omitempty"`
		Team  string `json:"team,omitempty"`
	} `json:"to"` // absent: as it is assigned
	DelaySeconds int `json:"delay_seconds,omitempty"` // 0, 5 or 15
}

// message makes of what the stage asks for what a backend would post.
func (m messageInput) message() (hub.MessageInput, error) {
	out := hub.MessageInput{ID: rand.Text(), Kind: cmp.Or(m.Kind, notify.Text), Text: m.Text, Thumbnail: m.Thumbnail}
	out.Conversation = hub.ConversationInput{ID: m.Conversation, Contact: m.Contact}
	if m.Conversation == "" {
		out.Conversation.Contact = cmp.Or(m.Contact, contactName)
		sum := sha256.Sum256([]byte(out.Conversation.Contact))
		out.Conversation.ID = "demo-" + hex.EncodeToString(sum[:5])
	}
	if m.To != nil {
		out.Conversation.Assignment = &hub.AssignmentInput{Agent: m.To.Agent, Team: m.To.Team}
	}
	if m.DelaySeconds != 0 && m.DelaySeconds != 5 && m.DelaySeconds != 15 {
		return out, &hub.Error{Kind: hub.Invalid, Code: "invalid", Field: "delay_seconds", Message: fmt.Sprintf("%d: 0, 5 or 15 is allowed", m.DelaySeconds)}
	}
	return out, nil
}

func (d *Demo) readMessage(w http.ResponseWriter, r *http.Request) (messageInput, hub.MessageInput, error) {
	var in messageInput
	if err := problem.Read(w, r, maxBody, &in); err != nil {
		return in, hub.MessageInput{}, err
	}
	m, err := in.message()
	return in, m, err
}

func (d *Demo) send(w http.ResponseWriter, r *http.Request) {
	in, m, err := d.readMessage(w, r)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	at := d.now().UTC().Truncate(time.Millisecond).Add(time.Duration(in.DelaySeconds) * time.Second)
	m.At = at
	d.room.expect(m)
	if in.DelaySeconds > 0 {
		err = d.Hub.Schedule(r.Context(), m, at)
	} else {
		err = d.Hub.Messages(r.Context(), []hub.MessageInput{m})[0].Err
	}
	if err != nil {
		d.room.came(m.ID)
		d.fail(w, r, err)
		return
	}
	answer(w, http.StatusAccepted, struct {
		Conversation string    `json:"conversation"`
		Message      string    `json:"message"`
		At           time.Time `json:"at"`
	}{m.Conversation.ID, m.ID, at})
}

func (d *Demo) preview(w http.ResponseWriter, r *http.Request) {
	_, m, err := d.readMessage(w, r)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	ds, err := d.Hub.Preview(r.Context(), m)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, struct {
		Decisions []notify.Decision `json:"decisions"`
	}{append([]notify.Decision{}, ds...)})
}

func (d *Demo) transcript(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, struct {
		Messages []line `json:"messages"`
	}{d.room.lines(r.PathValue("id"))})
}

func (d *Demo) reply(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Agent string `json:"agent"`
		Text  string `json:"text"`
	}
	if err := problem.Read(w, r, maxBody, &in); err != nil {
		d.fail(w, r, err)
		return
	}
	if in.Text == "" || len(in.Text) > hub.MaxText {
		d.fail(w, r, &hub.Error{Kind: hub.Invalid, Code: "invalid", Field: "text", Message: fmt.Sprintf("text of 1 to %d bytes is needed", hub.MaxText)})
		return
	}
	if _, err := d.Hub.Agent(r.Context(), in.Agent); err != nil {
		d.fail(w, r, err)
		return
	}
	id := r.PathValue("id")
	c, err := d.Hub.Conversation(r.Context(), id)
	if err == nil {
		err = d.Hub.Answered(r.Context(), id, c.Seq)
	}
	if err != nil {
		d.fail(w, r, err)
		return
	}
	l := line{ID: rand.Text(), Seq: c.Seq, Kind: notify.Text, Text: in.Text, At: d.now().UTC().Truncate(time.Millisecond), From: in.Agent}
	d.room.add(id, l)
	answer(w, http.StatusOK, l)
}

func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(b)
}
