// Package pushservice is the side of a push service that application servers
// post to (RFC 8030), common to the fakes of Mozilla's and Google's: it checks
// what is posted as they do, records it, and fails on demand.
package pushservice

import (
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// MaxBody is the largest body push services take (RFC 8030, section 7.2).
const MaxBody = 4096

// Request is one push as it was posted.
type Request struct {
	At       time.Time
	Host     string
	Token    string // the last part of the endpoint's path
	Header   http.Header
	Body     []byte // encrypted
	TTL      int    // seconds
	Topic    string
	Urgency  string
	Encoding string // Content-Encoding
	VAPID    VAPID
	Status   int // what was answered
}

// Answer is what a push service answers with.
type Answer struct {
	Status     int
	Body       string
	RetryAfter string            // the header's value; empty for none
	Header     map[string]string // further headers, Location for a redirect say
	// Until, if not nil, holds the answer back until it is closed or the sender
	// gives up.
	Until <-chan struct{}
}

// patience is how long WaitRequests waits, also where many programs share few
// processors.
const patience = time.Minute

// Deliver takes a push that was found in order and answers it: 201 after
// passing it on or keeping it for a browser that is away, 404 or 410 for an
// unknown token, 401 or 403 for a key that is not the subscription's.
type Deliver func(Request) Answer

// Front is the posting side. Its methods may be called from any goroutine.
type Front struct {
	deliver Deliver

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced with every request recorded
	requests []Request
	next     map[string][]Answer // by token; "" for any
	always   map[string]Answer
	held     []Request
	holding  bool
}

// NewFront makes a Front that passes on what it accepts to deliver.
func NewFront(deliver Deliver) *Front {
	return &Front{
		deliver: deliver,
		changed: make(chan struct{}),
		next:    map[string][]Answer{},
		always:  map[string]Answer{},
	}
}

// AnswerNext makes the next requests to a token, each one in turn, answered so
// and delivered nowhere. An empty token stands for any.
func (f *Front) AnswerNext(token string, answers ...Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next[token] = append(f.next[token], answers...)
}

// AnswerAlways makes every request to a token answered so until Recover. An
// empty token stands for any.
func (f *Front) AnswerAlways(token string, answer Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.always[token] = answer
}

// Recover forgets what AnswerNext and AnswerAlways asked for.
func (f *Front) Recover() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.next)
	clear(f.always)
}

// Hold makes what is accepted from now on wait before it is passed on, as if the
// browser could not be reached. A newer push replaces a waiting one of the same
// token and topic (RFC 8030, section 5.4).
func (f *Front) Hold() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holding = true
}

// Release passes on what waits, in order, and ends Hold.
func (f *Front) Release() {
	f.mu.Lock()
	held := f.held
	f.held, f.holding = nil, false
	f.mu.Unlock()
	for _, r := range held {
		f.deliver(r)
	}
}

// Requests are all requests so far, the oldest first.
func (f *Front) Requests() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// WaitRequests waits until at least n requests were answered and returns all.
func (f *Front) WaitRequests(t testing.TB, n int) []Request {
	t.Helper()
	timeout := time.After(patience)
	for {
		f.mu.Lock()
		requests, changed := slices.Clone(f.requests), f.changed
		f.mu.Unlock()
		if len(requests) >= n {
			return requests
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("%d pushes were posted within %v, not %d", len(requests), patience, n)
		}
	}
}

// ServeHTTP takes a push.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	if err != nil {
		return
	}
	request := Request{
		At:       time.Now(),
		Host:     r.Host,
		Token:    path.Base(r.URL.Path),
		Header:   r.Header.Clone(),
		Body:     body,
		Topic:    r.Header.Get("Topic"),
		Urgency:  r.Header.Get("Urgency"),
		Encoding: r.Header.Get("Content-Encoding"),
	}
	answer := f.answer(r, &request)
	if answer.Until != nil {
		select {
		case <-answer.Until:
		case <-r.Context().Done():
		}
	}
	request.Status = answer.Status
	f.record(request)
	if answer.RetryAfter != "" {
		w.Header().Set("Retry-After", answer.RetryAfter)
	}
	for name, value := range answer.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(answer.Status)
	io.WriteString(w, answer.Body)
}

func (f *Front) answer(r *http.Request, request *Request) Answer {
	var err error
	if request.VAPID, err = parseVAPID(r); err != nil {
		return Answer{Status: http.StatusUnauthorized, Body: `{"code":401,"errno":109,"error":"Unauthorized","message":"` + err.Error() + `"}`}
	}
	if request.TTL, err = strconv.Atoi(r.Header.Get("TTL")); err != nil || request.TTL < 0 {
		return Answer{Status: http.StatusBadRequest, Body: `{"code":400,"errno":111,"message":"Missing or invalid TTL header"}`}
	}
	if !validTopic(request.Topic) {
		return Answer{Status: http.StatusBadRequest, Body: `{"code":400,"errno":113,"message":"Invalid Topic header"}`}
	}
	if len(request.Body) > MaxBody {
		return Answer{Status: http.StatusRequestEntityTooLarge, Body: `{"code":413,"errno":104,"message":"Data too large"}`}
	}
	if len(request.Body) > 0 && request.Encoding != "aes128gcm" {
		return Answer{Status: http.StatusBadRequest, Body: `{"code":400,"errno":110,"message":"Unknown Content-Encoding"}`}
	}
	if answer, ok := f.fault(request.Token); ok {
		return answer
	}
	f.mu.Lock()
	if f.holding {
		f.holdLocked(*request)
		f.mu.Unlock()
		return Answer{Status: http.StatusCreated}
	}
	f.mu.Unlock()
	return f.deliver(*request)
}

// fault is the answer a test asked for, if it did.
func (f *Front) fault(token string) (Answer, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range []string{token, ""} {
		if waiting := f.next[key]; len(waiting) > 0 {
			f.next[key] = waiting[1:]
			return waiting[0], true
		}
		if answer, ok := f.always[key]; ok {
			return answer, true
		}
	}
	return Answer{}, false
}

func (f *Front) holdLocked(r Request) {
	if r.Topic != "" {
		f.held = slices.DeleteFunc(f.held, func(old Request) bool {
			return old.Token == r.Token && old.Topic == r.Topic
		})
	}
	f.held = append(f.held, r)
}

func (f *Front) record(r Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r)
	close(f.changed)
	f.changed = make(chan struct{})
}

// validTopic holds Mozilla's rule, the strictest: at most 32 characters of
// base64url.
func validTopic(topic string) bool {
	for _, c := range topic {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return len(topic) <= 32
}
