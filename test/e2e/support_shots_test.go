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
	stage := b.Open(s.hub + "/")
	clickOn(stage, "Open Mei")
	mei := b.WaitPage(s.hub + "/agent/mei")
	s.grantByHand(b, mei)
	s.wait("mei's subscription", func() bool { return s.loginsOf("mei")[0].Settings.Subscribed })
	page := s.openSupport(b)
	(&agent{mei, s, "mei"}).waitPresence(notify.Hidden)
	s.message("c1", "ken", "nobody hears this")
	s.waitEnds(s.toTeam("c3", "to the team"))
	s.Desktop.WaitNotification(t, "Contact")
	all := func(name string) {
		for _, shot := range []browser.Shot{
			{Width: 1280, Height: 900, Full: true}, {Width: 1280, Height: 900, Dark: true, Full: true},
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
	for _, language := range []string{"", "-zh"} {
		if language != "" {
			page.Type("#language", "zh-TW")
			page.Wait("the language", `document.documentElement.lang === "zh-TW"`)
		}
		page.Gesture(`document.querySelector("#tab-why").click()`, nil)
		page.Wait("the messages", `document.querySelectorAll("#why .found").length === 2`)
		page.Gesture(`document.querySelectorAll("#why .found")[0].click()`, nil)
		page.Wait("its timeline", `document.querySelectorAll("#why .timeline").length === 2 && document.querySelectorAll("#why .timeline li").length > 6`)
		all("why" + language)
		page.Gesture(`document.querySelector("#tab-reach").click()`, nil)
		page.Wait("the agents", `document.querySelectorAll("#reach .agent").length === 2`)
		all("reach" + language)
		page.Gesture(`document.querySelector("#tab-rules").click()`, nil)
		page.Wait("the rules", `document.querySelector("#rules .device .result")?.innerText && document.querySelector("#rules .rows .on")`)
		all("rules" + language)
	}
	page.Type("#language", "en")
	page.Wait("the language", `document.documentElement.lang === "en" && document.querySelector("#rules .verdict")?.innerText`)
	page.Navigate(s.hub + "/support#why?device=ABCD-EFGH&reached_nobody=true")
	page.Wait("nothing", says("#why [role=status]", "Nothing found"))
	all("nothing")
}
