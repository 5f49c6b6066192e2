//go:build linux && e2e

package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"caac-hub/test/browser"
)

// What Check this device says follows what happens to the device, and each of its
// actions mends what it stands beside.
func TestCheckThisDeviceFollowsTheDeviceAndSetsItUpAgain(t *testing.T) {
	s := newDemo(t)
	b := s.Chromium()
	p := b.Open(s.hub + "/agent/mei")
	p.Wait("the page to be connected", `!document.querySelector("#duty").disabled`)
	state := func(id, want string) string {
		return fmt.Sprintf(`document.querySelector("#checks [data-check=%s]").className === %q`, id, want)
	}
	row := func(id, words string) string {
		return fmt.Sprintf(`document.querySelector("#checks [data-check=%s]").innerText.includes(%q)`, id, words)
	}
	act := func(id string) {
		t.Helper()
		p.Click("#checks [data-check=" + id + "] button")
	}

	// A browser may ask so quietly that nobody sees it, and never have an answer.
	p.Eval(`void (window.asked = Notification.requestPermission, Notification.requestPermission = () => new Promise(() => {}))`, nil)
	p.Click("#banner-grant")
	p.Wait("to be told of the quiet question", `document.querySelector("#enable-result").innerText.includes("crossed-out bell") && !document.querySelector("#banner-grant").ariaDisabled`)
	p.Eval(`void (Notification.requestPermission = async () => "default")`, nil)
	p.Click("#banner-grant")
	p.Wait("to be told how to be asked again", `/closed without an answer.*left of the address bar/.test(document.querySelector("#enable-result").innerText)`)
	p.Eval(`void (Notification.requestPermission = window.asked)`, nil)

	p.SetNotifications(browser.Denied)
	openCheck(p)
	p.Wait("a blocked permission", state("permission", "failed")+` && `+row("permission", "left of the address bar"))
	p.GrantNotifications()
	p.Wait("the permission to be followed", state("permission", "passed")+` && `+state("push", "failed")+` && `+state("dnd", "unknown")+` && !document.querySelector("#banner").checkVisibility()`)
	act("push")
	p.Wait("the subscription", state("push", "passed"))
	act("vpn")
	p.Wait("the push to arrive", state("vpn", "passed"))

	s.duty("mei", false)
	p.Wait("duty to be followed", state("duty", "failed"))
	act("duty")
	p.Wait("to be on duty", state("duty", "passed"))
	other := b.Open(s.hub + "/agent/mei?view=profile")
	other.Wait("the other tab", `document.querySelector("#device-on").checked`)
	// However fast it is moved, the hub has what it says in the end.
	other.Gesture(`[1, 2, 3, 4, 5, 6, 7].forEach(() => document.querySelector("#device-on").click())`, nil)
	other.Gesture(`document.querySelector("#notifications").click()`, nil)
	p.Wait("the settings to be followed", state("settings", "failed")+` && `+row("settings", "on all devices"))
	act("settings")
	p.Wait("the switch to be the last in the way", row("settings", "This device's status switch is off"))
	act("settings")
	p.Wait("nothing to be in the way", state("settings", "passed"))
	other.Wait("the other tab to follow", `document.querySelector("#device-on").checked && document.querySelector("#notifications").checked`)
	other.Close()

	const registration = `navigator.serviceWorker.ready.then((r) => r.pushManager.getSubscription())`
	p.Show()
	p.Eval(registration+`.then((s) => s.unsubscribe())`, nil)
	p.Wait("the lost subscription", state("push", "failed")+` && `+row("push", "no longer has"))
	act("push")
	p.Wait("the new subscription", state("push", "passed"))

	offline := func(on bool) {
		t.Helper()
		tabCall(t, p, "Network.enable", nil, nil)
		tabCall(t, p, "Network.emulateNetworkConditions", map[string]any{"offline": on, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}, nil)
	}
	endpoint := registration + `.then((s) => s?.endpoint ?? "")`
	var before, after, report string
	p.Eval(endpoint, &before)
	offline(true)
	p.Wait("the cut to be followed", state("network", "failed")+` && `+row("network", "Wi-Fi"))
	act("vpn")
	p.Wait("the test not to be sent", row("vpn", "can't be reached"))
	p.Click("#set-up-again")
	p.Wait("nothing to be set up", `document.querySelector("#again-result").innerText.includes("Nothing was changed")`)
	offline(false)
	p.Wait("the network to be back", state("network", "passed"))
	p.Eval(endpoint, &after)
	if before == "" || after != before {
		t.Errorf("the subscription was %q and is %q", before, after)
	}

	code := p.Text("#check-code")
	p.Gesture(`[1, 2].forEach(() => document.querySelector("#set-up-again").click())`, nil)
	p.Wait("all four steps", `document.querySelectorAll("#again-steps .passed").length === 4 && document.querySelector("#again-result").innerText === "This device is set up again."`)
	s.Desktop.WaitNotification(t, "Push test")
	p.Eval(endpoint, &after)
	if after == "" || after == before {
		t.Errorf("the subscription was %q and is %q", before, after)
	}
	p.Wait("every check of push to pass", state("push", "passed")+` && `+state("vpn", "passed")+` && `+state("network", "passed"))
	p.Click("#copy-report")
	p.Eval(`document.querySelector("#report").value`, &report)
	if got := p.Text("#check-code"); got != code || !strings.Contains(report, "device code "+code+"\n") || !strings.Contains(report, "[passed] 1. Push subscription") {
		t.Errorf("the code was %s and is %s; the report says %s", code, got, report)
	}
	var secrets []string
	p.Eval(`(async () => [...Object.values(JSON.parse(localStorage["caac.device"] ?? "{}")), (await `+endpoint+`), ...Object.values((await `+registration+`).toJSON().keys)])()`, &secrets)
	if len(secrets) < 4 {
		t.Errorf("looked for %q alone in the report", secrets)
	}
	for _, secret := range secrets {
		if strings.Contains(report, secret) {
			t.Errorf("the report has %q: %s", secret, report)
		}
	}

	// What fails on the way can be repeated; what was left on the way is mended.
	var script struct{ Identifier string }
	tabCall(t, p, "Page.enable", nil, nil)
	tabCall(t, p, "Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": `{ const really = fetch; window.fetch = (url, o) => o?.method === "PUT" && !sessionStorage.healed
		? Promise.resolve(new Response('{"code":"busy"}', { status: 503 })) : really(url, o); }`}, &script)
	p.Click("#set-up-again")
	p.Wait("the third step to fail", `document.querySelectorAll("#again-steps .passed").length === 2
		&& /did not take the subscription.*try again in a moment/.test(document.querySelector("#again-steps .failed")?.innerText)`)
	p.Wait("the check to say so", state("push", "failed")+` && `+row("vpn", "First turn push on"))
	p.Eval(`void (sessionStorage.healed = 1)`, nil)
	p.Gesture(`location.reload()`, nil)
	p.Wait("push to be back by itself", `document.readyState === "complete" && !document.querySelector("#duty").disabled && `+state("push", "passed"))
	p.Click("#set-up-again")
	p.Wait("all four steps", `document.querySelectorAll("#again-steps .passed").length === 4`)
	tabCall(t, p, "Page.removeScriptToEvaluateOnNewDocument", map[string]any{"identifier": script.Identifier}, nil)

	// The hub may refuse, or be at its limit.
	p.Navigate(s.hub + "/agent/mei?view=profile")
	p.Wait("the page to be connected", `document.querySelector("#device-on").checked && !document.querySelector("#duty").disabled`)
	p.Eval(`void (window.really = fetch, window.fetch = async (url, o) => o?.method === "PATCH"
		? new Response(JSON.stringify({ code: "unavailable", detail: "the store can't be written" }), { status: 503 }) : really(url, o))`, nil)
	p.Click("#device-on")
	p.Wait("to be told", `document.querySelector("#enable-result").innerText.includes("try again in a moment") && document.querySelector("#device-on").checked`)
	p.Eval(`void (window.fetch = really)`, nil)
	p.Click("#device-test")
	p.Wait("the test to be shown", `document.querySelector("#test-result").innerText.startsWith("Shown.")`)
	s.Desktop.WaitNotification(t, "Device test")

	p.Close()
	support := b.Open(s.hub + "/support")
	told := s.message("c9", "mei", "a message for the device")
	s.waitEnds(told)
	pasted, _, _ := strings.Cut(strings.SplitAfter(report, "device code ")[1], "\n")
	support.Eval(`location.hash = "#why?device=`+pasted+`"`, nil)
	support.Wait("support to find the device's message", `document.querySelector("#why .found")?.innerText.includes(`+strconv.Quote(told.Message)+`)`)
	for _, m := range b.Problems() {
		if !strings.Contains(m.String(), "ERR_INTERNET_DISCONNECTED") {
			t.Errorf("a page said: %v", m)
		}
	}
}
