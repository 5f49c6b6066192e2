// Package hub keeps every open page's socket in memory, decides who is told of
// a message, and carries each decision to its end.
package hub

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"caac-hub/hub/notify"
)

// Options wires a Hub. Store, Push, Auth and Log are required.
type Options struct {
	Store   Store
	Push    Pusher
	Auth    Authenticator
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: not registered anywhere
	Secret  []byte                // signs receipts; at least 32 bytes, the same on every node
	Limits  Limits

	// PublicURL is the origin browsers reach the hub at: the base of receipts' URL.
	PublicURL string
	// ConversationURL is where a click leads: an absolute URL in which
	// {conversation} and {agent} are replaced.
	ConversationURL string
	// Ceiling is the most a notification may show, whatever an agent prefers.
	Ceiling notify.Preview
	// PageDuty lets agents set their own duty from the page.
	PageDuty bool
}

// Limits on what clients can make grow. Zero fields take the default.
type Limits struct {
	SocketsPerAgent   int           // default 50
	SocketsPerAddress int           // default 2000
	DevicesPerAgent   int           // default 20
	LoginsPerDevice   int           // default 8
	FramesPerSecond   float64       // per socket, default 20 with a burst of 60
	Queue             int           // frames waiting for one socket, default 64
	WriteTimeout      time.Duration // default 5 s
	LoginIdle         time.Duration // a login without a sign of life ends; default 30 days
}
