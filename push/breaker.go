package push

import (
	"hash/maphash"
	"net/url"
	"time"

	"caac-hub/hub/notify"
)

const (
	breakerFirst = 5 * time.Second // how long it holds back at first; doubled by each refused probe
	breakerLast  = 5 * time.Minute
	breakerProbe = time.Second // what the others wait while a probe is under way

	maxRefused = 256
)

// breaker holds back pushes to one host under one VAPID key after the host
// refused the key. Its owner guards it with a lock.
//
// A refusal may be the fault of one subscription, and one agent's subscription
// must not hold back everyone's for long: an endpoint that was refused waits
// twice as long, so that another is asked first, and once another was accepted
// it opens the breaker no more until it is accepted itself.
type breaker struct {
	open    bool
	since   time.Time     // of the present state
	until   time.Time     // of holding back
	wait    time.Duration // how long that was
	probing bool
	refused map[uint64]bool // endpoints whose last answer was a refusal, hashed
	detail  string          // the refusal that opened it
}

var endpointSeed = maphash.MakeSeed()

func hashEndpoint(endpoint *url.URL) uint64 { return maphash.String(endpointSeed, endpoint.String()) }

// admit reports whether a push may go; probe is to be handed to settle. If
// not, wait says when to come again.
func (b *breaker) admit(endpoint uint64, now time.Time) (ok, probe bool, wait time.Duration) {
	if !b.open {
		return true, false, 0
	}
	at := b.until
	if b.refused[endpoint] {
		at = at.Add(b.wait)
	}
	if left := at.Sub(now); left > 0 {
		return false, false, left
	}
	if b.probing {
		return false, false, breakerProbe
	}
	b.probing = true
	return true, true, 0
}

// settle takes the answer of a push that was admitted and reports whether it
// opened the breaker.
func (b *breaker) settle(endpoint uint64, probe bool, class notify.PushClass, detail string, now time.Time) (opened bool) {
	if probe {
		b.probing = false
	}
	switch class {
	case notify.AnswerAccepted:
		delete(b.refused, endpoint)
		if b.open {
			b.open, b.since = false, now
		}
	case notify.AnswerAuth:
		known := b.refused[endpoint]
		b.refuse(endpoint)
		switch {
		case !b.open && !known:
			b.open, b.since, b.detail = true, now, detail
			b.wait, b.until = breakerFirst, now.Add(breakerFirst)
			return true
		case b.open && probe:
			b.wait = min(2*b.wait, breakerLast)
			b.until = now.Add(b.wait)
		}
	}
	return false
}

func (b *breaker) refuse(endpoint uint64) {
	if b.refused == nil || len(b.refused) >= maxRefused {
		b.refused = map[uint64]bool{}
	}
	b.refused[endpoint] = true
}

func (b *breaker) state(now time.Time) string {
	switch {
	case !b.open:
		return "closed"
	case b.probing || !now.Before(b.until):
		return "half_open"
	}
	return "open"
}
