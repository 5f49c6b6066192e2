package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// Times of the socket protocol.
const (
	helloTimeout = 5 * time.Second
	renewEvery   = 15 * time.Second // what pages are told
	leaseTime    = 45 * time.Second // a claim to be visible not renewed for this long ends
	quietTime    = 25 * time.Second // a socket not heard of for this long is pinged
	pingTimeout  = 10 * time.Second
)

// socket is one open page of a login. agent, device and id never change after
// hello; page belongs to the registry's lock; the rest says who guards it.
type socket struct {
	hub    *Hub
	conn   *websocket.Conn
	line   Line // may be nil
	remote string
	id     string
	agent  string
	device string
	since  time.Time // of the hello
	page   page
	out    outbox

	mu      sync.Mutex // guards below
	expires time.Time  // of the token; zero: never
	heard   time.Time
	pinging bool
	limit   *rate.Limiter
	asked   int // acknowledgements the page owes
	awaited []*flight
}

// ServeSocket takes over an accepted WebSocket and returns at once; the hub
// reads it in a goroutine of its own and closes it. line is the connection below
// it, nil where there is none to wait on. remote is the client's address, for
// limits.
func (h *Hub) ServeSocket(c *websocket.Conn, line Line, remote string) {
	if !h.running.Load() || !h.open(1) {
		c.Close(wire.CloseDrain, goingText)
		return
	}
	s := &socket{hub: h, conn: c, line: line, remote: remote}
	c.SetReadLimit(wire.MaxFrame)
	go func() {
		if !s.greet() {
			s.release()
			return
		}
		// Greeting has grown this goroutine's stack; the one that waits for
		// frames from now on is small.
		go s.read()
	}()
}

// release closes the connection and lets the drain go on without it.
func (s *socket) release() {
	s.conn.CloseNow()
	s.hub.wg.Done()
}

// refuse says why there will be no socket.
func (s *socket) refuse(code int, reason string) {
	s.close(&closing{websocket.StatusCode(code), reason})
}

// greet reads the hello and registers the socket. It reports whether there is a
// socket to read.
func (s *socket) greet() bool {
	h := s.hub
	// A context that ends cuts the connection before the page could hear why.
	late := time.AfterFunc(helloTimeout, func() { s.refuse(wire.CloseNoHello, "no hello within 5 s") })
	var f wire.Client
	err := s.next(h.base, &f)
	if !late.Stop() || err != nil {
		if errors.As(err, new(*badFrame)) {
			s.refuse(wire.CloseBadFrame, clip(err.Error()))
		}
		h.metrics.refused("hello")
		return false
	}
	ctx, cancel := context.WithTimeout(h.base, helloTimeout)
	defer cancel()
	if f.Type != wire.TypeHello {
		s.refuse(wire.CloseBadFrame, "the first frame must be hello")
		h.metrics.refused("hello")
		return false
	}
	claims, err := h.auth.Authenticate(ctx, f.Token)
	if err != nil {
		s.refuse(tokenCode(err), clip(AsError(err).Message))
		h.metrics.refused("token")
		return false
	}
	dev, key, err := h.login(ctx, claims.Agent, &f)
	if err != nil {
		s.refuse(closeCodeFor(err), clip(AsError(err).Message))
		h.metrics.refused("login")
		return false
	}
	s.id, s.agent, s.device, s.since = newID(), claims.Agent, dev, time.Now()
	s.expires, s.heard = claims.Expires, s.since
	s.limit = rate.NewLimiter(rate.Limit(h.limits.FramesPerSecond), int(3*h.limits.FramesPerSecond))
	if over := h.sockets.add(s, h.limits); over != "" {
		s.refuse(wire.CloseTooManyTabs, "too many open pages of this "+over)
		h.metrics.refused("limit_" + over)
		return false
	}
	// Registered as hidden: from here on every change reaches the socket, so that
	// the state read next, and what is queued behind it, miss nothing.
	if err := s.welcome(ctx, f.Version, key); err != nil {
		h.sockets.remove(s)
		s.refuse(wire.CloseUnavailable, "the store is unavailable")
		return false
	}
	if f.State != nil {
		s.claim(f.State)
	}
	h.changed(Event{Kind: "presence", Agent: s.agent})
	return true
}

