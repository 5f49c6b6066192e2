package push

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"caac-hub/hub/notify"
)

// refusing is a push service that refuses some keys or some endpoints.
type refusing struct {
	mu     sync.Mutex
	keys   map[string]bool // public halves
	paths  map[string]bool
	asked  int
	status int // of a refusal
}

func (r *refusing) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	_, public, _ := strings.Cut(req.Header.Get("Authorization"), ", k=")
	if r.keys[public] || r.paths[req.URL.Path] {
		w.WriteHeader(r.status)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

func (r *refusing) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *refusing) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

type breakerWorld struct {
	t       *testing.T
	at      *clock
	ring    *KeyRing
	service *refusing
	s       *Sender
	log     *buffer
	b       *browser
}

func newBreakerWorld(t *testing.T) *breakerWorld {
	t.Helper()
	newer, err := GenerateKey(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ring, err := newRing(t).With(newer)
	if err != nil {
		t.Fatal(err)
	}
	w := &breakerWorld{t: t, at: newClock(), ring: ring, b: newBrowser(t), log: &buffer{}}
	w.service = &refusing{keys: map[string]bool{ring.Current().Public(): true}, paths: map[string]bool{}, status: http.StatusForbidden}
	all := newServices(t)
	all.serve(fcmHost, w.service.ServeHTTP)
	all.serve(mozillaHost, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusCreated) })
	w.s = all.sender(Options{Keys: ring, Now: w.at.now, Log: slog.New(slog.NewTextHandler(w.log, nil))})
	return w
}

func (w *breakerWorld) send(path, keyID string) notify.PushAnswer {
	sub := w.b.subscription("https://" + fcmHost + path)
	sub.KeyID = keyID
	return w.s.Send(w.t.Context(), sub, message)
}

func (w *breakerWorld) want(a notify.PushAnswer, class notify.PushClass) {
	w.t.Helper()
	if a.Class != class {
		w.t.Errorf("%+v, want %s", a, class)
	}
}

func (w *breakerWorld) state() BreakerState {
	w.t.Helper()
	for _, state := range w.s.Breakers() {
		if state.Host == fcmHost && state.Key == w.ring.Current().ID() {
			return state
		}
	}
	w.t.Fatal("no breaker")
	return BreakerState{}
}

func TestRefusedKeyHoldsBackItsHostUntilAProbeIsAccepted(t *testing.T) {
	w := newBreakerWorld(t)
	w.want(w.send("/a", ""), notify.AnswerAuth)
	if s := w.state(); s.State != "open" || !s.Since.Equal(w.at.now()) || !s.Until.Equal(w.at.now().Add(breakerFirst)) || s.Detail != "Forbidden" {
		t.Errorf("%+v", s)
	}
	for range 3 {
		a := w.send("/b", "")
		w.want(a, notify.AnswerBreakerOpen)
		if a.RetryAfter != breakerFirst || a.Status != 0 {
			t.Errorf("%+v", a)
		}
	}
	if w.service.count() != 1 {
		t.Errorf("the service was asked %d times", w.service.count())
	}

	w.at.move(breakerFirst)
	if s := w.state(); s.State != "half_open" {
		t.Errorf("%+v", s)
	}
	w.want(w.send("/b", ""), notify.AnswerAuth)
	if a := w.send("/c", ""); a.Class != notify.AnswerBreakerOpen || a.RetryAfter != 2*breakerFirst {
		t.Errorf("after a refused probe: %+v", a)
	}

	w.service.set(func() { clear(w.service.keys) })
	w.at.move(2 * breakerFirst)
	w.want(w.send("/c", ""), notify.AnswerAccepted)
	w.want(w.send("/a", ""), notify.AnswerAccepted)
	if s := w.state(); s.State != "closed" {
		t.Errorf("%+v", s)
	}
}

