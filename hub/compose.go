package hub

import (
	"net/url"
	"strings"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// compose makes what a notification of a message shows to one agent on one device.
func (h *Hub) compose(msg *notify.Message, a notify.Agent, d notify.Device, count int, bare bool) wire.Show {
	return h.composer(msg, count, bare).show(a, d)
}

// composer makes what a notification of one message shows to many: a text that
// several are to see is made once.
type composer struct {
	in           notify.ComposeInput
	conversation string
	navigate     string // with {agent} still in it
	texts        map[composed]notify.Shown
}

// composed is what the text of a message depends on besides the message.
type composed struct {
	locale, agent string
	preview       notify.Preview
}

func (h *Hub) composer(msg *notify.Message, count int, bare bool) *composer {
	c := &composer{
		in: notify.ComposeInput{
			Contact: msg.Contact, Kind: msg.Kind, Text: msg.Text, Thumbnail: msg.Thumbnail, Ceiling: h.ceiling, Waiting: count,
		},
		conversation: msg.Conversation,
		navigate:     h.leadsTo(msg.Conversation),
		texts:        map[composed]notify.Shown{},
	}
	if bare {
		c.in.Ceiling = notify.Stricter(c.in.Ceiling, notify.PreviewSender)
	}
	return c
}

func (c *composer) show(a notify.Agent, d notify.Device) wire.Show {
	key := composed{locale: a.Locale, preview: a.Preview}
	if len(d.Agents) > 1 {
		key.agent = a.Name
	}
	t, ok := c.texts[key]
	if !ok {
		in := c.in
		in.Agent, in.Locale, in.Preview = key.agent, key.locale, key.preview
		t = notify.Compose(in)
		c.texts[key] = t
	}
	show := wire.Show{
		Title: t.Title, Body: t.Body, Image: t.Image, Lang: t.Lang,
		Tag: notify.Tag(a.ID, c.conversation), Navigate: forAgent(c.navigate, a.ID),
	}
	if c.in.Waiting > 1 {
		show.Waiting = c.in.Waiting
	}
	return show
}

// navigate is where a click leads.
func (h *Hub) navigate(agent, conversation string) string {
	return forAgent(h.leadsTo(conversation), agent)
}

func (h *Hub) leadsTo(conversation string) string {
	return strings.ReplaceAll(h.conversationURL, "{conversation}", component(conversation))
}

func forAgent(navigate, agent string) string {
	return strings.ReplaceAll(navigate, "{agent}", component(agent))
}

// component escapes an id for any place in a URL, as encodeURIComponent does.
func component(id string) string { return strings.ReplaceAll(url.QueryEscape(id), "+", "%20") }
