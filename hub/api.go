package hub

import (
	"context"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// Status of an upsert.
type Status string

const (
	Applied Status = "applied"
	Stale   Status = "stale" // its version is not above the stored one: ignored
)

// AgentInput upserts an agent. Absent (nil) members keep their value.
type AgentInput struct {
	ID      string          `json:"id"`
	Name    *string         `json:"name,omitempty"`
	Locale  *string         `json:"locale,omitempty"`
	OnDuty  *bool           `json:"on_duty,omitempty"`
	Preview *notify.Preview `json:"preview,omitempty"`
	Version int64           `json:"version,omitempty"` // growing; 0 always applies
}

// TeamInput upserts a team. Every member must be a known agent.
type TeamInput struct {
	ID      string   `json:"id"`
	Name    string   `json:"name,omitempty"`
	Members []string `json:"members"`
	Version int64    `json:"version,omitempty"`
}

// AssignmentInput says who answers a conversation; both empty: nobody.
type AssignmentInput struct {
	Agent   string `json:"agent,omitempty"`
	Team    string `json:"team,omitempty"`
	Version int64  `json:"version,omitempty"`
}

// ConversationInput upserts a conversation. An absent assignment keeps the stored one.
type ConversationInput struct {
	ID         string           `json:"id"`
	Contact    string           `json:"contact,omitempty"`
	Assignment *AssignmentInput `json:"assignment,omitempty"`
}

// MessageInput is one incoming contact message.
type MessageInput struct {
	ID           string            `json:"id"`
	Conversation ConversationInput `json:"conversation"`
	Kind         notify.Kind       `json:"kind"`
	Text         string            `json:"text,omitempty"`      // at most MaxText bytes
	Thumbnail    string            `json:"thumbnail,omitempty"` // https URL, at most MaxURL bytes
	At           time.Time         `json:"at,omitzero"`         // when the contact sent it; default now
}

// Limits on what a message may carry, in bytes.
const (
	MaxText = 16 << 10
	MaxName = 512
	MaxURL  = 2048
)

// MessageAnswer is the answer to an accepted message.
type MessageAnswer struct {
	Conversation string `json:"conversation"`
	Message      string `json:"message"`
	Seq          int64  `json:"seq"`
	Duplicate    bool   `json:"duplicate,omitempty"`
	Assignment   Status `json:"assignment,omitempty"` // of the inline assignment
}

// PreferencesInput changes an agent's own preferences. Nil keeps.
type PreferencesInput struct {
	Notifications *bool           `json:"notifications,omitempty"`
	Preview       *notify.Preview `json:"preview,omitempty"`
	Locale        *string         `json:"locale,omitempty"`
}

// DeviceInput changes a device's own settings. Nil keeps.
type DeviceInput struct {
	On         *bool              `json:"on,omitempty"`
	Permission *notify.Permission `json:"permission,omitempty"`
	Label      *string            `json:"label,omitempty"`
}

// SubscriptionInput is PushSubscription.toJSON() with the VAPID key's id.
type SubscriptionInput struct {
	Endpoint string `json:"endpoint"`
	Keys     struct {
		P256dh string `json:"p256dh"`
		Auth   string `json:"auth"`
	} `json:"keys"`
	KeyID string `json:"key_id"`
}

// LoginInfo is one login as the API shows it.
type LoginInfo struct {
	Agent    string              `json:"agent"`
	Device   string              `json:"device"`
	Code     string              `json:"code"` // the device's short code
	Label    string              `json:"label"`
	Platform string              `json:"platform,omitempty"`
	Place    string              `json:"place,omitempty"`
	Since    time.Time           `json:"since"`
	Seen     time.Time           `json:"seen"`
	Presence notify.Presence     `json:"presence"`
	Viewing  string              `json:"viewing,omitempty"`
	Sockets  int                 `json:"sockets"`
	Settings wire.DeviceSettings `json:"settings"`
	Current  bool                `json:"current,omitempty"` // the asking device itself
}

// AgentInfo is one agent as the API shows it.
type AgentInfo struct {
	ID            string         `json:"id"`
	Name          string         `json:"name"`
	Locale        string         `json:"locale"`
	OnDuty        bool           `json:"on_duty"`
	Notifications bool           `json:"notifications"`
	Preview       notify.Preview `json:"preview"`
	Version       int64          `json:"version,omitempty"`
	Logins        []LoginInfo    `json:"logins"`
}

// UnreadInfo is an agent's unread as the API shows it.
type UnreadInfo struct {
	Agent         string                      `json:"agent"`
	Version       int64                       `json:"version"`
	Total         int                         `json:"total"`
	Conversations []notify.ConversationUnread `json:"conversations"`
}

// Trace is everything that happened to one message.
type Trace struct {
	Message    notify.Message    `json:"message"`          // Text is empty unless asked for and not yet erased
	Pending    bool              `json:"pending"`          // not decided yet, or a delivery has not ended
	Decided    time.Time         `json:"decided,omitzero"` // when the first logins were decided
	Deliveries []notify.Delivery `json:"deliveries"`
	Reached    bool              `json:"reached"`
	// ReachedNobody: every delivery ended none or failed. Causes are then the
	// distinct reasons.
	ReachedNobody bool            `json:"reached_nobody"`
	Causes        []notify.Reason `json:"causes,omitempty"`
}

// Event names what a Watch saw change.
type Event struct {
	Kind         string `json:"kind"` // "trace", "presence", "agent" or "conversation"
	Conversation string `json:"conversation,omitempty"`
	Message      string `json:"message,omitempty"`
	Agent        string `json:"agent,omitempty"`
}

// TestInfo is a Push test.
type TestInfo struct {
	wire.TestFrame
}

// Claims are what a good agent token says.
type Claims struct {
	Agent   string
	Expires time.Time // zero: never
	Support bool      // may see what happened to everybody's messages
}

// Authenticator judges agent tokens. A token that is not good answers an
// *Error of kind Unauthorized, with the code TokenExpired or TokenKeyUnknown where
// another token, or the same one later, may be good.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Claims, error)
}

// Codes of tokens after which a page is to come back.
const (
	TokenExpired    = "token_expired"     // it was good once
	TokenKeyUnknown = "token_key_unknown" // the key it is signed with is not known yet
)

// ItemAnswer is the answer to one item of a bulk upsert.
type ItemAnswer struct {
	ID     string
	Status Status
	Err    error
}

// MessageItem is the answer to one message of a bulk post.
type MessageItem struct {
	MessageAnswer
	Err error
}

// DeviceInfo is one device as the API shows it.
type DeviceInfo struct {
	ID       string              `json:"id"`
	Code     string              `json:"code"`
	Label    string              `json:"label"`
	Platform string              `json:"platform,omitempty"`
	Created  time.Time           `json:"created"`
	Seen     time.Time           `json:"seen"`
	Agents   []string            `json:"agents"`
	Settings wire.DeviceSettings `json:"settings"`
	Host     string              `json:"host,omitempty"` // of the push service
}

// DeadWork is work that failed for good.
type DeadWork struct {
	Key     string         `json:"key"`
	Kind    notify.DueKind `json:"kind"`
	At      time.Time      `json:"at"`
	Attempt int            `json:"attempt"`
	Why     string         `json:"why"`
}
