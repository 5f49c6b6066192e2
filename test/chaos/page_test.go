//go:build linux

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
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
	p      *program
	auth   wire.DeviceAuth
	rung   *rings
	random *rand.Rand // one page uses it at a time
	mu     sync.Mutex // guards random
	pages  []*page
}

// ring is a system notification that a page raised.
type ring struct {
	device string
	id     string
	ref    notify.Ref
}

type rings struct {
	mu  sync.Mutex
	all []ring
}

func (r *rings) add(x ring) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, x)
}

// page is one tab that comes back whenever it is cut off, and follows the counts
// as the protocol says.
type page struct {
	d *device

	mu      sync.Mutex // guards below
	version int64
	total   int
	known   bool
}

// settle logs the device in, and subscribes it.
func (d *device) settle(ctx context.Context, s *pushService) error {
	w, conn, err := d.connect(ctx, 0)
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
	if err := d.p.call(ctx, "PUT", "/v1/device/subscription", header, sub, nil); err != nil {
		return err
	}
	return conn.Close(websocket.StatusNormalClosure, "")
}

// connect opens a socket and says hello; version is what the page shows.
func (d *device) connect(ctx context.Context, version int64) (w wire.Welcome, conn *websocket.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, "ws://"+d.p.addr+"/v1/socket", &websocket.DialOptions{
		HTTPClient: d.p.http, HTTPHeader: http.Header{"Origin": {origin}}, Subprotocols: []string{wire.Subprotocol},
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
		State: d.state(), Permission: notify.Granted,
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

// state is one of the states the device's pages take.
func (d *device) state() *wire.PageState {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.states[d.random.IntN(len(d.states))]
	return &s
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
	for ctx.Err() == nil {
		p.mu.Lock()
		version := p.version
		p.mu.Unlock()
		if w, conn, err := p.d.connect(ctx, version); err == nil {
			p.welcome(&w)
			p.read(ctx, conn)
			conn.CloseNow()
		}
		select {
		case <-ctx.Done():
		case <-time.After(p.d.wait(20*time.Millisecond, 200*time.Millisecond)):
		}
	}
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

// read does what a page does until its socket ends.
func (p *page) read(ctx context.Context, conn *websocket.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	var states sync.WaitGroup
	defer states.Wait()
	defer cancel()
	states.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(p.d.wait(500*time.Millisecond, 4*time.Second)):
			}
			if write(ctx, conn, &wire.Client{Type: wire.TypeState, State: p.d.state()}) != nil {
				return
			}
		}
	})
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return
		}
		var f struct {
			Type    string
			Version int64
			Total   int
		}
		if json.Unmarshal(data, &f) != nil {
			return
		}
		missed := false
		switch f.Type {
		case wire.TypeWelcome:
			p.welcome(&wire.Welcome{Version: f.Version, Total: f.Total})
		case wire.TypeCounts:
			var c wire.Counts
			if json.Unmarshal(data, &c) != nil {
				return
			}
			missed = p.counts(&c)
		case wire.TypeNotify:
			var n wire.Notify
			if json.Unmarshal(data, &n) != nil {
				return
			}
			if n.Counts != nil {
				missed = p.counts(n.Counts)
			}
			if p.d.mute {
				break
			}
			if n.Channel == notify.Local {
				p.d.rung.add(ring{p.d.auth.ID, n.ID, notify.Ref{Conversation: n.Conversation, Message: n.Message}})
			}
			rendered := true
			if write(ctx, conn, &wire.Client{Type: wire.TypeAck, ID: n.ID, Rendered: &rendered}) != nil {
				return
			}
		}
		if missed && write(ctx, conn, &wire.Client{Type: wire.TypeRefresh}) != nil {
			return
		}
	}
}
