package gcm

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	pb "google.golang.org/protobuf/encoding/protowire"

	"caac-hub/test/pushservice"
)

// The MCS stream (google_apis/gcm/protocol/mcs.proto in Chromium): one byte of
// version each way, then packets of a tag, a varint length and a message.
const (
	version = 41

	tagHeartbeatPing = 0
	tagHeartbeatAck  = 1
	tagLoginRequest  = 2
	tagLoginResponse = 3
	tagClose         = 4
	tagDataMessage   = 8
)

// stream is one browser's connection.
type stream struct {
	conn     net.Conn
	device   string
	received uint64 // packets

	mu sync.Mutex // held to write
}

func (s *Server) serveStream(k *stream) {
	conn := k.conn
	defer s.leave(k)
	r := bufio.NewReader(conn)
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := r.ReadByte(); err != nil { // the client's version
		return
	}
	if _, err := conn.Write([]byte{version}); err != nil {
		return
	}
	conn.SetDeadline(time.Time{})
	for {
		tag, packet, err := readPacket(r)
		if err != nil || tag == tagClose {
			return
		}
		k.received++
		switch tag {
		case tagLoginRequest:
			err = s.logIn(k, packet)
		case tagHeartbeatPing:
			err = k.write(tagHeartbeatAck, appendNumber(nil, 2, k.received)) // last_stream_id_received
		}
		if err != nil {
			return
		}
	}
}

// logIn connects a browser and sends what waited for it.
func (s *Server) logIn(k *stream, packet []byte) error {
	fields := textFields(packet)
	k.device = fields[3] // user: the device id in decimal
	response := appendText(nil, 1, fields[1])
	response = appendNumber(response, 8, uint64(time.Now().UnixMilli())) // server_timestamp
	if err := k.write(tagLoginResponse, response); err != nil {
		return err
	}
	s.mu.Lock()
	s.streams[k.device] = k
	waited := s.waiting[k.device]
	delete(s.waiting, k.device)
	s.mu.Unlock()
	for _, m := range waited {
		if err := k.write(tagDataMessage, m.stanza); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) leave(k *stream) {
	k.conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, k)
	if s.streams[k.device] == k {
		delete(s.streams, k.device)
	}
}

func (k *stream) write(tag byte, packet []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, err := k.conn.Write(append(pb.AppendVarint([]byte{tag}, uint64(len(packet))), packet...))
	return err
}

func readPacket(r *bufio.Reader) (tag byte, packet []byte, err error) {
	if tag, err = r.ReadByte(); err != nil {
		return 0, nil, err
	}
	size, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, nil, err
	}
	if size > 1<<20 {
		return 0, nil, fmt.Errorf("a packet of %d bytes", size)
	}
	packet = make([]byte, size)
	_, err = io.ReadFull(r, packet)
	return tag, packet, err
}

// dataMessage is the DataMessageStanza that carries a push to its subscription.
func dataMessage(id string, sub subscription, r pushservice.Request) []byte {
	var b []byte
	b = appendText(b, 2, "")         // id
	b = appendText(b, 3, sub.sender) // from: with VAPID, the sender's key
	b = appendText(b, 5, sub.app)    // category
	if sub.subtype != "" {
		b = appendAppData(b, "subtype", sub.subtype)
	}
	if len(r.Body) > 0 {
		b = appendAppData(b, "content-encoding", r.Encoding)
	}
	b = appendText(b, 9, id) // persistent_id
	b = appendNumber(b, 17, uint64(r.TTL))
	b = appendNumber(b, 18, uint64(time.Now().UnixMilli())) // sent
	if len(r.Body) > 0 {
		b = pb.AppendBytes(pb.AppendTag(b, 21, pb.BytesType), r.Body) // raw_data
	}
	return b
}

func appendAppData(b []byte, key, value string) []byte {
	return pb.AppendBytes(pb.AppendTag(b, 7, pb.BytesType), appendText(appendText(nil, 1, key), 2, value))
}

func appendText(b []byte, field pb.Number, value string) []byte {
	return pb.AppendString(pb.AppendTag(b, field, pb.BytesType), value)
}

func appendNumber(b []byte, field pb.Number, value uint64) []byte {
	return pb.AppendVarint(pb.AppendTag(b, field, pb.VarintType), value)
}

// textFields are the length-delimited fields of a message.
func textFields(b []byte) map[pb.Number]string {
	fields := map[pb.Number]string{}
	for len(b) > 0 {
		field, kind, n := pb.ConsumeField(b)
		if n < 0 {
			return fields
		}
		if kind == pb.BytesType {
			_, _, start := pb.ConsumeTag(b)
			value, _ := pb.ConsumeBytes(b[start:])
			fields[field] = string(value)
		}
		b = b[n:]
	}
	return fields
}
