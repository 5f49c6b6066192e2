// Package notify holds the words of the hub as types and its rules as pure
// functions: who is told of a message, over which channel, with which text.
// It does no I/O, reads no clock and keeps no state; every other package may
// import it and it imports none of them.
package notify

import (
	"hash/fnv"
	"time"
)

// MaxID is the longest id, in bytes, that the hub accepts from anyone.
const MaxID = 128

// Partition returns the partition, in [0, n), an agent or conversation id lives
// in, for a store of n partitions. It must never change: stores persist it.
func Partition(id string, n int) int {
	h := fnv.New32a()
	h.Write([]byte(id))
	return int(h.Sum32() % uint32(n))
}

// Permission is a browser's answer to Notification.requestPermission.
type Permission string

const (
	Granted  Permission = "granted"
	Denied   Permission = "denied"
	NotAsked Permission = "default"
)

// Preview says how much of a message a notification may show.
type Preview string

const (
	PreviewFull   Preview = "full"   // name and text
	PreviewSender Preview = "sender" // name, no text
	PreviewNone   Preview = "none"   // neither name nor text
)

// Agent is a person who answers, with the preferences that decide whether they
// are told of a message, and their logins.
type Agent struct {
	ID      string  `json:"id"`
	Name    string  `json:"name"`
	Locale  string  `json:"locale,omitempty"` // BCP 47; texts exist in en, zh-TW, ja, th
	OnDuty  bool    `json:"on_duty"`
	Muted   bool    `json:"muted,omitempty"` // the agent turned notifications off
	Preview Preview `json:"preview,omitempty"`
	Logins  []Login `json:"logins,omitempty"` // sorted by device

	Version     int64 `json:"version,omitempty"`      // the backend's, growing
	DutyVersion int64 `json:"duty_version,omitempty"` // the backend's, growing
	Rev         int64 `json:"-"`                      // the store's; 0 means not stored yet
}

// Login is one agent logged in on one device: the unit that is notified.
type Login struct {
	Device string    `json:"device"`
	Place  string    `json:"place,omitempty"` // where on the device; one agent at a time per place
	Since  time.Time `json:"since"`
	Seen   time.Time `json:"seen"` // last sign of life
}

// Team is a set of agents.
type Team struct {
	ID      string   `json:"id"`
	Name    string   `json:"name,omitempty"`
	Members []string `json:"members"` // agent ids, sorted
	Version int64    `json:"version,omitempty"`
	Rev     int64    `json:"-"`
}

// Device is one browser profile or one installed home-screen app.
type Device struct {
	ID           string        `json:"id"`
	KeyHash      string        `json:"key_hash"` // SHA-256 of the device key, hex
	Label        string        `json:"label,omitempty"`
	Platform     string        `json:"platform,omitempty"`
	SwitchOff    bool          `json:"switch_off,omitempty"` // the device's notification switch
	Permission   Permission    `json:"permission"`
	Subscription *Subscription `json:"subscription,omitempty"`
	Generation   int64         `json:"generation,omitempty"`  // grows with every subscription bound to the device
	Resubscribe  bool          `json:"resubscribe,omitempty"` // the push service refused the key it was made for
	Unheard      int64         `json:"unheard,omitempty"`     // the generation whose last accepted pushes brought no receipt
	Agents       []string      `json:"agents,omitempty"`      // agents logged in, sorted
	Created      time.Time     `json:"created"`
	Seen         time.Time     `json:"seen"`
	Rev          int64         `json:"-"`
}

// Subscription is a PushSubscription (W3C Push API) bound to a device.
type Subscription struct {
	Endpoint   string    `json:"endpoint"`
	P256dh     string    `json:"p256dh"` // base64url, uncompressed P-256 point
	Auth       string    `json:"auth"`   // base64url, 16 bytes
	KeyID      string    `json:"key_id"` // the VAPID key it was made for
	Generation int64     `json:"generation"`
	Created    time.Time `json:"created"`
}

// Assignment says who answers a conversation: at most one agent and at most one
// team. Version grows with every change; an older one is stale.
type Assignment struct {
	Agent   string `json:"agent,omitempty"`
	Team    string `json:"team,omitempty"`
	Version int64  `json:"version"`
}

// Conversation is the thread with one contact.
type Conversation struct {
	ID         string     `json:"id"`
	Contact    string     `json:"contact,omitempty"` // the contact's name
	Assignment Assignment `json:"assignment"`
	Seq        int64      `json:"seq"`              // of the newest accepted message
	Answered   int64      `json:"answered"`         // messages up to this seq were answered
	Newest     string     `json:"newest,omitempty"` // id of the newest accepted message
	Rev        int64      `json:"-"`
}

// Kind of a message. Kinds other than these are shown as a file.
type Kind string

const (
	Text    Kind = "text"
	Image   Kind = "image"
	Emoji   Kind = "emoji"
	Sticker Kind = "sticker"
	Video   Kind = "video"
)

