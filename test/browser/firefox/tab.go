//go:build linux

package firefox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"caac-hub/test/browser"
)

// Tab is one open page.
type Tab struct {
	d       *Driver
	context string
}

// ID is the page's browsing context.
func (t *Tab) ID() string { return t.context }

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
	return t.d.Call(ctx, "browsingContext.navigate", object{"context": t.context, "url": url, "wait": "complete"}, nil)
}

// Eval evaluates an expression in the page.
func (t *Tab) Eval(ctx context.Context, expression string, gesture bool) (json.RawMessage, error) {
	return t.d.eval(ctx, t.context, expression, gesture)
}

func (d *Driver) eval(ctx context.Context, target, expression string, gesture bool) (json.RawMessage, error) {
	var result struct {
		Type             string
		Result           struct{ Value json.RawMessage }
		ExceptionDetails struct{ Text string }
	}
	err := d.Call(ctx, "script.evaluate", object{
		"expression": browser.Wrap(expression), "awaitPromise": true, "userActivation": gesture,
		"target": object{"context": target},
	}, &result)
	if err != nil {
		return nil, err
	}
	if result.Type == "exception" {
		return nil, errors.New(result.ExceptionDetails.Text)
	}
	var text string
	if err := json.Unmarshal(result.Result.Value, &text); err != nil {
		return nil, fmt.Errorf("value %.200s: %w", result.Result.Value, err)
	}
	return json.RawMessage(text), nil
}

// AnswerPrompt clicks Allow or Block in the prompt for notifications, which the
// page in front must have asked for, or ask for soon.
func (d *Driver) AnswerPrompt(ctx context.Context, allow bool) error {
	action := "secondaryActions[0]"
	if allow {
		action = "mainAction"
	}
	for {
		answered, err := d.ChromeEval(ctx, `(prompt => {
			prompt?.`+action+`.callback({ checkboxChecked: false });
			prompt?.remove();
			return !!prompt;
		})(PopupNotifications.getNotification("web-notifications", gBrowser.selectedBrowser))`)
		if err != nil || string(answered) == "true" {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("there is no prompt for notifications: %w", ctx.Err())
		}
	}
}

// Activate brings the page to the front.
func (t *Tab) Activate(ctx context.Context) error {
	return t.d.Call(ctx, "browsingContext.activate", object{"context": t.context}, nil)
}

// Close closes the page.
func (t *Tab) Close(ctx context.Context) error {
	return t.d.Call(ctx, "browsingContext.close", object{"context": t.context}, nil)
}

// Screenshot takes a picture of the page.
func (t *Tab) Screenshot(ctx context.Context, shot browser.Shot) ([]byte, error) {
	scheme := 1
	if shot.Dark {
		scheme = 0
	}
	if err := t.d.setPreference(ctx, "layout.css.prefers-color-scheme.content-override", scheme); err != nil {
		return nil, err
	}
	defer t.d.setPreference(ctx, "layout.css.prefers-color-scheme.content-override", 2)
	viewport := object{"context": t.context, "viewport": object{"width": shot.Width, "height": shot.Height}, "devicePixelRatio": max(shot.Scale, 1)}
	if err := t.d.Call(ctx, "browsingContext.setViewport", viewport, nil); err != nil {
		return nil, err
	}
	defer t.d.Call(ctx, "browsingContext.setViewport", object{"context": t.context, "viewport": nil, "devicePixelRatio": nil}, nil)
	if _, err := t.Eval(ctx, browser.Painted(shot.Dark), false); err != nil {
		return nil, fmt.Errorf("the page was not painted: %w", err)
	}
	origin := "viewport"
	if shot.Full {
		origin = "document"
	}
	var picture struct{ Data []byte }
	err := t.d.Call(ctx, "browsingContext.captureScreenshot", object{"context": t.context, "origin": origin}, &picture)
	return picture.Data, err
}

// setPreference sets a preference while Firefox runs.
func (d *Driver) setPreference(ctx context.Context, name string, value int) error {
	_, err := d.ChromeEval(ctx, fmt.Sprintf("Services.prefs.setIntPref(%q, %d)", name, value))
	return err
}

// ChromeEval evaluates an expression in Firefox's own window, where its menus
// and prompts are.
func (d *Driver) ChromeEval(ctx context.Context, expression string) (json.RawMessage, error) {
	var tree struct {
		Contexts []struct{ Context, URL string }
	}
	if err := d.Call(ctx, "browsingContext.getTree", object{"moz:scope": "chrome", "maxDepth": 0}, &tree); err != nil {
		return nil, err
	}
	for _, c := range tree.Contexts {
		if strings.Contains(c.URL, "browser.xhtml") {
			return d.eval(ctx, c.Context, expression, false)
		}
	}
	return nil, errors.New("no window is open")
}
