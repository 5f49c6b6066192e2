package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/notify"
)

const (
	maxConversations = 200 // the room remembers
	maxLines         = 200 // of each
	maxComing        = 200 // scheduled messages
	replayed         = 20  // traces, to a stage that comes
	queued           = 256 // events waiting for one stage
	gather           = 50 * time.Millisecond
	heartbeat        = 15 * time.Second
	asked            = 5 * time.Second // of the hub, for one event
	fromContact      = "contact"
)

// board is what the stage shows of the hub.
type board interface {
	Agent(ctx context.Context, id string) (hub.AgentInfo, error)
	ListAgents(ctx context.Context, after string, limit int) ([]hub.AgentInfo, error)
	Team(ctx context.Context, id string) (notify.Team, error)
	Conversation(ctx context.Context, id string) (notify.Conversation, error)
	Trace(ctx context.Context, ref notify.Ref, text bool) (hub.Trace, error)
	Traces(ctx context.Context, f notify.TraceFilter, text bool) ([]hub.Trace, error)
	Watch(ctx context.Context) <-chan hub.Event
}

// line is one message of a transcript.
type line struct {
	ID        string      `json:"id"`
	Seq       int64       `json:"seq"`
	Kind      notify.Kind `json:"kind"`
	Text      string      `json:"text"`
	Thumbnail string      `json:"thumbnail,omitempty"`
	At        time.Time   `json:"at"`
	From      string      `json:"from"` // "contact", or the agent's id
}

// room keeps the transcripts, bounded and in memory, and the stages that watch.
type room struct {
	mu      sync.Mutex
	threads map[string][]line
	order   []string                    // conversations, the last written to last
	coming  map[string]hub.MessageInput // scheduled by the stage, by id
	stages  map[chan []byte]bool
	ended   chan struct{}
}

func newRoom() *room {
	return &room{threads: map[string][]line{}, coming: map[string]hub.MessageInput{}, stages: map[chan []byte]bool{}, ended: make(chan struct{})}
}

// expect keeps what a scheduled message will say: by the time its trace is read
// its text may be erased.
func (r *room) expect(m hub.MessageInput) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.coming) < maxComing {
		r.coming[m.ID] = m
	}
}

func (r *room) came(id string) hub.MessageInput {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.coming[id]
	delete(r.coming, id)
	return m
}

func (r *room) close() { close(r.ended) }

// conversations are those of which there is a transcript, by their newest line,
// newest first.
func (r *room) conversations() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := slices.Clone(r.order)
	slices.Reverse(ids)
	slices.SortStableFunc(ids, func(a, b string) int { return r.newestLocked(b).At.Compare(r.newestLocked(a).At) })
	return ids
}

func (r *room) newestLocked(conversation string) line {
	ls := r.threads[conversation]
	return ls[len(ls)-1]
}

func (r *room) lines(conversation string) []line {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]line{}, r.threads[conversation]...)
}

// last is the newest line of a transcript, nil where there is none.
func (r *room) last(conversation string) *line {
	r.mu.Lock()
	defer r.mu.Unlock()
	ls := r.threads[conversation]
	if len(ls) == 0 {
		return nil
	}
	l := ls[len(ls)-1]
	return &l
}

// add puts a line into a transcript, by time, unless it is there, and tells the stages.
func (r *room) add(conversation string, l line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ls := r.threads[conversation]
	if slices.ContainsFunc(ls, func(o line) bool { return o.ID == l.ID }) {
		return
	}
	i, _ := slices.BinarySearchFunc(ls, l, func(a, b line) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return int(a.Seq - b.Seq)
	})
	ls = slices.Insert(ls, i, l)
	r.threads[conversation] = ls[max(0, len(ls)-maxLines):]
	r.order = append(slices.DeleteFunc(r.order, func(id string) bool { return id == conversation }), conversation)
	if len(r.order) > maxConversations {
		delete(r.threads, r.order[0])
		r.order = r.order[1:]
	}
	r.tellLocked(event("message", struct {
		Conversation string `json:"conversation"`
		line
	}{conversation, l}))
}

func (r *room) tell(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tellLocked(b)
}

