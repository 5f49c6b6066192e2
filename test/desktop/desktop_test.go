//go:build linux && e2e

package desktop

import (
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// app is a program that notifies over the bus.
func app(t *testing.T, d *Desktop) (notify func(replaces uint32, title, body string, actions ...string) uint32, signals chan *dbus.Signal) {
	conn, err := dbus.Connect(d.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.AddMatchSignal(dbus.WithMatchInterface(name)); err != nil {
		t.Fatal(err)
	}
	signals = make(chan *dbus.Signal, 10)
	conn.Signal(signals)
	return func(replaces uint32, title, body string, actions ...string) (id uint32) {
		t.Helper()
		call := conn.Object(name, object).Call(name+".Notify", 0, "app", replaces, "", title, body, actions, map[string]dbus.Variant{}, int32(-1))
		if err := call.Store(&id); err != nil {
			t.Fatal(err)
		}
		return id
	}, signals
}

func receive(t *testing.T, signals chan *dbus.Signal, member string) *dbus.Signal {
	t.Helper()
	for {
		select {
		case s := <-signals:
			if s.Name == name+"."+member {
				return s
			}
		case <-time.After(patience):
			t.Fatalf("no %s", member)
		}
	}
}

func TestNewerNotificationReplacesTheOlder(t *testing.T) {
	d := Start(t)
	notify, _ := app(t, d)
	first := notify(0, "one", "body")
	if second := notify(first, "two", "body"); second != first {
		t.Errorf("replaced %d got the id %d", first, second)
	}
	d.WaitNotification(t, "two")
	if shown := d.Shown(); len(shown) != 1 || shown[0].Title != "two" || shown[0].Replaces != first {
		t.Errorf("on screen: %s", Describe(shown))
	}
	if all := d.History(); len(all) != 2 {
		t.Errorf("history: %s", Describe(all))
	}
}

func TestClickReachesTheApp(t *testing.T) {
	d := Start(t)
	notify, signals := app(t, d)
	id := notify(0, "one", "body", "default", "Open", "k1", "Reply")
	n := d.WaitNotification(t, "one")
	d.Click(t, n, "Reply")
	if s := receive(t, signals, "ActionInvoked"); s.Body[0] != id || s.Body[1] != "k1" {
		t.Errorf("got %v", s.Body)
	}
	d.Click(t, n, "")
	if s := receive(t, signals, "ActionInvoked"); s.Body[1] != "default" {
		t.Errorf("got %v", s.Body)
	}
}

func TestDismissedNotificationIsGoneAndTold(t *testing.T) {
	d := Start(t)
	notify, signals := app(t, d)
	id := notify(0, "one", "body")
	d.Dismiss(t, d.WaitNotification(t, "one"))
	if s := receive(t, signals, "NotificationClosed"); s.Body[0] != id || s.Body[1] != uint32(closedByUser) {
		t.Errorf("got %v", s.Body)
	}
	d.WaitNothing(t)
}

func TestBodyIsPlainTextWithoutWhatChromiumAdds(t *testing.T) {
	origin, image, text := splitBody("<a href=\"http://localhost:8080\">localhost:8080</a>\n\n<img src=\"file:///tmp/x.png\" alt=\"\"/>\na &lt;b&gt; &amp; <b>c</b>")
	if origin != "localhost:8080" || image != "file:///tmp/x.png" || text != "a <b> & c" {
		t.Errorf("got %q, %q, %q", origin, image, text)
	}
}
