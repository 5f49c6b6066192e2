package redis

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"caac-hub/hub/notify"
)

func TestEscapedTextReadsBackAndStandsAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text"))
		e := escape(text)
		if unescape(e) != text || untoken(token(text)) != text {
			t.Fatalf("%q became %q and then %q", text, e, unescape(e))
		}
		if strings.ContainsAny(e, " /\n\x00\x01") {
			t.Fatalf("%q became %q", text, e)
		}
		ref := notify.Ref{Conversation: text, Message: string(rapid.SliceOf(rapid.Byte()).Draw(t, "message"))}
		if got := parseRef(refKey(ref)); got != ref {
			t.Fatalf("%+v became %+v", ref, got)
		}
	})
}

func TestTimesSortAsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func() time.Time { return notify.FromNanos(rapid.Int64().Draw(t, "ns")) }
		a, b := draw(), draw()
		if !parseExact(exact(a)).Equal(a) {
			t.Fatalf("%v became %v", a, parseExact(exact(a)))
		}
		if c := time.Unix(0, notify.Nanos(a)).Compare(time.Unix(0, notify.Nanos(b))); c != strings.Compare(exact(a), exact(b)) {
			t.Fatalf("%v and %v", a, b)
		}
		if c := a.Compare(b); !a.IsZero() && !b.IsZero() && c < 0 && micros(a) > micros(b) {
			t.Fatalf("%v and %v: %d, %d µs", a, b, micros(a), micros(b))
		}
	})
}
