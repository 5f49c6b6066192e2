// Package push encrypts and sends Web Pushes (RFC 8030, 8291, 8292) and says
// what the push services' answers mean. It deletes nothing and retries nothing.
package push

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/SherClockHolmes/webpush-go"

	"caac-hub/hub/notify"
)

// maxHosts bounds how many hosts are kept: names under a permitted suffix are
// the browsers' to choose.
const maxHosts = 256

// Options are what New needs. Only Keys has no default.
type Options struct {
	Keys       *KeyRing
	Subject    string        // whom push services write to; required, see CheckSubject
	Proxy      *url.URL      // http, https or socks5; nil: none, whatever the environment says
	ExtraHosts []string      // besides the known push services: "host", or ".host" for all under it
	PerHost    int           // pushes under way at once to one host; 64
	Timeout    time.Duration // of one Send, waiting for its turn included; 10 s
	Log        *slog.Logger  // discards
	Now        func() time.Time

	// Dial and RootCAs let a test stand in for the push services. Dial replaces
	// the dialer that refuses addresses that are not public: never set it from
	// configuration.
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	RootCAs *x509.CertPool
}

// Sender sends Web Pushes. Its methods may be called at once from many goroutines.
type Sender struct {
	keys      atomic.Pointer[KeyRing]
	subject   string
	guard     *guard
	perHost   int
	timeout   time.Duration
	log       *slog.Logger
	now       func() time.Time
	transport func() http.RoundTripper // a new one for each host

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	hosts  map[string]*host
	sends  sync.WaitGroup
}

