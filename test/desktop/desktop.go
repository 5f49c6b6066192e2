//go:build linux

// Package desktop is a desktop for browsers to notify: a D-Bus session bus of
// its own, and on it a notification daemon (org.freedesktop.Notifications) that
// records what is shown, and clicks and dismisses as a person would.
package desktop

import (
	"bufio"
	"bytes"
	"fmt"
	"html"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"caac-hub/test/process"
)

const (
	object = dbus.ObjectPath("/org/freedesktop/Notifications")
	name   = "org.freedesktop.Notifications"
)

// Reasons of NotificationClosed in the Desktop Notifications Specification.
const (
	closedByUser = 2
	closedByCall = 3
)

// patience is how long a test waits for what must come, also where many programs
// share few processors.
const patience = time.Minute

// Notification is what a browser asked to be shown.
type Notification struct {
	ID       uint32
	At       time.Time
	Replaces uint32 // the notification it took the place of; 0 for none
	App      string
	Title    string
	Body     string   // plain text, without the origin that Chromium puts first
	Origin   string   // as Chromium says it, host and port; empty from Firefox
	Image    string   // path or URL of the picture in the body; empty for none
	HasIcon  bool     // a picture of its own, beside the text
	Silent   bool     // asked to make no sound
	Actions  []string // labels of the buttons
	Closed   bool     // no longer on screen

	actionKeys []string
}

// Desktop is the bus and the daemon. Its methods may be called from any goroutine
// but those with a testing.TB.
type Desktop struct {
	Address string // for DBUS_SESSION_BUS_ADDRESS

	bus  *process.Process
	conn *dbus.Conn

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with every change
	lastID  uint32
	staged  []*Notification // not on screen before the browser can know their ids
	history []*Notification
}

// Start starts a desktop; it ends with the test.
func Start(t testing.TB) *Desktop {
	t.Helper()
	dir, err := os.MkdirTemp("", "caac-") // not t.TempDir: a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1", "--address=unix:path="+filepath.Join(dir, "bus"))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	bus, err := process.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bus.Kill(); err != nil {
			t.Error(err)
		}
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("dbus-daemon said no address: %v\n%s", err, bus.Output())
	}
	d := &Desktop{Address: strings.TrimSpace(address), bus: bus, changed: make(chan struct{})}
	if err := d.connect(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.conn.Close() })
	return d
}

func (d *Desktop) connect() error {
	_, path, _ := strings.Cut(d.Address, "unix:path=")
	path, _, _ = strings.Cut(path, ",")
	socket, err := net.Dial("unix", path)
	if err != nil {
		return fmt.Errorf("connect to the session bus: %w", err)
	}
	conn, err := dbus.NewConn(observed{socket, d.sent})
	if err != nil {
		socket.Close()
		return fmt.Errorf("connect to the session bus: %w", err)
	}
	d.conn = conn
	if err := conn.Auth(nil); err != nil {
		return err
	}
	if err := conn.Hello(); err != nil {
		return err
	}
	if err := conn.Export(daemon{d}, object, name); err != nil {
		return err
	}
	reply, err := conn.RequestName(name, dbus.NameFlagDoNotQueue)
	if err != nil {
		return err
	}
	if reply != dbus.RequestNameReplyPrimaryOwner {
		return fmt.Errorf("the name %s is taken on a bus of our own", name)
	}
	return nil
}

// Environment is what a browser needs in its environment to notify here.
func (d *Desktop) Environment() []string {
	return []string{"DBUS_SESSION_BUS_ADDRESS=" + d.Address}
}

// Shown is what is on screen now, the oldest first.
func (d *Desktop) Shown() []Notification {
	return slices.DeleteFunc(d.History(), func(n Notification) bool { return n.Closed })
}

// History is everything that was ever shown, the oldest first. A replaced
// notification stays in it, closed.
func (d *Desktop) History() []Notification {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]Notification, len(d.history))
	for i, n := range d.history {
		all[i] = *n
	}
	return all
}

// Wait waits until ok holds of what is on screen.
func (d *Desktop) Wait(t testing.TB, what string, ok func(shown []Notification) bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		d.mu.Lock()
		changed := d.changed
		d.mu.Unlock()
		shown := d.Shown()
		if ok(shown) {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("waited %v in vain for %s; on screen: %s", patience, what, Describe(shown))
		}
	}
}

// WaitNotification waits for a notification with this title on screen.
func (d *Desktop) WaitNotification(t testing.TB, title string) Notification {
	t.Helper()
	var found Notification
	d.Wait(t, fmt.Sprintf("the notification %q", title), func(shown []Notification) bool {
		for _, n := range shown {
			if n.Title == title {
				found = n
				return true
			}
		}
		return false
	})
	return found
}

// WaitNothing waits until nothing is on screen.
func (d *Desktop) WaitNothing(t testing.TB) {
	t.Helper()
	d.Wait(t, "an empty screen", func(shown []Notification) bool { return len(shown) == 0 })
}

// Click clicks the notification itself, or with a label one of its buttons.
func (d *Desktop) Click(t testing.TB, n Notification, button string) {
	t.Helper()
	key := "default"
	if button != "" {
		i := slices.Index(n.Actions, button)
		if i < 0 {
			t.Fatalf("%q has no button %q; it has %q", n.Title, button, n.Actions)
		}
		key = n.actionKeys[i]
	}
	// Since version 1.2 of the specification the token comes first.
	d.emit(t, "ActivationToken", n.ID, "test")
	d.emit(t, "ActionInvoked", n.ID, key)
}

