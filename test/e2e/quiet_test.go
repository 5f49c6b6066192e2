//go:build linux && e2e

package e2e

import (
	"strconv"
	"strings"
	"testing"

	"caac-hub/hub/notify"
	"caac-hub/test/browser"
	"caac-hub/test/desktop"
)

func TestOffDutyRingsNothingAndOnDutyShowsTheTrueCount(t *testing.T) {
	ofEachInChromium(t, func(s *story, b *browser.Browser) {
		mei := s.open(b, "mei")
		mei.grant()
		mei.hide()
		s.duty("mei", false)
		mei.Wait("the page to be off duty", "caac.onDuty === false")
		for i := range 3 {
			s.wantEnd(s.message("c"+strconv.Itoa(i), "mei", "hello"), notify.None, notify.OffDuty, notify.EndNone)
		}
		mei.waitCount(0)

		s.duty("mei", true)
		mei.waitCount(3)
		// A message that does ring proves that nothing before it is still under way.
		m := s.message("c9", "mei", "now")
		s.Desktop.WaitNotification(s.t, "Contact")
		s.wantEnd(m, notify.Push, notify.PageHidden, notify.PushAccepted)
		if all := s.Desktop.History(); len(all) != 1 {
			s.t.Errorf("shown: %s", desktop.Describe(all))
		}
	})
}

func TestBurstRingsOnceAndOnceMoreToSum(t *testing.T) {
	ofEachInChromium(t, func(s *story, b *browser.Browser) {
		mei := s.open(b, "mei")
		mei.grant()
		mei.hide()
		refs := []notify.Ref{s.message("c1", "mei", "message 1")}
		s.pushes(b).WaitRequests(s.t, 1)
		for i := range 4 {
			refs = append(refs, s.message("c1", "mei", "message "+strconv.Itoa(i+2)))
		}
		s.Desktop.Wait(s.t, "the ring that tells of the other four", func(shown []desktop.Notification) bool {
			return len(shown) == 1 && strings.HasPrefix(shown[0].Body, "4 new messages")
		})
		ends := map[notify.End]int{}
		for _, ref := range refs {
			for _, d := range s.waitEnds(ref) {
				ends[d.End]++
			}
		}
		if ends[notify.PushAccepted] != 2 || ends[notify.Merged] != 3 {
			s.t.Errorf("ends %v, want 2 accepted and 3 merged", ends)
		}
		if all := s.Desktop.History(); len(all) != 2 || all[0].Body != "message 1" {
			s.t.Errorf("shown: %s", desktop.Describe(all))
		}
		mei.waitCount(5)
	})
}

func TestVisibleWindowWithoutFocusRaisesTheNotificationItself(t *testing.T) {
	inBothBrowsers(t, func(s *story, b *browser.Browser) {
		mei := s.open(b, "mei")
		mei.grant()
		mei.Close()
		mei.waitPresence(notify.Closed)
		b.Open("about:blank")
		mei = &agent{b.OpenUnfocused(s.caac + "/agent/mei"), s, "mei"}
		mei.waitConnected()
		mei.waitPresence(notify.Visible)

		m := s.message("c1", "mei", "over here")
		s.Desktop.WaitNotification(s.t, "Contact")
		s.wantEnd(m, notify.Local, notify.VisibleUnfocused, notify.Acknowledged)
		if n := len(s.Google.Requests()) + len(s.Mozilla.Requests()); n != 0 {
			s.t.Errorf("%d pushes were sent", n)
		}
	})
}
