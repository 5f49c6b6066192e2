package wire

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"caac-hub/hub/notify"

	"github.com/google/go-cmp/cmp"
	"github.com/rivo/uniseg"
	"pgregory.net/rapid"
)

func read(t interface{ Fatal(...any) }, data []byte) PushPayload {
	var p PushPayload
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// encrypted is the size of the body by each way of padding to a multiple of 256:
// the plain text, the record, the whole body.
func encrypted(plain int) [3]int {
	up := func(n int) int { return (n + 255) / 256 * 256 }
	return [3]int{86 + up(plain) + 1 + 16, 86 + up(plain+1+16), up(86 + plain + 1 + 16)}
}

func TestTheLongestPayloadFitsWhateverIsPadded(t *testing.T) {
	data, err := longest().Fit(MaxPushPlain)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > MaxPushPlain {
		t.Fatalf("%d bytes, at most %d", len(data), MaxPushPlain)
	}
	for _, n := range encrypted(MaxPushPlain) {
		if n > MaxPushBody {
			t.Errorf("%d bytes encrypted, at most %d", n, MaxPushBody)
		}
	}
}

func TestWhatFitsIsLeftAlone(t *testing.T) {
	for _, p := range []*PushPayload{message(), severalLogins()} {
		data, err := p.Fit(MaxPushPlain)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(*p, read(t, data)); diff != "" {
			t.Error(diff)
		}
		if strings.Contains(string(data), `\u`) {
			t.Errorf("escaped for HTML: %s", data)
		}
	}
}

// lost says what a payload has lost, as the last step of the order that was taken.
func lost(p, full PushPayload) (step int) {
	gone := []bool{
		p.Notification.Image != full.Notification.Image,
		len(p.Notification.Data.Close) < len(full.Notification.Data.Close),
		p.Notification.Body != full.Notification.Body,
		len(p.Notification.Data.Badges) < len(full.Notification.Data.Badges),
		p.Notification.Title != full.Notification.Title,
		p.Notification.Navigate != full.Notification.Navigate,
	}
	for i, g := range gone {
		if g {
			step = i + 1
		}
	}
	return step
}

func TestTooLongLosesImageThenTagsThenBodyThenOtherBadgesThenTitleThenLink(t *testing.T) {
	full := *longest()
	all, err := encode(full)
	if err != nil {
		t.Fatal(err)
	}
	reached, refused := map[int]bool{}, false
	last := 0
	for limit := len(all); limit > 0; limit -= 7 {
		data, err := full.Fit(limit)
		if err != nil {
			refused = true
			if last != 6 {
				t.Fatalf("refused at %d with only %d of 6 steps gone", limit, last)
			}
			continue
		}
		if refused {
			t.Fatalf("%d bytes fit, more did not", limit)
		}
		if len(data) > limit {
			t.Fatalf("%d bytes, at most %d", len(data), limit)
		}
		p := read(t, data)
		step := lost(p, full)
		if step < last {
			t.Fatalf("at %d step %d is gone, at more bytes it was %d", limit, step, last)
		}
		reached[step], last = true, step
		n := p.Notification
		if step > 1 && n.Image != "" || step > 2 && len(p.Notification.Data.Close) > 0 || step > 3 && n.Body != "" || step > 4 && len(p.Notification.Data.Badges) > 1 {
			t.Fatalf("at %d step %d came before what goes first was gone", limit, step)
		}
		if !endsOnBorder(full.Notification.Body, n.Body) || !endsOnBorder(full.Notification.Title, n.Title) || n.Title == "" {
			t.Fatalf("at %d the texts are %q and %q", limit, n.Title, n.Body)
		}
	}
	for step := range 7 {
		if !reached[step] {
			t.Errorf("step %d was never reached", step)
		}
	}
	if !refused {
		t.Error("no limit was too small")
	}
}

func TestNoIDIsEverTouchedAndTheArgumentNever(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := *longest()
		if rapid.Bool().Draw(t, "small") {
			p = *severalLogins()
		}
		p.Notification.Data.Conversation = rapid.StringN(0, -1, notify.MaxID).Draw(t, "conversation")
		p.Notification.Data.Message = rapid.StringN(1, -1, notify.MaxID).Draw(t, "message")
		p.Notification.Body = rapid.StringN(0, -1, notify.MaxBody).Draw(t, "body")
		before := fmt.Sprint(p)
		max := rapid.IntRange(0, 4000).Draw(t, "max")
		data, err := p.Fit(max)
		if fmt.Sprint(p) != before {
			t.Fatal("Fit changed its payload")
		}
		if err != nil {
			return
		}
		if len(data) > max {
			t.Fatalf("%d bytes, at most %d", len(data), max)
		}
		q := read(t, data)
		a, b := p.Notification.Data, q.Notification.Data
		if !slices.ContainsFunc(b.Badges, func(g Badge) bool { return g.Agent == p.Notification.Data.Agent }) {
			t.Fatal("the agent's own badge is gone")
		}
		a.Badges, b.Badges, a.Close, b.Close = nil, nil, nil, nil
		if fmt.Sprint(a) != fmt.Sprint(b) || p.Notification.Tag != q.Notification.Tag {
			t.Fatalf("%+v became %+v", p.Notification.Data, q.Notification.Data)
		}
		if to := q.Notification.Navigate; to != p.Notification.Navigate && to != "https://caac.example/" {
			t.Fatalf("the link leads to %s", to)
		}
	})
}

func TestIDsThatDoNotFitAreAnErrorThatSaysSo(t *testing.T) {
	_, err := longest().Fit(500)
	if err == nil || !strings.Contains(err.Error(), "at most 500 fit") {
		t.Errorf("got %v", err)
	}
}

// endsOnBorder reports that cut is s, or whole clusters of it and an ellipsis.
func endsOnBorder(s, cut string) bool {
	if s == cut || cut == "" {
		return true
	}
	cut, ok := strings.CutSuffix(cut, "…")
	for rest, state := s, -1; ok; {
		if strings.TrimRight(s[:len(s)-len(rest)], " ") == cut {
			return true
		}
		if rest == "" {
			return false
		}
		_, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
	}
	return false
}

func BenchmarkFit(b *testing.B) {
	for name, p := range map[string]*PushPayload{"usual": message(), "longest": longest()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Fit(MaxPushPlain); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestIdsThatAreAllQuotesStillRing(t *testing.T) {
	p := *longest()
	quotes := strings.Repeat(`"`, notify.MaxID)
	p.Notification.Data.Agent, p.Notification.Data.Conversation, p.Notification.Data.Message = quotes, quotes, quotes
	p.Notification.Data.Badges = []Badge{{Agent: quotes, Total: 99999, Version: 1767225600000001}}
	p.Notification.Navigate = "https://caac.example/" + strings.Repeat("team/", 40) + strings.Repeat("%22", 2*notify.MaxID)
	data, err := p.Fit(MaxPushPlain)
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, data)
	if got.Notification.Navigate != "https://caac.example/" || got.Notification.Data.Conversation != quotes || got.Notification.Title == "" {
		t.Errorf("%d bytes: %s", len(data), data)
	}
}