func closeCodeFor(err error) int {
	switch AsError(err).Kind {
	case Unavailable, Internal:
		return wire.CloseUnavailable
	case TooMany:
		return wire.CloseTooManyTabs
	}
	return wire.CloseBadToken
}

// tokenCode is the close code for a token that is not good: a page that was asleep
// may only have an old one, and keys change.
func tokenCode(err error) int {
	switch AsError(err).Code {
	case TokenExpired, TokenKeyUnknown:
		return wire.CloseTokenEnded
	}
	return wire.CloseBadToken
}

// restTime without a frame makes a socket one that rests.
const restTime = time.Second

// read reads frames until the socket ends. A frame's work grows the stack, and
// no collection shrinks it below what waiting for the next one needs twice over:
// of a socket that rests a new goroutine goes on reading.
func (s *socket) read() {
	for {
		s.wait()
		// The drain closes the connection; a context that can end costs memory
		// for as long as the socket waits.
		typ, r, err := s.conn.Reader(context.Background())
		if err != nil {
			break
		}
		goOn, rested := s.take(typ, r)
		if !goOn {
			break
		}
		if rested {
			go s.read()
			return
		}
	}
	s.gone()
	s.release()
}

// take does what one frame asks. It reports whether to go on, and whether the
// socket had rested before.
func (s *socket) take(typ websocket.MessageType, r io.Reader) (goOn, rested bool) {
	var f wire.Client
	err := decodeFrame(typ, r, &f)
	if errors.As(err, new(*badFrame)) {
		s.end(wire.CloseBadFrame, clip(err.Error()))
		s.hub.metrics.dropped("bad_frame")
		s.waitClosed()
		return false, false
	}
	if err != nil {
		return false, false
	}
	now := time.Now()
	s.mu.Lock()
	rested = now.Sub(s.heard) >= restTime
	s.heard = now
	ok := s.allowLocked(&f)
	s.mu.Unlock()
	if !ok {
		s.end(wire.CloseTooMany, "too many frames")
		s.hub.metrics.dropped("flood")
		s.waitClosed()
		return false, false
	}
	if err := s.handle(&f); err != nil {
		e := AsError(err)
		switch e.Kind {
		case Unavailable, Internal:
			s.hub.log.Warn("frame failed", "type", f.Type, "agent", s.agent, "error", err)
		default:
			s.end(wire.CloseBadFrame, clip(e.Message))
			s.waitClosed()
			return false, false
		}
	}
	return true, rested
}

// allowLocked reports whether the frame is within the socket's rate. What the
// hub asked for doesn't count.
func (s *socket) allowLocked(f *wire.Client) bool {
	if f.Type == wire.TypeAck && s.asked > 0 {
		s.asked--
		return true
	}
	return s.limit.Allow()
}

// ask sends a frame that the page answers.
func (s *socket) ask(frame []byte) {
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	s.send(frame)
}

// waitClosed reads on, unheard, until the close is done: a closing handshake
// needs a reader.
func (s *socket) waitClosed() {
	ctx, cancel := context.WithTimeout(s.hub.base, closeGrace)
	defer cancel()
	for {
		if _, r, err := s.conn.Reader(ctx); err != nil {
			return
		} else if _, err := io.Copy(io.Discard, r); err != nil {
			return
		}
	}
}

// badFrame is a frame that is not of the protocol.
type badFrame struct{ why string }

func (e *badFrame) Error() string { return e.why }

// frameDecoder decodes frame after frame: what a new json.Decoder would allocate
// is most of what a frame costs. One that met a bad frame is no good any more.
type frameDecoder struct {
	frame bytes.Buffer // what the decoder reads
	json  *json.Decoder
}

var frameDecoders = sync.Pool{New: func() any {
	d := &frameDecoder{}
	d.json = json.NewDecoder(&d.frame)
	d.json.DisallowUnknownFields()
	return d
}}

// next reads one frame. An error that is not a *badFrame ends the socket.
func (s *socket) next(ctx context.Context, f *wire.Client) error {
	typ, r, err := s.conn.Reader(ctx)
	if err != nil {
		return err
	}
	return decodeFrame(typ, r, f)
}

