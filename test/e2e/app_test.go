//go:build linux && e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/test/browser"
	"caac-hub/test/browser/chromium"
	"caac-hub/test/world"
)

// openCheck opens "Check this device" by the profile icon.
func openCheck(p *browser.Page) {
	p.Click("#profile-icon")
	p.Gesture(`document.querySelector("#open-check").click()`, nil)
	p.Wait("the checks", `document.querySelectorAll("#checks li").length > 8 && !document.querySelector("#checks").innerText.includes("Asking the hub")`)
}

// tabCall calls a method of the DevTools protocol on a page in Chromium.
func tabCall(t *testing.T, p *browser.Page, method string, params, result any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Tab().(*chromium.Tab).Call(ctx, method, params, result); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
}

// phone is a device, mostly a phone, that Chromium can pretend to be, as far as a page can tell.
type phone struct {
	name, ua, script, says string
	row                    string // of the supported devices
}

const iOS = "Mozilla/5.0 (iPhone; CPU iPhone OS %s like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/%s Mobile/15E148 Safari/604.1"

const noPush = `delete window.PushManager; delete window.Notification;`

// An iPad says that it is a Mac; only its fingers tell.
const touches = `Object.defineProperty(navigator, "maxTouchPoints", { get: () => 5 });`

var phones = []phone{
	{"iphone-old", fmt.Sprintf(iOS, "15_8", "15.8"), noPush, "16.4 or above", "iPhone"},
	{"iphone-safari", fmt.Sprintf(iOS, "17_5", "17.5"), noPush, `Select "Add to Home Screen"`, "iPhone"},
	{"iphone-chrome", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.0.0 Mobile/15E148 Safari/604.1", noPush, "at the right end of Chrome's address bar", "iPhone"},
	{"ipad", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15", noPush + touches, "at the top right of Safari", "iPhone"},
	{"iphone-switches-16", fmt.Sprintf(iOS, "16_6", "16.6"), noPush + `navigator.standalone = true;`, `"Feature Flags" (WebKit Function Flag) (yours: iOS 16.6)`, "iPhone"},
	{"iphone-switches-17", fmt.Sprintf(iOS, "17_5", "17.5"), noPush + `navigator.standalone = true;`, `"Experimental Features" (yours: iOS 17.5)`, "iPhone"},
	{"iphone-home", fmt.Sprintf(iOS, "17_5", "17.5"), `navigator.standalone = true;`, "", "iPhone"},
	{"android", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36", "", "Please don't remove Chrome from background running.", "Android"},
	{"windows", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36", "", "", "Windows"},
	{"mac", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36", "", "", "Mac"},
}

func (ph phone) pretend(t *testing.T, p *browser.Page) {
	t.Helper()
	tabCall(t, p, "Page.enable", nil, nil)
	tabCall(t, p, "Emulation.setUserAgentOverride", map[string]any{"userAgent": ph.ua}, nil)
	tabCall(t, p, "Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": ph.script}, nil)
}

func TestPhonesAreToldWhatTheyNeedFirst(t *testing.T) {
	s := newDemo(t)
	b := s.Chromium()
	for _, ph := range phones {
		p := b.Open("about:blank")
		ph.pretend(t, p)
		p.Navigate(s.hub + "/agent/mei?view=profile")
		p.Wait("the profile of "+ph.name, `!document.querySelector("#duty").disabled && document.querySelector("#permission-words").innerText !== ""`)
		says := p.Text("#home")
		if ph.says == "" && says != "" || !strings.Contains(says, ph.says) {
			t.Errorf("%s: it says %q, want %q", ph.name, says, ph.says)
		}
		for _, name := range []string{"Push API", "Notifications", "Service Workers"} {
			if strings.Contains(ph.name, "switches") && !strings.Contains(says, name) {
				t.Errorf("%s: the switch %q is not named in %q", ph.name, name, says)
			}
		}
		openCheck(p)
		needsMore := ph.says != "" && ph.row == "iPhone"
		p.Wait("the banner of "+ph.name, fmt.Sprintf(`document.querySelector("#banner").checkVisibility() && document.querySelector("#banner-how").checkVisibility() === %t`, needsMore))
		var rows []string
		p.Eval(`[...document.querySelectorAll("#supported tr[aria-current=true] th")].map((th) => th.firstChild.data)`, &rows)
		p.Wait("the table to have room", `document.querySelector("#supported").closest(".card").clientHeight >= document.querySelector("#supported").offsetHeight`)
		if len(rows) != 1 || rows[0] != ph.row {
			t.Errorf("%s: marked as this device: %q", ph.name, rows)
		}
		var checks []string
		p.Eval(`[...document.querySelectorAll("#checks li")].filter((li) => li.className === "unknown").map((li) => li.dataset.check)`, &checks)
		for id, on := range map[string]bool{"dnd": true, "background": true, "battery": true, "stage": ph.row == "Mac" || ph.name == "ipad", "sound": ph.row == "Mac", "miui": ph.row == "Android"} {
			if slices.Contains(checks, id) != on {
				t.Errorf("%s: can't be known: %q; %s there: want %v", ph.name, checks, id, on)
			}
		}
		if ph.row == "Android" {
			var guide string
			p.Gesture(`(async () => { let opened = ""; window.open = (url) => { opened = url; };
				document.querySelector("#checks [data-check=miui] button").click(); return opened; })()`, &guide)
			if guide != miuiGuide {
				t.Errorf("%s: the guide for MIUI is %q", ph.name, guide)
			}
		}
		p.Close()
	}
	wantToldApart(t, b.Open(s.hub+"/agent/"))
	for _, m := range b.Problems() {
		t.Errorf("a page said: %v", m)
	}
}

// miuiGuide is what miui_guide is by default.
const miuiGuide = "https://events.whoscall.com/whoscall_xiaomi_tutorial_zh/index2.html"

// wantToldApart holds what a page sees of browsers against what they need.
func wantToldApart(t *testing.T, p *browser.Page) {
	t.Helper()
	const (
		mac  = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) "
		kit  = "AppleWebKit/605.1.15 (KHTML, like Gecko) "
		blik = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 "
	)
	for _, c := range []struct {
		ua    string
		touch int
		app   bool // opened as an app
		push  bool
		want  string // what it needs, the version of iOS, the share button, how it is allowed again, whether it is supported
	}{
		{mac + kit + "CriOS/142 Version/11.1.1 Safari/605.1.15", 5, false, false, "home,,chrome,ios,ios_home"},
		{mac + kit, 5, true, false, "switches,,ipad,ios,ios_switches"},
		{mac + kit + "Version/16.3 Safari/605.1.15", 5, false, false, "old,16.3,ipad,ios,ios_old"},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) " + kit + "Version/26.0 Mobile/15E148 Safari/604.1", 5, true, true, ",26.0,iphone,ios,passed"},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) " + kit + "Mobile/15E148 Safari Line/14.5.0", 5, false, false, "in_app,17.5,iphone,ios,ios_in_app"},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) " + kit + "FxiOS/130.0 Mobile/15E148 Safari/605.1.15", 5, false, false, "home,17.5,menu,ios,ios_home"},
		{mac + kit + "Version/18.0 Safari/605.1.15", 0, false, true, ",,iphone,safari,browser"},
		{mac + kit + "Version/18.0 Safari/605.1.15", 0, true, true, ",,iphone,mac_app,browser"},
		{mac + blik + "Safari/537.36", 0, false, true, ",,chrome,chrome,passed"},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + blik + "Safari/537.36 Edg/142.0.0.0", 0, true, true, ",,menu,app,browser"},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", 0, false, true, ",,menu,firefox,browser"},
		{"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", 0, false, true, ",,menu,firefox,unknown"},
		{"Mozilla/5.0 (Linux; Android 10; K) " + blik + "Mobile Safari/537.36", 5, true, true, "android,,chrome,android_app,passed"},
		{"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36", 5, false, true, "android,,menu,android,browser"},
		{"Mozilla/5.0 (Android 14; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0", 5, false, true, "android,,menu,android_firefox,browser"},
		{"Mozilla/5.0 (Linux; Android 14; SM-S911B; wv) " + blik + "Mobile Safari/537.36 Line/14.0", 5, false, false, ",,chrome,android,no_push"},
	} {
		var got string
		seen, _ := json.Marshal(map[string]any{"ua": c.ua, "touch": c.touch, "standalone": c.app, "push": c.push})
		p.Eval(`import("/demo/platform.js").then((m) => { const p = m.platformOf(`+string(seen)+`);
			return [m.needs(p), p.version.join("."), m.shareButton(p), m.reopening(p), m.support(p)].join(); })`, &got)
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.ua, got, c.want)
		}
	}
	var xiaomi []string
	p.Eval(`import("/demo/platform.js").then((m) => ["MI 8", "Mi A2", "MIX 2S", "Redmi Note 9", "POCO F3", "2201117TG", "M2007J3SY", "Pixel 8", "SM-S911B", "Mito A1", ""].filter(m.isMIUI))`, &xiaomi)
	if len(xiaomi) != 7 {
		t.Errorf("MIUI devices are %q", xiaomi)
	}
}

