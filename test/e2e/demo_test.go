//go:build linux && e2e

package e2e

import (
	"context"
	"testing"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/test/browser"
	"caac-hub/test/browser/firefox"
)

// The demo's own page, as a newcomer uses it: from the banner's button to the
// native prompt to the sentence that says so.
func TestBannerOfTheDemoLeadsToGrantedAndAPushTest(t *testing.T) {
	s := newStory(t)
	b := s.Firefox()
	p := b.Open(s.hub + "/agent/mei")
	p.Wait("the banner", 15*time.Second, `[...document.querySelectorAll("button")].some((b) => b.checkVisibility() && b.textContent.trim() === "Grant browser notification")`)
	clickButton(p, "Grant browser notification")
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if err := b.Driver().(*firefox.Driver).AnswerPrompt(ctx, true); err != nil {
		t.Fatal(err)
	}
	(&agent{p, s, "mei"}).waitPresence(notify.Active)
	clickButton(p, "My profile")
	p.Wait("the state in words", 15*time.Second, `document.body.innerText.includes("Browser notification is granted.")`)
	p.Wait("the subscription", 15*time.Second, `document.body.innerText.includes("Push reaches this device")`)
	clickButton(p, "Push test")
	s.Desktop.WaitNotification(t, "Push test", 15*time.Second)
	p.Wait("the delay of the test", 15*time.Second, `/received after \d+(\.\d+)? s/i.test(document.body.innerText)`)
}

// clickButton clicks the button that says so.
func clickButton(p *browser.Page, says string) {
	p.Wait("the button "+says, 10*time.Second, `[...document.querySelectorAll("button")].some((b) => b.checkVisibility() && !b.disabled && b.textContent.trim() === "`+says+`")`)
	p.Gesture(`[...document.querySelectorAll("button")].find((b) => b.checkVisibility() && !b.disabled && b.textContent.trim() === "`+says+`").click()`, nil)
}
