package notify

import "time"

// PushMessage is one Web Push to be sent (RFC 8030).
type PushMessage struct {
	Payload     []byte        // plain; at most 2,700 bytes once encrypted
	Declarative bool          // the payload is a Declarative Web Push message
	Topic       string        // at most 32 characters of [A-Za-z0-9]; empty for none
	TTL         time.Duration // positive
}

// PushClass is what a push service's answer means for the subscription and the push.
type PushClass string

const (
	AnswerAccepted    PushClass = "accepted"     // 2xx
	AnswerGone        PushClass = "gone"         // 404, 410: delete the subscription, if endpoint and generation still match
	AnswerAuth        PushClass = "auth"         // 401, 403: never delete; the host's breaker opens
	AnswerKeyMismatch PushClass = "key_mismatch" // 403 because of the VAPID key the subscription was made for: resubscribe
	AnswerTooLarge    PushClass = "too_large"    // 413: once more without preview
	AnswerBadRequest  PushClass = "bad_request"  // 400 and other 4xx: dead letter
	AnswerThrottled   PushClass = "throttled"    // 429, 503: after RetryAfter
	AnswerServerError PushClass = "server_error" // other 5xx: retry with full jitter
	AnswerNetwork     PushClass = "network"      // no answer: retry with full jitter
	AnswerRedirect    PushClass = "redirect"     // 3xx: never followed; dead letter
	AnswerRefused     PushClass = "refused"      // our own guard or encryption refused it: dead letter
	AnswerBreakerOpen PushClass = "breaker_open" // not sent: the host refuses our key; retry after RetryAfter
)

// PushAnswer is a push service's answer.
type PushAnswer struct {
	Class      PushClass
	Status     int           // HTTP status, 0 without an answer
	Host       string        // of the endpoint
	RetryAfter time.Duration // 0 where the service named none
	Detail     string        // for operators, at most 200 bytes, without secrets
	Bytes      int           // of the encrypted body
}
