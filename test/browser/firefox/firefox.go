//go:build linux

// Package firefox drives Firefox over WebDriver BiDi.
package firefox

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"caac-hub/test/browser"
	"caac-hub/test/browser/remote"
	"caac-hub/test/process"
)

const program = "firefox-esr"

// Options of Start.
type Options struct {
	Environment []string       // NAME=value: the desktop's
	Preferences map[string]any // the push service's
}

// Start starts a Firefox with a profile of its own; both end with the test.
func Start(t testing.TB, o Options) *browser.Browser {
	t.Helper()
	return browser.Start(t, "firefox", func(ctx context.Context, dir string) (browser.Driver, error) {
		return launch(ctx, dir, o)
	})
}

// preferences keep Firefox from what a test does not want, and show
// notifications on the desktop.
var preferences = map[string]any{
	"alerts.useSystemBackend": true,
	// Remote control would set it, and every page would report focus for ever,
	// and a worker's focus() would not switch tabs.
	"focusmanager.testmode": false,

	"dom.webnotifications.enabled":               true,
	"browser.shell.checkDefaultBrowser":          false,
	"browser.startup.page":                       0,
	"browser.startup.homepage_override.mstone":   "ignore",
	"browser.aboutwelcome.enabled":               false,
	"browser.tabs.warnOnClose":                   false,
	"browser.sessionstore.resume_from_crash":     false,
	"toolkit.startup.max_resumed_crashes":        -1,
	"datareporting.policy.dataSubmissionEnabled": false,
	"toolkit.telemetry.reportingpolicy.firstRun": false,
	"app.normandy.enabled":                       false,
	"app.update.disabledForTesting":              true,
	"extensions.update.enabled":                  false,
	"browser.safebrowsing.update.enabled":        false,
	"network.captive-portal-service.enabled":     false,
	"network.connectivity-service.enabled":       false,
	"dom.ipc.processPrelaunch.enabled":           false,
}

// Driver drives one Firefox.
type Driver struct {
	process *process.Process
	conn    *remote.Conn

	mu       sync.Mutex
	messages []browser.Message
}

type object = map[string]any

func launch(ctx context.Context, dir string, o Options) (*Driver, error) {
	profile := filepath.Join(dir, "profile")
	if err := writePreferences(profile, preferences, o.Preferences); err != nil {
		return nil, err
	}
	// System access is needed for the colour scheme, a preference.
	cmd := exec.Command(program, "--headless", "--no-remote", "--profile", profile,
		"--remote-debugging-port=0", "--remote-allow-system-access", "about:blank")
	cmd.Env = append(append(os.Environ(), "HOME="+dir, "TMPDIR="+filepath.Join(dir, "tmp"), "MOZ_HEADLESS=1", "MOZ_CRASHREPORTER_DISABLE=1"), o.Environment...)
	output, input, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = input
	p, err := process.Start(cmd)
	input.Close()
	if err != nil {
		output.Close()
		return nil, err
	}
	d := &Driver{process: p}
	address, err := listening(ctx, output, p)
	if err == nil {
		err = d.connect(ctx, address)
	}
	if err != nil {
		d.Quit(ctx)
		return nil, err
	}
	return d, nil
}

func writePreferences(profile string, sets ...map[string]any) error {
	var b strings.Builder
	for _, set := range sets {
		for name, value := range set {
			text, err := json.Marshal(value)
			if err != nil {
				return fmt.Errorf("preference %s: %w", name, err)
			}
			fmt.Fprintf(&b, "user_pref(%q, %s);\n", name, text)
		}
	}
	return os.WriteFile(filepath.Join(profile, "user.js"), []byte(b.String()), 0o600)
}

// listening reads Firefox's standard error up to the address it listens at, and
// in the background to its end.
func listening(ctx context.Context, output io.ReadCloser, p *process.Process) (string, error) {
	found := make(chan string, 1)
	said := make(chan string, 1)
	go func() {
		defer output.Close()
		var all strings.Builder
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			if _, address, ok := strings.Cut(lines.Text(), "WebDriver BiDi listening on "); ok {
				found <- strings.TrimSpace(address)
				io.Copy(io.Discard, output)
				return
			}
			all.WriteString(lines.Text() + "\n")
		}
		said <- all.String()
	}()
	select {
	case address := <-found:
		return address, nil
	case text := <-said:
		return "", fmt.Errorf("it ended: %s", text)
	case <-ctx.Done():
		return "", fmt.Errorf("it does not listen: %w", ctx.Err())
	}
}

