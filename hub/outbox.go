package hub

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/coder/websocket"

	"caac-hub/hub/wire"
)

// countsDelay is how long counts wait for others of the same socket.
const countsDelay = 50 * time.Millisecond

// outbox is what waits to be written to one socket: frames in order, bounded,
// and the newest counts, merged. At most one goroutine writes at a time, and
// none exists while there is nothing to write.
type outbox struct {
	mu      sync.Mutex
	frames  [][]byte
	counts  *wire.Counts // newest, not yet among the frames
	writing bool
	since   time.Time // when the frame being written was begun; zero: none is
	ended   bool      // nothing is taken any more
	shown   shown
	closing *closing // close once the frames are written
}

type closing struct {
	code   websocket.StatusCode
	reason string
}

// send queues a frame. A socket whose queue is full is closed: it does not read.
func (s *socket) send(frame []byte) {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	s.flushCountsLocked()
	s.queueLocked(frame)
}

func (s *socket) queueLocked(frame []byte) {
	if s.out.ended {
		return
	}
	if len(s.out.frames) >= s.hub.limits.Queue {
		s.hub.metrics.dropped("slow")
		s.out.frames = nil
		s.endLocked(wire.CloseSlow, "the page does not read")
		return
	}
	s.out.frames = append(s.out.frames, frame)
	s.wakeLocked()
}

// sendCounts merges counts into what waits: Changed is united, the oldest Prev
// kept, the newest of everything else wins. Counts that do not follow on what
// waits are kept apart, so that the page sees the gap.
func (s *socket) sendCounts(c wire.Counts) {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if s.out.ended {
		return
	}
	s.out.shown.version = max(s.out.shown.version, c.Version)
	if old := s.out.counts; old != nil && c.Prev > old.Version {
		s.flushCountsLocked()
	}
	if s.out.counts == nil {
		s.out.counts = &c
		s.hub.flushSoon(s)
		return
	}
	s.out.counts = mergeCounts(s.out.counts, c)
}

// mergeCounts folds newer counts into older ones that were not sent.
func mergeCounts(old *wire.Counts, c wire.Counts) *wire.Counts {
	m := wire.Counts{Type: old.Type, Prev: old.Prev, Version: c.Version, Total: c.Total}
	if c.Version < old.Version {
		m.Version, m.Total = old.Version, old.Total
	}
	m.Changed = append(m.Changed, old.Changed...)
next:
	for _, n := range c.Changed {
		for i := range m.Changed {
			if m.Changed[i].Conversation == n.Conversation {
				m.Changed[i] = n
				continue next
			}
		}
		m.Changed = append(m.Changed, n)
	}
	return &m
}

// flushCounts puts the waiting counts among the frames.
func (s *socket) flushCounts() {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	s.flushCountsLocked()
}

func (s *socket) flushCountsLocked() {
	c := s.out.counts
	if c == nil {
		return
	}
	s.out.counts = nil
	c.Type = wire.TypeCounts
	s.queueLocked(encode(c))
}

// dropCounts forgets waiting counts: a welcome, to be read from the store now,
// says the same.
func (s *socket) dropCounts() {
	s.out.mu.Lock()
	s.out.counts = nil
	s.out.mu.Unlock()
}

// end writes what waits and then closes the socket.
func (s *socket) end(code int, reason string) {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	s.endLocked(code, reason)
}

func (s *socket) endLocked(code int, reason string) {
	if s.out.ended {
		return
	}
	s.out.ended = true
	s.out.counts = nil
	s.out.closing = &closing{websocket.StatusCode(code), reason}
	s.wakeLocked()
}

func (s *socket) wakeLocked() {
	if !s.out.writing {
		s.out.writing = true
		s.hub.wg.Add(1)
		go s.write()
	}
}

// write writes until nothing waits.
func (s *socket) write() {
	defer s.hub.wg.Done()
	for {
		s.out.mu.Lock()
		var frame []byte
		closing := s.out.closing
		s.out.since = time.Time{}
		if len(s.out.frames) > 0 {
			s.out.since = time.Now()
			frame = s.out.frames[0]
			s.out.frames[0] = nil
			s.out.frames = s.out.frames[1:]
		} else {
			s.out.frames = nil
			if closing == nil {
				s.out.writing = false
				s.out.mu.Unlock()
				return
			}
		}
		s.out.mu.Unlock()
		if frame == nil {
			s.close(closing)
			return
		}
		// watchSockets holds the deadline: a context for each frame costs a
		// twentieth of a team message.
		if err := s.conn.Write(context.Background(), websocket.MessageText, frame); err != nil {
			s.out.mu.Lock()
			if !s.out.ended {
				s.out.ended = true
				s.hub.metrics.dropped("write_failed")
			}
			s.out.frames, s.out.counts = nil, nil
			s.out.mu.Unlock()
			s.conn.CloseNow()
			return
		}
	}
}

// stuck reports whether a frame has been on its way for longer than its peer has.
func (s *socket) stuck(now time.Time) bool {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return !s.out.since.IsZero() && now.Sub(s.out.since) > s.hub.limits.WriteTimeout
}

// close says goodbye in the protocol and cuts the connection if the peer
// doesn't answer in time.
func (s *socket) close(c *closing) {
	cut := time.AfterFunc(closeGrace, s.cut)
	defer cut.Stop()
	s.conn.Close(c.code, c.reason)
}

// closeGrace is how long a peer has to answer a close frame.
const closeGrace = time.Second

// encode marshals a frame of ours, which can't fail.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
