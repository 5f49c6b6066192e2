//go:build linux && e2e && shots

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"caac-hub/test/browser"
)

// TestShots takes pictures of the demo's pages, for people to look at, into
// test/shots; and the README's. It holds nothing.
func TestShots(t *testing.T) {
	const dir = "../shots"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := newDemo(t)
	stage, mei := s.firstMinute(s.Chromium())
	save := func(file string, p *browser.Page, shot browser.Shot) {
		if err := os.WriteFile(file, p.Screenshot(shot), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Log(filepath.Join("test/e2e", file))
	}
	stage.Wait("the preview to know that Mei looks elsewhere", `document.querySelector("#preview").innerText.includes("hidden")`)
	save("../../docs/stage.png", stage, browser.Shot{Width: 1280, Height: 1030})
	all := func(name string, p *browser.Page, full bool) {
		for _, shot := range []browser.Shot{
			{Width: 1280, Height: 900, Full: full && name != "stage"}, {Width: 1280, Height: 900, Dark: true, Full: full && name != "stage"},
			{Width: 390, Height: 844, Scale: 2, Full: full}, {Width: 390, Height: 844, Scale: 2, Dark: true, Full: full},
		} {
			scheme := "light"
			if shot.Dark {
				scheme = "dark"
			}
			save(filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, shot.Width, scheme)), p, shot)
		}
	}
	all("stage", stage, true)

	for i, m := range []struct{ contact, kind, text, to string }{
		{"Visitor 204", "text", "Can I still change the address of order 2290?", "mei"},
		{"Visitor 377", "image", "", "mei"},
		{"Visitor 981", "text", "The blue one, please, and could you tell me what shipping to the islands costs?", ""},
	} {
		to := map[string]any{"agent": m.to}
		if m.to == "" {
			to = map[string]any{"team": "support"}
		}
		s.call("POST", "/demo/messages", map[string]any{"contact": m.contact, "kind": m.kind, "text": m.text, "to": to}, nil)
		s.waitRows(stage, 4+i)
	}
	mei.Show()
	mei.Type("#reply-text", "It left our warehouse this morning and is with you tomorrow.")
	mei.Gesture(`document.querySelector("#reply").requestSubmit()`, nil)
	mei.Wait("the reply", `document.querySelectorAll("#lines li.mine").length === 1`)
	mei.Wait("the list", `document.querySelectorAll("#conversations li").length === 4 && document.title === "(3) CAAC"`)
	mei.Wait("no toast", `!document.querySelector("#toasts").firstChild`)
	all("chat", mei, false)
	mei.Click("#to-list")
	all("list", mei, false)
	clickOn(mei, "now")
	mei.Wait("a toast", `document.querySelector("#toasts").firstChild?.shadowRoot.textContent`)
	mei.Wait("the reason in words", `document.querySelector("#write-result").innerText.includes("looking at it")`)
	all("toast", mei, false)
	mei.Click("#profile-icon")
	all("menu", mei, false)
	clickOn(mei, "My profile")
	mei.Wait("the devices", `document.querySelectorAll("#devices li").length > 0`)
	clickOn(mei, "Push test")
	mei.Wait("the delay of the test", `/received after/i.test(document.querySelector("#test-result").innerText)`)
	mei.Wait("no toast", `!document.querySelector("#toasts").firstChild`)
	// All that scrolls, in one picture.
	unfold := func() {
		mei.Eval(`(() => {
			const sheet = new CSSStyleSheet();
			sheet.replaceSync("html, body { height: auto; } #app { min-height: 100vh; }");
			document.adoptedStyleSheets = [sheet];
		})()`, nil)
	}
	unfold()
	all("profile", mei, true)
	openCheck(mei)
	all("check", mei, true)
	mei.Click("#duty")
	mei.Wait("the failed check", `document.querySelector("#checks [data-check=duty]").className === "failed"`)
	clickOn(mei, "Copy report")
	all("check-failed", mei, true)
	mei.Navigate(s.hub + "/agent/mei?view=profile")
	mei.Type("#locale", "zh-TW")
	mei.Wait("the language", `document.documentElement.lang === "zh-TW"`)
	unfold()
	all("profile-zh", mei, true)
	mei.Gesture(`document.querySelector("#go-check").click()`, nil)
	all("check-zh", mei, true)
	mei.Type("#locale", "en")
	mei.Wait("the language", `document.documentElement.lang === "en"`)

	for _, p := range phones {
		other := s.Chromium().Open("about:blank")
		p.pretend(t, other)
		other.Navigate(s.hub + "/agent/mei?view=profile")
		other.Wait("the profile", `!document.querySelector("#duty").disabled`)
		save(filepath.Join(dir, "home-"+p.name+".png"), other, browser.Shot{Width: 390, Height: 844, Scale: 2})
	}
	fresh := s.Chromium()
	login := fresh.Open(s.hub + "/agent/")
	login.Wait("the accounts", `document.querySelectorAll("#accounts a").length === 2`)
	all("login", login, false)
	login.Navigate(s.hub + "/agent/ken")
	login.Wait("the page to be connected", `!document.querySelector("#duty").disabled`)
	all("banner", login, false)
	login.Click("#profile-icon")
	clickOn(login, "Log out")
	login.Wait("to be logged out", `document.querySelector("#gone").checkVisibility()`)
	all("gone", login, false)
	login.Navigate(s.hub + "/demo/offline")
	all("offline", login, false)
}

// waitRows waits for so many messages on the stage.
func (s *story) waitRows(stage *browser.Page, n int) {
	s.t.Helper()
	stage.Wait("the messages", fmt.Sprintf(`document.querySelectorAll("#timeline > li").length === %d`, n))
}
