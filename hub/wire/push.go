package wire

// PushPayload is what the service worker receives. It is a valid Declarative
// Web Push message (WebKit, 2025), so that Safari can show it without the worker.
type PushPayload struct {
	WebPush      int              `json:"web_push"` // 8030
	Notification PushNotification `json:"notification"`
	AppBadge     int              `json:"app_badge"`
	Mutable      bool             `json:"mutable"` // true: the worker's push event still fires
}

// PushNotification is the declarative part: title and an absolute navigate are required.
type PushNotification struct {
	Title    string `json:"title"`
	Body     string `json:"body,omitempty"`
	Navigate string `json:"navigate"`
	Lang     string `json:"lang,omitempty"`
	Tag      string `json:"tag,omitempty"`
	Image    string `json:"image,omitempty"`
	AppBadge string `json:"app_badge"` // sources differ on where it stands: both
	// Data is a member of the declarative message, so that a worker has it too where
	// the browser parsed the push and hands over only the notification.
	Data PushData `json:"data"`
}

// PushData is what the worker needs beyond the declarative part.
type PushData struct {
	ID           string   `json:"id"`   // of the delivery; the same id is shown again silently
	Kind         string   `json:"kind"` // "message" or "test"
	Agent        string   `json:"agent"`
	Device       string   `json:"device"`
	Generation   int64    `json:"generation"` // of the subscription it was sent to
	Conversation string   `json:"conversation,omitempty"`
	Message      string   `json:"message,omitempty"`
	Seq          int64    `json:"seq,omitempty"`
	Badges       []Badge  `json:"badges"`          // one for each login of the device, at most 8
	Close        []string `json:"close,omitempty"` // tags to close, at most 16
	Receipt      string   `json:"receipt"`         // the Token of a Receipt: an HMAC, so that nothing is stored for it
	Receipts     string   `json:"receipts"`        // absolute URL of it
	Sent         int64    `json:"sent"`            // Unix ms
}

// Badge is one agent's share of the app badge. The worker keeps the newest
// version per agent and sums the totals.
type Badge struct {
	Agent   string `json:"agent"`
	Total   int    `json:"total"`
	Version int64  `json:"version"`
}

// Receipt is the body of POST /v1/receipts. The worker copies all but Event
// from the PushData it received; Token is an HMAC over the other fields but Event.
type Receipt struct {
	Conversation string `json:"conversation,omitempty"`
	Message      string `json:"message,omitempty"`
	ID           string `json:"id"` // of the delivery
	Agent        string `json:"agent"`
	Device       string `json:"device"`
	Generation   int64  `json:"generation"`
	Kind         string `json:"kind"` // "message" or "test"
	Token        string `json:"token"`
	Event        string `json:"event"` // "displayed", "clicked" or "dismissed"
}
