//go:build linux && e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"caac-hub/config"
	"caac-hub/http/serve"
	"caac-hub/hub/notify"
	"caac-hub/test/browser"
	"caac-hub/test/pushservice"
	"caac-hub/test/world"
)

// Support's page as somebody of support uses it, from the demo's stage.
func TestSupportSeesWhyItDidNotRingWhoIsUnreachableAndWhatTheRulesWouldDo(t *testing.T) {
	eachBrowser(t, newDemo, supportsDay)
}

func supportsDay(s *story, b *browser.Browser) {
	t := s.t
	page := s.openSupport(b)

	nobody := s.message("c1", "mei", "nobody hears this")
	s.waitEnds(nobody)
	page.Wait("the message to appear by itself", `document.querySelector("#why .found")?.innerText.includes("Reached nobody")`)
	page.Gesture(`document.querySelectorAll("#why .checks input")[0].click()`, nil)
	page.Wait("the filter", `document.querySelectorAll("#why .found").length === 1 && document.querySelector("#why [role=status]").innerText.includes("Messages looked at: 1.")`)
	page.Gesture(`document.querySelector("#why .found").click()`, nil)
	page.Wait("the verdict", says("#why .verdict", "This message reached nobody: logged in on no device."))
	page.Wait("the decision", says("#why .timeline", "Decided: silent – logged in on no device"))
	page.Wait("what helps", says("#why .login", "For the agent: Log in to CAAC on a device."))
	page.Wait("the address to say so", `location.hash === "#why?reached_nobody=true&in=c1&shown=`+nobody.Message+`"`)
	page.Wait("the times in UTC", `/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC$/.test(document.querySelector("#why .timeline time").title)`)

	page.Gesture(`document.querySelector("#tab-reach").click()`, nil)
	for _, id := range []string{"ken", "mei"} {
		page.Wait(id+" to stand out", says(`#reach .unreachable[data-agent="`+id+`"]`, "logged in on no device"))
	}
	page.Wait("the summary", says("#reach .summary", "2 cannot be reached"))
	mei := b.Open(s.hub + "/agent/mei")
	(&agent{mei, s, "mei"}).waitPresence(notify.Active)
	mei.SetNotifications(browser.Denied)
	s.wait("the hub to know that mei's browser blocks", func() bool { return s.loginsOf("mei")[0].Settings.Permission == notify.Denied })
	page.Show()
	(&agent{mei, s, "mei"}).waitPresence(notify.Hidden)
	page.Wait("mei not to be, with nothing but a hidden page", says(`#reach .unreachable[data-agent="mei"]`, "the browser blocks notifications; its page is hidden, so nobody would notice"))
	code := s.loginsOf("mei")[0].Code

	page.Gesture(`history.back()`, nil)
	page.Wait("what was searched for", `!document.querySelector("#why").hidden && document.querySelectorAll("#why .checks input")[0].checked && document.querySelector("#why .verdict")`)
	told := s.message("c2", "mei", "mei's page hears this")
	s.waitEnds(told)
	page.Eval(`location.hash = "#why?device=`+strings.ToLower(code)+`"`, nil)
	page.Wait("the only message of the device", `document.querySelectorAll("#why .found").length === 1 && document.querySelector("#why .found").innerText.includes(`+strconv.Quote(told.Message)+`)`)
	page.Gesture(`document.querySelector("#why .found").click()`, nil)
	page.Wait("the device's code", says("#why .login", code))
	page.Wait("the first decision", says("#why .timeline", "Decided at first: in the page only – the browser blocks notifications"))
	page.Wait("the second, where no page can confirm", says("#why .timeline", "Decided once more: silent – the browser blocks notifications"))
	page.Wait("that no text is shown", `!document.body.innerText.includes("hears this")`)
	page.Eval(`(() => { const by = document.querySelector("#why select"); by.value = "message"; const to = document.querySelector("#why .words input"); to.value = `+strconv.Quote(code)+`; to.dispatchEvent(new Event("input")); if (by.value !== "device") throw new Error(by.value) })()`, nil)
	page.Eval(`location.hash = "#why?agent=EI"`, nil)
	page.Wait("what is mei's by part of her name", `document.querySelectorAll("#why .found").length === 2`)
	page.Eval(`(() => {
		const at = new Date();
		const local = (t) => new Date(t - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
		window.minutes = [local(at.getTime() - 600_000), local(at.getTime())];
		location.hash = "#why?agent=mei&until=" + minutes[0];
	})()`, nil)
	page.Wait("nothing of ten minutes ago", says("#why [role=status]", "Nothing found for agent “mei”, not after")+` && document.querySelector("#why [type=datetime-local]").value === minutes[0]`)
	page.Eval(`location.hash = "#why?agent=mei&until=" + minutes[1]`, nil)
	page.Wait("what was told until now", `document.querySelectorAll("#why .found").length === 2`)
	page.Eval(`location.hash = "#why?device=ABCD-EFGH&reason=page_closed"`, nil)
	page.Wait("nothing, and what was looked for", says("#why [role=status]", "Nothing found for device “ABCD-EFGH”, reason “no page is open”. Messages looked at: 2."))
	page.Wait("what is allowed", says("#why", "A code has eight letters and digits"))
	page.Eval(`location.hash = "#why?device=ABCD-EFGH&reason=page_closed&in=c&shown=gone"`, nil)
	page.Wait("what an old address leads to", says("#why article", "This message is not kept any more"))
	page.Gesture(`history.back()`, nil)
	page.Wait("the way back", says("#why article", "Choose a message"))
	shared := page.URL()
	other := b.Open(shared)
	other.Wait("the same in another tab", `document.querySelector("#why select").value === "device" && `+says("#why [role=status]", "Nothing found for device “ABCD-EFGH”"))
	other.Close()
	page.Show()

	page.Gesture(`document.querySelector("#tab-rules").click()`, nil)
	page.Wait("the first rules", says("#rules .device .result", "push – the page is open, but hidden (row 10)"))
	page.Wait("the verdict", says("#rules .verdict", "It would reach Mei."))
	page.Gesture(`document.querySelector("#rules .person input[type=checkbox]").click()`, nil)
	page.Wait("what silence says", says("#rules .verdict", "It would reach nobody: off duty."))
	page.Wait("the row", `document.querySelector("#rules .rows .on")?.dataset.row === "1" && document.querySelectorAll("#rules .rows .on").length === 1`)
	page.Gesture(`document.querySelector("#rules .person input[type=checkbox]").click()`, nil)
	choose := func(selector, value string) {
		page.Eval(`(() => { const s = document.querySelector(`+strconv.Quote(selector)+`); s.value = `+strconv.Quote(value)+`; s.dispatchEvent(new Event("input", {bubbles: true})) })()`, nil)
	}
	choose("#rules .device select", "viewing")
	page.Wait("row 3", says("#rules .device .result", "in the page only – this very conversation is open and looked at (row 3)"))
	page.Wait("the second decision", says("#rules .device .result", "If no page confirms it within 3 s: push"))
	page.Wait("the courtesy", `[...document.querySelectorAll("#rules .device .result")][1].innerText.includes("It would be held for at most 3 s")`)
	choose("#rules .device select", "lapsed")
	page.Wait("the lapsed claim", says("#rules .device .result", "the page is open, but hidden; the page stopped saying that it is visible"))
	page.Gesture(`document.querySelectorAll("#rules .device .marks input")[2].click()`, nil)
	page.Wait("the burst", says("#rules .device .result", "one more ring at the end of 5 s"))
	choose("#rules .device [data-result], #rules .device label:nth-of-type(2) select", "denied")
	page.Wait("row 6", says("#rules .device .result", "Only a count in a hidden page: nobody would notice it."))

	choose("#language", "zh-TW")
	page.Eval(`document.querySelector("#language").dispatchEvent(new Event("change"))`, nil)
	page.Wait("the page in Chinese", `document.documentElement.lang === "zh-TW" && document.querySelector("#tab-rules").innerText === "試算規則" && document.querySelector("#rules .verdict").innerText === "會通知到 Mei。"`)
	for _, m := range b.Problems() {
		t.Errorf("a page said: %v", m)
	}
}

