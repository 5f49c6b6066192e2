//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

func signalled() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

// page is one open page: a WebSocket client (RFC 6455) that costs as little as
// possible, for it shares the machine with the server it measures.
type page struct {
	conn   net.Conn
	in     *bufio.Reader
	device wire.DeviceAuth

	mu    sync.Mutex // writes, and what follows
	state wire.PageState
	out   []byte
}

// openPage connects and says hello; welcome has come when it returns.
func openPage(v *server, agent string, device *wire.DeviceAuth, state wire.PageState) (*page, error) {
	conn, err := net.Dial("tcp", v.addr)
	if err != nil {
		return nil, err
	}
	p := &page{conn: conn, in: bufio.NewReaderSize(conn, 4096), state: state}
	if err := p.greet(v, agent, device); err != nil {
		conn.Close()
		return nil, fmt.Errorf("page of %s: %w", agent, err)
	}
	return p, nil
}

func (p *page) greet(v *server, agent string, device *wire.DeviceAuth) error {
	p.conn.SetDeadline(time.Now().Add(20 * time.Second))
	defer p.conn.SetDeadline(time.Time{})
	fmt.Fprintf(p.conn, "GET /v1/socket HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\n\r\n", v.addr, origin, wire.Subprotocol)
	resp, err := http.ReadResponse(p.in, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return fmt.Errorf("handshake: %s %s", resp.Status, said)
	}
	tok, err := token(agent)
	if err != nil {
		return err
	}
	if err := p.send(&wire.Client{
		Type: wire.TypeHello, Token: tok, Device: device, Place: "load", Label: "Load test", Platform: "desktop",
		State: &p.state, Permission: notify.Granted,
	}); err != nil {
		return err
	}
	data, err := p.next()
	if err != nil {
		return err
	}
	var w wire.Welcome
	if err := json.Unmarshal(data, &w); err != nil || w.Type != wire.TypeWelcome {
		return fmt.Errorf("no welcome but %.200q", data)
	}
	p.device = w.Device
	return nil
}

// renew says again what the page is.
func (p *page) renew() error {
	p.mu.Lock()
	state := p.state
	p.mu.Unlock()
	return p.send(&wire.Client{Type: wire.TypeState, State: &state})
}

// become says that the page is something else now.
func (p *page) become(state wire.PageState) error {
	p.mu.Lock()
	p.state = state
	p.mu.Unlock()
	return p.renew()
}

func (p *page) send(f *wire.Client) error {
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = appendFrame(p.out[:0], 1, data)
	_, err = p.conn.Write(p.out)
	return err
}

// appendFrame appends a masked frame. The masking key is zero: it protects
// proxies that are not here.
func appendFrame(b []byte, opcode byte, data []byte) []byte {
	b = append(b, 0x80|opcode)
	if len(data) < 126 {
		b = append(b, 0x80|byte(len(data)))
	} else {
		b = append(b, 0x80|126)
		b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	}
	b = append(b, 0, 0, 0, 0)
	return append(b, data...)
}

var errClosed = errors.New("the hub closed the socket")

// next reads the next text frame, answering pings. What it returns may be a part
// of the reader's buffer.
func (p *page) next() ([]byte, error) {
	for {
		head, err := p.in.Peek(2)
		if err != nil {
			return nil, err
		}
		opcode, size, skip := head[0]&0xf, int(head[1]&0x7f), 2
		switch size {
		case 126:
			if head, err = p.in.Peek(4); err != nil {
				return nil, err
			}
			size, skip = int(binary.BigEndian.Uint16(head[2:])), 4
		case 127:
			return nil, errors.New("a frame of 64 KiB or more")
		}
		p.in.Discard(skip)
		var data []byte
		if size <= p.in.Size() {
			if data, err = p.in.Peek(size); err != nil {
				return nil, err
			}
			p.in.Discard(size)
		} else {
			data = make([]byte, size)
			if _, err := io.ReadFull(p.in, data); err != nil {
				return nil, err
			}
		}
		switch opcode {
		case 1:
			return data, nil
		case 8:
			return nil, fmt.Errorf("%w: %.100q", errClosed, data[min(2, len(data)):])
		case 9:
			p.mu.Lock()
			p.out = appendFrame(p.out[:0], 10, data)
			_, err = p.conn.Write(p.out)
			p.mu.Unlock()
			if err != nil {
				return nil, err
			}
		}
	}
}

var (
	notifyHead  = []byte(`{"type":"notify","id":"`)
	messageHead = []byte(`"message":"`)
	ackHead     = []byte(`{"type":"ack","id":"`)
	ackTail     = []byte(`","rendered":true}`)
)

// live reads until the socket ends, acknowledges every notify frame and tells
// seen the id of its message. Acknowledgements of frames that came together go
// out together, as a browser's do.
func (p *page) live(seen func(message []byte)) error {
	var ack, acks []byte
	for {
		data, err := p.next()
		if err != nil {
			return err
		}
		if id, ok := bytes.CutPrefix(data, notifyHead); ok {
			end := bytes.IndexByte(id, '"')
			at := bytes.Index(data, messageHead)
			if end < 0 || at < 0 {
				return fmt.Errorf("not a notify frame: %.200q", data)
			}
			message := data[at+len(messageHead):]
			message = message[:bytes.IndexByte(message, '"')]
			ack = append(append(append(ack[:0], ackHead...), id[:end]...), ackTail...)
			acks = appendFrame(acks, 1, ack)
			if seen != nil {
				seen(message)
			}
		}
		if len(acks) > 0 && p.in.Buffered() == 0 {
			p.mu.Lock()
			_, err := p.conn.Write(acks)
			p.mu.Unlock()
			if err != nil {
				return err
			}
			acks = acks[:0]
		}
	}
}
