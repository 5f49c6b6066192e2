package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"

	"caac-hub/hub/notify"
)

// MaxPushBody is the largest encrypted body of a push, in bytes: Firefox on
// Android takes no more than 2,744.
const MaxPushBody = 2700

// MaxPushPlain is the largest plain payload of a push, in bytes. Encrypted by
// aes128gcm (RFC 8188) it grows by a header of 86 (21 and a key id of 65), a
// delimiter of 1 and a tag of 16; whether the padding brings the plain text, the
// record or the whole body to a multiple of 256, the body is within MaxPushBody.
const MaxPushPlain = 2560 - pushOverhead

const pushOverhead = 86 + 1 + 16

// Fit returns the payload as JSON of at most max bytes. What is too long loses,
// in this order and until it fits: its image, tags to close, the end of
// its body, the badges of other agents, the end of its title, the path of the
// link (the worker knows the conversation). No id is ever touched: an error says
// that they alone are too long.
func (p PushPayload) Fit(max int) ([]byte, error) {
	data, err := encode(p)
	if err != nil {
		return nil, err
	}
	over := func() int { return len(data) - max }
	if over() > 0 && p.Notification.Image != "" {
		p.Notification.Image = ""
		data, err = encode(p)
	}
	for err == nil && over() > 0 && len(p.Notification.Data.Close) > 0 {
		p.Notification.Data.Close = p.Notification.Data.Close[:len(p.Notification.Data.Close)-1]
		data, err = encode(p)
	}
	if err == nil && over() > 0 && p.Notification.Body != "" {
		p.Notification.Body = shorten(p.Notification.Body, over())
		data, err = encode(p)
	}
	p.Notification.Data.Badges = slices.Clone(p.Notification.Data.Badges)
	for i := len(p.Notification.Data.Badges) - 1; err == nil && over() > 0 && i >= 0; i-- {
		if p.Notification.Data.Badges[i].Agent == p.Notification.Data.Agent {
			continue
		}
		p.Notification.Data.Badges = slices.Delete(p.Notification.Data.Badges, i, i+1)
		data, err = encode(p)
	}
	if err == nil && over() > 0 {
		// A title is required: something of it stays.
		if t := shorten(p.Notification.Title, over()); t != "" {
			p.Notification.Title = t
			data, err = encode(p)
		}
	}
	if err == nil && over() > 0 {
		if u, bad := url.Parse(p.Notification.Navigate); bad == nil {
			p.Notification.Navigate = u.Scheme + "://" + u.Host + "/"
			data, err = encode(p)
		}
	}
	if err != nil {
		return nil, err
	}
	if over() > 0 {
		return nil, fmt.Errorf("push payload: %d bytes with nothing left to cut, at most %d fit", len(data), max)
	}
	return data, nil
}

// shorten takes at least over bytes off the end of s, between grapheme clusters.
// A byte of s is at least one of JSON.
func shorten(s string, over int) string {
	return notify.Cut(s, len(s), len(s)-over)
}

// encode is json.Marshal without the HTML escapes, which triple the size of < > &.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
