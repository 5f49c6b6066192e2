//go:build linux

// Package chromium drives Chromium over the DevTools protocol by a pipe: no port
// is opened, and what is only served over a pipe (installed apps) is there.
package chromium

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"caac-hub/test/browser"
	"caac-hub/test/browser/remote"
	"caac-hub/test/process"
)

// Debian's /usr/bin/chromium is a script around it that adds flags of its own.
const program = "/usr/lib/chromium/chromium"

// Options of Start.
type Options struct {
	Environment []string // NAME=value: the desktop's
	Flags       []string // the push service's
}

// Start starts a Chromium with a profile of its own; both end with the test.
func Start(t testing.TB, o Options) *browser.Browser {
	t.Helper()
	return browser.Start(t, "chromium", func(ctx context.Context, dir string) (browser.Driver, error) {
		return launch(ctx, dir, o)
	})
}

// Driver drives one Chromium.
type Driver struct {
	process *process.Process
	conn    *remote.Conn

	mu       sync.Mutex
	changed  chan struct{}   // closed and replaced with every page attached
	tabs     map[string]*Tab // by target
	sessions map[string]*Tab
	messages []browser.Message
}

func launch(ctx context.Context, dir string, o Options) (*Driver, error) {
	commandsOut, commandsIn, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	answersOut, answersIn, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, append([]string{
		"--headless=new",
		"--no-sandbox", // the tests run as root
		"--remote-debugging-pipe",
		"--user-data-dir=" + filepath.Join(dir, "profile"),
		"--no-first-run",
		"--no-default-browser-check",
		"--disable-gpu",
		"--disable-dev-shm-usage",
		"--disable-breakpad",
		"--disable-sync",
		"--disable-component-update",
		"--password-store=basic",
	}, append(o.Flags, "about:blank")...)...)
	cmd.Env = append(append(os.Environ(), "HOME="+dir, "TMPDIR="+filepath.Join(dir, "tmp")), o.Environment...)
	cmd.ExtraFiles = []*os.File{commandsOut, answersIn} // its descriptors 3 and 4
	p, err := process.Start(cmd)
	commandsOut.Close()
	answersIn.Close()
	if err != nil {
		commandsIn.Close()
		answersOut.Close()
		return nil, err
	}
	d := &Driver{process: p, changed: make(chan struct{}), tabs: map[string]*Tab{}, sessions: map[string]*Tab{}}
	d.conn = remote.New(&pipe{in: bufio.NewReaderSize(answersOut, 1<<20), answers: answersOut, commands: commandsIn}, d.event)
	// Every page is attached to as it appears, whoever opened it.
	err = d.Call(ctx, "Target.setAutoAttach", object{
		"autoAttach": true, "waitForDebuggerOnStart": false, "flatten": true,
		"filter": []object{{"type": "page"}, {"exclude": true}},
	}, nil)
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, p.Output())
		d.Quit(ctx)
		return nil, err
	}
	return d, nil
}

type object = map[string]any

// pipe carries messages that end in a zero byte.
type pipe struct {
	in       *bufio.Reader
	answers  *os.File
	commands *os.File
}

func (p *pipe) Read() ([]byte, error) {
	data, err := p.in.ReadBytes(0)
	return bytes.TrimSuffix(data, []byte{0}), err
}

func (p *pipe) Write(data []byte) error {
	// A frozen browser reads nothing, and the pipe is full at some point.
	p.commands.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, err := p.commands.Write(append(data, 0))
	return err
}

func (p *pipe) Close() error {
	p.commands.Close()
	return p.answers.Close()
}

// Call calls a method of the DevTools protocol on the browser itself.
func (d *Driver) Call(ctx context.Context, method string, params, result any) error {
	return d.conn.Call(ctx, "", method, params, result)
}

// Process is the program.
func (d *Driver) Process() *process.Process { return d.process }

// Quit ends the program.
func (d *Driver) Quit(ctx context.Context) error {
	quitting, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// It may be frozen, killed or gone: what is left is killed.
	_ = d.Call(quitting, "Browser.close", nil, nil)
	err := d.process.Quit(20 * time.Second)
	d.conn.Close()
	return err
}

