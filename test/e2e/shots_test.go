//go:build linux && e2e && shots

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"caac-hub/test/browser"
)

// album is where pictures go: a folder that git ignores.
type album struct {
	*testing.T
	dir string
}

func newAlbum(t *testing.T) album {
	t.Helper()
	const dir = "../shots"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return album{t, dir}
}

func (a album) save(file string, p *browser.Page, shot browser.Shot) {
	a.Helper()
	if err := os.WriteFile(file, p.Screenshot(shot), 0o644); err != nil {
		a.Fatal(err)
	}
	a.Log(filepath.Join("test/e2e", file))
}

// take takes a page on desktop and phone, light and dark. full: all that scrolls, in
// one picture.
func (a album) take(name string, p *browser.Page, full bool) {
	a.Helper()
	a.sizes(name, p, full, browser.Shot{Width: 1280, Height: 900}, browser.Shot{Width: 390, Height: 844, Scale: 2})
}

// takeSmall takes a page on the smallest phone.
func (a album) takeSmall(name string, p *browser.Page) {
	a.Helper()
	a.sizes(name, p, false, browser.Shot{Width: 320, Height: 568, Scale: 2})
}

func (a album) sizes(name string, p *browser.Page, full bool, shots ...browser.Shot) {
	a.Helper()
	if full {
		// No scroll bar takes its width of a picture of the whole.
		p.Eval(`(() => {
			const sheet = new CSSStyleSheet();
			sheet.replaceSync("html { scrollbar-width: none; } html, body { height: auto !important; } #app { min-height: 100vh; }");
			document.adoptedStyleSheets = [sheet];
		})()`, nil)
		defer p.Eval(`(() => { document.adoptedStyleSheets = []; })()`, nil)
	}
	for _, shot := range shots {
		shot.Full = full
		a.save(filepath.Join(a.dir, fmt.Sprintf("%s-%d-light.png", name, shot.Width)), p, shot)
		shot.Dark = true
		a.save(filepath.Join(a.dir, fmt.Sprintf("%s-%d-dark.png", name, shot.Width)), p, shot)
	}
}

// saveFront saves the README's picture: the stage, and beside it Mei's phone.
func (a album) saveFront(p *browser.Page, stage, phone []byte) {
	a.Helper()
	pictures, err := json.Marshal([]string{
		base64.StdEncoding.EncodeToString(stage), base64.StdEncoding.EncodeToString(phone),
	})
	if err != nil {
		a.Fatal(err)
	}
	p.Eval(`(async () => {
		document.body.style = "margin: 0; padding: 24px; height: 100vh; box-sizing: border-box; display: flex; gap: 28px; align-items: center; justify-content: center; background: #dfe5ee";
		const [stage, phone] = `+string(pictures)+`.map((data) => {
			const picture = new Image();
			picture.src = "data:image/png;base64," + data;
			document.body.append(picture);
			return picture;
		});
		stage.style = "height: 100%; border-radius: 14px; box-shadow: 0 4px 24px #0003";
		phone.style = "height: 88%; border: 9px solid #1c2330; border-radius: 38px; box-shadow: 0 8px 32px #0005";
		await Promise.all([stage.decode(), phone.decode()]);
	})()`, nil)
	a.save("../../docs/stage.png", p, browser.Shot{Width: 1280, Height: 900})
	p.Close()
}

// TestShots takes pictures of the demo's pages, for people to look at, into
// test/shots; and the README's. It holds nothing.
func TestShots(t *testing.T) {
	a := newAlbum(t)
	all := a.take
	s := newDemo(t)
	b := s.Chromium()
	stage, mei := s.firstMinute(b)
	stage.Wait("the preview to know that Mei looks elsewhere", `document.querySelector("#preview").innerText.includes("hidden")`)
	front := stage.Screenshot(browser.Shot{Width: 860, Height: 1090, Scale: 1.5})
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
	mei.Wait("the list", `document.querySelectorAll("#conversations li").length === 4 && document.title === "(3) Ada · CAAC"`)
	mei.Wait("no toast", `!document.querySelector("#toasts").firstChild?.shadowRoot.firstChild`)
	all("chat", mei, false)
	phone := mei.Screenshot(browser.Shot{Width: 390, Height: 760, Scale: 2})
	mei.Click("#to-list")
	all("list", mei, false)
	clickOn(mei, "now")
	mei.Wait("a toast", `document.querySelector("#toasts").firstChild?.shadowRoot.querySelector(".toast")`)
	mei.Wait("the reason in words", `document.querySelector("#write-result").innerText.includes("looking at it")`)
	all("toast", mei, false)
	mei.Click("#profile-icon")
	all("menu", mei, false)
	clickOn(mei, "My profile")
	mei.Wait("the devices", `document.querySelectorAll("#devices li").length > 0`)
	clickOn(mei, "Push test")
	mei.Wait("the delay of the test", `/received after/i.test(document.querySelector("#test-result").innerText)`)
	mei.Wait("no toast", `!document.querySelector("#toasts").firstChild?.shadowRoot.firstChild`)
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
	all("profile-zh", mei, true)
	mei.Gesture(`document.querySelector("#go-check").click()`, nil)
	all("check-zh", mei, true)
	mei.Click("#to-list")
	all("list-zh", mei, false)
	mei.Click("#conversations [tabindex='0']")
	mei.Wait("the chat", `document.querySelectorAll("#lines li").length > 3`)
	all("chat-zh", mei, false)
	mei.Navigate(s.hub + "/agent/mei?view=profile")
	mei.Type("#locale", "en")
	mei.Wait("the language", `document.documentElement.lang === "en"`)

	for _, p := range phones {
		other := s.Chromium().Open("about:blank")
		p.pretend(t, other)
		other.Navigate(s.hub + "/agent/mei?view=profile")
		other.Wait("the profile", `!document.querySelector("#duty").disabled`)
		a.save(filepath.Join(a.dir, "home-"+p.name+".png"), other, browser.Shot{Width: 390, Height: 844, Scale: 2})
	}
	a.saveFront(b.Open("about:blank"), front, phone)
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
