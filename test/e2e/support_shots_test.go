//go:build linux && e2e && shots

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"caac-hub/hub/notify"
	"caac-hub/test/browser"
)

// TestShotsOfSupport takes pictures of support's page, as TestShots does of the
// others.
func TestShotsOfSupport(t *testing.T) {
	const dir = "../shots"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := newDemo(t)
	b := s.Chromium()
	mei := b.Open(s.hub + "/agent/mei")
	(&agent{mei, s, "mei"}).waitPresence(notify.Active)
	s.message("c1", "ken", "nobody hears this")
	s.toTeam("c3", "to the team")
	told := s.message("c2", "mei", "mei hears this")
	s.waitEnds(told)
	page := s.openSupport(b)
	all := func(name string) {
		for _, shot := range []browser.Shot{
			{Width: 1280, Height: 900}, {Width: 1280, Height: 900, Dark: true},
			{Width: 390, Height: 844, Scale: 2, Full: true}, {Width: 390, Height: 844, Scale: 2, Dark: true, Full: true},
		} {
			scheme := "light"
			if shot.Dark {
				scheme = "dark"
			}
			file := filepath.Join(dir, fmt.Sprintf("support-%s-%d-%s.png", name, shot.Width, scheme))
			if err := os.WriteFile(file, page.Screenshot(shot), 0o644); err != nil {
				t.Fatal(err)
			}
			t.Log(filepath.Join("test/e2e", file))
		}
	}
	page.Wait("the messages", `document.querySelectorAll("#why .found").length === 3`)
	page.Gesture(`document.querySelectorAll("#why .found")[1].click()`, nil)
	page.Wait("its timeline", `document.querySelectorAll("#why .timeline").length === 2`)
	all("why")
	page.Gesture(`document.querySelector("#tab-reach").click()`, nil)
	page.Wait("the agents", `document.querySelectorAll("#reach .agent").length === 2`)
	all("reach")
	page.Gesture(`document.querySelector("#tab-rules").click()`, nil)
	page.Wait("the rules", says("#rules .device .result", "push"))
	all("rules")
}
