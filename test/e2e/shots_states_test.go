//go:build linux && e2e && shots

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"caac-hub/test/browser"
	"caac-hub/test/world"
)

// TestShotsOfStates takes what a newcomer seldom sees: empty lists and full ones,
// long names, no connection, refusals. It holds nothing.
func TestShotsOfStates(t *testing.T) {
	a := newAlbum(t)
	s := &story{World: world.New(t), t: t}
	c := s.config()
	c.PublicURL = "https://demo.example"
	program, stop := s.run(c)
	s.hub = program.URL()
	b := s.Chromium()

	stage := b.Open(s.hub + "/")
	stage.Wait("the people", `document.querySelectorAll("#people > li").length === 2 && document.querySelector("#preview li")`)
	a.take("stage-new", stage, true)
	stage.Close()

	p := b.Open(s.hub + "/agent/mei")
	p.Wait("the page to be connected", `!document.querySelector("#duty").disabled`)
	p.Wait("the list to be known", `document.querySelector("#empty").checkVisibility()`)
	a.take("empty", p, false)
	a.takeSmall("empty", p)
	p.Click("#duty")
	p.Wait("the note", `document.querySelector("#duty-note").checkVisibility()`)
	a.take("off-duty", p, false)
	a.takeSmall("off-duty", p)
	p.Click("#duty")
	b.Permission(s.hub, "notifications", browser.Denied)
	p.Navigate(s.hub + "/agent/mei?view=profile")
	p.Wait("the state in words", `document.querySelector("#reopen").checkVisibility()`)
	a.take("profile-denied", p, true)
	a.takeSmall("profile-denied", p)
	b.Permission(s.hub, "notifications", browser.Granted)
	p.Navigate(s.hub + "/agent/mei")
	p.Wait("the page to be connected", `!document.querySelector("#duty").disabled`)

	say := func(contact, kind, text string) {
		s.call("POST", "/demo/messages", map[string]any{"contact": contact, "kind": kind, "text": text, "to": map[string]any{"agent": "mei"}}, nil)
	}
	for i := range 40 {
		say(fmt.Sprintf("Visitor %d", 100+i*7), "text", "Hello?")
	}
	long := "https://shop.example/orders/" + strings.Repeat("8f3a9c", 18)
	say("מבקר 12", "text", "שלום, מתי תגיע החבילה שלי? הזמנה 2290")
	say("زائر 7", "text", "مرحبا، أين طردي؟")
	say("訪客 55", "text", "請問我的包裹什麼時候會到？")
	say("👩‍👩‍👧 Visitor 8", "emoji", "😀")
	say("A visitor whose name is longer than any list is wide", "sticker", "")
	for range 104 {
		say("Visitor 2", "text", "Are you there?")
	}
	for _, m := range []struct{ kind, text string }{
		{"text", "Hello! Two things:\n\n1. Where is my parcel?\n2. Can I change its address?"},
		{"text", strings.Repeat("It should have come last week, and the page of the carrier still says that it was handed over. ", 4)},
		{"text", long},
		{"image", ""},
		{"file", "invoice.pdf"},
		{"emoji", "😀🙏"},
		{"text", "مرحبا، أين طردي؟ order 2290"},
	} {
		say("Ada", m.kind, m.text)
	}
	p.Wait("the list", `document.querySelectorAll("#conversations li").length === 47 && document.querySelector("#total").textContent.startsWith("99+")`)
	p.Wait("no toast", `!document.querySelector("#toasts").firstChild.shadowRoot.querySelector(".toast")`)
	a.take("many", p, false)
	a.takeSmall("many", p)
	openChat := func(contact string) {
		p.Gesture(fmt.Sprintf(`[...document.querySelectorAll("#conversations button")].find((b) => b.querySelector(".contact").textContent === %q).click()`, contact), nil)
	}
	openChat("Ada")
	p.Wait("the chat", `document.querySelectorAll("#lines li").length === 7`)
	a.take("long", p, false)
	p.Type("#reply-text", "Good morning!\n\nIt left our warehouse today and is with you tomorrow.\nThe address can be changed until noon.")
	a.take("typing", p, false)
	a.takeSmall("typing", p)
	p.Gesture(`document.querySelector("#reply").requestSubmit()`, nil)
	p.Wait("the reply", `document.querySelectorAll("#lines li.mine").length === 1`)
	a.take("answered", p, false)
	a.takeSmall("answered", p)
	p.Click("#profile-icon")
	p.Gesture(`document.querySelector("#open-check").click()`, nil)
	a.takeSmall("check", p)
	p.Navigate(s.hub + "/agent/mei")
	p.Wait("the list", `document.querySelectorAll("#conversations li").length === 47`)
	openChat("Visitor 212")
	p.Wait("the chat", `document.querySelectorAll("#lines li").length === 1`)

	// A tunnel brings the phone, which is asked for the code.
	phone := b.Open("about:blank")
	tabCall(t, phone, "Network.enable", nil, nil)
	tabCall(t, phone, "Network.setExtraHTTPHeaders", map[string]any{"headers": map[string]string{"X-Forwarded-For": "203.0.113.7"}}, nil)
	phone.Navigate(s.hub + "/")
	a.take("code", phone, false)
	phone.Close()

	stop()
	p.Wait("the page to say so", `document.querySelector("#connection").innerText.includes("Trying again")`)
	p.Type("#reply-text", "Yes, I am here.")
	p.Gesture(`document.querySelector("#reply").requestSubmit()`, nil)
	p.Wait("the failure", `document.querySelector("#reply-result").checkVisibility()`)
	a.take("disconnected", p, false)
	a.takeSmall("disconnected", p)
	p.Click("#to-list")
	a.take("disconnected-list", p, false)
}