// besideMei opens support's page before Mei's, which has push and is hidden then.
func (s *story) besideMei(b *browser.Browser) (page, mei *browser.Page) {
	s.t.Helper()
	stage := b.Open(s.hub + "/")
	clickOn(stage, "Open Mei")
	mei = b.WaitPage(s.hub + "/agent/mei")
	s.grantByHand(b, mei)
	s.wait("mei's subscription", func() bool {
		logins := s.loginsOf("mei")
		return len(logins) == 1 && logins[0].Settings.Subscribed
	})
	page = s.openSupport(b)
	(&agent{mei, s, "mei"}).waitPresence(notify.Hidden)
	return page, mei
}

func TestSupportsTimelineFollowsAPushUntilItIsClicked(t *testing.T) {
	s := newDemo(t)
	b := s.Chromium()
	page, mei := s.besideMei(b)
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
	(&agent{mei, s, "mei"}).waitPresence(notify.Hidden)
	s.pushes(b).AnswerNext("", pushservice.Answer{Status: 503, RetryAfter: "1", Body: "toString"})
	s.message("c2", "mei", "not sent")
	s.pushes(b).WaitRequests(t, 2)
	s.duty("mei", false)
	page.Wait("that it was not sent, and why", `document.querySelector("#why .found").innerText.startsWith("Contact\nNot sent\noff duty")`)
	page.Gesture(`document.querySelector("#why .found").click()`, nil)
	page.Wait("the verdict", says("#why .verdict", "It was to ring, and was not sent: off duty."))
	page.Wait("what the push service said", says("#why .timeline", "503 too many pushes: later (jmt17.google.com); “toString”"))
	page.Wait("what helps", says("#why .login", "For the agent: Go “Online (On Duty)”"))
	for _, m := range b.Problems() {
		t.Errorf("a page said: %v", m)
	}
}

