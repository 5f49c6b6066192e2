// Package wire holds what goes over the wire between hub and browser: the
// frames of the WebSocket subprotocol caac.v1 and the payload of a push, as
// types. Golden JSON in testdata is shared with the tests of the browser code.
package wire

import "caac-hub/hub/notify"

// Subprotocol is the WebSocket subprotocol a page must offer.
const Subprotocol = "caac.v1"

// MaxFrame is the largest frame, in bytes, that the hub reads.
const MaxFrame = 16 << 10

// Types of client frames.
const (
	TypeHello   = "hello"
	TypeState   = "state"
	TypeAck     = "ack"
	TypeRead    = "read"
	TypeDuty    = "duty" // in both directions
	TypeRefresh = "refresh"
	TypeBye     = "bye" // in both directions
)

// Types of server frames.
const (
	TypeWelcome  = "welcome"
	TypeCounts   = "counts"
	TypeNotify   = "notify"
	TypeWithdraw = "withdraw"
)

// PageState is what a page says of itself. Visible is a claim: it holds for 45 s.
type PageState struct {
	Visibility string `json:"visibility"`        // document.visibilityState: "visible" or "hidden"
	Focus      bool   `json:"focus"`             // document.hasFocus()
	Viewing    string `json:"viewing,omitempty"` // the conversation shown, if any
}

// DeviceAuth is a device id with the key that proves it, as minted by the hub.
type DeviceAuth struct {
	ID  string `json:"id"`
	Key string `json:"key"`
}

// Client is any frame a page sends. Which fields a type uses stands beside them.
type Client struct {
	Type string `json:"type"`

	// hello, and refresh where the page renews its token
	Token string `json:"token,omitempty"`

	// hello: the first frame, within 5 s
	Device   *DeviceAuth `json:"device,omitempty"`   // absent: the hub mints one
	Place    string      `json:"place,omitempty"`    // one agent at a time per device and place
	Version  int64       `json:"version,omitempty"`  // the unread version shown, 0 for none
	Label    string      `json:"label,omitempty"`    // the device in words: "Chrome on Windows"
	Platform string      `json:"platform,omitempty"` // "desktop", "android", "ios", "ios-homescreen"

	// hello and state; a state at least every 15 s renews the claim
	State      *PageState        `json:"state,omitempty"`
	Permission notify.Permission `json:"permission,omitempty"` // Notification.permission; "denied" where there is none

	// ack: of a notify frame
	ID       string `json:"id,omitempty"`       // its id
	Rendered *bool  `json:"rendered,omitempty"` // false: the page could not show it
	Detail   string `json:"detail,omitempty"`   // why not

	// read
	Conversation string `json:"conversation,omitempty"`
	Upto         int64  `json:"upto,omitempty"` // seq of the newest message read

	// duty: only where configuration lets agents set their own
	OnDuty *bool `json:"on_duty,omitempty"`

	// bye: the page goes; logout ends the login too
	Logout bool `json:"logout,omitempty"`
}

// Counts is an agent's unread at Version. A page whose version is not Prev
// has missed something and sends refresh; a page at or above Version ignores it.
type Counts struct {
	Type    string   `json:"type"` // TypeCounts; empty inside a notify
	Version int64    `json:"version"`
	Prev    int64    `json:"prev"`
	Total   int      `json:"total"` // the badge
	Changed []Change `json:"changed,omitempty"`
}

// Change is one conversation's new unread.
type Change struct {
	Conversation string `json:"conversation"`
	Unread       int    `json:"unread"`
	Seq          int64  `json:"seq,omitempty"` // of the newest unread message
}

// Welcome is full state: the answer to hello and to refresh.
type Welcome struct {
	Type     string     `json:"type"`
	Socket   string     `json:"socket"`
	Agent    string     `json:"agent"`
	Name     string     `json:"name"`
	Device   DeviceAuth `json:"device"` // Key only where the hub minted it now
	Code     string     `json:"code"`   // the device's short code, to tell support
	OnDuty   bool       `json:"on_duty"`
	Duty     bool       `json:"duty"` // the page may set it
	Settings Settings   `json:"settings"`
	Version  int64      `json:"version"`
	Total    int        `json:"total"`
	// Conversations are the 200 newest unread; null when the page already shows
	// this version (Same).
	Conversations []Change `json:"conversations"`
	Same          bool     `json:"same,omitempty"`
	VAPID         VAPIDKey `json:"vapid"`
	// RenewSeconds is how often the page renews its state.
	RenewSeconds int `json:"renew_seconds"`
	// Expires is when the token does, Unix seconds; 0 never.
	Expires int64 `json:"expires,omitempty"`
}