// axe is the accessibility checker, run in the page; it ends in what it found.
func axe(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile("../js/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("%v; make types installs it", err)
	}
	return `(async () => { if (!window.axe) { ` + string(source) + ` }
		const { violations } = await window.axe.run();
		return violations.flatMap((v) => v.nodes.map((n) => v.id + ": " + n.target + ": " + n.failureSummary));
	})()`
}

// accessible has the checker find nothing on a page of these widths, light and
// dark, and then looks for more in each.
func accessible(t *testing.T, p *browser.Page, name string, widths []int, more func(width int)) {
	t.Helper()
	run := axe(t)
	for _, width := range widths {
		for _, scheme := range []string{"light", "dark"} {
			tabCall(t, p, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": false}, nil)
			tabCall(t, p, "Emulation.setEmulatedMedia", map[string]any{"features": []map[string]any{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
			p.Eval(browser.Painted(scheme == "dark"), nil)
			var violations []string
			p.Eval(run, &violations)
			for _, v := range violations {
				t.Errorf("%s, %d wide, %s: %s", name, width, scheme, v)
			}
			more(width)
		}
	}
}

// unfit ends in what a phone's page has that a finger can't hit or a screen can't hold.
const unfit = `(async () => {
	await new Promise(requestAnimationFrame);
	const wrong = [];
	if (document.documentElement.scrollWidth > innerWidth) wrong.push("it scrolls sideways, " + document.documentElement.scrollWidth + " px");
	for (const e of document.querySelectorAll("button, a.button, input, select, textarea")) {
		const { width, height } = (e.closest("label") ?? e).getBoundingClientRect();
		if (e.checkVisibility() && (width < 44 || height < 44)) wrong.push((e.id || e.textContent.trim()) + " is " + Math.round(width) + " by " + Math.round(height) + " px");
	}
	if (document.title === "" || !document.documentElement.lang) wrong.push("without a title or a language");
	return wrong;
})()`

func TestEveryScreenOfTheAppIsAccessible(t *testing.T) {
	s := newDemo(t)
	b := s.Chromium()
	check := func(name string, p *browser.Page) {
		t.Helper()
		accessible(t, p, name, []int{1280, 390}, func(int) {})
		for _, width := range []int{390, 320} {
			tabCall(t, p, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 640, "deviceScaleFactor": 1, "mobile": false}, nil)
			var wrong []string
			p.Eval(unfit, &wrong)
			for _, w := range wrong {
				t.Errorf("%s, %d wide: %s", name, width, w)
			}
		}
		tabCall(t, p, "Emulation.clearDeviceMetricsOverride", nil, nil)
		if wide := p.Text("html"); wide == "" {
			t.Errorf("%s is empty", name)
		}
	}
	p := b.Open(s.hub + "/agent/")
	p.Wait("the accounts", `document.querySelectorAll("#accounts a").length === 2`)
	check("log in", p)
	p.Navigate(s.hub + "/agent/mei")
	p.Wait("the banner", `!document.querySelector("#duty").disabled && document.querySelector("#banner").checkVisibility()`)
	check("the empty list", p)
	clickOn(p, "now")
	p.Wait("a toast and a count", `document.querySelector("#toasts").firstChild?.shadowRoot.firstChild && document.title === "(1) CAAC" && document.querySelector("#conversations .last")`)
	check("the list", p)
	p.Click("#conversations button")
	p.Wait("the chat", `document.querySelectorAll("#lines li").length === 1 && document.querySelector("#chat-to").textContent`)
	check("the chat", p)
	p.Click("#profile-icon")
	check("the menu", p)
	clickOn(p, "My profile")
	p.Wait("the devices", `document.querySelectorAll("#devices li").length === 1`)
	check("my profile", p)
	openCheck(p)
	clickOn(p, "Copy report")
	check("check this device", p)
	p.Click("#duty")
	p.Wait("the note", `document.querySelector("#duty-note").checkVisibility()`)
	check("off duty", p)
	p.Click("#profile-icon")
	clickOn(p, "Log out")
	p.Wait("to be logged out", `document.querySelector("#gone").checkVisibility()`)
	check("logged out", p)
	clickOn(p, "Log in again")
	p.Wait("to be asked who", `document.querySelector("#login").checkVisibility() && location.pathname === "/agent/"`)
	p.Navigate(s.hub + "/demo/offline")
	check("offline", p)
	for _, m := range b.Problems() {
		t.Errorf("a page said: %v", m)
	}
}

// pressKey presses a key and lets it go.
func pressKey(t *testing.T, p *browser.Page, key string) {
	t.Helper()
	code := map[string]int{"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40}[key]
	text := map[string]string{"Enter": "\r", " ": " "}[key]
	tabCall(t, p, "Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": key, "windowsVirtualKeyCode": code, "text": text}, nil)
	tabCall(t, p, "Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}, nil)
}

func TestAppIsUsedByKeyboardAlone(t *testing.T) {
	s := newDemo(t)
	p := s.Chromium().Open(s.hub + "/agent/mei")
	p.Wait("the page to be connected", `!document.querySelector("#duty").disabled`)
	s.message("c2", "mei", "one more")
	p.Wait("the first conversation", `document.querySelectorAll("#conversations button").length === 1`)
	s.message("c1", "mei", "hello")
	press := func(key string) {
		t.Helper()
		pressKey(t, p, key)
	}
	// tabTo presses Tab until the focus is on what a selector finds, and there shows.
	tabTo := func(selector string) {
		t.Helper()
		for range 40 {
			press("Tab")
			var there bool
			p.Eval(`document.activeElement.matches(`+fmt.Sprintf("%q", selector)+`) && document.activeElement.checkVisibility()`, &there)
			if there {
				return
			}
		}
		t.Fatalf("Tab does not lead to %s", selector)
	}
	onConversation := func(what, id string) {
		t.Helper()
		p.Wait(what, fmt.Sprintf(`document.activeElement.dataset.conversation === %q`, id))
	}
	p.Wait("the conversations", `document.querySelectorAll("#conversations button").length === 2`)
	tabTo("#profile-icon")
	press("Enter")
	p.Wait("the focus to go into the menu", `document.activeElement.id === "open-profile" && document.querySelector("#profile-icon").ariaExpanded === "true"`)
	press("Escape")
	p.Wait("the menu to close", `document.querySelector("#menu").hidden && document.activeElement.id === "profile-icon"`)
	press("Enter")
	p.Wait("the menu", `document.activeElement.id === "open-profile"`)
	press("Enter")
	p.Wait("the profile", `document.activeElement.id === "profile-title" && document.querySelector("#profile").checkVisibility() && document.title.includes("My profile · CAAC") && document.querySelector("#profile-icon").ariaCurrent === "page"`)
	p.GrantNotifications()
	tabTo("#grant")
	press("Enter")
	p.Wait("push, and the focus where the next step is", `document.querySelector("#push-words").innerText.startsWith("Push reaches") && document.activeElement.id === "device-test"`)
	press("Enter")
	p.Wait("the test, and the focus where it was", `document.querySelector("#test-result").innerText.startsWith("Shown.") && document.activeElement.id === "device-test"`)
	tabTo("#push-off")
	press("Enter")
	p.Wait("push to be off, and the focus where it is turned on", `document.querySelector("#push-words").innerText.startsWith("No push") && document.activeElement.id === "grant"`)
	tabTo("#device-on")
	press(" ")
	p.Wait("the device's switch", `!document.querySelector("#device-on").checked`)
	s.wait("the hub to know", func() bool {
		var info struct {
			Logins []struct{ Settings struct{ On bool } }
		}
		s.call("GET", "/v1/agents/mei", nil, &info)
		return len(info.Logins) == 1 && !info.Logins[0].Settings.On
	})
	press("Escape")
	p.Wait("the list, and the focus where it came from", `document.querySelector("#profile").hidden && document.activeElement.id === "profile-icon" && document.title === "(2) CAAC"`)
	tabTo("#conversations button") // which are one stop
	onConversation("the newest conversation", "c1")
	press("ArrowDown")
	onConversation("the next", "c2")
	press("Home")
	onConversation("the first", "c1")
	press("End")
	press("Enter")
	p.Wait("the chat", `document.querySelector("#chat").checkVisibility() && document.activeElement.id === "chat-name" && document.querySelector("[data-conversation=c2]").ariaCurrent === "true"`)
	p.Wait("its message, and who wrote it in the title", `document.querySelectorAll("#lines li").length === 1 && document.title === "(1) Contact · CAAC"`)
	tabTo("#reply-text")
	tabCall(t, p, "Input.insertText", map[string]any{"text": "good day"}, nil)
	press("Escape")
	onConversation("to be back where the chat was opened", "c2")
	press("Home")
	press("Enter")
	p.Wait("the other chat, without the draft of the first", `document.activeElement.id === "chat-name" && document.querySelector("#reply-text").value === "" && document.querySelector("#send").disabled`)
	press("Escape")
	onConversation("the other", "c1")
	press("End")
	press("Enter")
	p.Wait("the draft", `document.querySelector("#reply-text").value === "good day" && document.querySelectorAll("#lines li").length === 1`)
	p.Eval(`void (document.querySelector("#lines li").told = true)`, nil)
	tabTo("#reply-text")
	press("Enter")
	p.Wait("the reply", `document.querySelector("#lines li.mine")?.innerText.includes("good day") && document.querySelector("#reply-text").value === ""`)
	// What a screen reader has read out stays as it is.
	p.Wait("the first message to stand as it stood", `document.querySelector("#lines li").told`)
}

func TestChatKeepsUpWithAStreamAndLosesNoReply(t *testing.T) {
	s := newDemo(t)
	b := s.Chromium()
	p := b.Open(s.hub + "/agent/mei")
	p.Wait("the page to be connected", `!document.querySelector("#duty").disabled`)
	s.message("c1", "mei", "hello")
	p.Click("#conversations [data-conversation=c1]")
	p.Wait("the chat", `document.querySelectorAll("#lines li").length === 1`)

	// Messages may come without a pause.
	done := make(chan struct{})
	var streaming sync.WaitGroup
	streaming.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(40 * time.Millisecond):
				s.message("c1", "mei", "and one more")
			}
		}
	})
	p.Wait("the stream to be shown while it lasts", `document.querySelectorAll("#lines li").length > 20 && document.querySelector("#conversations .last").textContent.includes("one more")`)
	close(done)
	streaming.Wait()

	// What has to be told beside a long list stands above it, and toasts above what is typed.
	tabCall(t, p, "Emulation.setDeviceMetricsOverride", map[string]any{"width": 1000, "height": 600, "deviceScaleFactor": 1, "mobile": false}, nil)
	for i := range 12 {
		s.message(fmt.Sprintf("c%d", i+2), "mei", "hello")
	}
	s.duty("mei", false)
	p.Wait("the note above the list", `(() => {
		const bottom = (id) => document.querySelector(id).getBoundingClientRect().bottom;
		const list = document.querySelector("#conversations");
		return list.scrollHeight > list.clientHeight && bottom("#duty-note") > 0 && bottom("#duty-note") <= list.getBoundingClientRect().top;
	})()`)
	s.duty("mei", true)
	p.Type("#reply-text", "one\ntwo\nthree\nfour\nfive")
	p.Wait("to be on duty", `!document.querySelector("#duty-note").checkVisibility()`)
	s.message("c2", "mei", "a toast")
	p.Wait("a toast above the reply", `document.querySelector("#toasts").firstChild?.shadowRoot.querySelector(".toast")
		&& document.querySelector("#toasts").getBoundingClientRect().bottom <= document.querySelector("#reply").getBoundingClientRect().top`)
	tabCall(t, p, "Emulation.clearDeviceMetricsOverride", nil, nil)

	reply := func(text string) {
		p.Type("#reply-text", text)
		p.Gesture(`document.querySelector("#reply").requestSubmit()`, nil)
	}
	p.Eval(`void (window.really = fetch, window.fetch = (url, o) => String(url).endsWith("/reply") ? new Promise((_, reject) => { window.fail = reject; }) : really(url, o))`, nil)
	reply("first")
	p.Type("#reply-text", "second")
	p.Eval(`fail(new TypeError())`, nil)
	p.Wait("both to be there", `document.querySelector("#reply-text").value === "first\nsecond" && document.querySelector("#reply-result").checkVisibility()`)

	// What the hub could not tell is asked for again.
	p.Eval(`void (window.refused = 0, window.fetch = (url, o) => String(url).endsWith("/messages") && refused++ === 0
		? Promise.resolve(new Response('{"code":"busy"}', { status: 503 })) : really(url, o))`, nil)
	reply("third")
	p.Wait("the reply", `document.querySelector("#lines li.mine")?.innerText.includes("third") && refused > 1`)

	// A browser may keep nothing for a site.
	tabCall(t, p, "Page.enable", nil, nil)
	var script struct{ Identifier string }
	tabCall(t, p, "Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": `for (const name of ["localStorage", "sessionStorage"])
		Object.defineProperty(window, name, { configurable: true, get() { throw new DOMException("blocked", "SecurityError"); } });`}, &script)
	p.Navigate(s.hub + "/agent/mei")
	p.Wait("the page to be connected", `!document.querySelector("#duty").disabled`)
	openCheck(p)
	tabCall(t, p, "Page.removeScriptToEvaluateOnNewDocument", map[string]any{"identifier": script.Identifier}, nil)

	p.Navigate(s.hub + "/agent/nobody-is-called-so")
	p.Wait("to be told that there is no such agent", `document.querySelector("#gone-words").innerText === "The hub doesn't know this agent." && !document.querySelector("#app").checkVisibility()`)
	p.Navigate(s.hub + "/agent/")
	p.Wait("to be asked who", `document.querySelectorAll("#accounts a").length === 2`)
	p.Navigate(s.hub + "/agent/%E0%A4")
	p.Wait("to be asked who, by an address that says nothing", `document.querySelectorAll("#accounts a").length === 2`)
}

