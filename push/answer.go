package push

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"caac-hub/hub/notify"
)

const (
	appleSuffix   = ".push.apple.com"
	windowsSuffix = ".notify.windows.com"

	maxAnswer = 4 << 10 // bytes read of an answer's body
	maxDetail = 200     // bytes of PushAnswer.Detail
)

// service is whose words an answer is written in.
type service int

const (
	otherService service = iota
	appleService
	fcmService
	mozillaService
)

func serviceOf(host string) service {
	switch {
	case strings.HasSuffix(host, appleSuffix):
		return appleService
	case host == "fcm.googleapis.com" || host == "jmt17.google.com":
		return fcmService
	case host == "updates.push.services.mozilla.com":
		return mozillaService
	}
	return otherService
}

// classify says what a push service's answer means, and in its own words why.
func classify(host string, status int, body []byte) (notify.PushClass, string) {
	reason, mismatch := explain(serviceOf(host), body)
	if reason == "" {
		reason = http.StatusText(status)
	}
	return classOf(status, mismatch), reason
}

func classOf(status int, mismatch bool) notify.PushClass {
	switch {
	case status >= 200 && status < 300:
		return notify.AnswerAccepted
	case status >= 300 && status < 400:
		return notify.AnswerRedirect
	case status == http.StatusNotFound || status == http.StatusGone:
		return notify.AnswerGone
	case mismatch && (status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden):
		return notify.AnswerKeyMismatch
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return notify.AnswerAuth
	case status == http.StatusRequestEntityTooLarge:
		return notify.AnswerTooLarge
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		return notify.AnswerThrottled
	case status >= 500 && status < 600:
		return notify.AnswerServerError
	}
	return notify.AnswerBadRequest
}

// explain finds the reason in a body, and whether it is that the subscription
// was made for another VAPID key.
func explain(s service, body []byte) (reason string, mismatch bool) {
	switch s {
	case appleService:
		var j struct {
			Reason string `json:"reason"`
		}
		if json.Unmarshal(body, &j) == nil && j.Reason != "" {
			return j.Reason, j.Reason == "VapidPkHashMismatch"
		}
	case mozillaService:
		var j struct {
			Errno   int    `json:"errno"`
			Error   string `json:"error"`
			Message string `json:"message"`
		}
		if json.Unmarshal(body, &j) == nil && j.Errno != 0 {
			reason = "errno " + strconv.Itoa(j.Errno) + ": " + j.Error
			if j.Message != "" {
				reason += ": " + j.Message
			}
			return reason, j.Errno == 109 && strings.Contains(j.Message, "public key mismatch")
		}
	case fcmService:
		text := strings.ToLower(string(body))
		mismatch = strings.Contains(text, "not correspond to the credentials") || strings.Contains(text, "not correspond to the sender id")
	}
	return string(body), mismatch
}

// retryAfter reads a Retry-After header (RFC 9110 section 10.2.3), seconds or
// a date, into [0, most].
func retryAfter(header string, now time.Time, most time.Duration) time.Duration {
	header = strings.TrimSpace(header)
	if header == "" {
		return 0
	}
	wait := most
	if strings.Trim(header, "0123456789") == "" {
		// What does not fit is longer than any bound.
		if seconds, err := strconv.ParseInt(header, 10, 32); err == nil {
			wait = time.Duration(seconds) * time.Second
		}
	} else if at, err := http.ParseTime(header); err == nil {
		wait = at.Sub(now)
	} else {
		return 0
	}
	return max(0, min(wait, most))
}

// clean makes text of a push service fit for a log or page: printable, one
// line, at most limit bytes, and without tokens, which services like to repeat.
func clean(text string, limit int) string {
	text = strings.ToValidUTF8(text, " ")
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	words := strings.Fields(text)
	for i, word := range words {
		words[i] = redact(word)
	}
	text = strings.Join(words, " ")
	if len(text) <= limit {
		return text
	}
	text = text[:limit-len("…")]
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text + "…"
}

// hide takes the secret parts of the endpoint out of a push service's text.
func hide(text string, endpoint *url.URL) string {
	for _, part := range strings.FieldsFunc(endpoint.RequestURI(), func(r rune) bool { return strings.ContainsRune("/?&=:", r) }) {
		if len(part) >= 8 {
			text = strings.ReplaceAll(text, part, "…")
		}
	}
	return text
}

// redact replaces what looks like a token in a word: a run of 32 base64url
// characters, or one of 16 that has a digit; and the path of a URL.
func redact(word string) string {
	if scheme := strings.Index(word, "://"); scheme >= 0 {
		if path := strings.IndexAny(word[scheme+3:], "/?#"); path >= 0 {
			word = word[:scheme+3+path] + "/…"
		}
	}
	var b strings.Builder
	for len(word) > 0 {
		n := strings.IndexFunc(word, func(r rune) bool { return !tokenRune(r) })
		if n < 0 {
			n = len(word)
		}
		run := word[:n]
		if n >= 32 || n >= 16 && strings.ContainsAny(run, "0123456789") {
			b.WriteString("…")
		} else {
			b.WriteString(run)
		}
		word = word[n:]
		if len(word) > 0 {
			_, size := utf8.DecodeRuneInString(word)
			b.WriteString(word[:size])
			word = word[size:]
		}
	}
	return b.String()
}

func tokenRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_'
}