func decodeFrame(typ websocket.MessageType, r io.Reader, f *wire.Client) error {
	if typ != websocket.MessageText {
		io.Copy(io.Discard, r) // a message left half read cuts the connection
		return &badFrame{"frames are text"}
	}
	d := frameDecoders.Get().(*frameDecoder)
	if _, err := d.frame.ReadFrom(r); err != nil {
		return err
	}
	if err := d.json.Decode(f); err != nil {
		return &badFrame{"not a frame: " + err.Error()}
	}
	if _, err := d.json.Token(); err != io.EOF {
		return &badFrame{"not a frame: something stands behind its JSON"}
	}
	frameDecoders.Put(d)
	return nil
}

// handle does what a frame asks. An error of kind Invalid ends the socket.
func (s *socket) handle(f *wire.Client) error {
	h := s.hub
	// What comes most needs no store, and no context.
	switch f.Type {
	case wire.TypeAck:
		if f.Rendered == nil {
			return invalid("rendered", "an ack frame says rendered: true or false")
		}
		s.acknowledge(f.ID, *f.Rendered, clip(f.Detail))
		return nil
	case wire.TypeState:
		if f.State == nil {
			return invalid("state", "a state frame carries state")
		}
		if err := checkViewing(f.State); err != nil {
			return err
		}
		s.claim(f.State)
		if f.Permission == "" {
			return nil
		}
	}
	ctx, cancel := context.WithTimeout(h.base, 10*time.Second)
	defer cancel()
	switch f.Type {
	case wire.TypeState:
		_, err := h.setDevice(ctx, s.device, DeviceInput{Permission: &f.Permission})
		return err
	case wire.TypeRead:
		err := h.Read(ctx, s.agent, f.Conversation, f.Upto)
		if AsError(err) != nil && AsError(err).Kind == NotFound {
			return nil
		}
		return err
	case wire.TypeDuty:
		if f.OnDuty == nil {
			return invalid("on_duty", "a duty frame says on_duty: true or false")
		}
		err := h.SetOwnDuty(ctx, s.agent, *f.OnDuty)
		if AsError(err) != nil && AsError(err).Kind == Forbidden {
			if a, err := h.dir.agent(ctx, s.agent); err == nil {
				s.sendDuty(a)
			}
			return nil
		}
		return err
	case wire.TypeRefresh:
		if f.Token != "" {
			claims, err := h.auth.Authenticate(ctx, f.Token)
			switch {
			case err != nil:
				s.end(tokenCode(err), clip(AsError(err).Message))
				return nil
			case claims.Agent != s.agent:
				s.end(wire.CloseForeign, "the token names another agent")
				return nil
			}
			s.mu.Lock()
			s.expires = claims.Expires
			s.mu.Unlock()
		}
		s.truth(ctx)
		return nil
	case wire.TypeBye:
		if f.Logout {
			return h.endLogin(ctx, s.agent, s.device)
		}
		s.end(int(websocket.StatusNormalClosure), "")
		return nil
	case wire.TypeHello:
		return invalid("type", "hello comes once, as the first frame")
	}
	return invalid("type", "type must be one of state, ack, read, duty, refresh, bye")
}

// claim takes the page's word for its state, and has what this socket was to
// confirm decided again if the page turned hidden.
func (s *socket) claim(p *wire.PageState) {
	before, after := s.hub.sockets.claim(s, p.Visibility == "visible", p.Focus, p.Viewing, time.Now())
	if before >= notify.Visible && after < notify.Visible {
		s.lost("the page turned hidden")
	}
	if before != after {
		s.hub.changed(Event{Kind: "presence", Agent: s.agent})
	}
}

// gone takes the socket out of everything.
func (s *socket) gone() {
	s.out.mu.Lock()
	s.out.ended = true
	s.out.frames, s.out.counts = nil, nil
	s.out.mu.Unlock()
	if s.hub.sockets.remove(s) {
		s.lost("the page went away")
		s.hub.changed(Event{Kind: "presence", Agent: s.agent})
	}
}

// lost has the socket taken from what it was to confirm.
func (s *socket) lost(why string) {
	s.hub.partitionOf(s.agent).post(&lostOp{agent: s.agent, socket: s.id, why: why})
}

// truth sends full state anew. A page that can't be told it comes back for it.
func (s *socket) truth(ctx context.Context) {
	if err := s.welcome(ctx, 0, ""); err != nil {
		s.hub.log.Warn("full state not sent", "agent", s.agent, "error", err)
		s.end(wire.CloseUnavailable, "the store is unavailable")
	}
}