func TestInstalledAppShowsItsCountAsBadge(t *testing.T) {
	s := newDemo(t)
	b := s.Chromium()
	mei := b.Open(s.hub + "/agent/mei")
	mei.Wait("the page to be connected", `!document.querySelector("#duty").disabled`)
	mei.Wait("the worker", `navigator.serviceWorker.ready`)

	var installability struct {
		InstallabilityErrors []struct{ ErrorID string }
	}
	tabCall(t, mei, "Page.getInstallabilityErrors", nil, &installability)
	for _, e := range installability.InstallabilityErrors {
		t.Errorf("not installable: %s", e.ErrorID)
	}
	var manifest struct {
		Errors []struct{ Message string }
		Data   string
	}
	tabCall(t, mei, "Page.getAppManifest", nil, &manifest)
	for _, e := range manifest.Errors {
		t.Errorf("the manifest: %s", e.Message)
	}
	var says struct {
		Name, Display string
		Icons         []struct{ Src, Purpose string }
	}
	if err := json.Unmarshal([]byte(manifest.Data), &says); err != nil || says.Name != "CAAC" || says.Display != "standalone" || !strings.Contains(manifest.Data, "maskable") {
		t.Errorf("the manifest says %s, %v", manifest.Data, err)
	}
	for _, icon := range says.Icons {
		mei.Wait("the icon "+icon.Src, fmt.Sprintf(`fetch(%q).then((r) => r.ok)`, icon.Src))
	}

	mei.GrantNotifications()
	openProfile(mei)
	clickOn(mei, "Turn push on here")
	mei.Wait("push", `document.querySelector("#push-words").innerText.startsWith("Push reaches")`)
	driver := b.Driver().(*chromium.Driver)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	app, err := driver.Install(ctx, s.hub+"/agent/")
	if err != nil {
		t.Fatal(err)
	}
	var seen string
	s.wait("the app to open as Mei, alone in its window", func() bool {
		value, err := app.Eval(ctx, `[document.querySelector("#name").innerText, matchMedia("(display-mode: standalone)").matches, document.querySelector("#duty").disabled].join()`, false)
		return err == nil && json.Unmarshal(value, &seen) == nil && seen == "Mei,true,false"
	})
	badge := func(n int) {
		t.Helper()
		s.wait(fmt.Sprintf("a badge of %d", n), func() bool {
			got, err := driver.Badge(ctx, s.hub+"/agent/")
			if err != nil {
				t.Fatal(err)
			}
			return got == n
		})
	}
	mei.Close()
	s.message("c1", "mei", "one")
	s.message("c2", "mei", "two")
	badge(2)
	if err := app.Close(ctx); err != nil {
		t.Fatal(err)
	}
	(&agent{nil, s, "mei"}).waitPresence(notify.Closed)
	s.message("c3", "mei", "three")
	s.Desktop.WaitNotification(t, "Contact")
	badge(3) // by the worker, with nothing open
	read := func(conversation string) {
		s.call("POST", "/v1/agents/mei/read", map[string]any{"conversation": conversation, "upto": 1}, nil)
	}
	read("c1")
	read("c2")
	s.message("c4", "mei", "four")
	badge(2) // the next push tells what was read elsewhere
	b.Open(s.hub + "/agent/mei")
	read("c3")
	badge(1)
	read("c4")
	badge(0)
	for _, m := range b.Problems() {
		t.Errorf("a page said: %v", m)
	}
}

