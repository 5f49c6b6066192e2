//go:build linux

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// conduct is how the pages of a device behave.
type conduct struct {
	agent     string
	name      string // of the device
	states    []wire.PageState
	mute      bool // never acknowledges
	closed    bool // no page is open after the first
	tabs      int
	subscribe bool
}

var (
	active  = wire.PageState{Visibility: "visible", Focus: true}
	visible = wire.PageState{Visibility: "visible"}
	hidden  = wire.PageState{Visibility: "hidden"}
)

// device is one browser profile with its pages.
type device struct {
	conduct
	front  *front
	auth   wire.DeviceAuth
	seen   *sightings
	random *rand.Rand // one page uses it at a time
	mu     sync.Mutex // guards random
	pages  []*page
}

// page is one tab that comes back whenever it is cut off, changes from state to
// state, and follows the counts as the protocol says.
type page struct {
	d     *device
	still *atomic.Bool // keep the state

	mu      sync.Mutex // guards below
	state   wire.PageState
	conns   []*websocket.Conn // welcomed
	alone   time.Time         // since when there is none; zero before the first
	gaps    []time.Duration   // without any
	moves   int               // to another node that took over from one that went
	refused []string          // closes that ask not to come back
	version int64
	total   int
	known   bool
}

// settle logs the device in, and subscribes it.
func (d *device) settle(ctx context.Context, s *pushService) error {
	w, conn, err := d.connect(ctx, 0, d.pick())
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	d.auth = w.Device
	if !d.subscribe {
		return conn.Close(websocket.StatusNormalClosure, "")
	}
	sub := s.subscribe(d.agent + "." + d.name)
	sub["key_id"] = w.VAPID.ID
	tok, err := token(d.agent)
	if err != nil {
		return err
	}
	header := map[string]string{"Authorization": "Bearer " + tok, "X-Device": d.auth.ID, "X-Device-Key": d.auth.Key}
	if err := d.front.call(ctx, "PUT", "/v1/device/subscription", header, sub, nil); err != nil {
		return err
	}
	return conn.Close(websocket.StatusNormalClosure, "")
}

// connect opens a socket and says hello; version is what the page shows.
func (d *device) connect(ctx context.Context, version int64, state wire.PageState) (w wire.Welcome, conn *websocket.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, "ws://"+d.front.pages+"/v1/socket", &websocket.DialOptions{
		HTTPClient: d.front.http, HTTPHeader: http.Header{"Origin": {origin}}, Subprotocols: []string{wire.Subprotocol},
	})
	if err != nil {
		if resp != nil && resp.Body != nil {
			resp.Body.Close()
		}
		return w, nil, err
	}
	tok, err := token(d.agent)
	if err != nil {
		return w, nil, err
	}
	hello := wire.Client{
		Type: wire.TypeHello, Token: tok, Place: "/" + d.agent, Version: version, Label: d.name, Platform: "desktop",
		State: &state, Permission: notify.Granted,
	}
	if d.auth.ID != "" {
		hello.Device = &d.auth
	}
	if err = write(ctx, conn, &hello); err == nil {
		_, data, e := conn.Read(ctx)
		if err = e; err == nil {
			if err = json.Unmarshal(data, &w); err == nil && w.Type != wire.TypeWelcome {
				err = fmt.Errorf("no welcome but %.200s", data)
			}
		}
	}
	if err != nil {
		conn.CloseNow()
		return w, nil, err
	}
	if d.auth.ID != "" && w.Device.ID != d.auth.ID {
		conn.CloseNow()
		return w, nil, fmt.Errorf("the device %s of %s has become %s", d.auth.ID, d.agent, w.Device.ID)
	}
	return w, conn, nil
}

// pick is one of the states the device's pages take.
func (d *device) pick() wire.PageState {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.states[d.random.IntN(len(d.states))]
}

func (d *device) wait(least, most time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return least + time.Duration(d.random.Int64N(int64(most-least)))
}

func write(ctx context.Context, conn *websocket.Conn, f *wire.Client) error {
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return conn.Write(ctx, websocket.MessageText, data)
}

