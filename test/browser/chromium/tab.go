//go:build linux

package chromium

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"caac-hub/test/browser"
	"caac-hub/test/browser/remote"
)

// Tab is one open page.
type Tab struct {
	d               *Driver
	target, session string
}

// ID is the page's target.
func (t *Tab) ID() string { return t.target }

// Call calls a method of the DevTools protocol on the page.
func (t *Tab) Call(ctx context.Context, method string, params, result any) error {
	return t.d.conn.Call(ctx, t.session, method, params, result)
}

// listen asks to be told what the page says.
func (t *Tab) listen() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// A page that closes at once cannot be listened to, which is as well.
	_ = t.Call(ctx, "Runtime.enable", nil, nil)
	_ = t.Call(ctx, "Log.enable", nil, nil)
}

// URL is where the page is.
func (t *Tab) URL(ctx context.Context) (url string, err error) {
	value, err := t.Eval(ctx, "location.href", false)
	if err != nil {
		return "", err
	}
	return url, json.Unmarshal(value, &url)
}

// Navigate goes to url and returns when it has loaded.
func (t *Tab) Navigate(ctx context.Context, url string) error {
	var result struct{ ErrorText string }
	if err := t.Call(ctx, "Page.navigate", object{"url": url}, &result); err != nil {
		return err
	}
	if result.ErrorText != "" {
		return errors.New(result.ErrorText)
	}
	return t.loaded(ctx)
}

// loaded waits until a document that is not the first, blank one has loaded.
func (t *Tab) loaded(ctx context.Context) error {
	for {
		value, err := t.Eval(ctx, `document.readyState === "complete" && location.href !== "about:blank"`, false)
		if err == nil && string(value) == "true" {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("not loaded: %w (%v)", ctx.Err(), err)
		}
	}
}

// exception is Runtime.ExceptionDetails.
type exception struct {
	Text       string
	URL        string
	LineNumber int
	Exception  *value
}

func (e *exception) String() string {
	if e.Exception != nil {
		return e.Text + " " + e.Exception.String()
	}
	return e.Text
}

// value is Runtime.RemoteObject.
type value struct {
	Value       json.RawMessage
	Description string
}

func (v *value) String() string {
	var text string
	if json.Unmarshal(v.Value, &text) == nil && text != "" {
		return text
	}
	if v.Description != "" {
		return v.Description
	}
	return string(v.Value)
}

// Eval evaluates an expression in the page.
func (t *Tab) Eval(ctx context.Context, expression string, gesture bool) (json.RawMessage, error) {
	var result struct {
		Result           struct{ Value string }
		ExceptionDetails *exception
	}
	err := t.Call(ctx, "Runtime.evaluate", object{
		"expression": browser.Wrap(expression), "awaitPromise": true, "userGesture": gesture,
	}, &result)
	if err != nil {
		return nil, err
	}
	if result.ExceptionDetails != nil {
		return nil, errors.New(result.ExceptionDetails.String())
	}
	return json.RawMessage(result.Result.Value), nil
}

// Activate brings the page to the front.
func (t *Tab) Activate(ctx context.Context) error {
	return t.d.Call(ctx, "Target.activateTarget", object{"targetId": t.target}, nil)
}

// Close closes the page and returns when it is gone.
func (t *Tab) Close(ctx context.Context) error {
	if err := t.d.Call(ctx, "Target.closeTarget", object{"targetId": t.target}, nil); err != nil {
		return err
	}
	for {
		t.d.mu.Lock()
		open := t.d.tabs[t.target] != nil
		t.d.mu.Unlock()
		if !open {
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the page is still open: %w", ctx.Err())
		}
	}
}

// Screenshot takes a picture of the page.
func (t *Tab) Screenshot(ctx context.Context, shot browser.Shot) ([]byte, error) {
	scheme := "light"
	if shot.Dark {
		scheme = "dark"
	}
	for _, call := range []struct {
		method string
		params object
	}{
		{"Emulation.setDeviceMetricsOverride", object{"width": shot.Width, "height": shot.Height, "deviceScaleFactor": max(shot.Scale, 1), "mobile": false}},
		{"Emulation.setScrollbarsHidden", object{"hidden": true}},
		{"Emulation.setEmulatedMedia", object{"features": []object{{"name": "prefers-color-scheme", "value": scheme}}}},
	} {
		if err := t.Call(ctx, call.method, call.params, nil); err != nil {
			return nil, err
		}
	}
	defer t.Call(ctx, "Emulation.clearDeviceMetricsOverride", nil, nil)
	defer t.Call(ctx, "Emulation.setScrollbarsHidden", object{"hidden": false}, nil)
	defer t.Call(ctx, "Emulation.setEmulatedMedia", object{"features": []object{}}, nil)
	if _, err := t.Eval(ctx, browser.Painted(shot.Dark), false); err != nil {
		return nil, fmt.Errorf("the page was not painted: %w", err)
	}
	var picture struct{ Data []byte }
	err := t.Call(ctx, "Page.captureScreenshot", object{"format": "png", "captureBeyondViewport": shot.Full}, &picture)
	return picture.Data, err
}

// message is what a page said, if the event tells of that.
func message(e remote.Event) (browser.Message, bool) {
	switch e.Method {
	case "Runtime.consoleAPICalled":
		var p struct {
			Type string
			Args []value
		}
		if json.Unmarshal(e.Params, &p) != nil {
			return browser.Message{}, false
		}
		var words []string
		for i := range p.Args {
			words = append(words, p.Args[i].String())
		}
		return browser.Message{Level: level(p.Type), Text: strings.Join(words, " ")}, true
	case "Runtime.exceptionThrown":
		var p struct{ ExceptionDetails exception }
		if json.Unmarshal(e.Params, &p) != nil {
			return browser.Message{}, false
		}
		x := &p.ExceptionDetails
		return browser.Message{Level: "error", Text: x.String(), Where: x.URL + ":" + strconv.Itoa(x.LineNumber+1), Thrown: true}, true
	case "Log.entryAdded":
		var p struct {
			Entry struct {
				Level, Text, URL string
				LineNumber       int
			}
		}
		if json.Unmarshal(e.Params, &p) != nil {
			return browser.Message{}, false
		}
		return browser.Message{Level: level(p.Entry.Level), Text: p.Entry.Text, Where: p.Entry.URL}, true
	}
	return browser.Message{}, false
}

func level(kind string) string {
	switch kind {
	case "error", "assert":
		return "error"
	case "warning":
		return "warning"
	case "debug", "verbose":
		return "debug"
	}
	return "info"
}
