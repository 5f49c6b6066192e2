//go:build linux && e2e && shots

package e2e

import (
	"testing"
)

// TestShotsOfSupport takes pictures of support's page, as TestShots does of the
// others.
func TestShotsOfSupport(t *testing.T) {
	a := newAlbum(t)
	s := newDemo(t)
	b := s.Chromium()
	page, _ := s.besideMei(b)
	s.message("c1", "ken", "nobody hears this")
	s.waitEnds(s.toTeam("c3", "to the team"))
	s.Desktop.WaitNotification(t, "Contact")
	all := func(name string) { a.take("support-"+name, page, true) }
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
