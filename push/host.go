package push

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/SherClockHolmes/webpush-go"
	"github.com/golang-jwt/jwt/v5"
)

const (
	vapidRenew  = 6 * time.Hour  // Apple: renew at most hourly
	vapidExpiry = 12 * time.Hour // RFC 8292 section 2: at most 24 h
)

// host is one push service host with everything that is kept for it, so that
// what happens to one concerns no other.
type host struct {
	name   string
	client *http.Client
	slots  chan struct{} // one for each push under way

	users int       // owned by Sender.mu
	used  time.Time // owned by Sender.mu

	mu   sync.Mutex
	keys map[string]*hostKey // by VAPID key id
}

// hostKey is what is kept for a host and a VAPID key. Owned by host.mu.
type hostKey struct {
	breaker breaker
	header  string    // Authorization
	signed  time.Time // when
}

func newHost(name string, transport http.RoundTripper, slots int) *host {
	return &host{
		name: name,
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		slots: make(chan struct{}, slots),
		keys:  map[string]*hostKey{},
	}
}

// take waits for a slot and reports whether there was one before ctx ended.
func (h *host) take(ctx context.Context) bool {
	select {
	case h.slots <- struct{}{}:
		return true
	default:
	}
	select {
	case h.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (h *host) free() { <-h.slots }

func (h *host) keyLocked(id string) *hostKey {
	k := h.keys[id]
	if k == nil {
		k = &hostKey{}
		h.keys[id] = k
	}
	return k
}

// authorization returns the VAPID header (RFC 8292 section 3) for this host.
func (h *host) authorization(key *Key, subject string, now time.Time) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.keyLocked(key.id)
	// A clock put back by much would let the expiry lie more than 24 h ahead.
	if age := now.Sub(k.signed); k.header != "" && age < vapidRenew && age > -vapidRenew {
		return k.header, nil
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"aud": "https://" + h.name,
		"exp": now.Add(vapidExpiry).Unix(),
		"sub": subject,
	}).SignedString(key.private)
	if err != nil {
		return "", err
	}
	k.header, k.signed = "vapid t="+token+", k="+key.public, now
	return k.header, nil
}

// exchange is the seam between whoever encrypted a push and the host: it puts
// our headers on the request and sends it. It has the shape webpush-go asks of
// an HTTP client, so that the library's requests can take the same way.
type exchange struct {
	host        *host
	vapid       string
	declarative bool
}

var _ webpush.HTTPClient = exchange{}

func (e exchange) Do(req *http.Request) (*http.Response, error) {
	req.Header.Set("Authorization", e.vapid)
	if e.declarative && serviceOf(e.host.name) == appleService {
		req.Header.Set("Content-Type", "application/notification+json")
	}
	return e.host.client.Do(req)
}