// welcome sends full state. have is the version the page shows.
func (s *socket) welcome(ctx context.Context, have int64, key string) error {
	for tries := 3; ; tries-- {
		// Older state again and again is what a store that lost writes holds.
		sent, err := s.tryWelcome(ctx, have, key, tries == 1)
		if sent || err != nil {
			return err
		}
	}
}

// tryWelcome reports whether the state that it read was still worth telling.
func (s *socket) tryWelcome(ctx context.Context, have int64, key string, always bool) (bool, error) {
	h := s.hub
	a, err := h.dir.agent(ctx, s.agent)
	if err != nil {
		return false, err
	}
	if !slices.ContainsFunc(a.Logins, func(l notify.Login) bool { return l.Device == s.device }) {
		s.end(wire.CloseLoggedOut, "the login ended") // before the socket was there to be closed
		return true, nil
	}
	d, err := h.dir.device(ctx, s.device)
	if err != nil {
		return false, err
	}
	s.dropCounts()
	u, err := h.store.Unread(ctx, s.agent, 200)
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	expires := s.expires
	s.mu.Unlock()
	w := wire.Welcome{
		Type: wire.TypeWelcome, Socket: s.id, Agent: a.ID, Name: a.Name,
		Device: wire.DeviceAuth{ID: d.ID, Key: key}, Code: deviceCode(d.ID),
		OnDuty: a.OnDuty, Duty: h.pageDuty, Settings: h.settingsOf(a, d),
		Version: u.Version, Total: u.Total, VAPID: h.VAPID(),
		RenewSeconds: int(renewEvery / time.Second),
	}
	if !expires.IsZero() {
		w.Expires = expires.Unix()
	}
	if have != 0 && have == u.Version {
		w.Same = true
	} else {
		w.Conversations = make([]wire.Change, 0, len(u.Conversations))
		for _, c := range u.Conversations {
			w.Conversations = append(w.Conversations, wire.Change{Conversation: c.Conversation, Unread: c.Unread, Seq: c.Seq})
		}
	}
	return s.showWelcome(w, a, d, always), nil
}

// watchSockets ends leases and tokens, and pings the quiet, until ctx ends.
func (h *Hub) watchSockets(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		for _, s := range h.sockets.lapse(now.Add(-leaseTime)) {
			s.lost(string(notify.LeaseExpired))
			h.changed(Event{Kind: "presence", Agent: s.agent})
		}
		for _, s := range h.sockets.all() {
			s.mu.Lock()
			expired := !s.expires.IsZero() && !now.Before(s.expires)
			ping := !s.pinging && now.Sub(s.heard) >= quietTime
			s.pinging = s.pinging || ping
			s.mu.Unlock()
			if s.stuck(now) {
				s.conn.CloseNow()
			} else if expired {
				s.end(wire.CloseTokenEnded, "the token ended")
			} else if ping && h.open(1) {
				go s.ping()
			}
		}
	}
}

// ping finds out whether the peer still answers; if not, the connection is closed.
func (s *socket) ping() {
	defer s.hub.wg.Done()
	ctx, cancel := context.WithTimeout(s.hub.base, pingTimeout)
	defer cancel()
	err := s.conn.Ping(ctx)
	s.mu.Lock()
	s.heard, s.pinging = time.Now(), false
	s.mu.Unlock()
	if err != nil {
		s.conn.CloseNow()
	}
}

// flushSoon has the socket's counts sent after countsDelay.
func (h *Hub) flushSoon(s *socket) {
	h.flush.mu.Lock()
	defer h.flush.mu.Unlock()
	h.flush.sockets = append(h.flush.sockets, s)
	if len(h.flush.sockets) == 1 {
		time.AfterFunc(countsDelay, h.flushNow)
	}
}

func (h *Hub) flushNow() {
	h.flush.mu.Lock()
	ss := h.flush.sockets
	h.flush.sockets = nil
	h.flush.mu.Unlock()
	for _, s := range ss {
		s.flushCounts()
	}
}

// clip cuts text to what a close frame can carry.
func clip(s string) string {
	if len(s) <= 120 {
		return s
	}
	s = s[:120]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}