func (d *Driver) connect(ctx context.Context, address string) error {
	ws, _, err := websocket.Dial(ctx, address+"/session", nil)
	if err != nil {
		return err
	}
	ws.SetReadLimit(64 << 20) // pictures
	d.conn = remote.New(socket{ws}, d.event)
	if err := d.Call(ctx, "session.new", object{"capabilities": object{}}, nil); err != nil {
		return err
	}
	return d.Call(ctx, "session.subscribe", object{"events": []string{"log.entryAdded"}}, nil)
}

type socket struct{ *websocket.Conn }

func (s socket) Read() ([]byte, error) {
	_, data, err := s.Conn.Read(context.Background())
	return data, err
}

func (s socket) Write(data []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return s.Conn.Write(ctx, websocket.MessageText, data)
}

func (s socket) Close() error { return s.CloseNow() }

// Call calls a command of WebDriver BiDi.
func (d *Driver) Call(ctx context.Context, method string, params, result any) error {
	return d.conn.Call(ctx, "", method, params, result)
}

// Process is the program.
func (d *Driver) Process() *process.Process { return d.process }

// Quit ends the program.
func (d *Driver) Quit(ctx context.Context) error {
	if d.conn == nil {
		return d.process.Kill()
	}
	quitting, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// It may be frozen, killed or gone: what is left is killed.
	_ = d.Call(quitting, "browser.close", nil, nil)
	err := d.process.Quit(20 * time.Second)
	d.conn.Close()
	return err
}

// NewTab opens a page.
func (d *Driver) NewTab(ctx context.Context, url string, place browser.Place, beside browser.Tab) (browser.Tab, error) {
	params := object{"type": "tab"}
	switch place {
	case browser.InWindow:
		params["type"] = "window"
	case browser.InUnfocusedWindow:
		params["type"], params["background"] = "window", true
	}
	if beside != nil {
		params["referenceContext"] = beside.ID()
	}
	var created struct{ Context string }
	if err := d.Call(ctx, "browsingContext.create", params, &created); err != nil {
		return nil, err
	}
	tab := &Tab{d, created.Context}
	if url != "about:blank" {
		if err := tab.Navigate(ctx, url); err != nil {
			return nil, err
		}
	}
	return tab, nil
}

// Tabs are the open pages.
func (d *Driver) Tabs(ctx context.Context) ([]browser.Tab, error) {
	var tree struct{ Contexts []struct{ Context string } }
	if err := d.Call(ctx, "browsingContext.getTree", object{"maxDepth": 0}, &tree); err != nil {
		return nil, err
	}
	var tabs []browser.Tab
	for _, c := range tree.Contexts {
		tabs = append(tabs, &Tab{d, c.Context})
	}
	return tabs, nil
}

// SetPermission answers what a person would be asked.
func (d *Driver) SetPermission(ctx context.Context, origin, name string, state browser.Permission) error {
	return d.Call(ctx, "permissions.setPermission", object{
		"origin": origin, "descriptor": object{"name": name}, "state": state,
	}, nil)
}

// Messages are what pages said.
func (d *Driver) Messages() []browser.Message {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]browser.Message(nil), d.messages...)
}

func (d *Driver) event(e remote.Event) {
	if e.Method != "log.entryAdded" {
		return
	}
	var p struct {
		Type, Level, Text string
		Source            struct{ Context string }
		StackTrace        struct {
			CallFrames []struct {
				URL        string
				LineNumber int
			}
		}
	}
	if json.Unmarshal(e.Params, &p) != nil {
		return
	}
	m := browser.Message{Tab: p.Source.Context, Level: p.Level, Text: p.Text, Thrown: p.Type == "javascript" && p.Level == "error"}
	if m.Level == "warn" {
		m.Level = "warning"
	}
	if frames := p.StackTrace.CallFrames; len(frames) > 0 {
		m.Where = fmt.Sprintf("%s:%d", frames[0].URL, frames[0].LineNumber+1)
	}
	d.mu.Lock()
	d.messages = append(d.messages, m)
	d.mu.Unlock()
}
