//go:build linux && e2e && shots

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"caac-hub/test/browser"
)

// TestShots takes pictures of the demo's pages after the first minute, for
// people to look at, into test/shots; and the README's. It holds nothing.
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
	all := func(name string, p *browser.Page) {
		for _, shot := range []browser.Shot{
			{Width: 1280, Height: 900}, {Width: 1280, Height: 900, Dark: true},
			{Width: 390, Height: 844, Scale: 2, Full: true}, {Width: 390, Height: 844, Scale: 2, Dark: true, Full: true},
		} {
			scheme := "light"
			if shot.Dark {
				scheme = "dark"
			}
			save(filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, shot.Width, scheme)), p, shot)
		}
	}
	all("stage", stage)
	mei.Show()
	all("agent", mei)
	clickOn(mei, "My profile")
	mei.Wait("the devices", `document.querySelectorAll("#devices li").length > 0`)
	all("profile", mei)
	clickOn(mei, "My profile")
	mei.Navigate(s.hub + "/agent/mei")
	clickOn(mei, "now")
	mei.Wait("a toast", `document.querySelector("#toasts").firstChild?.shadowRoot.textContent`)
	mei.Wait("the reason in words", `document.querySelector("#write-result").innerText.includes("looking at it")`)
	all("toast", mei)
}
