//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// backend is one keep-alive connection of CAAC's backend.
type backend struct {
	conn net.Conn
	in   *bufio.Reader
	head []byte
	out  []byte
}

func openBackend(v *server) (*backend, error) {
	conn, err := net.Dial("tcp", v.addr)
	if err != nil {
		return nil, err
	}
	return &backend{conn: conn, in: bufio.NewReader(conn), head: fmt.Appendf(nil,
		"POST /v1/messages HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: ", v.addr, v.key)}, nil
}

// post posts one message and returns when it is durable: 202.
func (b *backend) post(body []byte) error {
	b.out = append(b.out[:0], b.head...)
	b.out = strconv.AppendInt(b.out, int64(len(body)), 10)
	b.out = append(append(b.out, "\r\n\r\n"...), body...)
	if _, err := b.conn.Write(b.out); err != nil {
		return err
	}
	status, err := b.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	accepted := bytes.HasPrefix(status, []byte("HTTP/1.1 202"))
	said := string(bytes.TrimSpace(status))
	length := -1
	for {
		line, err := b.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		if name, value, ok := bytes.Cut(line, []byte(": ")); ok && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer without a length")
	}
	if accepted {
		_, err = b.in.Discard(length)
		return err
	}
	answer := make([]byte, length)
	io.ReadFull(b.in, answer)
	return fmt.Errorf("%s: %s", said, answer)
}

// message is the body of one incoming message, as CAAC's backend posts it: with
// its conversation and assignment.
func message(b []byte, conversation string, id int, assignment string) []byte {
	return fmt.Appendf(b[:0], `{"id":"%d","conversation":{"id":"%s","contact":"Ann","assignment":{%s,"version":1}},"kind":"text","text":"Is my order on its way? It should have come on Monday."}`,
		id, conversation, assignment)
}
