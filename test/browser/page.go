//go:build linux

package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"
)

// Page is an open page as a test uses it: whatever goes wrong fails the test.
type Page struct {
	b     *Browser
	t     testing.TB
	tab   Tab
	cover *Tab // what Hide put in front, to be used again
}

// For is the same page in a subtest.
func (p *Page) For(t testing.TB) *Page { return &Page{b: p.b.For(t), t: t, tab: p.tab, cover: p.cover} }

// Tab is what drives it, for what only one browser can do.
func (p *Page) Tab() Tab { return p.tab }

// Eval evaluates a JavaScript expression, awaits it and decodes it into out
// unless that is nil.
func (p *Page) Eval(expression string, out any) {
	p.t.Helper()
	p.eval(expression, false, out)
}

// Gesture is Eval in the name of the person (transient activation).
func (p *Page) Gesture(expression string, out any) {
	p.t.Helper()
	p.eval(expression, true, out)
}

func (p *Page) eval(expression string, gesture bool, out any) {
	p.t.Helper()
	ctx, cancel := p.b.patience()
	defer cancel()
	value, err := p.tab.Eval(ctx, expression, gesture)
	if err != nil {
		p.t.Fatalf("%s: %.200s: %v", p.b.name, expression, err)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(value, out); err != nil {
		p.t.Fatalf("%s: %.200s: %v in %.200s", p.b.name, expression, err, value)
	}
}

// Click clicks the first element a CSS selector finds, in the name of the person.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.WaitElement(selector)
	p.Gesture("document.querySelector("+strconv.Quote(selector)+").click()", nil)
}

// Type puts text into the field a CSS selector finds.
func (p *Page) Type(selector, text string) {
	p.t.Helper()
	p.WaitElement(selector)
	value, _ := json.Marshal(text)
	p.Gesture(`(field => {
		field.focus();
		field.value = `+string(value)+`;
		field.dispatchEvent(new Event("input", {bubbles: true}));
		field.dispatchEvent(new Event("change", {bubbles: true}));
	})(document.querySelector(`+strconv.Quote(selector)+`))`, nil)
}

// Text is what the first element a CSS selector finds says, as rendered.
func (p *Page) Text(selector string) (text string) {
	p.t.Helper()
	p.Eval("document.querySelector("+strconv.Quote(selector)+")?.innerText", &text)
	return text
}

// Title is the document's title.
func (p *Page) Title() (title string) {
	p.t.Helper()
	p.Eval("document.title", &title)
	return title
}

// URL is where the page is.
func (p *Page) URL() (url string) {
	p.t.Helper()
	p.Eval("location.href", &url)
	return url
}

// WaitElement waits for an element a CSS selector finds.
func (p *Page) WaitElement(selector string) {
	p.t.Helper()
	p.Wait("the element "+selector, "!!document.querySelector("+strconv.Quote(selector)+")")
}

// Wait waits until a JavaScript expression is truthy. What names what is waited for.
func (p *Page) Wait(what string, expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var failure error
	for {
		value, err := p.tab.Eval(ctx, "!!(await ("+expression+"))", false)
		if err == nil && string(value) == "true" {
			return
		}
		if ctx.Err() == nil {
			failure = err
		}
		select {
		case <-time.After(step):
		case <-ctx.Done():
			p.t.Fatalf("%s: waited %v in vain for %s: %.200s (last: %v); pages said: %v; %s", p.b.name, patience, what, expression, failure, p.b.Problems(), p.looks())
		}
	}
}

// looks tells what a person would see of the page.
func (p *Page) looks() string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	value, err := p.tab.Eval(ctx, `[location.href, document.visibilityState, Notification.permission, document.title, document.body.innerText].join("\n")`, false)
	if err != nil {
		return fmt.Sprintf("the page cannot be asked: %v", err)
	}
	var text string
	json.Unmarshal(value, &text)
	return "the page: " + text
}

// Hide looks at another tab of the same window.
func (p *Page) Hide() {
	p.t.Helper()
	ctx, cancel := p.b.patience()
	defer cancel()
	err := error(nil)
	if *p.cover != nil {
		err = (*p.cover).Activate(ctx)
	} else if err = p.tab.Activate(ctx); err == nil {
		*p.cover, err = p.b.driver.NewTab(ctx, "about:blank", InTab, p.tab)
	}
	if err != nil {
		p.t.Fatalf("%s: hide: %v", p.b.name, err)
	}
	p.Wait("the page to be hidden", `document.visibilityState === "hidden"`)
}

// Show looks at the page again.
func (p *Page) Show() {
	p.t.Helper()
	ctx, cancel := p.b.patience()
	defer cancel()
	if err := p.tab.Activate(ctx); err != nil {
		p.t.Fatalf("%s: show: %v", p.b.name, err)
	}
	p.Wait("the page to be visible", `document.visibilityState === "visible"`)
}

// Close closes the page, and what Hide put in front of it.
func (p *Page) Close() {
	p.t.Helper()
	ctx, cancel := p.b.patience()
	defer cancel()
	if *p.cover != nil {
		if err := (*p.cover).Close(ctx); err != nil {
			p.t.Fatalf("%s: close: %v", p.b.name, err)
		}
		*p.cover = nil
	}
	if err := p.tab.Close(ctx); err != nil {
		p.t.Fatalf("%s: close: %v", p.b.name, err)
	}
}

// Navigate goes to url and returns when it has loaded.
func (p *Page) Navigate(url string) {
	p.t.Helper()
	ctx, cancel := p.b.patience()
	defer cancel()
	if err := p.tab.Navigate(ctx, url); err != nil {
		p.t.Fatalf("%s: %s: %v", p.b.name, url, err)
	}
}

// GrantNotifications is the person having allowed notifications to the page's origin.
func (p *Page) GrantNotifications() {
	p.t.Helper()
	p.SetNotifications(Granted)
}

// SetNotifications is the person having answered so for the page's origin.
func (p *Page) SetNotifications(state Permission) {
	p.t.Helper()
	var origin string
	p.Eval("location.origin", &origin)
	p.b.Permission(origin, "notifications", state)
	want := `"` + string(state) + `"`
	if state == Prompt {
		want = `"default"`
	}
	p.Wait("the permission to be "+string(state), "Notification.permission === "+want)
}

// Screenshot is a picture of the page as PNG.
func (p *Page) Screenshot(shot Shot) []byte {
	p.t.Helper()
	ctx, cancel := p.b.patience()
	defer cancel()
	png, err := p.tab.Screenshot(ctx, shot)
	if err != nil {
		p.t.Fatalf("%s: screenshot: %v", p.b.name, err)
	}
	return png
}
