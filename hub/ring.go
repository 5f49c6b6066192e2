package hub

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"caac-hub/hub/notify"
)

// burstWindow is how long after a ring the messages of the same login and
// conversation are kept for one further ring.
const burstWindow = 5 * time.Second

// maxWaiting bounds the messages one ring keeps apart; older ones are merged
// into the newest at once.
const maxWaiting = 50

// dueKey makes the key of a piece of due work.
func dueKey(kind notify.DueKind, parts ...string) string {
	var b strings.Builder
	b.WriteString(string(kind))
	for _, p := range parts {
		b.WriteByte('/')
		b.WriteString(url.QueryEscape(p))
	}
	return b.String()
}

// ring is the one place where the rings of a login and conversation wait: a
// push to be sent, a retry, the end of a burst. It is a DueRing.
type ring struct {
	ringBody
	key     string
	at      time.Time
	attempt int
	rev     int64
	gone    bool  // to be deleted
	stored  *ring // as it stands in the store, nil if it does not
}

// changed reports whether there is something to write.
func (r *ring) changed() bool {
	o := r.stored
	if o == nil {
		return !r.gone
	}
	return r.gone || !r.at.Equal(o.at) || r.attempt != o.attempt || !r.Until.Equal(o.Until) ||
		r.Bare != o.Bare || r.Lost != o.Lost || r.Taken != o.Taken || r.Merged != o.Merged || !slices.Equal(r.Waiting, o.Waiting)
}

type ringBody struct {
	Agent        string    `json:"agent"`
	Device       string    `json:"device"`
	Conversation string    `json:"conversation"`
	Team         bool      `json:"team,omitempty"` // assignees' pushes go first
	Waiting      []waiting `json:"waiting,omitempty"`
	Merged       int       `json:"merged,omitempty"` // messages merged early, which the ring tells of too
	Until        time.Time `json:"until,omitzero"`   // end of the burst window, once something rang
	Bare         bool      `json:"bare,omitempty"`   // without preview: it was too large
	Lost         bool      `json:"lost,omitempty"`   // the push service said that the subscription is gone
	Taken        string    `json:"taken,omitempty"`  // by whom it is being sent, on many nodes; until at, or as long as the lease is kept
}

// waiting is a message that a ring will tell of.
type waiting struct {
	Message  string `json:"message"`
	Seq      int64  `json:"seq"`
	Delivery string `json:"delivery"`
}

func (r *ring) due(partition int) (notify.Due, error) {
	body, err := json.Marshal(r.ringBody)
	return notify.Due{
		Partition: partition, Key: r.key, Kind: notify.DueRing, At: r.at,
		Attempt: r.attempt, Body: body, Rev: r.rev,
	}, err
}

func (r *ring) waits(delivery string) bool {
	return slices.ContainsFunc(r.Waiting, func(w waiting) bool { return w.Delivery == delivery })
}

func (r *ring) ref(w waiting) notify.Ref {
	return notify.Ref{Conversation: r.Conversation, Message: w.Message}
}

// newest returns the index of the message of the greatest seq.
func newest(ws []waiting) int {
	n := 0
	for i := range ws {
		if ws[i].Seq > ws[n].Seq {
			n = i
		}
	}
	return n
}

// ring returns the step's copy of the ring of a login and conversation, a new
// one if there is none.
func (s *step) ring(agent, device, conversation string) (*ring, error) {
	r, err := s.ringByKey(dueKey(notify.DueRing, agent, device, conversation))
	if err != nil {
		return nil, err
	}
	if r.gone {
		r.gone = false
		r.ringBody = ringBody{Agent: agent, Device: device, Conversation: conversation}
		r.at, r.attempt = time.Time{}, 0
	}
	return r, nil
}

