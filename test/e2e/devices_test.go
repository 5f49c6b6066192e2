//go:build linux && e2e

package e2e

import (
	"slices"
	"testing"

	"caac-hub/hub/notify"
	"caac-hub/test/browser"
	"caac-hub/test/desktop"
)

func titles(shown []desktop.Notification) []string {
	var all []string
	for _, n := range shown {
		all = append(all, n.Title)
	}
	slices.Sort(all)
	return all
}

func TestReadOnOneDeviceClearsCountAndNotificationOnTheOther(t *testing.T) {
	ofEach(t, func(t *testing.T, d deployment) { readElsewhere(d.newStory(t)) })
}

func readElsewhere(s *story) {
	phone := s.open(s.Firefox(), "mei")
	phone.grant()
	phone.hide()
	laptop := s.open(s.Chromium(), "mei")
	laptop.grant()

	s.message("c1", "mei", "hello")
	phone.waitCount(1)
	laptop.waitCount(1)
	s.Desktop.WaitNotification(s.t, "Contact")

	laptop.Eval(`caac.client.read("c1", 1)`, nil)
	phone.waitCount(0)
	laptop.waitCount(0)
	s.Desktop.WaitNothing(s.t)
}

func TestTwoAgentsOnOneDeviceBothRing(t *testing.T) {
	ofEachInChromium(t, func(s *story, b *browser.Browser) {
		mei := s.open(b, "mei")
		mei.grant()
		ken := s.open(b, "ken") // in front of Mei's tab
		ken.grant()
		ken.hide()
		mei.waitPresence(notify.Hidden)

		s.toTeam("c1", "hello")
		s.Desktop.Wait(s.t, "a notification for each agent", func(shown []desktop.Notification) bool {
			return slices.Equal(titles(shown), []string{"Contact · Ken", "Contact · Mei"})
		})

		for _, n := range s.Desktop.Shown() {
			if n.Title == "Contact · Mei" {
				s.Desktop.Click(s.t, n, "")
			}
		}
		mei.Wait("the click to lead to Mei's page", `document.visibilityState === "visible" && caac.opened.includes("c1")`)
		ken.Wait("Ken's page to stay as it is", `document.visibilityState === "hidden" && caac.opened.length === 0`)
	})
}

func TestViewingTheChatOnTheDesktopKeepsThePhoneSilent(t *testing.T) {
	ofEach(t, func(t *testing.T, d deployment) { viewingElsewhere(d.newStory(t)) })
}

func viewingElsewhere(s *story) {
	phone := s.open(s.Firefox(), "mei")
	phone.grant()
	phone.hide()
	laptop := s.open(s.Chromium(), "mei")
	laptop.grant()
	laptop.look("c1")
	laptop.waitLogin("viewing c1", func(l login) bool { return l.Viewing == "c1" })

	ends := s.waitEnds(s.message("c1", "mei", "hello"))
	var got []string
	for _, d := range ends {
		got = append(got, string(d.End)+" "+string(d.Reason)+" "+string(d.EndReason))
	}
	slices.Sort(got)
	want := []string{"acknowledged viewing_conversation viewing_conversation", "dropped page_hidden read_elsewhere"}
	if !slices.Equal(got, want) {
		s.t.Errorf("ends %q, want %q", got, want)
	}

	// Another conversation is not what Mei looks at: the phone rings.
	s.message("c2", "mei", "other")
	s.Desktop.WaitNotification(s.t, "Contact")
	if all := s.Desktop.History(); len(all) != 1 || all[0].Body != "other" {
		s.t.Errorf("shown: %s", desktop.Describe(all))
	}
}
