package hub

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// pushTimeout bounds one push, from making it to the push service's answer.
const pushTimeout = 20 * time.Second

// pushHost is the lane of a device's pushes.
func (h *Hub) pushHost(device string) string {
	d, err := h.dir.device(h.base, device)
	if err != nil || d.Subscription == nil {
		return ""
	}
	u, err := url.Parse(d.Subscription.Endpoint)
	if err != nil {
		return ""
	}
	return u.Host
}

// sendPush makes the content of a push as things are now, and sends it.
func (h *Hub) sendPush(ctx context.Context, out *outgoing) (sub notify.Subscription, answer notify.PushAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	lead := out.waiting[newest(out.waiting)]
	msg, err := h.store.Message(ctx, notify.Ref{Conversation: out.conversation, Message: lead.Message})
	if err != nil {
		return sub, answer, err
	}
	a, err := h.dir.agent(ctx, out.agent)
	if err != nil {
		return sub, answer, err
	}
	d, err := h.dir.device(ctx, out.device)
	if err != nil {
		return sub, answer, err
	}
	if d.Subscription == nil {
		return sub, notify.PushAnswer{Class: notify.AnswerGone, Detail: "the device has no subscription any more"}, nil
	}
	sub = *d.Subscription
	show := h.compose(&msg, a, d, len(out.waiting)+out.merged, out.bare)
	data := wire.PushData{
		ID: lead.Delivery, Kind: "message", Agent: a.ID, Device: d.ID, Generation: sub.Generation,
		Conversation: out.conversation, Message: lead.Message, Seq: lead.Seq,
		Close: h.closed.take(a.ID, d.ID, show.Tag),
	}
	answer, err = h.send(ctx, d, show, data, time.Until(out.expires), out.held)
	if err != nil || answer.Class != notify.AnswerAccepted {
		h.closed.back(a.ID, d.ID, data.Close)
		return sub, answer, err
	}
	h.unheard.sent(d.ID, sub.Generation, sentRef{msg.Ref(), h.partitionOf(a.ID).n, lead.Delivery}, time.Now())
	return sub, answer, err
}

// send sends one push to a device: badges of all its logins, a receipt's token,
// and what it shows. held says, right before it leaves, whether it is still this
// node's to send.
func (h *Hub) send(ctx context.Context, d notify.Device, show wire.Show, data wire.PushData, ttl time.Duration, held func() bool) (notify.PushAnswer, error) {
	badge := 0
	for _, id := range d.Agents[:min(len(d.Agents), 8)] {
		u, err := h.store.Unread(ctx, id, 1)
		if err != nil {
			return notify.PushAnswer{}, err
		}
		data.Badges = append(data.Badges, wire.Badge{Agent: id, Total: u.Total, Version: u.Version})
		badge += u.Total
	}
	data.Receipts = h.publicURL + "/v1/receipts"
	data.Sent = time.Now().UnixMilli()
	data.Receipt = h.receiptToken(wire.Receipt{
		Conversation: data.Conversation, Message: data.Message, ID: data.ID, Agent: data.Agent,
		Device: data.Device, Generation: data.Generation, Kind: data.Kind,
	})
	payload, err := wire.PushPayload{
		WebPush: 8030, AppBadge: badge, Mutable: true,
		Notification: wire.PushNotification{
			Title: show.Title, Body: show.Body, Navigate: show.Navigate, Lang: show.Lang, Tag: show.Tag,
			Image: show.Image, AppBadge: fmt.Sprint(badge), Data: data,
		},
	}.Fit(wire.MaxPushPlain)
	if err != nil {
		return notify.PushAnswer{Class: notify.AnswerRefused, Detail: err.Error()}, nil
	}
	topic := show.Tag
	if data.Kind == "test" {
		topic = ""
	}
	if !held() {
		return notify.PushAnswer{}, errTakenOver
	}
	answer := h.push.Send(ctx, *d.Subscription, notify.PushMessage{Payload: payload, Declarative: true, Topic: topic, TTL: max(ttl, time.Second)})
	h.metrics.answered(answer)
	return answer, nil
}

// pushAnswered keeps what an answer says of the device's subscription.
func (h *Hub) pushAnswered(ctx context.Context, device string, sub notify.Subscription, a notify.PushAnswer) {
	var change func(*notify.Device) error
	same := func(d *notify.Device) bool {
		return d.Subscription != nil && d.Subscription.Endpoint == sub.Endpoint && d.Subscription.Generation == sub.Generation
	}
	switch a.Class {
	case notify.AnswerGone:
		change = func(d *notify.Device) error {
			if !same(d) {
				return errKeep
			}
			d.Subscription = nil
			return nil
		}
	case notify.AnswerKeyMismatch:
		change = func(d *notify.Device) error {
			if !same(d) || d.Resubscribe {
				return errKeep
			}
			d.Resubscribe = true
			return nil
		}
	default:
		return
	}
	d, err := h.dir.updateDevice(ctx, device, func(d *notify.Device) error {
		if d.Rev == 0 {
			return missing("device", device)
		}
		return change(d)
	})
	if err != nil {
		h.log.Warn("subscription not updated", "device", device, "class", a.Class, "error", err)
		return
	}
	h.tellSettings(ctx, d)
}

// closedTags remembers which notifications of an agent were read, for devices
// without an open page: their next push closes them. It is a courtesy, bounded
// and in memory.
type closedTags struct {
	mu     sync.Mutex
	agents map[string][]closedTag
}

type closedTag struct {
	tag  string
	done []string // devices that were told
}

// maxClosed is how many tags a push names at most, and how many are remembered
// for an agent.
const maxClosed = 16

func (c *closedTags) add(agent, tag string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tags := slices.DeleteFunc(c.agents[agent], func(t closedTag) bool { return t.tag == tag })
	tags = append(tags, closedTag{tag: tag})
	if len(tags) > maxClosed {
		tags = tags[len(tags)-maxClosed:]
	}
	c.agents[agent] = tags
}

// take returns the tags a device was not told of. except is being shown anew.
func (c *closedTags) take(agent, device, except string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	tags := slices.DeleteFunc(c.agents[agent], func(t closedTag) bool { return t.tag == except })
	if len(tags) == 0 {
		delete(c.agents, agent)
		return nil
	}
	c.agents[agent] = tags
	var out []string
	for i := range tags {
		if !slices.Contains(tags[i].done, device) {
			tags[i].done = append(tags[i].done, device)
			out = append(out, tags[i].tag)
		}
	}
	return out
}

// back gives tags back that a device was not told of after all.
func (c *closedTags) back(agent, device string, tags []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.agents[agent] {
		if t := &c.agents[agent][i]; slices.Contains(tags, t.tag) {
			t.done = slices.DeleteFunc(t.done, func(d string) bool { return d == device })
		}
	}
}
