//go:build linux && e2e

package e2e

import (
	"testing"

	"caac-hub/hub/notify"
	"caac-hub/test/browser"
)

func TestActivePageShowsAToastHiddenAndClosedPagesRing(t *testing.T) {
	everywhere(t, func(s *story, b *browser.Browser) {
		mei := s.open(b, "mei")
		mei.grant()
		mei.waitPresence(notify.Active)

		m := s.message("c1", "mei", "looking")
		mei.Wait("a toast", `caac.toasts.length === 1 && document.title.startsWith("(1)")`)
		s.wantEnd(m, notify.InApp, notify.ActivelyViewing, notify.Acknowledged)

		mei.hide()
		m = s.message("c1", "mei", "hidden")
		n := s.Desktop.WaitNotification(s.t, "Contact")
		if n.Body != "hidden" {
			s.t.Errorf("the notification says %q", n.Body)
		}
		s.wantEnd(m, notify.Push, notify.PageHidden, notify.PushAccepted)
		s.Desktop.Click(s.t, n, "")
		mei.Wait("the click to open the conversation", `document.visibilityState === "visible" && caac.opened.includes("c1")`)

		mei.Close()
		mei.waitPresence(notify.Closed)
		m = s.message("c2", "mei", "closed")
		n = s.Desktop.WaitNotification(s.t, "Contact")
		s.wantEnd(m, notify.Push, notify.PageClosed, notify.PushAccepted)
		s.Desktop.Click(s.t, n, "")
		b.WaitPage(s.caac + "/agent/mei?conversation=c2")
	})
}