// Message is one incoming contact message.
type Message struct {
	Conversation string     `json:"conversation"`
	ID           string     `json:"id"` // unique in its conversation
	Seq          int64      `json:"seq"`
	Kind         Kind       `json:"kind"`
	Text         string     `json:"text,omitempty"`      // erased after the last end
	Thumbnail    string     `json:"thumbnail,omitempty"` // https URL; erased with the text
	Contact      string     `json:"contact,omitempty"`   // the contact's name when it was accepted
	Hash         string     `json:"hash,omitempty"`      // of the content as posted, for the dedupe answer; shown to nobody: a short text can be guessed by it
	Sent         time.Time  `json:"sent"`                // by the contact, as the backend says
	Accepted     time.Time  `json:"accepted"`
	Assignment   Assignment `json:"assignment"` // in force when it was accepted
}

// Ref names a message.
type Ref struct {
	Conversation string `json:"conversation"`
	Message      string `json:"message"`
}

// Ref returns the message's name.
func (m *Message) Ref() Ref { return Ref{m.Conversation, m.ID} }

// Channel is the way a decision takes.
type Channel string

const (
	InApp Channel = "in_app" // counts and a toast in the page
	Local Channel = "local"  // a page raises the system notification
	Push  Channel = "push"   // Web Push
	None  Channel = "none"   // silence, with a reason
)

// Reason is why a decision or an end is what it is. The same values stand in
// decisions, logs, metrics, the API and the trace.
type Reason string

const (
	Unassigned          Reason = "unassigned"
	NotLoggedIn         Reason = "not_logged_in"
	OffDuty             Reason = "off_duty"
	AgentMuted          Reason = "agent_muted"
	ViewingConversation Reason = "viewing_conversation"
	ActivelyViewing     Reason = "actively_viewing"
	DeviceOff           Reason = "device_off"
	PermissionDenied    Reason = "permission_denied"
	PermissionDefault   Reason = "permission_default"
	VisibleUnfocused    Reason = "visible_unfocused"
	NoSubscription      Reason = "no_subscription"
	PageHidden          Reason = "page_hidden"
	PageClosed          Reason = "page_closed"
	Unconfirmed         Reason = "unconfirmed"   // no page said that it rendered
	LeaseExpired        Reason = "lease_expired" // the page stopped renewing its claim to be visible
	NodeLost            Reason = "node_lost"     // the node that held the page's socket is gone

	ReadElsewhere    Reason = "read_elsewhere"    // the page viewing the conversation acknowledged
	Read             Reason = "read"              // the agent read it before the push was sent
	Answered         Reason = "answered"          // somebody replied before the push was sent
	Reassigned       Reason = "reassigned"        // no longer this agent's conversation
	LoggedOut        Reason = "logged_out"        // the login ended before the push was sent
	SubscriptionGone Reason = "subscription_gone" // the push service answered 404 or 410
	PushRejected     Reason = "push_rejected"     // the push service refused it for good
	PushExpired      Reason = "push_expired"      // its time to live ended before a push service took it
	PushTest         Reason = "push_test"
)

// Presence is what is known of a login now, the strongest of its sockets.
// The order is the strength.
type Presence int

const (
	Closed Presence = iota
	Hidden
	Visible
	Active // visible and focused
)

var presenceNames = [...]string{"closed", "hidden", "visible", "active"}

func (p Presence) String() string { return presenceNames[p] }

// MarshalText writes the presence as its word.
func (p Presence) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// View is the snapshot a message is decided on. Members are the members of the
// assignment's team; Agents holds what is known of the possible recipients,
// in any order. When a fan-out works by partition, Members and Agents are those
// of the partition.
type View struct {
	Assignment Assignment
	Members    []string
	Agents     []AgentView
}

// AgentView is a possible recipient at the time of the decision.
type AgentView struct {
	ID     string
	OnDuty bool
	Muted  bool
	Logins []LoginView
}

// LoginView is one login at the time of the decision.
type LoginView struct {
	Device     string
	SwitchOff  bool
	Permission Permission
	Subscribed bool
	Sockets    []SocketView
}

// SocketView is one open page of a login. Lapsed says that Presence is Hidden
// because its lease expired.
type SocketView struct {
	ID       string
	Presence Presence // Hidden, Visible or Active
	Viewing  string   // conversation id
	Renewed  int64    // growing with time; the greatest renewed last
	Lapsed   bool
}

// Decision is, for one message and one login, a channel and its reason. A
// decision of record (Unassigned, NotLoggedIn) has no device.
type Decision struct {
	Agent   string  `json:"agent,omitempty"`
	Device  string  `json:"device,omitempty"`
	Channel Channel `json:"channel"`
	Reason  Reason  `json:"reason"`
	Detail  Reason  `json:"detail,omitempty"` // LeaseExpired: why the page counted as hidden
	Socket  string  `json:"socket,omitempty"` // for Local: the one page that raises it
	Held    bool    `json:"held,omitempty"`   // a push that waits for another device's page that views the conversation
}