// Dismiss closes the notification as a person does.
func (d *Desktop) Dismiss(t testing.TB, n Notification) {
	t.Helper()
	d.close(n.ID)
	d.emit(t, "NotificationClosed", n.ID, uint32(closedByUser))
}

func (d *Desktop) emit(t testing.TB, signal string, values ...any) {
	t.Helper()
	if err := d.conn.Emit(object, name+"."+signal, values...); err != nil {
		t.Fatalf("%s: %v", signal, err)
	}
}

// Describe is a line about each notification, for messages.
func Describe(all []Notification) string {
	if len(all) == 0 {
		return "nothing"
	}
	var b strings.Builder
	for _, n := range all {
		fmt.Fprintf(&b, "\n  %d %q: %q", n.ID, n.Title, n.Body)
		if n.Closed {
			b.WriteString(" (closed)")
		}
	}
	return b.String()
}

// stage gives a notification its id. A click that overtook the answer with the
// id would mean nothing to the browser, so it is not on screen yet.
func (d *Desktop) stage(n *Notification, replaces uint32) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, old := range slices.Concat(d.history, d.staged) {
		if old.ID == replaces && !old.Closed {
			n.ID, n.Replaces = replaces, replaces
		}
	}
	if n.ID == 0 {
		d.lastID++
		n.ID = d.lastID
	}
	d.staged = append(d.staged, n)
	return n.ID
}

// sent shows the notification whose id this message has just told the browser.
func (d *Desktop) sent(message []byte) {
	answer, err := dbus.DecodeMessage(bytes.NewReader(message))
	if err != nil || answer.Type != dbus.TypeMethodReply || len(answer.Body) != 1 {
		return
	}
	id, _ := answer.Body[0].(uint32)
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.staged, func(n *Notification) bool { return n.ID == id })
	if i < 0 {
		return
	}
	for _, old := range d.history {
		if old.ID == id {
			old.Closed = true
		}
	}
	d.history = append(d.history, d.staged[i])
	d.staged = slices.Delete(d.staged, i, i+1)
	d.announceLocked()
}

// observed is a connection that tells what has been written to it.
type observed struct {
	net.Conn
	sent func([]byte)
}

func (o observed) Write(b []byte) (int, error) {
	n, err := o.Conn.Write(b)
	if err == nil {
		o.sent(b)
	}
	return n, err
}

func (d *Desktop) close(id uint32) (was bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range slices.Concat(d.history, d.staged) {
		if n.ID == id && !n.Closed {
			n.Closed, was = true, true
		}
	}
	d.announceLocked()
	return was
}

func (d *Desktop) announceLocked() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// daemon is what is exported on the bus: the specification's methods and no others.
type daemon struct{ d *Desktop }

// GetCapabilities is a method of the specification.
func (daemon) GetCapabilities() ([]string, *dbus.Error) {
	return []string{"actions", "body", "body-markup", "body-hyperlinks", "body-images", "icon-static", "persistence", "sound"}, nil
}

// GetServerInformation is a method of the specification.
func (daemon) GetServerInformation() (server, vendor, version, spec string, _ *dbus.Error) {
	return "test", "test", "1", "1.2", nil
}

// Notify is a method of the specification.
func (s daemon) Notify(app string, replaces uint32, icon, title, body string, actions []string, hints map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	n := &Notification{At: time.Now(), App: app, Title: html.UnescapeString(title)}
	n.Origin, n.Image, n.Body = splitBody(body)
	for i := 0; i+1 < len(actions); i += 2 {
		if actions[i] != "default" {
			n.actionKeys = append(n.actionKeys, actions[i])
			n.Actions = append(n.Actions, actions[i+1])
		}
	}
	n.HasIcon = icon != ""
	for _, hint := range []string{"image-data", "image-path", "image_data", "icon_data"} {
		if _, ok := hints[hint]; ok {
			n.HasIcon = true
		}
	}
	if v, ok := hints["suppress-sound"]; ok {
		n.Silent, _ = v.Value().(bool)
	}
	return s.d.stage(n, replaces), nil
}

// CloseNotification is a method of the specification.
func (s daemon) CloseNotification(id uint32) *dbus.Error {
	if s.d.close(id) {
		s.d.conn.Emit(object, name+".NotificationClosed", id, uint32(closedByCall))
	}
	return nil
}

var (
	originLink = regexp.MustCompile(`^<a href="[^"]*">([^<]*)</a>\s*`)
	bodyImage  = regexp.MustCompile(`<img src="([^"]*)"[^>]*/?>\s*`)
	markup     = regexp.MustCompile(`</?(?:b|i|u|a)(?: [^>]*)?>`)
)

// splitBody takes Chromium's additions off a body and turns its markup into
// plain text.
func splitBody(body string) (origin, image, text string) {
	if m := originLink.FindStringSubmatch(body); m != nil {
		origin, body = m[1], body[len(m[0]):]
	}
	if m := bodyImage.FindStringSubmatch(body); m != nil {
		image, body = m[1], strings.Replace(body, m[0], "", 1)
	}
	return origin, image, strings.TrimSpace(html.UnescapeString(markup.ReplaceAllString(body, "")))
}
