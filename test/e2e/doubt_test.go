//go:build linux && e2e

package e2e

import (
	"testing"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/test/browser"
)

func TestFrozenBrowserThatClaimsToBeActiveIsPushedWithinFourSeconds(t *testing.T) {
	inBothBrowsers(t, func(s *story, b *browser.Browser) {
		mei := s.open(b, "mei")
		mei.grant()
		mei.waitPresence(notify.Active)
		b.Freeze()
		posted := time.Now()
		m := s.message("c1", "mei", "are you there?")
		pushed := s.pushes(b).WaitRequests(s.t, 1)[0]
		if took := pushed.At.Sub(posted); took > 4*time.Second {
			s.t.Errorf("the push came %v after the message", took)
		}
		s.wantEnd(m, notify.Push, notify.Unconfirmed, notify.PushAccepted)
		b.Thaw()
		s.Desktop.WaitNotification(s.t, "Contact")
	})
}

func TestPushTestShowsItsDelay(t *testing.T) {
	ofEachInChromium(t, func(s *story, b *browser.Browser) {
		mei := s.open(b, "mei")
		mei.grant()
		s.duty("mei", false) // a test goes past it, and says so
		mei.Wait("the page to be off duty", "caac.onDuty === false")
		var result struct {
			Accepted       bool
			ReceivedMillis *int
			Silenced       []string
		}
		mei.Gesture("caac.client.pushTest()", &result)
		if !result.Accepted || result.ReceivedMillis == nil || *result.ReceivedMillis <= 0 {
			s.t.Errorf("result %+v", result)
		}
		if len(result.Silenced) == 0 || result.Silenced[0] != string(notify.OffDuty) {
			s.t.Errorf("a real message would be silenced by %q, want %q first", result.Silenced, notify.OffDuty)
		}
		s.Desktop.WaitNotification(s.t, "Push test")
		// What the hub was asked for may arrive after what it told by itself.
		var late struct{ ReceivedMillis *int }
		mei.Eval(`import("`+s.hub+`/sdk/profile.js").then((m) => m.resultOf([{ stage: "received", millis: 7 }, { stage: "accepted", millis: 5 }], true))`, &late)
		if late.ReceivedMillis == nil || *late.ReceivedMillis != 7 {
			s.t.Errorf("received before the push service's answer was heard of: %+v", late)
		}
	})
}