// New checks the options and makes a sender. The caller closes it.
func New(o Options) (*Sender, error) {
	if o.Keys == nil {
		return nil, errors.New("push: no VAPID keys")
	}
	if err := CheckSubject(o.Subject); err != nil {
		return nil, err
	}
	if o.Proxy != nil && (!slices.Contains([]string{"http", "https", "socks5"}, o.Proxy.Scheme) || o.Proxy.Host == "") {
		return nil, errors.New("push proxy: want an http://, https:// or socks5:// URL with a host")
	}
	if o.PerHost < 0 || o.Timeout < 0 {
		return nil, errors.New("push: PerHost and Timeout must not be negative")
	}
	guard, err := newGuard(o.ExtraHosts)
	if err != nil {
		return nil, err
	}
	s := &Sender{
		subject: o.Subject,
		guard:   guard,
		perHost: cmp.Or(o.PerHost, 64),
		timeout: cmp.Or(o.Timeout, 10*time.Second),
		log:     cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
		now:     o.Now,
		hosts:   map[string]*host{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.keys.Store(o.Keys)
	s.transport = func() http.RoundTripper { return newTransport(o, s.perHost) }
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

func newTransport(o Options, perHost int) *http.Transport {
	t := &http.Transport{
		DialContext:            newDialer(nil).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		TLSHandshakeTimeout:    5 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    perHost,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 16 << 10,
		DisableCompression:     true,
		// Finds a connection that died in silence before a push needs it.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
	if o.Proxy != nil {
		// Every dial now goes to the proxy, which operators may well have in
		// their own network; the proxy resolves the push service's name.
		t.Proxy = http.ProxyURL(o.Proxy)
		t.DialContext = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	}
	if o.Dial != nil {
		t.DialContext = o.Dial
	}
	return t
}

// Key is the VAPID key pages subscribe with now; public is its
// applicationServerKey in base64url.
func (s *Sender) Key() (id, public string) {
	k := s.keys.Load().Current()
	return k.ID(), k.Public()
}

// Accepts reports whether pages may subscribe with the VAPID key of that id: the
// current one, or one that was until a minute ago.
func (s *Sender) Accepts(_ context.Context, id string) bool {
	return s.keys.Load().accepts(id, s.now().Add(-time.Minute))
}

// SetKeys replaces the keys; sends under way go on with those they have.
func (s *Sender) SetKeys(keys *KeyRing) { s.keys.Store(keys) }

// Check answers nil if the subscription may be kept: a permitted endpoint, a
// P-256 point and a 16-byte secret. It asks no network; addresses are checked
// when they are dialled. The error is for people and holds no secret.
func (s *Sender) Check(_ context.Context, sub notify.Subscription) error {
	if _, err := s.guard.endpoint(sub.Endpoint); err != nil {
		return err
	}
	_, err := parseRecipient(sub)
	return err
}

// Send encrypts the message for the subscription, sends it and returns once
// the push service answered, ctx ended, Options.Timeout passed or the sender
// was closed. It keeps nothing of m.Payload and does not write to it.
func (s *Sender) Send(ctx context.Context, sub notify.Subscription, m notify.PushMessage) notify.PushAnswer {
	endpoint, err := s.guard.endpoint(sub.Endpoint)
	if err != nil {
		return answer("", notify.AnswerRefused, err.Error())
	}
	if err := checkMessage(m); err != nil {
		return answer(endpoint.Host, notify.AnswerRefused, err.Error())
	}
	to, err := parseRecipient(sub)
	if err != nil {
		return answer(endpoint.Host, notify.AnswerRefused, err.Error())
	}
	key, ok := s.keys.Load().find(sub.KeyID)
	if !ok {
		return answer(endpoint.Host, notify.AnswerKeyMismatch, "the hub no longer has the VAPID key the subscription was made for")
	}
	h, ok := s.acquire(endpoint.Host)
	if !ok {
		return answer(endpoint.Host, notify.AnswerNetwork, "the sender is closed")
	}
	defer s.release(h)

	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	if !h.take(ctx) {
		return answer(h.name, notify.AnswerNetwork, "waited too long: the host is slow and all its slots are taken")
	}
	defer h.free()
	return s.sendAdmitted(ctx, delivery{h, key, endpoint, to, m})
}

// delivery is one message on its way to one subscription.
type delivery struct {
	host     *host
	key      *Key
	endpoint *url.URL
	to       recipient
	m        notify.PushMessage
}

// sendAdmitted sends if the breaker lets it, and tells the breaker the answer.
func (s *Sender) sendAdmitted(ctx context.Context, d delivery) notify.PushAnswer {
	h, who := d.host, hashEndpoint(d.endpoint)
	h.mu.Lock()
	admitted, probe, wait := h.keyLocked(d.key.id).breaker.admit(who, s.now())
	h.mu.Unlock()
	if !admitted {
		a := answer(h.name, notify.AnswerBreakerOpen, "not sent: the host refuses VAPID key "+d.key.id)
		a.RetryAfter = wait
		return a
	}
	a := s.exchange(ctx, d)
	h.mu.Lock()
	opened := h.keyLocked(d.key.id).breaker.settle(who, probe, a.Class, a.Detail, s.now())
	h.mu.Unlock()
	if opened {
		s.log.Error("push service refuses the VAPID key; pushes to it are held back",
			"host", h.name, "key", d.key.id, "status", a.Status, "detail", a.Detail)
	}
	return a
}

func (s *Sender) exchange(ctx context.Context, d delivery) notify.PushAnswer {
	body, err := encrypt(d.to, d.m.Payload)
	if err != nil {
		return answer(d.host.name, notify.AnswerRefused, err.Error())
	}
	vapid, err := d.host.authorization(d.key, s.subject, s.now())
	if err != nil {
		return answer(d.host.name, notify.AnswerRefused, d.key.String()+": "+err.Error())
	}
	resp, err := exchange{d.host, vapid, d.m.Declarative}.Do(newRequest(ctx, d.endpoint, body, d.m))
	if err != nil {
		class, detail := failure(ctx, err)
		a := answer(d.host.name, class, detail)
		a.Bytes = len(body)
		return a
	}
	// Reading to the end lets the connection be used again.
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	resp.Body.Close()
	class, reason := classify(d.host.name, resp.StatusCode, said)
	a := answer(d.host.name, class, hide(reason, d.endpoint))
	a.Status, a.Bytes = resp.StatusCode, len(body)
	if class == notify.AnswerThrottled || class == notify.AnswerServerError {
		a.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), s.now(), d.m.TTL)
	}
	return a
}

// newRequest makes the request of RFC 8030 section 5, without its VAPID header.
func newRequest(ctx context.Context, endpoint *url.URL, body []byte, m notify.PushMessage) *http.Request {
	req := &http.Request{
		Method:        http.MethodPost,
		URL:           endpoint,
		Host:          endpoint.Host,
		Header:        make(http.Header, 8),
		Body:          io.NopCloser(bytes.NewReader(body)),
		GetBody:       func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
		ContentLength: int64(len(body)),
	}
	req.Header.Set("Content-Encoding", "aes128gcm")
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("TTL", strconv.FormatInt(ttlSeconds(m.TTL), 10))
	// With less, a dozing Android waits for minutes.
	req.Header.Set("Urgency", string(webpush.UrgencyHigh))
	if m.Topic != "" {
		req.Header.Set("Topic", m.Topic)
	}
	return req.WithContext(ctx)
}

// ttlSeconds rounds up: Apple refuses 0.
func ttlSeconds(ttl time.Duration) int64 { return int64((ttl + time.Second - 1) / time.Second) }

func checkMessage(m notify.PushMessage) error {
	if len(m.Payload) > MaxPayload {
		return fmt.Errorf("the payload has %d bytes; at most %d fit into an encrypted body of %d", len(m.Payload), MaxPayload, MaxBody)
	}
	if m.TTL <= 0 {
		return fmt.Errorf("the TTL is %v; it must be positive", m.TTL)
	}
	if len(m.Topic) > 32 {
		return fmt.Errorf("the topic has %d characters; at most 32 are allowed", len(m.Topic))
	}
	for i := range len(m.Topic) {
		c := m.Topic[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') {
			return errors.New("the topic may have letters and digits only")
		}
	}
	return nil
}

func answer(host string, class notify.PushClass, detail string) notify.PushAnswer {
	return notify.PushAnswer{Class: class, Host: host, Detail: clean(detail, maxDetail)}
}

// failure says why there was no answer. The client's own error names the whole
// endpoint, so only what it wraps is told.
func failure(ctx context.Context, err error) (notify.PushClass, string) {
	if errors.Is(err, errAddress) {
		return notify.AnswerRefused, "the host's name leads to an address that is not public"
	}
	if ctx.Err() != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return notify.AnswerNetwork, "no answer in time"
		}
		return notify.AnswerNetwork, "given up before an answer came"
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	return notify.AnswerNetwork, err.Error()
}

// acquire returns the host's entry and counts a user of it, until release. It
// answers false once the sender is closed.
func (s *Sender) acquire(name string) (*host, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false
	}
	h := s.hosts[name]
	if h == nil {
		if len(s.hosts) >= maxHosts {
			s.forgetLocked()
		}
		h = newHost(name, s.transport(), s.perHost)
		s.hosts[name] = h
	}
	h.users++
	h.used = s.now()
	s.sends.Add(1)
	return h, true
}

