//go:build linux

// Package browser lets a test use a real browser as a person would: open
// pages, look elsewhere, freeze the machine, restart. Tests work with Browser
// and Page; the packages firefox and chromium start them and drive them.
package browser

import (
	"context"
	"encoding/json"
	"strconv"

	"caac-hub/test/process"
)

// Driver is one running browser program with one profile.
type Driver interface {
	// NewTab opens a page and returns when it has loaded.
	NewTab(ctx context.Context, url string, place Place, beside Tab) (Tab, error)
	// Tabs are the open pages, also those a worker or a page has opened.
	Tabs(ctx context.Context) ([]Tab, error)
	// SetPermission answers for origin what a person would be asked, from now
	// until the program ends. Name is the Permissions API's.
	SetPermission(ctx context.Context, origin, name string, state Permission) error
	// Messages are what pages wrote to their consoles and what they threw.
	Messages() []Message
	// Process is the program.
	Process() *process.Process
	// Quit ends the program as a person would, and what is left of it by force.
	Quit(ctx context.Context) error
}

// Tab is one open page.
type Tab interface {
	ID() string
	URL(ctx context.Context) (string, error)
	Navigate(ctx context.Context, url string) error
	// Eval evaluates a JavaScript expression, awaits it and returns its JSON.
	// With gesture it counts as done by the person (transient activation).
	Eval(ctx context.Context, expression string, gesture bool) (json.RawMessage, error)
	// Activate brings the tab to the front of its window.
	Activate(ctx context.Context) error
	Close(ctx context.Context) error
	// Screenshot takes a picture of the tab, which must be in front.
	Screenshot(ctx context.Context, shot Shot) ([]byte, error)
}

// Place is where a page opens.
type Place int

const (
	InTab             Place = iota // in front, in the window of another page
	InWindow                       // in front, in a window of its own
	InUnfocusedWindow              // in a window of its own, visible and not focused
)

// Permission is the state of a permission as the Permissions API names it.
type Permission string

const (
	Granted Permission = "granted"
	Denied  Permission = "denied"
	Prompt  Permission = "prompt"
)

// Shot says how a picture of a page is taken.
type Shot struct {
	Width, Height int     // CSS pixels
	Scale         float64 // device pixels per CSS pixel; 0 means 1
	Dark          bool    // prefers-color-scheme
	Full          bool    // the whole page, not only what is in view
}

// Message is something a page said.
type Message struct {
	Tab   string // Tab.ID
	Level string // debug, info, warning, error
	Text  string
	Where string // URL and line, if known
	// Thrown: an exception nobody caught, not a call of the console.
	Thrown bool
}

// Painted makes an expression that settles once a page in front has painted
// itself in the colours asked for: browsers take them to a page a while after
// they were told.
func Painted(dark bool) string {
	return `(async () => {
		const scheme = matchMedia("(prefers-color-scheme: dark)");
		const frame = () => new Promise(requestAnimationFrame);
		while (scheme.matches !== ` + strconv.FormatBool(dark) + `) await frame();
		await frame();
		await frame();
	})()`
}

// Wrap makes an expression that evaluates to the JSON of what expression comes to.
func Wrap(expression string) string {
	return "(async () => JSON.stringify((await (" + expression + ")) ?? null))()"
}
