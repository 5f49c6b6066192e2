//go:build linux

package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every single thing asked of a browser and every wait. It is
// for a machine where many programs share few processors.
const patience = time.Minute

// step is how long a wait for something a page does not announce sleeps
// between looks.
const step = 10 * time.Millisecond

// Launch starts a browser program whose profile lies below dir, a folder with
// a short path. The folders "profile" and "tmp" are there.
type Launch func(ctx context.Context, dir string) (Driver, error)

// Browser is a browser with a profile of its own, as a test uses it: whatever
// goes wrong fails the test. Use For to work with it in a subtest.
type Browser struct {
	t testing.TB
	*state
}

type state struct {
	name   string
	launch Launch
	dir    string
	driver Driver // nil when the browser is not running

	mu          sync.Mutex
	permissions map[[2]string]Permission // by origin and name
	earlier     []Message                // from before a restart
}

// Start starts a browser. It ends with the test and takes its profile with it.
func Start(t testing.TB, name string, launch Launch) *Browser {
	t.Helper()
	dir, err := os.MkdirTemp("", "caac-")
	if err != nil {
		t.Fatal(err)
	}
	b := &Browser{t, &state{name: name, launch: launch, dir: dir, permissions: map[[2]string]Permission{}}}
	t.Cleanup(func() {
		b.Quit()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	for _, sub := range []string{"profile", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b.run()
	return b
}

// For is the same browser in a subtest.
func (b *Browser) For(t testing.TB) *Browser { return &Browser{t, b.state} }

// Name is the browser's name.
func (b *Browser) Name() string { return b.name }

// Driver is what drives it, for what only one browser can do.
func (b *Browser) Driver() Driver { return b.driver }

func (b *Browser) run() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	driver, err := b.launch(ctx, b.dir)
	if err != nil {
		b.t.Fatalf("start %s: %v", b.name, err)
	}
	b.driver = driver
	for key, state := range b.permissions {
		if err := driver.SetPermission(ctx, key[0], key[1], state); err != nil {
			b.t.Fatalf("%s: %v", b.name, err)
		}
	}
}

// Open opens a page in front and returns when it has loaded.
func (b *Browser) Open(url string) *Page {
	b.t.Helper()
	return b.open(url, InTab)
}

// OpenWindow opens a page in a window of its own, in front.
func (b *Browser) OpenWindow(url string) *Page {
	b.t.Helper()
	return b.open(url, InWindow)
}

// OpenUnfocused opens a page in a window that is visible and has no focus, as
// on a second monitor.
func (b *Browser) OpenUnfocused(url string) *Page {
	b.t.Helper()
	p := b.open(url, InUnfocusedWindow)
	p.Wait("the page to be visible without focus", `document.visibilityState === "visible" && !document.hasFocus()`)
	return p
}

func (b *Browser) open(url string, place Place) *Page {
	b.t.Helper()
	ctx, cancel := b.patience()
	defer cancel()
	tab, err := b.driver.NewTab(ctx, url, place, nil)
	if err != nil {
		b.t.Fatalf("%s: open %s: %v", b.name, url, err)
	}
	return &Page{b: b, t: b.t, tab: tab, cover: new(Tab)}
}

// Pages are the open pages whose URL starts with prefix.
func (b *Browser) Pages(prefix string) []*Page {
	b.t.Helper()
	ctx, cancel := b.patience()
	defer cancel()
	tabs, err := b.driver.Tabs(ctx)
	if err != nil {
		b.t.Fatalf("%s: %v", b.name, err)
	}
	var pages []*Page
	for _, tab := range tabs {
		// A page may close between the list and the question.
		if url, err := tab.URL(ctx); err == nil && strings.HasPrefix(url, prefix) {
			pages = append(pages, &Page{b: b, t: b.t, tab: tab, cover: new(Tab)})
		}
	}
	return pages
}

// WaitPage waits for an open page whose URL starts with prefix: one that a
// click on a notification opens, say.
func (b *Browser) WaitPage(prefix string) *Page {
	b.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(step) {
		if pages := b.Pages(prefix); len(pages) > 0 {
			return pages[0]
		}
		if time.Now().After(end) {
			b.t.Fatalf("%s: no page %s… within %v", b.name, prefix, patience)
		}
	}
}

// Permission answers for origin what the browser would ask, as if the person
// had answered before. It outlives Restart.
func (b *Browser) Permission(origin, name string, state Permission) {
	b.t.Helper()
	ctx, cancel := b.patience()
	defer cancel()
	if err := b.driver.SetPermission(ctx, origin, name, state); err != nil {
		b.t.Fatalf("%s: %v", b.name, err)
	}
	b.mu.Lock()
	b.permissions[[2]string{origin, name}] = state
	b.mu.Unlock()
}

// Freeze stops all of the browser's processes, as a suspended machine would.
// Nothing may be asked of its pages before Thaw.
func (b *Browser) Freeze() {
	b.t.Helper()
	if err := b.driver.Process().Freeze(); err != nil {
		b.t.Fatalf("freeze %s: %v", b.name, err)
	}
}

// Thaw lets a frozen browser go on.
func (b *Browser) Thaw() {
	b.t.Helper()
	if err := b.driver.Process().Thaw(); err != nil {
		b.t.Fatalf("thaw %s: %v", b.name, err)
	}
}

// Quit ends the browser; its profile stays for Restart.
func (b *Browser) Quit() {
	b.t.Helper()
	if b.driver == nil {
		return
	}
	b.mu.Lock()
	b.earlier = append(b.earlier, b.driver.Messages()...)
	b.mu.Unlock()
	ctx, cancel := b.patience()
	defer cancel()
	if err := b.driver.Quit(ctx); err != nil {
		b.t.Errorf("quit %s: %v", b.name, err)
	}
	b.driver = nil
}

// Kill ends the browser without warning, as a power cut would.
func (b *Browser) Kill() {
	b.t.Helper()
	if err := b.driver.Process().Kill(); err != nil {
		b.t.Errorf("kill %s: %v", b.name, err)
	}
	b.Quit()
}

// Restart starts the browser again with the same profile, quitting it first if
// it runs. Pages of before are gone.
func (b *Browser) Restart() {
	b.t.Helper()
	b.Quit()
	b.run()
}

// Messages are what pages wrote to their consoles and what they threw.
func (b *Browser) Messages() []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.driver == nil {
		return slices.Clone(b.earlier)
	}
	return append(slices.Clone(b.earlier), b.driver.Messages()...)
}

// Problems are the errors among Messages.
func (b *Browser) Problems() []Message {
	return slices.DeleteFunc(b.Messages(), func(m Message) bool { return m.Level != "error" && !m.Thrown })
}

func (b *Browser) patience() (context.Context, context.CancelFunc) {
	if b.driver == nil {
		b.t.Helper()
		b.t.Fatalf("%s is not running", b.name)
	}
	return context.WithTimeout(context.Background(), patience)
}

func (m Message) String() string {
	return fmt.Sprintf("%s: %s (%s)", m.Level, m.Text, m.Where)
}
