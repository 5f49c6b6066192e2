//go:build linux && e2e && shots

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/test/browser"
)

// TestShots takes pictures of the demo's pages for people to look at, into
// test/shots. It holds nothing.
func TestShots(t *testing.T) {
	const dir = "../shots"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := newStory(t)
	b := s.Chromium()
	mei := s.open(b, "mei")
	mei.grant()
	mei.hide()
	for _, m := range []string{"Hello?", "My order has not come yet."} {
		s.wantEnd(s.message("c-"+m[:2], "mei", m), notify.Push, notify.PageHidden, notify.PushAccepted)
	}
	for name, path := range map[string]string{"stage": "/", "agent": "/agent/mei"} {
		p := b.Open(s.hub + path)
		p.Wait("the page to be drawn", 10*time.Second, `document.readyState === "complete" && document.body.innerText.trim() !== ""`)
		for _, shot := range []browser.Shot{
			{Width: 1280, Height: 800}, {Width: 1280, Height: 800, Dark: true},
			{Width: 390, Height: 844, Scale: 2}, {Width: 390, Height: 844, Scale: 2, Dark: true},
		} {
			scheme := "light"
			if shot.Dark {
				scheme = "dark"
			}
			file := filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, shot.Width, scheme))
			if err := os.WriteFile(file, p.Screenshot(shot), 0o644); err != nil {
				t.Fatal(err)
			}
			t.Log(filepath.Clean(filepath.Join("test", "e2e", file)))
		}
	}
}