func TestAppWithoutTheHubSaysThatItIsOffline(t *testing.T) {
	eachBrowser(t, func(t *testing.T) *story {
		return &story{World: world.New(t), t: t}
	}, func(s *story, b *browser.Browser) {
		c := s.config()
		program, stop := s.run(c)
		s.hub = program.URL()
		c.Listen = strings.TrimPrefix(s.hub, "http://")
		p := b.Open(s.hub + "/agent/mei")
		p.Wait("the page to be connected and the shell kept", `(async () => !document.querySelector("#duty").disabled
			&& (await navigator.serviceWorker.ready)
			&& (await (await caches.open("caac-shell")).keys()).length >= 9)()`)
		stop()
		p.Wait("the page to say so", `document.querySelector("#connection").innerText.includes("Trying again")`)
		p.Gesture(`document.querySelector("#device-test").click()`, nil)
		p.Wait("the Device test, which needs no hub", `document.querySelector("#test-result").textContent.startsWith("Notifications are not granted")`)
		p.Gesture(`location.reload()`, nil)
		p.Wait("the shell", `document.querySelector("h1")?.innerText === "You are offline" && document.querySelector("img").naturalWidth > 0 && getComputedStyle(document.querySelector("main")).display === "grid"`)
		s.run(c)
		p.Wait("the page to come back by itself", `document.querySelector("#duty") && !document.querySelector("#duty").disabled`)
	})
}

