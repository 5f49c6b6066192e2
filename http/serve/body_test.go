package serve

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// oneConn is a listener of a single connection.
type oneConn struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *oneConn) Close() error   { close(l.closed); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

func TestBodyThatNeverEndsIsGivenUpAndAStreamIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &oneConn{make(chan net.Conn, 2), make(chan struct{})}
		read := make(chan error, 1)
		streamed := make(chan time.Duration, 1)
		s := &http.Server{Handler: timelyBodies(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				_, err := io.ReadAll(r.Body)
				read <- err
				return
			}
			start := time.Now()
			select {
			case <-r.Context().Done():
			case <-time.After(time.Hour):
			}
			streamed <- time.Since(start)
		}))}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()

		ask := func(text string) net.Conn {
			here, there := net.Pipe()
			l.conns <- there
			if _, err := io.WriteString(here, text); err != nil {
				t.Fatal(err)
			}
			return here
		}
		start := time.Now()
		slow := ask("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
		go io.Copy(io.Discard, slow)
		if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading the body ended with %v", err)
		}
		if took := time.Since(start); took != bodyTimeout {
			t.Errorf("it was given up after %s", took)
		}
		stream := ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if took := <-streamed; took != time.Hour {
			t.Errorf("the stream was ended after %s", took)
		}
		if _, err := http.ReadResponse(bufio.NewReader(stream), nil); err != nil {
			t.Error(err)
		}
		slow.Close()
		stream.Close()
		s.Close()
		<-served
	})
}