// VAPIDKey is the key a page subscribes with (RFC 8292).
type VAPIDKey struct {
	ID     string `json:"id"`
	Public string `json:"public"` // base64url, uncompressed P-256 point: applicationServerKey
}

// Settings are an agent's preferences and this device's.
type Settings struct {
	Notifications bool           `json:"notifications"` // the agent's, everywhere
	Preview       notify.Preview `json:"preview"`
	Locale        string         `json:"locale"`
	Device        DeviceSettings `json:"device"`
}

// DeviceSettings is one device's side of it.
type DeviceSettings struct {
	On          bool              `json:"on"` // its status switch
	Permission  notify.Permission `json:"permission"`
	Subscribed  bool              `json:"subscribed"`
	Endpoint    string            `json:"endpoint,omitempty"`    // SHA-256 of the endpoint, hex: to compare with getSubscription()
	KeyID       string            `json:"key_id,omitempty"`      // the VAPID key it was made for
	Resubscribe bool              `json:"resubscribe,omitempty"` // for the current VAPID key: that one is not, or the push service refused it
}

// Notify asks a page to show a message. The page acknowledges it with ack
// within 3 s: in_app when the toast stands in a visible page, local when
// showNotification has resolved.
type Notify struct {
	Type         string         `json:"type"`
	ID           string         `json:"id"`      // of the delivery
	Channel      notify.Channel `json:"channel"` // in_app or local
	Reason       notify.Reason  `json:"reason"`
	Conversation string         `json:"conversation"`
	Message      string         `json:"message"`
	Seq          int64          `json:"seq"`
	At           int64          `json:"at"` // when the contact sent it, Unix ms
	Show         Show           `json:"show"`
	Counts       *Counts        `json:"counts,omitempty"`
}

// Show is the text of a notification, made for one agent and device.
type Show struct {
	Title    string `json:"title"`
	Body     string `json:"body,omitempty"`
	Image    string `json:"image,omitempty"` // https
	Tag      string `json:"tag"`             // one per agent and conversation
	Lang     string `json:"lang,omitempty"`
	Navigate string `json:"navigate,omitempty"` // absolute URL a click opens
	Waiting  int    `json:"waiting,omitempty"`  // messages it speaks for, when more than one
}

// WithdrawFrame tells a page to close what it shows of conversations: read,
// answered, or no longer the agent's.
type WithdrawFrame struct {
	Type          string        `json:"type"`
	Conversations []string      `json:"conversations"`
	Tags          []string      `json:"tags"` // parallel
	Reason        notify.Reason `json:"reason"`
}

// DutyFrame tells the agent's duty.
type DutyFrame struct {
	Type   string `json:"type"`
	OnDuty bool   `json:"on_duty"`
}

// SettingsFrame tells that settings changed elsewhere.
type SettingsFrame struct {
	Type     string   `json:"type"` // TypeSettings
	Settings Settings `json:"settings"`
}

// TypeSettings is the type of SettingsFrame.
const TypeSettings = "settings"

// TypeTest tells a page that its Push test moved on.
const TypeTest = "test"

// TestFrame is the state of a Push test, sent to the pages of its login.
type TestFrame struct {
	Type     string          `json:"type"`
	ID       string          `json:"id"`
	Stage    string          `json:"stage"`  // "accepted" by the push service, "received" by the worker, "failed"
	Millis   int64           `json:"millis"` // since the test was asked for
	Detail   string          `json:"detail,omitempty"`
	Silenced []notify.Reason `json:"silenced,omitempty"` // what would still silence a real message here
}

// Bye announces the close of the socket by the hub.
type Bye struct {
	Type    string `json:"type"`
	Code    int    `json:"code"`
	Reason  string `json:"reason"`
	RetryMS int64  `json:"retry_ms,omitempty"` // when to come back: open the new socket before closing this one
}

// Close codes. 4000–4499: come back; 4500–4999: don't until something changes.
const (
	CloseDrain       = 4000 // the node goes; come back after bye's retry_ms
	CloseSlow        = 4001 // the page did not read
	CloseTokenEnded  = 4002 // get a new token and come back
	CloseUnavailable = 4003 // the store is unavailable
	CloseNoHello     = 4004 // no hello was read within 5 s: page, line or node may have stood still
	CloseTooMany     = 4029 // too many handshakes or frames; come back later
	CloseBadFrame    = 4500 // not a frame of this protocol
	CloseBadToken    = 4501 // the token is not good
	CloseLoggedOut   = 4502 // the login ended: logout, forgotten, revoked, another agent in this place
	CloseTooManyTabs = 4503 // over the limit of sockets of the agent or address
	CloseForeign     = 4505 // the token names another agent
)