// NewTab opens a page. Beside is activated first: Chromium opens tabs in the
// window that was last in front.
func (d *Driver) NewTab(ctx context.Context, url string, place browser.Place, beside browser.Tab) (browser.Tab, error) {
	if beside != nil {
		if err := beside.Activate(ctx); err != nil {
			return nil, err
		}
	}
	params := object{"url": "about:blank"}
	switch place {
	case browser.InWindow:
		params["newWindow"] = true
	case browser.InUnfocusedWindow:
		params["newWindow"], params["background"] = true, true
	}
	var created struct{ TargetID string }
	if err := d.Call(ctx, "Target.createTarget", params, &created); err != nil {
		return nil, err
	}
	tab, err := d.attached(ctx, created.TargetID)
	if err != nil {
		return nil, err
	}
	if url != "about:blank" {
		if err := tab.Navigate(ctx, url); err != nil {
			return nil, err
		}
	}
	return tab, nil
}

// Tabs are the open pages.
func (d *Driver) Tabs(context.Context) ([]browser.Tab, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var tabs []browser.Tab
	for _, tab := range d.tabs {
		tabs = append(tabs, tab)
	}
	return tabs, nil
}

// attached waits until a page has been attached to.
func (d *Driver) attached(ctx context.Context, target string) (*Tab, error) {
	for {
		d.mu.Lock()
		tab, changed := d.tabs[target], d.changed
		d.mu.Unlock()
		if tab != nil {
			return tab, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("page %s was not attached to: %w", target, ctx.Err())
		}
	}
}

// SetPermission answers what a person would be asked.
func (d *Driver) SetPermission(ctx context.Context, origin, name string, state browser.Permission) error {
	return d.Call(ctx, "Browser.setPermission", object{
		"origin": origin, "permission": object{"name": name}, "setting": state,
	}, nil)
}

// Install installs the app of the page's manifest, as from the address bar, and
// opens it in its own window. Its manifest's id must be given whole.
func (d *Driver) Install(ctx context.Context, manifestID string) (browser.Tab, error) {
	d.mu.Lock()
	before := map[string]bool{}
	for target := range d.tabs {
		before[target] = true
	}
	d.mu.Unlock()
	id := object{"manifestId": manifestID}
	if err := d.Call(ctx, "PWA.install", object{"manifestId": manifestID, "installUrlOrBundleUrl": manifestID}, nil); err != nil {
		return nil, err
	}
	if err := d.Call(ctx, "PWA.changeAppUserSettings", object{"manifestId": manifestID, "displayMode": "standalone"}, nil); err != nil {
		return nil, err
	}
	if err := d.Call(ctx, "PWA.launch", id, nil); err != nil {
		return nil, err
	}
	// The launch names a target of another type; the page is the one that is new.
	for {
		d.mu.Lock()
		changed := d.changed
		var app *Tab
		for target, tab := range d.tabs {
			if !before[target] {
				app = tab
			}
		}
		d.mu.Unlock()
		if app != nil {
			return app, app.loaded(ctx)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("the app %s opened no page: %w", manifestID, ctx.Err())
		}
	}
}

// Badge is the number on an installed app's icon, 0 for none.
func (d *Driver) Badge(ctx context.Context, manifestID string) (int, error) {
	var state struct{ BadgeCount int }
	err := d.Call(ctx, "PWA.getOsAppState", object{"manifestId": manifestID}, &state)
	return state.BadgeCount, err
}

// Messages are what pages said.
func (d *Driver) Messages() []browser.Message {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]browser.Message(nil), d.messages...)
}

// event takes what Chromium tells by itself.
func (d *Driver) event(e remote.Event) {
	switch e.Method {
	case "Target.attachedToTarget":
		var p struct {
			SessionID  string
			TargetInfo struct{ TargetID string }
		}
		if json.Unmarshal(e.Params, &p) == nil {
			tab := &Tab{d: d, target: p.TargetInfo.TargetID, session: p.SessionID}
			// The answers come to the goroutine this runs in.
			go tab.listen()
			d.mu.Lock()
			d.tabs[tab.target], d.sessions[tab.session] = tab, tab
			close(d.changed)
			d.changed = make(chan struct{})
			d.mu.Unlock()
		}
	case "Target.detachedFromTarget":
		var p struct{ SessionID string }
		if json.Unmarshal(e.Params, &p) == nil {
			d.mu.Lock()
			if tab := d.sessions[p.SessionID]; tab != nil {
				delete(d.sessions, p.SessionID)
				delete(d.tabs, tab.target)
			}
			d.mu.Unlock()
		}
	default:
		if m, ok := message(e); ok {
			d.mu.Lock()
			if tab := d.sessions[e.Session]; tab != nil {
				m.Tab = tab.target
			}
			d.messages = append(d.messages, m)
			d.mu.Unlock()
		}
	}
}
