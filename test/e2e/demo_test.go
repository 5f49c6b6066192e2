//go:build linux && e2e

package e2e

import (
	"context"
	"strconv"
	"testing"

	"caac-hub/hub/notify"
	"caac-hub/test/browser"
	"caac-hub/test/browser/firefox"
)

// The demo as a newcomer uses it, by its own pages and nothing else.
func TestFirstMinuteOfTheDemo(t *testing.T) {
	eachBrowser(t, newDemo, func(s *story, b *browser.Browser) {
		stage, _ := s.firstMinute(b)
		for _, says := range []string{
			"in the page only: you are looking at it",
			"push: the page is open, but hidden",
			"push: no page is open",
		} {
			stage.Wait("the reason "+says, `[...document.querySelectorAll("#timeline > li")].filter((li) => li.innerText.includes(`+strconv.Quote(says)+`)).length === 1`)
		}
		mei := b.Open(s.hub + "/agent/mei?view=check")
		mei.Wait("the checks", `document.querySelector("#checks [data-check=push]")?.className === "passed"`)
		mei.Click("#set-up-again")
		mei.Wait("all four steps", `document.querySelectorAll("#again-steps .passed").length === 4 && document.querySelector("#again-result").innerText === "This device is set up again."`)
		mei.Wait("the checks of push to pass", `["push", "vpn", "network"].every((id) => document.querySelector("#checks [data-check=" + id + "]").className === "passed")`)
		for _, m := range b.Problems() {
			s.t.Errorf("a page said: %v", m)
		}
	})
}

// firstMinute goes through the stage's steps and returns with three messages
// told and the stage in front. Mei's page has the chat open.
func (s *story) firstMinute(b *browser.Browser) (stage, mei *browser.Page) {
	s.t.Helper()
	stage = b.Open(s.hub + "/")
	clickOn(stage, "Open Mei")
	mei = b.WaitPage(s.hub + "/agent/mei")
	s.grantByHand(b, mei)
	// At once: a test waits for the subscription that is under way.
	clickOn(mei, "Push test")
	s.Desktop.WaitNotification(s.t, "Push test")
	mei.Wait("the delay of the test", `/received after \d+(\.\d+)? s/i.test(document.querySelector("#test-result").innerText)`)
	mei.Wait("the state of push", `document.body.innerText.includes("Push reaches this device")`)
	mei.Click("#profile .back")

	mei.Hide() // so that there is a tab to look at within the 5 s
	mei.Show()
	(&agent{mei, s, "mei"}).waitPresence(notify.Active)
	clickOn(mei, "now")
	mei.Wait("the count in the title", `document.title === "(1) CAAC"`)
	mei.Wait("a toast", `[...document.querySelectorAll("[role=status]")].some((host) => host.shadowRoot?.textContent.includes("Where is my parcel?"))`)
	mei.Wait("the reason in words", `document.querySelector("#write-result").innerText.includes("in the page only: you are looking at it")`)

	clickOn(mei, "in 5 s")
	mei.Wait("the promise", `document.querySelector("#write-result").innerText.startsWith("Comes in 5 s")`)
	mei.Hide()
	n := s.Desktop.WaitNotification(s.t, "Ada")
	s.Desktop.Click(s.t, n, "")
	mei.Wait("the click to open the chat", `document.visibilityState === "visible" && document.querySelectorAll("#lines li").length === 2`)
	mei.Wait("the chat to be read", `document.title === "Ada · CAAC"`)

	clickOn(mei, "in 5 s")
	mei.Wait("the promise", `document.querySelector("#write-result").innerText.startsWith("Comes in 5 s")`)
	mei.Close()
	n = s.Desktop.WaitNotification(s.t, "Ada")
	s.Desktop.Click(s.t, n, "")
	mei = b.WaitPage(s.hub + "/agent/mei?conversation=")
	mei.Wait("the click to open the chat", `document.querySelectorAll("#lines li").length === 3`)

	stage.Show()
	stage.Wait("three messages, all ended", `document.querySelectorAll("#timeline > li").length === 3 && !document.querySelector("#timeline").innerText.includes("on its way")`)
	stage.Wait("every step to be done", `document.querySelectorAll("#steps li.done").length === 6`)
	return stage, mei
}

// grantByHand leads from the banner to the sentence that says so, and leaves
// "My profile" open.
func (s *story) grantByHand(b *browser.Browser, mei *browser.Page) {
	s.t.Helper()
	mei.Wait("the page to be connected", `document.readyState === "complete" && !document.querySelector("#duty").disabled`)
	mei.Wait("the banner", `document.querySelector("#banner").checkVisibility()`)
	if driver, ok := b.Driver().(*firefox.Driver); ok {
		clickOn(mei, "Grant browser notification")
		ctx, cancel := context.WithTimeout(s.t.Context(), patience)
		defer cancel()
		if err := driver.AnswerPrompt(ctx, true); err != nil {
			s.t.Fatal(err)
		}
		openProfile(mei)
	} else {
		// Headless Chromium answers its prompt with no, so it is answered before.
		mei.GrantNotifications()
		openProfile(mei)
		clickOn(mei, "Turn push on here")
	}
	mei.Wait("the state in words", `document.querySelector("#permission-words").innerText === "Browser notification is granted."`)
}

// openProfile opens "My profile" by the icon at the bottom left.
func openProfile(p *browser.Page) {
	p.Click("#profile-icon")
	clickOn(p, "My profile")
}

// clickOn clicks the button or link that says so.
func clickOn(p *browser.Page, says string) {
	found := `[...document.querySelectorAll("button, a")].find((e) => e.checkVisibility() && !e.disabled && !e.ariaDisabled && e.textContent.trim() === ` + strconv.Quote(says) + `)`
	p.Wait("the button "+says, found)
	p.Gesture(found+`.click()`, nil)
}
