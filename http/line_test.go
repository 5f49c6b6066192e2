package http

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"caac-hub/hub/wire"
)

// sends keeps what each Write was given.
type sends struct {
	net.Conn
	all [][]byte
	err error
}

func (s *sends) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	s.all = append(s.all, bytes.Clone(p))
	return len(p), nil
}

// unmasked is a server's text frame (RFC 6455 section 5.2), its header apart.
func unmasked(size int) (header, payload []byte) {
	header = []byte{0x81}
	switch {
	case size < 126:
		header = append(header, byte(size))
	case size < 1<<16:
		header = binary.BigEndian.AppendUint16(append(header, 126), uint16(size))
	default:
		header = binary.BigEndian.AppendUint64(append(header, 127), uint64(size))
	}
	return header, bytes.Repeat([]byte("x"), size)
}

func TestEachFrameIsOneSend(t *testing.T) {
	to := &sends{}
	w := bufio.NewWriterSize(&wholeFrames{conn: to}, writeBuffer)
	var frames [][]byte
	for _, size := range []int{0, 1, 13, 14, 15, 16, 29, 30, 31, 125, 126, 400, 65535, 65536, 200_000, 3} {
		header, payload := unmasked(size)
		frames = append(frames, append(bytes.Clone(header), payload...))
		for _, b := range header[:2] {
			w.WriteByte(b)
		}
		w.Write(header[2:])
		w.Write(payload)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if len(to.all) != len(frames) {
		t.Fatalf("%d frames were %d sends", len(frames), len(to.all))
	}
	for i, f := range frames {
		if !bytes.Equal(to.all[i], f) {
			t.Errorf("frame %d of %d bytes was sent as %d bytes, or others", i, len(f), len(to.all[i]))
		}
	}
}

func TestFrameThatCannotBeSentIsAnError(t *testing.T) {
	for _, size := range []int{5, 500} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			w := bufio.NewWriterSize(&wholeFrames{conn: &sends{err: net.ErrClosed}}, writeBuffer)
			header, payload := unmasked(size)
			w.Write(header)
			w.Write(payload)
			if w.Flush() == nil {
				t.Error("no error")
			}
		})
	}
}

func TestWaitingEndsWithBytesOrTheConnection(t *testing.T) {
	for name, wake := range map[string]func(here, there net.Conn){
		"bytes":        func(_, there net.Conn) { there.Write([]byte("x")) },
		"closed here":  func(here, _ net.Conn) { here.Close() },
		"closed there": func(_, there net.Conn) { there.Close() },
	} {
		for _, early := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, early %v", name, early), func(t *testing.T) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				there, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer there.Close()
				here, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer here.Close()
				raw, err := here.(syscall.Conn).SyscallConn()
				if err != nil {
					t.Fatal(err)
				}
				w := &line{conn: here, in: bufio.NewReader(here), raw: raw}
				if early {
					wake(here, there)
				}
				ended := make(chan struct{})
				go func() { w.Wait(); close(ended) }()
				if !early {
					wake(here, there)
				}
				select {
				case <-ended:
				case <-time.After(5 * time.Second):
					t.Fatal("still waiting")
				}
			})
		}
	}
}

func TestDrainCutsOffPagesThatNeverAnswer(t *testing.T) {
	var conn net.Conn
	var br *bufio.Reader
	var began time.Time
	t.Run("hub", func(t *testing.T) {
		w := newWorld(t)
		w.must(http.StatusOK, "PUT", "/v1/agents/mei", `{"name":"Mei"}`)
		var err error
		if conn, err = net.Dial("tcp", w.srv.Listener.Addr().String()); err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		br = bufio.NewReader(conn)
		io.WriteString(conn, strings.Replace(handshake, "https://caac.test", origin, 1))
		if resp, err := http.ReadResponse(br, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%v, %v", resp, err)
		}
		hello, err := json.Marshal(wire.Client{Type: wire.TypeHello, Token: w.token("mei"), Place: "p", Label: "a test", Platform: "desktop"})
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(masked(string(hello)))
		if welcome := frame(t, br); !strings.Contains(welcome, `"welcome"`) {
			t.Fatal(welcome)
		}
		began = time.Now()
	})
	defer conn.Close()
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the hub took %v to end", took)
	}
	if _, err := io.Copy(io.Discard, br); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the connection was left open: %v", err)
	}
}
