//go:build linux && e2e

package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"caac-hub/http/serve"
	"caac-hub/hub/notify"
	"caac-hub/test/browser"
	"caac-hub/test/world"
)

// Support's page as somebody of support uses it, from the demo's stage.
func TestSupportSeesWhyItDidNotRingWhoIsUnreachableAndWhatTheRulesWouldDo(t *testing.T) {
	s := newDemo(t)
	b := s.Chromium()
	page := s.openSupport(b)

	nobody := s.message("c1", "mei", "nobody hears this")
	s.waitEnds(nobody)
	page.Wait("the message to appear by itself", `document.querySelector("#why .found")?.innerText.includes("Reached nobody")`)
	page.Gesture(`document.querySelectorAll("#why .checks input")[0].click()`, nil)
	page.Wait("the filter", `document.querySelectorAll("#why .found").length === 1 && document.querySelector("#why [role=status]").innerText.includes("1 messages looked at")`)
	page.Gesture(`document.querySelector("#why .found").click()`, nil)
	page.Wait("the verdict", says("#why .verdict", "This message reached nobody: logged in on no device."))
	page.Wait("the decision", says("#why .timeline", "Decided: silent – logged in on no device"))

	page.Gesture(`document.querySelector("#tab-reach").click()`, nil)
	for _, id := range []string{"ken", "mei"} {
		page.Wait(id+" to stand out", says(`#reach .unreachable[data-agent="`+id+`"]`, "logged in on no device"))
	}
	page.Wait("the summary", says("#reach .summary", "2 cannot be reached"))
	mei := b.Open(s.hub + "/agent/mei")
	(&agent{mei, s, "mei"}).waitLogin("on the page", func(login) bool { return true })
	page.Show()
	page.Wait("mei to be reachable", says(`#reach .reachable[data-agent="mei"]`, "Can be reached"))
	page.Wait("ken not to be", `document.querySelector("#reach .agent").dataset.agent === "ken"`)

	(&agent{mei, s, "mei"}).waitPresence(notify.Hidden)
	code := s.loginsOf("mei")[0].Code
	page.Gesture(`document.querySelector("#tab-why").click()`, nil)
	page.Gesture(`document.querySelectorAll("#why .checks input")[0].click()`, nil)
	told := s.message("c2", "mei", "mei's page hears this")
	s.waitEnds(told)
	page.Eval(`location.hash = "#why?device=`+strings.ToLower(code)+`"`, nil)
	page.Wait("the only message of the device", `document.querySelectorAll("#why .found").length === 1 && document.querySelector("#why .found").innerText.includes(`+strconv.Quote(told.Message)+`)`)
	page.Gesture(`document.querySelector("#why .found").click()`, nil)
	page.Wait("the device's code", says("#why .login", code))
	page.Wait("the first decision", says("#why .timeline", "Decided at first: in the page only – notifications were never granted on this device"))
	page.Wait("the second, where no page can confirm", says("#why .timeline", "Decided once more: silent – notifications were never granted on this device"))
	page.Wait("that no text is shown", `!document.body.innerText.includes("hears this")`)

	page.Gesture(`document.querySelector("#tab-rules").click()`, nil)
	page.Wait("the first rules", says("#rules .device .result", "push – the page is open, but hidden"))
	page.Gesture(`document.querySelector("#rules .person input[type=checkbox]").click()`, nil)
	page.Wait("what silence says", says("#rules .verdict", "This message reached nobody: off duty."))
	page.Gesture(`document.querySelector("#rules .person input[type=checkbox]").click()`, nil)
	choose := func(selector, value string) {
		page.Eval(`(() => { const s = document.querySelector(`+strconv.Quote(selector)+`); s.value = `+strconv.Quote(value)+`; s.dispatchEvent(new Event("input", {bubbles: true})) })()`, nil)
	}
	choose("#rules .device select", "viewing")
	page.Wait("rows 3 and the courtesy", says("#rules .device .result", "in the page only – this very chat is open and looked at"))
	page.Wait("the second decision", says("#rules .device .result", "If no page confirms it within 3 s: push"))

	choose("#language", "zh-TW")
	page.Eval(`document.querySelector("#language").dispatchEvent(new Event("change"))`, nil)
	page.Wait("the page in Chinese", `document.documentElement.lang === "zh-TW" && document.querySelector("#tab-rules").innerText === "試算規則"`)
	for _, m := range b.Problems() {
		t.Errorf("a page said: %v", m)
	}
}