func (s *Sender) release(h *host) {
	s.mu.Lock()
	h.users--
	s.mu.Unlock()
	s.sends.Done()
}

// forgetLocked drops the host that has been idle longest.
func (s *Sender) forgetLocked() {
	var idle *host
	for _, h := range s.hosts {
		if h.users == 0 && (idle == nil || h.used.Before(idle.used)) {
			idle = h
		}
	}
	if idle != nil {
		delete(s.hosts, idle.name)
		idle.client.CloseIdleConnections()
	}
}

// BreakerState is what a push service's host lately thought of a VAPID key.
type BreakerState struct {
	Host, Key string
	State     string    // "closed", "open" (pushes are held back) or "half_open" (one may try)
	Since     time.Time // of being open; zero where it never was
	Until     time.Time // of holding back, while open
	Detail    string    // the refusal that opened it last
}

// Breakers lists the breakers of all hosts and keys in use, sorted.
func (s *Sender) Breakers() []BreakerState {
	now := s.now()
	s.mu.Lock()
	hosts := make([]*host, 0, len(s.hosts))
	for _, h := range s.hosts {
		hosts = append(hosts, h)
	}
	s.mu.Unlock()
	var states []BreakerState
	for _, h := range hosts {
		h.mu.Lock()
		for id, k := range h.keys {
			b := &k.breaker
			states = append(states, BreakerState{h.name, id, b.state(now), b.since, b.until, b.detail})
		}
		h.mu.Unlock()
	}
	slices.SortFunc(states, func(a, b BreakerState) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Key, b.Key))
	})
	return states
}

// Close ends the sends under way, waits for them and closes all connections.
func (s *Sender) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.sends.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, h := range s.hosts {
		h.client.CloseIdleConnections()
		delete(s.hosts, name)
	}
	return nil
}
