package http

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"

	"caac-hub/http/problem"
	"caac-hub/hub"
	"caac-hub/hub/wire"
)

// socket upgrades to the subprotocol caac.v1 and hands the connection to the
// hub. It returns at once: a handler that waits would pin net/http's buffers and
// a grown stack for as long as the page is open.
func (s *Server) socket(c echo.Context) error {
	r := c.Request()
	if err := s.mayUpgrade(r); err != nil {
		if he, ok := err.(*problem.StatusError); ok && he.Status == http.StatusUpgradeRequired {
			c.Response().Header().Set("Upgrade", "websocket")
			c.Response().Header().Set("Connection", "Upgrade")
		}
		return err
	}
	pings := &pings{}
	w := &smallBuffers{ResponseWriter: c.Response()}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{wire.Subprotocol},
		InsecureSkipVerify: true, // mayUpgrade compared the origin, exactly
		OnPingReceived:     pings.received,
	})
	if err != nil {
		// Accept has answered.
		s.log.DebugContext(r.Context(), "socket not accepted", "err", err)
		return nil
	}
	pings.conn.Store(conn)
	s.hub.ServeSocket(conn, w.line, s.remote(r))
	return nil
}

// maxPings is how many pings a client may send within a minute. Browsers send
// none, and each costs an answer that no limit on frames counts.
const maxPings = 60

// pings counts a connection's pings and cuts it off when they are too many. Only
// the connection's reader uses it.
type pings struct {
	conn  atomic.Pointer[websocket.Conn]
	since time.Time
	n     int
}

func (p *pings) received(context.Context, []byte) bool {
	if now := time.Now(); now.Sub(p.since) > time.Minute {
		p.since, p.n = now, 0
	}
	p.n++
	if p.n <= maxPings {
		return true
	}
	if c := p.conn.Load(); c != nil && p.n == maxPings+1 {
		go c.CloseNow() // the reader, which this runs in, must not wait for itself
	}
	return false
}

func (s *Server) mayUpgrade(r *http.Request) error {
	if !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket") {
		return &problem.StatusError{Status: http.StatusUpgradeRequired, Code: "upgrade_required", Message: "this path takes WebSocket handshakes only (RFC 6455)"}
	}
	if r.URL.RawQuery != "" {
		return &hub.Error{Kind: hub.Invalid, Code: "invalid", Message: "the socket's URL has no query: a token goes into the hello frame, where no log keeps it"}
	}
	if !s.allowed(r) {
		return foreignOrigin(r.Header.Get("Origin"))
	}
	if !hasToken(r.Header, "Sec-WebSocket-Protocol", wire.Subprotocol) {
		return &hub.Error{Kind: hub.Invalid, Code: "no_subprotocol", Field: "Sec-WebSocket-Protocol", Message: fmt.Sprintf("the subprotocol %s must be offered", wire.Subprotocol)}
	}
	// One address must not keep all others out.
	if s.knocks.wait(s.remote(r), time.Now()) > 0 || !s.handshakes.Allow() {
		return &hub.Error{Kind: hub.TooMany, Code: "too_many_handshakes", Message: "too many pages connect right now; come back after a random wait", RetryAfter: time.Second}
	}
	return nil
}

func hasToken(h http.Header, name, token string) bool {
	for _, v := range h.Values(name) {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}