func TestOpenBreakerTouchesNoOtherHostAndNoOtherKey(t *testing.T) {
	w := newBreakerWorld(t)
	w.want(w.send("/a", ""), notify.AnswerAuth)
	w.want(w.send("/a", w.ring.Keys()[1].ID()), notify.AnswerAccepted)
	w.want(w.s.Send(t.Context(), w.b.subscription("https://"+mozillaHost+"/a"), message), notify.AnswerAccepted)
	w.want(w.send("/a", ""), notify.AnswerBreakerOpen)
	var states []string
	for _, s := range w.s.Breakers() {
		states = append(states, s.Host+" "+s.State)
	}
	if len(states) != 3 || states[2] != mozillaHost+" closed" {
		t.Errorf("%v", states)
	}
}

func TestLoneSubscriptionIsProbedAgainAndWaitsEverLonger(t *testing.T) {
	w := newBreakerWorld(t)
	w.want(w.send("/a", ""), notify.AnswerAuth)
	var total time.Duration
	for range 12 {
		a := w.send("/a", "")
		w.want(a, notify.AnswerBreakerOpen)
		if a.RetryAfter <= 0 || a.RetryAfter > 2*breakerLast {
			t.Fatalf("%+v", a)
		}
		total += a.RetryAfter
		w.at.move(a.RetryAfter)
		w.want(w.send("/a", ""), notify.AnswerAuth)
	}
	if total < 30*time.Minute {
		t.Errorf("12 probes in %v", total)
	}
	w.service.set(func() { clear(w.service.keys) })
	w.at.move(2 * breakerLast)
	w.want(w.send("/a", ""), notify.AnswerAccepted)
	w.want(w.send("/a", ""), notify.AnswerAccepted)
}

func TestAlarmIsLoggedOnceWithoutTheEndpoint(t *testing.T) {
	w := newBreakerWorld(t)
	for range 3 {
		w.send("/secret-path", "")
		w.at.move(time.Hour)
	}
	if text := w.log.String(); strings.Count(text, "level=ERROR") != 1 || strings.Count(text, "\n") != 1 ||
		!strings.Contains(text, fcmHost) || !strings.Contains(text, w.ring.Current().ID()) || strings.Contains(text, "secret-path") {
		t.Errorf("log: %s", text)
	}
}

func TestOneRefusedSubscriptionHoldsBackTheOthersOnlyOnce(t *testing.T) {
	w := newBreakerWorld(t)
	w.service.set(func() { clear(w.service.keys); w.service.paths["/odd"] = true })
	w.want(w.send("/odd", ""), notify.AnswerAuth)
	w.want(w.send("/a", ""), notify.AnswerBreakerOpen)
	w.at.move(breakerFirst)
	w.want(w.send("/odd", ""), notify.AnswerBreakerOpen)
	w.want(w.send("/a", ""), notify.AnswerAccepted)
	for range 5 {
		w.want(w.send("/odd", ""), notify.AnswerAuth)
		w.want(w.send("/b", ""), notify.AnswerAccepted)
	}
}

func TestOnlyOneProbeIsUnderWay(t *testing.T) {
	b := &breaker{}
	now := newClock().now()
	if !b.settle(1, false, notify.AnswerAuth, "", now) {
		t.Fatal("did not open")
	}
	now = now.Add(breakerFirst)
	if ok, probe, _ := b.admit(2, now); !ok || !probe {
		t.Fatal("no probe")
	}
	if ok, _, wait := b.admit(3, now); ok || wait != breakerProbe {
		t.Errorf("a second probe, or wait %v", wait)
	}
	for _, class := range []notify.PushClass{notify.AnswerNetwork, notify.AnswerGone, notify.AnswerServerError, notify.AnswerThrottled, notify.AnswerKeyMismatch} {
		b.settle(2, true, class, "", now)
		if ok, probe, _ := b.admit(2, now); !ok || !probe {
			t.Errorf("after %s nothing may probe", class)
		}
	}
	b.settle(2, true, notify.AnswerAccepted, "", now)
	if ok, probe, _ := b.admit(3, now); !ok || probe {
		t.Error("still open")
	}
}

func TestKeyMismatchOpensNoBreaker(t *testing.T) {
	b := &breaker{}
	if b.settle(1, false, notify.AnswerKeyMismatch, "", time.Now()) || b.open {
		t.Error("opened")
	}
}
