//go:build linux

// Package world is everything outside the hub that a story needs: the push
// services, a desktop, and browsers that live among them.
package world

import (
	"testing"

	"caac-hub/test/browser"
	"caac-hub/test/browser/chromium"
	"caac-hub/test/browser/firefox"
	"caac-hub/test/desktop"
	"caac-hub/test/gcm"
	"caac-hub/test/loopback"
	"caac-hub/test/mozpush"
)

// World ends with the test that made it.
type World struct {
	t       testing.TB
	Net     *loopback.Net // senders dial through it
	Desktop *desktop.Desktop
	Mozilla *mozpush.Server
	Google  *gcm.Server
}

// New makes a world without browsers.
func New(t testing.TB) *World {
	t.Helper()
	network := loopback.New(t)
	return &World{
		t:       t,
		Net:     network,
		Desktop: desktop.Start(t),
		Mozilla: mozpush.Start(t, network),
		Google:  gcm.Start(t, network),
	}
}

// Firefox starts a Firefox with a profile of its own: a device.
func (w *World) Firefox() *browser.Browser {
	w.t.Helper()
	return firefox.Start(w.t, firefox.Options{Environment: w.Desktop.Environment(), Preferences: w.Mozilla.Preferences()})
}

// Chromium starts a Chromium with a profile of its own: a device.
func (w *World) Chromium() *browser.Browser {
	w.t.Helper()
	return chromium.Start(w.t, chromium.Options{Environment: w.Desktop.Environment(), Flags: w.Google.Flags()})
}
