package hub

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// pushTimeout bounds one push, from making it to the push service's answer.
const pushTimeout = 20 * time.Second

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
	answer, err = h.send(ctx, d, show, data, time.Until(out.expires))
	if err != nil || answer.Class != notify.AnswerAccepted {
		h.closed.back(a.ID, d.ID, data.Close)
	}
	return sub, answer, err
}

// send sends one push to a device: badges of all its logins, a receipt's token,
// and what it shows.
func (h *Hub) send(ctx context.Context, d notify.Device, show wire.Show, data wire.PushData, ttl time.Duration) (notify.PushAnswer, error) {
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
	answer := h.push.Send(ctx, *d.Subscription, notify.PushMessage{Payload: payload, Declarative: true, Topic: topic, TTL: max(ttl, time.Second)})
	h.metrics.pushAnswers.WithLabelValues(answer.Host, string(answer.Class)).Inc()
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

// receiptToken proves that a receipt is of a push that this hub sent: an HMAC
// over everything but the event, so that nothing is stored for it.
func (h *Hub) receiptToken(r wire.Receipt) string {
	mac := hmac.New(sha256.New, h.secret)
	for _, part := range []string{r.Kind, r.ID, r.Agent, r.Device, r.Conversation, r.Message} {
		fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	fmt.Fprintf(mac, "%d", r.Generation)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// Receipt keeps what a service worker says became of a push. A token that is not
// this hub's answers Forbidden.
func (h *Hub) Receipt(ctx context.Context, r wire.Receipt) error {
	if !hmac.Equal([]byte(h.receiptToken(r)), []byte(r.Token)) {
		return &Error{Kind: Forbidden, Code: "bad_receipt", Message: "the receipt's token does not fit", Field: "token"}
	}
	kinds := map[string]notify.EventKind{
		"displayed": notify.EventDisplayed, "clicked": notify.EventClicked, "dismissed": notify.EventDismissed,
	}
	kind, ok := kinds[r.Event]
	if !ok {
		return invalid("event", "event is %q; allowed are displayed, clicked, dismissed", r.Event)
	}
	h.metrics.receipts.WithLabelValues(r.Kind, r.Event).Inc()
	if r.Kind == "test" {
		if kind == notify.EventDisplayed {
			h.tests.received(h, r.ID)
		}
		return nil
	}
	p := h.partitionOf(r.Agent)
	p.post(&sightOp{
		ref:   notify.Ref{Conversation: r.Conversation, Message: r.Message},
		sight: sight{delivery: r.ID, event: notify.Event{At: time.Now(), Kind: kind}},
	})
	return nil
}

// sightDelay is how long receipts are gathered before a record is written.
const sightDelay = time.Second

// sight is a receipt on its way into the record of its message.
type sight struct {
	delivery string
	event    notify.Event
}

// sightOp takes a receipt.
type sightOp struct {
	ref   notify.Ref
	sight sight
}

func (o *sightOp) done(*partition, error) {}
func (o *sightOp) stage(s *step) error {
	s.then(func(notify.Result) {
		if seen := s.p.seen[o.ref]; len(seen) < 4096 {
			s.p.seen[o.ref] = append(seen, o.sight)
		}
	})
	return nil
}

// flushSights has the gathered receipts written.
func (p *partition) flushSights() {
	for ref, sights := range p.seen {
		p.next = append(p.next, &sightsOp{ref, sights})
		delete(p.seen, ref)
	}
}

// sightsOp writes the gathered receipts of one message.
type sightsOp struct {
	ref    notify.Ref
	sights []sight
}

func (o *sightsOp) done(*partition, error) {}
func (o *sightsOp) stage(s *step) error {
	for _, x := range o.sights {
		d, err := s.delivery(o.ref, x.delivery)
		if err != nil {
			return err
		}
		if d == nil || slices.ContainsFunc(d.Events, func(e notify.Event) bool { return e.Kind == x.event.Kind }) {
			continue
		}
		noteAt(d, x.event.At, x.event.Kind, "")
	}
	return nil
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

// pushTests keeps the Push tests of the last minutes.
type pushTests struct {
	mu   sync.Mutex
	byID map[string]*pushTest
}

type pushTest struct {
	agent, device string
	asked         time.Time
	frame         wire.TestFrame
}

// testLife is how long a Push test can be asked for.
const testLife = 10 * time.Minute

// PushTest sends a real push through the real path, past duty, mute, switch and
// presence, to the device itself.
func (h *Hub) PushTest(ctx context.Context, agent string, auth wire.DeviceAuth) (TestInfo, error) {
	d, err := h.proven(ctx, agent, auth)
	if err != nil {
		return TestInfo{}, err
	}
	if d.Subscription == nil {
		return TestInfo{}, &Error{Kind: Conflict, Code: "no_subscription", Message: "this device has no push subscription: turn push on first"}
	}
	a, err := h.dir.agent(ctx, agent)
	if err != nil {
		return TestInfo{}, err
	}
	now := time.Now()
	t := &pushTest{agent: agent, device: d.ID, asked: now, frame: wire.TestFrame{Type: wire.TypeTest, ID: newID(), Stage: "sending"}}
	if snap, err := h.dir.view(ctx, []string{agent}); err == nil {
		if av, lv, ok := snap.login(agent, d.ID); ok {
			t.frame.Silenced = notify.Silences(av, lv)
		}
	}
	if !h.tests.add(t, now) {
		return TestInfo{}, &Error{Kind: TooMany, Code: "too_many_tests", Message: "too many Push tests of this device; wait a minute", RetryAfter: time.Minute}
	}
	info := TestInfo{t.frame}
	name := ""
	if len(d.Agents) > 1 {
		name = a.Name
	}
	shown := notify.ComposeTest(a.Locale, name)
	h.lanes.submit(h.pushHost(d.ID), false, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, pushTimeout)
		defer cancel()
		show := wire.Show{Title: shown.Title, Body: shown.Body, Lang: shown.Lang, Tag: "test" + strings.NewReplacer("-", "0", "_", "1").Replace(t.frame.ID), Navigate: h.navigate(agent, "")}
		answer, err := h.send(ctx, d, show, wire.PushData{ID: t.frame.ID, Kind: "test", Agent: agent, Device: d.ID, Generation: d.Subscription.Generation}, time.Minute)
		if err != nil {
			answer = notify.PushAnswer{Detail: err.Error()}
		} else {
			h.pushAnswered(ctx, d.ID, *d.Subscription, answer)
		}
		stage := "failed"
		if answer.Class == notify.AnswerAccepted {
			stage = "accepted"
		}
		h.tests.move(h, t.frame.ID, stage, answerText(answer))
	})
	return info, nil
}

// PushTestState returns a Push test of the agent's own.
func (h *Hub) PushTestState(_ context.Context, agent, id string) (TestInfo, error) {
	h.tests.mu.Lock()
	defer h.tests.mu.Unlock()
	t := h.tests.byID[id]
	if t == nil || t.agent != agent {
		return TestInfo{}, missing("push_test", id)
	}
	return TestInfo{t.frame}, nil
}

// maxTests is how many Push tests a device may have under way or shown.
const maxTests = 20

func (ts *pushTests) add(t *pushTest, now time.Time) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	mine := 0
	for id, old := range ts.byID {
		if now.Sub(old.asked) > testLife {
			delete(ts.byID, id)
		} else if old.device == t.device && now.Sub(old.asked) < time.Minute {
			mine++
		}
	}
	if mine >= maxTests {
		return false
	}
	ts.byID[t.frame.ID] = t
	return true
}

func (ts *pushTests) received(h *Hub, id string) { ts.move(h, id, "received", "") }

// move brings a test to its next stage and tells its pages. A receipt may come
// before the push service's answer: received stays.
func (ts *pushTests) move(h *Hub, id, stage, detail string) {
	ts.mu.Lock()
	t := ts.byID[id]
	if t == nil || t.frame.Stage == "received" {
		ts.mu.Unlock()
		return
	}
	t.frame.Stage = stage
	t.frame.Millis = time.Since(t.asked).Milliseconds()
	if detail != "" {
		t.frame.Detail = detail
	}
	f := t.frame
	agent, device := t.agent, t.device
	ts.mu.Unlock()
	data := encode(f)
	for _, s := range h.sockets.of(agent, device) {
		s.send(data)
	}
}
