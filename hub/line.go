package hub

// Line is the connection below a WebSocket. A goroutine that waits here needs
// half the stack of one that waits in a read.
type Line interface {
	// Buffered is how many bytes the WebSocket's reader holds. It is not called
	// while somebody reads.
	Buffered() int
	// Wait returns when there is something to read, when the connection has ended,
	// or when it can't tell.
	Wait()
	// Cut closes the connection at once.
	Cut()
}

// wait waits for a frame, as far as the socket's line can.
func (s *socket) wait() {
	if s.line == nil {
		return
	}
	// A socket that ends is read by its closing, too.
	s.out.mu.Lock()
	resting := !s.out.ended && s.line.Buffered() == 0
	s.out.mu.Unlock()
	if resting {
		s.line.Wait()
	}
}

// cut closes the connection at once. CloseNow alone would wait for a closing
// handshake under way, which waits for the peer.
func (s *socket) cut() {
	if s.line != nil {
		s.line.Cut()
	}
	s.conn.CloseNow()
}