// live keeps the page open until ctx ends.
func (p *page) live(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.state = p.d.pick()
	work.Go(func() { p.claim(ctx) })
	for ctx.Err() == nil {
		conn := p.open(ctx)
		for conn != nil {
			conn = p.serve(ctx, &work, conn)
		}
		sleep(ctx, p.d.wait(20*time.Millisecond, 200*time.Millisecond))
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// claim says again and again what state the page is in.
func (p *page) claim(ctx context.Context) {
	for ; ctx.Err() == nil; sleep(ctx, p.d.wait(500*time.Millisecond, 4*time.Second)) {
		next := p.d.pick()
		p.mu.Lock()
		if !p.still.Load() {
			p.state = next
		}
		state, conns := p.state, slices.Clone(p.conns)
		p.mu.Unlock()
		for _, conn := range conns {
			write(ctx, conn, &wire.Client{Type: wire.TypeState, State: &state})
		}
	}
}

// open opens a socket; nil: that failed.
func (p *page) open(ctx context.Context) *websocket.Conn {
	p.mu.Lock()
	version, state := p.version, p.state
	p.mu.Unlock()
	w, conn, err := p.d.connect(ctx, version, state)
	if err != nil {
		p.closed(err)
		return nil
	}
	p.welcome(&w)
	p.mu.Lock()
	if len(p.conns) == 0 && !p.alone.IsZero() {
		p.gaps = append(p.gaps, time.Since(p.alone))
	}
	p.conns = append(p.conns, conn)
	now := p.state
	p.mu.Unlock()
	if now != state {
		write(ctx, conn, &wire.Client{Type: wire.TypeState, State: &now})
	}
	return conn
}

// shut lets go of a socket.
func (p *page) shut(conn *websocket.Conn) {
	conn.CloseNow()
	p.mu.Lock()
	defer p.mu.Unlock()
	before := len(p.conns)
	p.conns = slices.DeleteFunc(p.conns, func(c *websocket.Conn) bool { return c == conn })
	if before > 0 && len(p.conns) == 0 {
		p.alone = time.Now()
	}
}

// closed keeps what no page should be told.
func (p *page) closed(err error) {
	if code := websocket.CloseStatus(err); code >= 4500 && code < 5000 {
		p.mu.Lock()
		p.refused = append(p.refused, err.Error())
		p.mu.Unlock()
	}
}

// serve does what a page does until its socket ends. Told that the node goes, it
// opens another, which it returns, and hears this one out.
func (p *page) serve(ctx context.Context, work *sync.WaitGroup, conn *websocket.Conn) (next *websocket.Conn) {
	ended, bye := make(chan struct{}), make(chan time.Duration, 1)
	work.Go(func() {
		p.closed(p.hear(ctx, conn, bye))
		p.shut(conn)
		close(ended)
	})
	select {
	case <-ended:
		return nil
	case wait := <-bye:
		select {
		case <-time.After(wait):
		case <-ended:
			return nil
		}
	}
	for next == nil {
		select {
		case <-ended:
			return nil
		default:
			next = p.open(ctx)
		}
	}
	p.mu.Lock()
	p.moves++
	p.mu.Unlock()
	work.Go(func() {
		select {
		case <-ended:
		case <-time.After(time.Second):
			write(ctx, conn, &wire.Client{Type: wire.TypeBye})
			conn.CloseNow()
		}
	})
	return next
}

func (p *page) welcome(w *wire.Welcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.Version >= p.version {
		p.version, p.total, p.known = w.Version, w.Total, true
	}
}

// counts follows a change; it reports whether the page missed one before it.
func (p *page) counts(c *wire.Counts) (missed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.Version <= p.version {
		return false
	}
	if c.Prev != p.version {
		return true
	}
	p.version, p.total = c.Version, c.Total
	return false
}

// hear follows what a socket says until it ends.
func (p *page) hear(ctx context.Context, conn *websocket.Conn, bye chan<- time.Duration) error {
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		var f struct {
			Type    string
			Version int64
			Total   int
			RetryMS int64 `json:"retry_ms"`
		}
		if err := json.Unmarshal(data, &f); err != nil {
			return err
		}
		missed := false
		switch f.Type {
		case wire.TypeWelcome:
			p.welcome(&wire.Welcome{Version: f.Version, Total: f.Total})
		case wire.TypeCounts:
			var c wire.Counts
			if err := json.Unmarshal(data, &c); err != nil {
				return err
			}
			missed = p.counts(&c)
		case wire.TypeNotify:
			var n wire.Notify
			if err := json.Unmarshal(data, &n); err != nil {
				return err
			}
			if n.Counts != nil {
				missed = p.counts(n.Counts)
			}
			if p.d.mute {
				break
			}
			p.d.seen.add(sighting{time.Now(), p, p.d.auth.ID, n.ID, notify.Ref{Conversation: n.Conversation, Message: n.Message}, n.Channel})
			rendered := true
			if err := write(ctx, conn, &wire.Client{Type: wire.TypeAck, ID: n.ID, Rendered: &rendered}); err != nil {
				return err
			}
		case wire.TypeBye:
			select {
			case bye <- time.Duration(f.RetryMS) * time.Millisecond:
			default:
			}
		}
		if missed {
			if err := write(ctx, conn, &wire.Client{Type: wire.TypeRefresh}); err != nil {
				return err
			}
		}
	}
}