// tellLocked hands an event to every stage; one that doesn't keep up is sent
// away, and reads the state anew when it comes back.
func (r *room) tellLocked(b []byte) {
	for c := range r.stages {
		select {
		case c <- b:
		default:
			delete(r.stages, c)
			close(c)
		}
	}
}

func (r *room) enter() chan []byte {
	c := make(chan []byte, queued)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stages[c] = true
	return c
}

func (r *room) leave(c chan []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.stages, c)
}

// event is one event of the stream (HTML Living Standard, section 9.2).
func event(name string, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, b)
}

type traceEvent struct {
	Conversation string    `json:"conversation"`
	Message      string    `json:"message"`
	Trace        hub.Trace `json:"trace"`
}

func traced(t hub.Trace) []byte {
	if t.Deliveries == nil {
		t.Deliveries = []notify.Delivery{}
	}
	return event("trace", traceEvent{t.Message.Conversation, t.Message.ID, t})
}

// watch turns what the hub reports into lines and events until ctx ends. What
// changes within a moment is asked for once.
func (d *Demo) watch(ctx context.Context) error {
	changes := d.Hub.Watch(ctx)
	past, err := d.Hub.Traces(ctx, notify.TraceFilter{Limit: 500}, true)
	if err != nil {
		return err
	}
	for _, t := range slices.Backward(past) {
		d.remember(t)
	}
	tick := time.NewTimer(gather)
	tick.Stop()
	defer tick.Stop()
	refs, agents := map[notify.Ref]bool{}, map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-changes:
			if !ok {
				return nil
			}
			if len(refs)+len(agents) == 0 {
				tick.Reset(gather)
			}
			switch {
			case e.Message != "":
				refs[notify.Ref{Conversation: e.Conversation, Message: e.Message}] = true
			case e.Agent != "":
				agents[e.Agent] = true
			}
		case <-tick.C:
			for ref := range refs {
				d.show(ctx, ref)
			}
			for id := range agents {
				d.showAgent(ctx, id)
			}
			clear(refs)
			clear(agents)
		}
	}
}

func (d *Demo) show(ctx context.Context, ref notify.Ref) {
	ctx, cancel := context.WithTimeout(ctx, asked)
	defer cancel()
	t, err := d.Hub.Trace(ctx, ref, true)
	if err != nil {
		if !isNotFound(err) {
			d.Log.DebugContext(ctx, "demo: trace not read", "err", err)
		}
		return
	}
	d.remember(t)
	d.room.tell(traced(t))
}

func (d *Demo) showAgent(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, asked)
	defer cancel()
	a, err := d.Hub.Agent(ctx, id)
	if err != nil {
		d.Log.DebugContext(ctx, "demo: agent not read", "err", err)
		return
	}
	d.room.tell(event("presence", describe(a)))
}

func (d *Demo) remember(t hub.Trace) {
	m := t.Message
	if sent := d.room.came(m.ID); m.Text == "" && m.Thumbnail == "" {
		m.Text, m.Thumbnail = sent.Text, sent.Thumbnail
	}
	d.room.add(m.Conversation, line{ID: m.ID, Seq: m.Seq, Kind: m.Kind, Text: m.Text, Thumbnail: m.Thumbnail, At: m.Sent, From: fromContact})
}

// events is the stage's stream: the newest traces, then everything that changes.
func (d *Demo) events(w http.ResponseWriter, r *http.Request) {
	mine := d.room.enter()
	defer d.room.leave(mine)
	past, err := d.Hub.Traces(r.Context(), notify.TraceFilter{Limit: replayed}, true)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	rc := http.NewResponseController(w)
	send := func(b []byte) bool {
		rc.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if _, err := w.Write(b); err != nil {
			return false
		}
		return rc.Flush() == nil
	}
	if !send([]byte("retry: 1000\n\n")) {
		return
	}
	for _, t := range slices.Backward(past) {
		if !send(traced(t)) {
			return
		}
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var b []byte
		select {
		case <-r.Context().Done():
			return
		case <-d.room.ended:
			return
		case <-beat.C:
			b = []byte(": still here\n\n")
		case got, ok := <-mine:
			if !ok {
				return
			}
			b = got
		}
		if !send(b) {
			return
		}
	}
}
