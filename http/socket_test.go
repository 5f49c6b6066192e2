package http

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"caac-hub/hub/wire"
)

// masked is a client's text frame (RFC 6455 section 5.2).
func masked(text string) []byte {
	b := []byte{0x81}
	switch n := len(text); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	default:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	}
	key := [4]byte{1, 2, 3, 4}
	b = append(b, key[:]...)
	for i := range len(text) {
		b = append(b, text[i]^key[i%4])
	}
	return b
}

const handshake = "GET /v1/socket HTTP/1.1\r\nHost: hub.test\r\nOrigin: https://caac.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: caac.v1\r\n\r\n"

func TestFramesSentWithTheHandshakeAreRead(t *testing.T) {
	for _, size := range []int{5, 400, 3000, 9000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			echoed := make(chan error, 1)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c, err := websocket.Accept(&smallBuffers{ResponseWriter: w}, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}, InsecureSkipVerify: true})
				if err != nil {
					echoed <- err
					return
				}
				go func() {
					defer c.CloseNow()
					ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
					defer cancel()
					for range 3 {
						kind, b, err := c.Read(ctx)
						if err == nil {
							err = c.Write(ctx, kind, b)
						}
						if err != nil {
							echoed <- err
							return
						}
					}
					echoed <- nil
				}()
			}))
			defer srv.Close()
			conn, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(5 * time.Second))
			text := strings.Repeat("x", size)
			all := []byte(handshake)
			for range 3 {
				all = append(all, masked(text)...)
			}
			if _, err := conn.Write(all); err != nil {
				t.Fatal(err)
			}
			br := bufio.NewReader(conn)
			resp, err := http.ReadResponse(br, nil)
			if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%v, %v", resp, err)
			}
			for range 3 {
				if got := frame(t, br); got != text {
					t.Fatalf("%d bytes came back, not %d", len(got), len(text))
				}
			}
			if err := <-echoed; err != nil {
				t.Error(err)
			}
		})
	}
}

// frame reads one server's text frame.
func frame(t *testing.T, br *bufio.Reader) string {
	t.Helper()
	var h [4]byte
	if _, err := io.ReadFull(br, h[:2]); err != nil {
		t.Fatal(err)
	}
	n := int(h[1])
	if n == 126 {
		if _, err := io.ReadFull(br, h[2:]); err != nil {
			t.Fatal(err)
		}
		n = int(h[2])<<8 | int(h[3])
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(br, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFloodOfPingsIsCutOff(t *testing.T) {
	w := newWorld(t)
	conn, err := net.Dial("tcp", w.srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(4 * time.Second)) // less than the wait for a hello
	if _, err := io.WriteString(conn, handshake); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	ping := []byte{0x89, 0x80, 1, 2, 3, 4}
	for range maxPings + 1 {
		if _, err := conn.Write(ping); err != nil {
			t.Fatal(err)
		}
	}
	pongs, err := io.ReadAll(r)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection lives on")
	}
	if len(pongs) > 2*maxPings {
		t.Errorf("%d bytes of answers to %d pings", len(pongs), maxPings)
	}
}