func TestSupportsPageAsksForAKeyWhereNothingLogsItIn(t *testing.T) {
	s := &story{World: world.New(t), t: t}
	dir := t.TempDir()
	c := config.Default(config.Production, dir)
	c.Listen, c.DataDir = "127.0.0.1:0", dir
	c.Origins = []string{"https://caac.example.com"}
	c.ConversationURL, c.Auth.JWTSecret = "https://caac.example.com/{conversation}", secret
	program, stop := s.run(c)
	s.hub = program.URL()
	key, err := os.ReadFile(filepath.Join(c.DataDir, serve.FirstKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	s.key = strings.TrimSpace(string(key))
	for i := range 30 {
		s.call("POST", "/v1/messages", map[string]any{"id": fmt.Sprint("m", i), "kind": "text", "text": "a secret", "conversation": map[string]any{"id": "c"}}, nil)
	}
	b := s.Chromium()
	page := b.Open(s.hub + "/support#why?conversation=c")
	page.Wait("the question", `document.querySelector("#enter").checkVisibility() && document.activeElement.id === "key"`)
	enter := func(key string) {
		t.Helper()
		page.Type("#key", key)
		clickOn(page, "Open")
	}
	refused := func(key, words string) {
		t.Helper()
		enter(key)
		page.Wait("the refusal: "+words, says("#enter-wrong", words))
		page.Eval(`document.querySelector("#enter-wrong").textContent = ""`, nil)
	}
	refused("caac_00000000_wrong", "mistyped, or revoked")
	refused("nonsense", "This token is not good here")
	refused("“pasted with its quotes”", "This token is not good here")
	refused(supportToken(t, nil, time.Hour), "without the role of support")
	refused(supportToken(t, []string{"support"}, -time.Hour), "has expired")
	enter(supportToken(t, []string{"support"}, time.Hour))
	live := `document.querySelector("#inside").checkVisibility() && document.querySelector("#live").innerText === "live" && document.querySelectorAll("#why .found").length === 25`
	page.Wait("the page, by a role", live)
	page.Gesture(`document.querySelectorAll("#why .checks input")[1].click()`, nil)
	page.Wait("that text is not for this token", says("#why [role=alert]", "The messages’ text is not for this token")+` && !document.querySelectorAll("#why .checks input")[1].checked`)
	clickOn(page, "Forget the key")
	page.Wait("the question again", `document.querySelector("#enter").checkVisibility() && sessionStorage.length === 0`)

	enter(s.key)
	page.Wait("the page, by a key", live)
	clickOn(page, "Look at older ones")
	page.Wait("the rest", `document.querySelectorAll("#why .found").length === 30`)
	page.Wait("that the key is in this tab only", `sessionStorage.length === 1 && localStorage.length === 0 && document.cookie === "" && !location.href.includes("caac_")`)
	page.Wait("that nothing is the demo's", `performance.getEntriesByType("resource").every((e) => !e.name.includes("/demo/")) && [...document.querySelectorAll("link, script")].every((e) => !(e.href ?? e.src).includes("/demo/"))`)
	page.Navigate(s.hub + "/support#reach")
	page.Wait("the key to be known", says("#reach .summary", "Nobody is on duty"))

	c.Listen = strings.TrimPrefix(s.hub, "http://")
	stop()
	page.Wait("that the hub is away", says("#away", "The hub does not answer"))
	_, stop = s.run(c)
	page.Wait("the hub to be back", `document.querySelector("#away").hidden && document.querySelector("#live").innerText === "live"`)
	stop()
	c.DataDir = t.TempDir()
	s.run(c) // which knows no such key
	page.Wait("that the key is not good any more", `document.querySelector("#enter").checkVisibility() && sessionStorage.length === 0 && document.querySelector("#enter-wrong").innerText.includes("not good here any more")`)
	for _, m := range b.Problems() {
		if !strings.Contains(m.Text, "Failed to load resource") && !strings.Contains(m.Text, "ERR_CONNECTION_REFUSED") && !strings.Contains(m.Text, "INCOMPLETE_CHUNKED") {
			t.Errorf("a page said: %v", m)
		}
	}
}

// supportToken is an agent's token that names roles.
func supportToken(t *testing.T, roles []string, ttl time.Duration) string {
	t.Helper()
	now := time.Now()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "mei", "iat": now.Add(-2 * time.Hour).Unix(), "exp": now.Add(ttl).Unix(), "roles": roles}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// toldLogin is what support is told of a login.
type toldLogin struct {
	Code     string
	Settings struct {
		Subscribed bool
		Permission notify.Permission
	}
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