func TestAppSpeaksChinese(t *testing.T) {
	s := newDemo(t)
	b := s.Chromium()
	p := b.Open(s.hub + "/agent/mei?view=profile")
	p.Wait("the page to be connected", `!document.querySelector("#duty").disabled`)
	p.Type("#locale", "zh-TW")
	p.Wait("the language", `document.documentElement.lang === "zh-TW" && document.querySelector("#profile-title").innerText === "我的個人檔案"`)
	p.Gesture(`document.querySelector("#go-check").click()`, nil)
	p.Wait("the checks", `document.querySelectorAll("#checks li").length > 8`)
	// What is left of Latin letters are names.
	var latin []string
	p.Eval(`(() => {
		const walk = document.createTreeWalker(document.querySelector("#app"), NodeFilter.SHOW_TEXT);
		const found = [];
		while (walk.nextNode()) {
			const e = walk.currentNode.parentElement;
			if (e.checkVisibility() && !e.closest("#code, #check-code, #name") && /[A-Za-z]{2,} [A-Za-z]{2,}/.test(walk.currentNode.data)) found.push(walk.currentNode.data);
		}
		return found;
	})()`, &latin)
	for _, text := range latin {
		if !strings.Contains(text, "macOS High Sierra") && !strings.Contains(text, "Intel Pentium") {
			t.Errorf("not Chinese: %q", text)
		}
	}
	p.GrantNotifications()
	p.Click(`#checks [data-action="push"]`)
	p.Wait("push", `document.querySelector("#checks [data-check=push]").className === "passed"`)
	p.Navigate(s.hub + "/agent/mei?view=profile")
	p.Wait("the device in Chinese", `document.querySelector("#devices b")?.innerText === "Linux 的 Chrome"`)
	p.Click("#device-test")
	s.Desktop.WaitNotification(t, "裝置測試")
	p.Wait("its result", `document.querySelector("#test-result").innerText.startsWith("已顯示。")`)
	p.Click("#push-test")
	s.Desktop.WaitNotification(t, "推播測試")
	p.Wait("its result", `/^([\d.]+ 秒後收到。)/.test(document.querySelector("#test-result").innerText)`)
	// Whatever the hub answers is told in Chinese, by its code.
	for _, c := range []struct {
		status     int
		code, says string
	}{
		{429, "too_many_tests", "嘗試次數過多，請一分鐘後再試。"},
		{503, "unavailable", "通知伺服器目前無法處理。沒有變更任何設定，請稍後再試。"},
		{409, "no_subscription", "此裝置沒有推播，請先開啟推播。"},
		{418, "teapot", "通知伺服器拒絕了這個要求（teapot）。"},
	} {
		p.Eval(fmt.Sprintf(`void (window.fetch = async () => new Response(JSON.stringify({ code: %q, title: "English", detail: "English" }), { status: %d }))`, c.code, c.status), nil)
		p.Click("#push-test")
		p.Wait("the answer "+c.code, fmt.Sprintf(`document.querySelector("#test-result").innerText === %q && !document.querySelector("#push-test").ariaDisabled`, c.says))
	}
	p.Eval(`void (window.fetch = () => Promise.reject(new TypeError("English")))`, nil)
	p.Click("#push-test")
	p.Wait("no answer", `document.querySelector("#test-result").innerText.startsWith("無法連上通知伺服器。")`)

	p.Navigate(s.hub + "/agent/mei")
	p.Wait("the language to stay", `document.documentElement.lang === "zh-TW" && document.querySelector("#empty").innerText === "目前沒有對話。"`)
	tabCall(t, p, "Emulation.setUserAgentOverride", map[string]any{"userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36", "acceptLanguage": "ja-JP"}, nil)
	p.Navigate(s.hub + "/agent/ken")
	s.wait("notifications to take the app's language where nobody has said one", func() bool {
		var ken struct{ Locale string }
		s.call("GET", "/v1/agents/ken", nil, &ken)
		return ken.Locale == "ja"
	})
}

func TestFixedStringsOfTheAppAreThoseOfNotifications(t *testing.T) {
	s := newDemo(t)
	p := s.Chromium().Open(s.hub + "/agent/mei")
	var fixed map[string]map[string]string
	p.Eval(`import("/demo/strings-fixed.js").then((m) => m.FIXED)`, &fixed)
	for _, language := range notify.Languages {
		for _, kind := range []notify.Kind{notify.Image, notify.Sticker, notify.Video, "file"} {
			want := notify.Compose(notify.ComposeInput{Kind: kind, Locale: language}).Body
			if got := fixed[language][string(kind)]; got != want {
				t.Errorf("%s, %s: %q, notifications say %q", language, kind, got, want)
			}
		}
	}
}
