package hub

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

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
	h.receiptCame(ctx, r.Device, r.Generation)
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