// ringByKey returns the step's copy; gone where there is none.
func (s *step) ringByKey(key string) (*ring, error) {
	if r, ok := s.rings[key]; ok {
		return r, nil
	}
	r := &ring{key: key, gone: true}
	if known, ok := s.p.rings[key]; ok {
		*r = *known
		r.Waiting, r.stored = slices.Clone(known.Waiting), known
	} else {
		stored, err := s.dueOf(key)
		if err != nil {
			return nil, err
		}
		if stored != nil {
			r.at, r.attempt, r.rev, r.gone = stored.At, stored.Attempt, stored.Rev, false
			if err := json.Unmarshal(stored.Body, &r.ringBody); err != nil {
				return nil, fmt.Errorf("ring %s: %w", key, err)
			}
			was := *r
			was.Waiting = slices.Clone(r.Waiting)
			r.stored = &was
		}
	}
	s.rings[key] = r
	return r, nil
}

// rings returns the step's copies of the rings of an agent and conversation, on
// all devices, that have something waiting.
func (s *step) ringsOf(agent, conversation string) ([]*ring, error) {
	a, err := s.p.h.dir.agent(s.ctx, agent)
	if e := AsError(err); e != nil && e.Kind == NotFound {
		return nil, nil
	} else if e != nil {
		return nil, err
	}
	keys := make([]string, len(a.Logins))
	for i, l := range a.Logins {
		keys[i] = dueKey(notify.DueRing, agent, l.Device, conversation)
	}
	if err := s.want(wants{due: slices.Clone(keys)}); err != nil {
		return nil, err
	}
	var out []*ring
	for _, key := range keys {
		r, err := s.ringByKey(key)
		if err != nil {
			return nil, err
		}
		if !r.gone && len(r.Waiting) > 0 {
			out = append(out, r)
		}
	}
	return out, nil
}

// enqueue has a delivery told by the ring: at once, or at the end of the burst.
func (s *step) enqueue(r *ring, ref notify.Ref, seq int64, d *notify.Delivery) {
	if r.waits(d.ID) {
		return
	}
	if len(r.Waiting) == 0 {
		r.at, r.attempt, r.Bare = s.now, 0, false
		if r.Until.After(s.now) {
			r.at = r.Until
		}
	}
	detail := ""
	if r.at.After(s.now) {
		detail = fmt.Sprintf("waits %.1f s: it rang a moment ago", r.at.Sub(s.now).Seconds())
	}
	s.note(d, notify.EventPushQueued, detail)
	r.Waiting = append(r.Waiting, waiting{Message: ref.Message, Seq: seq, Delivery: d.ID})
}

// trim merges the oldest of a ring that keeps too many.
func (s *step) trim(r *ring) error {
	for len(r.Waiting) > maxWaiting {
		n := newest(r.Waiting)
		i := 0
		if n == 0 {
			i = 1
		}
		old := r.Waiting[i]
		if err := s.merge(r, old, r.Waiting[n].Delivery); err != nil {
			return err
		}
		r.Waiting = slices.Delete(r.Waiting, i, i+1)
		r.Merged++
	}
	return nil
}

// merge ends a delivery that the one named tells of too.
func (s *step) merge(r *ring, w waiting, into string) error {
	d, err := s.delivery(r.ref(w), w.Delivery)
	if err == nil && d != nil && d.End == "" {
		d.Into = into
		s.end(d, notify.Merged, d.Reason)
	}
	return err
}

// endWaiting ends every delivery of the ring for which keep is false, and takes
// it out. keep nil ends all.
func (s *step) endWaiting(r *ring, end notify.End, reason notify.Reason, keep func(waiting) bool) error {
	var left []waiting
	for _, w := range r.Waiting {
		if keep != nil && keep(w) {
			left = append(left, w)
			continue
		}
		d, err := s.delivery(r.ref(w), w.Delivery)
		if err != nil {
			return err
		}
		if d != nil && d.End == "" {
			s.end(d, end, reason)
		}
	}
	r.Waiting = left
	if len(left) == 0 {
		s.rest(r)
	}
	return nil
}

// rest leaves a ring without anything waiting to its burst window, or deletes it.
func (s *step) rest(r *ring) {
	r.Merged, r.attempt, r.Bare, r.Lost, r.Taken = 0, 0, false, false, ""
	r.gone = !r.Until.After(s.now)
	r.at = r.Until
}
