package http

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
)

// Bytes of a socket's buffers: net/http's own are 4 KiB each. Pages' frames at
// rest fit into the reader's; what a frame of ours needs beyond the writer's is
// borrowed while it is written.
const (
	readBuffer  = 128
	writeBuffer = 16 // the longest header of a frame and some of what it carries
)

// smallBuffers is a ResponseWriter whose hijacked connection has small buffers.
// line is that connection afterwards.
type smallBuffers struct {
	http.ResponseWriter
	line *line
}

// Hijack implements http.Hijacker. What the server had read already is the first
// the new reader gives.
func (w *smallBuffers) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	br := bufio.NewReaderSize(conn, readBuffer)
	if n := rw.Reader.Buffered(); n > 0 {
		early, err := rw.Reader.Peek(n)
		if err != nil {
			conn.Close()
			return nil, nil, err
		}
		// Whoever takes over may keep only what is buffered.
		br = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(early)), conn), max(n, readBuffer))
		if _, err := br.Peek(n); err != nil {
			conn.Close()
			return nil, nil, err
		}
	}
	w.line = &line{conn: conn, in: br}
	if c, ok := conn.(syscall.Conn); ok {
		w.line.raw, _ = c.SyscallConn()
	}
	return conn, bufio.NewReadWriter(br, bufio.NewWriterSize(&wholeFrames{conn: conn}, writeBuffer)), nil
}

// line waits for what a connection receives. It implements hub.Line.
type line struct {
	conn net.Conn
	in   *bufio.Reader
	raw  syscall.RawConn // nil where the connection is no file of the system's
}

func (l *line) Cut() { l.conn.Close() }

func (l *line) Buffered() int { return l.in.Buffered() }

func (l *line) Wait() {
	if l.raw != nil {
		l.raw.Read(readable)
	}
}

// wholeFrames sends each frame (RFC 6455 section 5.2) at once, however small the
// bufio.Writer that it comes through: that gives it a full buffer, then the rest.
type wholeFrames struct {
	conn net.Conn
	held [writeBuffer]byte // the beginning of a frame
	n    int
}

var frameBuffers = sync.Pool{New: func() any { return new([]byte) }}

// maxKept is the longest buffer in bytes that is kept for the next frame.
const maxKept = 64 << 10

func (w *wholeFrames) Write(p []byte) (int, error) {
	if w.n == 0 {
		if len(p) > writeBuffer || frameSize(p) <= uint64(len(p)) {
			return w.conn.Write(p)
		}
		w.n = copy(w.held[:], p)
		return len(p), nil
	}
	buf := frameBuffers.Get().(*[]byte)
	*buf = append(append((*buf)[:0], w.held[:w.n]...), p...)
	w.n = 0
	_, err := w.conn.Write(*buf)
	if cap(*buf) <= maxKept {
		frameBuffers.Put(buf)
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// frameSize is the length of the unmasked frame that b begins with, its header
// included.
func frameSize(b []byte) uint64 {
	switch n := b[1] & 0x7f; {
	case n == 126:
		return 4 + uint64(binary.BigEndian.Uint16(b[2:]))
	case n == 127:
		return 10 + binary.BigEndian.Uint64(b[2:])
	default:
		return 2 + uint64(n)
	}
}