func TestSupportsTimelineFollowsAPushUntilItIsClicked(t *testing.T) {
	s := newDemo(t)
	b := s.Chromium()
	stage := b.Open(s.hub + "/")
	clickOn(stage, "Open Mei")
	mei := b.WaitPage(s.hub + "/agent/mei")
	s.grantByHand(b, mei)
	s.wait("mei's subscription", func() bool {
		logins := s.loginsOf("mei")
		return len(logins) == 1 && logins[0].Settings.Subscribed
	})
	page := s.openSupport(b)
	(&agent{mei, s, "mei"}).waitPresence(notify.Hidden)
	m := s.message("c1", "mei", "a push")
	n := s.Desktop.WaitNotification(t, "Contact")
	page.Wait("the message", `document.querySelector("#why .found")?.innerText.includes(`+strconv.Quote(m.Message)+`)`)
	page.Gesture(`document.querySelector("#why .found").click()`, nil)
	for _, what := range []string{"Accepted by the hub", "Decided: push – the page is open, but hidden", "the push service answered", "Given to the system (Do Not Disturb may still hide it)", "End: accepted by the push service"} {
		page.Wait(what, says("#why .timeline", what))
	}
	s.Desktop.Click(t, n, "")
	mei.Wait("the click to open the chat", `document.visibilityState === "visible"`)
	page.Show()
	page.Wait("the click in the timeline", says("#why .timeline", "Clicked"))
	for _, m := range b.Problems() {
		t.Errorf("a page said: %v", m)
	}
}

func TestSupportsPageAsksForAKeyWhereNothingLogsItIn(t *testing.T) {
	s := &story{World: world.New(t), t: t}
	c := s.config()
	c.Auth.SupportRole = ""
	program, _ := s.run(c)
	key, err := os.ReadFile(filepath.Join(c.DataDir, serve.FirstKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	b := s.Chromium()
	page := b.Open(program.URL() + "/support")
	page.Wait("the question", `document.querySelector("#enter").checkVisibility()`)
	page.Type("#key", strings.TrimSpace(string(key)))
	clickOn(page, "Open")
	page.Wait("the page", `document.querySelector("#inside").checkVisibility() && document.querySelector("#live").innerText === "live"`)
	page.Wait("that the key is in this tab only", `sessionStorage.length === 1 && localStorage.length === 0 && document.cookie === ""`)
	page.Navigate(program.URL() + "/support#reach")
	page.Wait("the key to be known", says("#reach .summary", "on duty"))
	clickOn(page, "Forget the key")
	page.Wait("the question again", `document.querySelector("#enter").checkVisibility() && sessionStorage.length === 0`)
	for _, m := range b.Problems() {
		t.Errorf("a page said: %v", m)
	}
}

// toldLogin is what support is told of a login.
type toldLogin struct {
	Code     string
	Settings struct{ Subscribed bool }
}

func (s *story) loginsOf(agent string) []toldLogin {
	s.t.Helper()
	var info struct{ Logins []toldLogin }
	s.call("GET", "/v1/agents/"+agent, nil, &info)
	return info.Logins
}

// openSupport goes to support's page from the stage and waits until it is live.
func (s *story) openSupport(b *browser.Browser) *browser.Page {
	s.t.Helper()
	page := b.Open(s.hub + "/")
	clickOn(page, "support's page")
	page.Wait("support's page", `location.pathname === "/support" && document.querySelector("#live")?.innerText === "live"`)
	return page
}

// says is the expression that something on the page says so.
func says(selector, text string) string {
	return `document.querySelector(` + strconv.Quote(selector) + `)?.innerText.includes(` + strconv.Quote(text) + `)`
}
