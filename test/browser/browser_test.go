//go:build linux && e2e

package browser_test

import (
	"bytes"
	"context"
	"fmt"
	"image/color"
	"image/png"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	webpush "github.com/SherClockHolmes/webpush-go"
	"go.uber.org/goleak"

	"caac-hub/test/browser"
	"caac-hub/test/browser/chromium"
	"caac-hub/test/browser/firefox"
	"caac-hub/test/desktop"
	"caac-hub/test/pushservice"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// each runs a test in every browser.
func each(t *testing.T, test func(t *testing.T, s *site, b *browser.Browser, front *pushservice.Front)) {
	t.Run("firefox", func(t *testing.T) {
		s := newSite(t)
		test(t, s, s.Firefox(), s.Mozilla.Front)
	})
	t.Run("chromium", func(t *testing.T) {
		s := newSite(t)
		test(t, s, s.Chromium(), s.Google.Front)
	})
}

func openSite(s *site, b *browser.Browser) *browser.Page {
	p := b.Open(s.origin + "/")
	p.Wait("the page's script", "window.ready")
	return p
}

func subscribe(t *testing.T, s *site, p *browser.Page) webpush.Subscription {
	t.Helper()
	p.GrantNotifications()
	p.Gesture("subscribe()", nil)
	return <-s.subscriptions
}

func TestEncryptedPushIsShownClickedReplacedAndGone(t *testing.T) {
	each(t, func(t *testing.T, s *site, b *browser.Browser, front *pushservice.Front) {
		p := openSite(s, b)
		sub := subscribe(t, s, p)

		p.Hide()
		s.mustPush(t, sub, map[string]any{"title": "first", "body": "héllo <b>✓</b> & more", "tag": "t"})
		n := s.Desktop.WaitNotification(t, "first")
		if n.Body != "héllo <b>✓</b> & more" {
			t.Errorf("body %q", n.Body)
		}
		r := front.Requests()[0]
		if r.TTL != 60 || r.Topic != "topic1" || r.Urgency != "high" || r.VAPID.Subject != "https://example.com" || r.Status != http.StatusCreated {
			t.Errorf("recorded: %+v", r)
		}

		s.mustPush(t, sub, map[string]any{"title": "second", "tag": "t"})
		s.Desktop.Wait(t, "the second in place of the first", func(shown []desktop.Notification) bool {
			return len(shown) == 1 && shown[0].Title == "second"
		})
		s.waitReport(t, "push", "second")

		s.Desktop.Click(t, s.Desktop.WaitNotification(t, "second"), "")
		s.waitReport(t, "click", "second")
		p.Wait("the click to bring the page to the front", `document.visibilityState === "visible"`)
		s.Desktop.WaitNothing(t)

		p.Close()
		s.mustPush(t, sub, map[string]any{"title": "third", "tag": "t"})
		n = s.Desktop.WaitNotification(t, "third")
		s.waitReport(t, "push", "third")
		s.Desktop.Click(t, n, "")
		p = b.WaitPage(s.origin + "/?opened")
		s.waitReport(t, "click", "third")

		s.mustPush(t, sub, map[string]any{"title": "fourth"})
		s.Desktop.Dismiss(t, s.Desktop.WaitNotification(t, "fourth"))
		s.waitReport(t, "close", "fourth")

		p.Wait("the page's script", "window.ready")
		p.Eval("unsubscribe()", nil)
		// Chromium tells its push service a moment after it told the page.
		waitFor(t, "a push after unsubscribe to be answered 410", func() bool {
			return s.push(t, sub, map[string]any{"title": "late"}) == http.StatusGone
		})
		if problems := b.Problems(); len(problems) > 0 {
			t.Errorf("pages said: %v", problems)
		}
	})
}

func TestPushServiceFailsOnDemandAndHoldsBack(t *testing.T) {
	each(t, func(t *testing.T, s *site, b *browser.Browser, front *pushservice.Front) {
		sub := subscribe(t, s, openSite(s, b))
		front.AnswerNext(token(sub), pushservice.Answer{Status: 429, RetryAfter: "7"}, pushservice.Answer{Status: 403})
		for _, want := range []int{429, 403, 201} {
			if status := s.push(t, sub, map[string]any{"title": "after faults"}); status != want {
				t.Errorf("answered %d, not %d", status, want)
			}
		}
		s.Desktop.Dismiss(t, s.Desktop.WaitNotification(t, "after faults"))
		if status := s.push(t, stranger(sub), nil); status != http.StatusGone {
			t.Errorf("an unknown endpoint was answered %d", status)
		}

		front.Hold()
		for _, title := range []string{"held", "held and newer"} { // of one topic
			s.mustPush(t, sub, map[string]any{"title": title})
		}
		if shown := s.Desktop.Shown(); len(shown) != 0 {
			t.Errorf("shown while held: %s", desktop.Describe(shown))
		}
		front.Release()
		s.Desktop.WaitNotification(t, "held and newer")
		for _, n := range s.Desktop.History() {
			if n.Title == "held" {
				t.Error("the push that was replaced was delivered")
			}
		}
	})
}

func TestFrozenBrowserShowsThePushWhenItThaws(t *testing.T) {
	each(t, func(t *testing.T, s *site, b *browser.Browser, _ *pushservice.Front) {
		sub := subscribe(t, s, openSite(s, b))
		b.Freeze()
		s.mustPush(t, sub, map[string]any{"title": "thawed"})
		if shown := s.Desktop.Shown(); len(shown) != 0 {
			t.Errorf("a frozen browser shows %s", desktop.Describe(shown))
		}
		b.Thaw()
		s.Desktop.WaitNotification(t, "thawed")
	})
}

func TestPushForAClosedBrowserIsShownAfterRestartWithoutAPage(t *testing.T) {
	each(t, func(t *testing.T, s *site, b *browser.Browser, _ *pushservice.Front) {
		sub := subscribe(t, s, openSite(s, b))
		b.Quit()
		waitFor(t, "the push service to know that the browser is away", func() bool { return s.Google.Browsers()+s.Mozilla.Browsers() == 0 })
		s.mustPush(t, sub, map[string]any{"title": "while closed"})
		b.Restart()
		s.Desktop.WaitNotification(t, "while closed")
	})
}

func TestPageIsHiddenShownTypedClickedAndPhotographed(t *testing.T) {
	each(t, func(t *testing.T, s *site, b *browser.Browser, _ *pushservice.Front) {
		p := openSite(s, b)
		p.Hide()
		p.Show()
		p.Hide()
		p.Show()
		p.Click("#hello")
		if title := p.Title(); title != "clicked" {
			t.Errorf("title %q", title)
		}
		p.Type("#name", "Mei")
		var name string
		if p.Eval(`document.querySelector("#name").value`, &name); name != "Mei" {
			t.Errorf("typed %q", name)
		}
		for _, dark := range []bool{false, true} {
			picture, err := png.Decode(bytes.NewReader(p.Screenshot(browser.Shot{Width: 320, Height: 240, Dark: dark})))
			if err != nil {
				t.Fatal(err)
			}
			if size := picture.Bounds().Size(); size.X != 320 || size.Y != 240 {
				t.Errorf("a picture of %v", size)
			}
			white := color.GrayModel.Convert(picture.At(310, 230)).(color.Gray).Y > 128
			if white == dark {
				t.Errorf("dark %v: the background is white: %v", dark, white)
			}
		}

		p.Eval(`(console.error("wrong", 7), setTimeout(() => { throw new Error("thrown") }), 0)`, nil)
		for _, want := range []string{"wrong 7", "thrown"} {
			waitFor(t, "the message "+want, func() bool {
				return slices.ContainsFunc(b.Problems(), func(m browser.Message) bool { return strings.Contains(m.Text, want) })
			})
		}
		if len(b.Problems()) != 2 {
			t.Errorf("problems: %v", b.Problems())
		}
	})
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestDeniedPermissionIsSeenByThePage(t *testing.T) {
	each(t, func(t *testing.T, s *site, b *browser.Browser, _ *pushservice.Front) {
		p := openSite(s, b)
		p.SetNotifications(browser.Denied)
		p.SetNotifications(browser.Granted)
		p.SetNotifications(browser.Prompt)
	})
}

func TestNativePromptIsAnswered(t *testing.T) {
	s := newSite(t)
	b := s.Firefox() // a headless Chromium answers by itself
	p := openSite(s, b)
	for allow, want := range map[bool]string{true: "granted", false: "denied"} {
		p.SetNotifications(browser.Prompt)
		p.Gesture("void (window.answer = null, Notification.requestPermission().then((a) => { window.answer = a }))", nil)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		if err := b.Driver().(*firefox.Driver).AnswerPrompt(ctx, allow); err != nil {
			t.Fatal(err)
		}
		cancel()
		p.Wait("the answer "+want, `window.answer === "`+want+`"`)
	}
}

func TestUnfocusedWindowIsVisibleAndOfTwoTabsOnlyTheFrontOneHasFocus(t *testing.T) {
	each(t, func(t *testing.T, s *site, b *browser.Browser, _ *pushservice.Front) {
		const visible, focused = `document.visibilityState === "visible"`, `document.hasFocus()`
		first := openSite(s, b)
		b.OpenUnfocused(s.origin + "/")
		first.Wait("the first page to keep its focus", visible+" && "+focused)
		second := b.Open(s.origin + "/")
		second.Wait("the second tab to have the focus", visible+" && "+focused)
		first.Wait("the first tab to be hidden without focus", "!("+visible+") && !"+focused)
	})
}

func TestInstalledAppShowsItsBadge(t *testing.T) {
	s := newSite(t)
	b := s.Chromium()
	p := openSite(s, b)
	sub := subscribe(t, s, p)
	driver := b.Driver().(*chromium.Driver)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	app, err := driver.Install(ctx, s.origin+"/")
	if err != nil {
		t.Fatal(err)
	}
	if alone, err := app.Eval(ctx, `matchMedia("(display-mode: standalone)").matches`, false); err != nil || string(alone) != "true" {
		t.Errorf("standalone: %s, %v", alone, err)
	}
	for _, n := range []int{3, 7, 0} {
		s.mustPush(t, sub, map[string]any{"title": "badge", "tag": "badge", "badge": n})
		s.waitReport(t, "push", "badge")
		waitFor(t, fmt.Sprintf("a badge of %d", n), func() bool {
			got, err := driver.Badge(ctx, s.origin+"/")
			if err != nil {
				t.Fatal(err)
			}
			return got == n
		})
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	temporary, err := os.MkdirTemp("", "left-") // not t.TempDir: sockets' paths must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temporary)
	t.Setenv("TMPDIR", temporary)
	var members []func() []int
	t.Run("inner", func(t *testing.T) {
		s := newSite(t)
		for _, b := range []*browser.Browser{s.Firefox(), s.Chromium()} {
			p := openSite(s, b)
			subscribe(t, s, p)
			process := b.Driver().Process()
			if len(process.Members()) < 2 {
				t.Errorf("%s has the processes %v", b.Name(), process.Members())
			}
			members = append(members, process.Members)
		}
	})
	for _, left := range members {
		if pids := left(); len(pids) > 0 {
			t.Errorf("processes left behind: %v", pids)
		}
	}
	left, err := os.ReadDir(temporary)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		t.Errorf("left behind: %s", entry.Name())
	}
}
