package hub

import (
	"context"
	"time"

	"caac-hub/hub/notify"
)

// Pusher encrypts and sends one Web Push and says what the push service's
// answer means. It deletes nothing and retries nothing.
type Pusher interface {
	// Check answers nil if the subscription may be kept: a permitted endpoint
	// (design section 9), a P-256 point and a 16-byte secret. The error is for people.
	Check(ctx context.Context, sub notify.Subscription) error
	// Send returns once the push service answered or ctx ended.
	Send(ctx context.Context, sub notify.Subscription, m notify.PushMessage) notify.PushAnswer
	// Key is the VAPID key pages subscribe with now.
	Key() (id, public string)
	// Accepts reports whether pages may subscribe with the VAPID key of that id: the
	// current one, or one that was current until a moment ago.
	Accepts(ctx context.Context, id string) bool
}

// PushTTL bounds how long a push service may keep a message for a device that
// is away.
const PushTTL = time.Hour
