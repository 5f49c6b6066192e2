// Package bus holds what every bus needs: the queue between the line that
// messages come in on and the one who receives them.
package bus

import (
	"sync"
	"sync/atomic"
	"time"
)

// How much waits for a receiver at most. Beyond it the oldest goes: what a
// newer message says matters more, and whoever waited for the older one has
// given up first.
const (
	MaxMessages = 8192
	MaxBytes    = 64 << 20
)

// fullEvery is how often a receiver's losses are told of at most.
const fullEvery = time.Second

// Queue hands messages to a receiver, one at a time and in order, from a
// goroutine of its own, so that a slow receiver holds up nobody.
type Queue struct {
	receive func(data []byte)
	dropped *atomic.Int64
	full    func()
	ended   chan struct{}

	mu      sync.Mutex
	wake    sync.Cond
	waiting [][]byte // from head on
	head    int
	bytes   int
	lossy   bool // something was dropped since full was last called
	closed  bool
}

// NewQueue starts a queue; the caller closes it. dropped is raised by every
// message dropped; then full is called as well, by the queue's goroutine as
// receive is, at most once a second.
func NewQueue(receive func(data []byte), dropped *atomic.Int64, full func()) *Queue {
	q := &Queue{receive: receive, dropped: dropped, full: full, ended: make(chan struct{})}
	q.wake.L = &q.mu
	go q.run()
	return q
}

// Put never waits. It keeps data.
func (q *Queue) Put(data []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	for n := len(q.waiting) - q.head; n > 0 && (n >= MaxMessages || q.bytes+len(data) > MaxBytes); n-- {
		q.takeLocked()
		q.dropped.Add(1)
		q.lossy = true
	}
	if q.head > 0 && len(q.waiting) == cap(q.waiting) {
		n := copy(q.waiting, q.waiting[q.head:])
		clear(q.waiting[n:])
		q.waiting, q.head = q.waiting[:n], 0
	}
	q.waiting = append(q.waiting, data)
	q.bytes += len(data)
	q.wake.Signal()
}

// Close drops what waits. After it has returned receive is called no more.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	q.wake.Signal()
	q.mu.Unlock()
	<-q.ended
}

func (q *Queue) takeLocked() []byte {
	data := q.waiting[q.head]
	q.waiting[q.head] = nil
	q.head++
	q.bytes -= len(data)
	if q.head == len(q.waiting) {
		q.waiting, q.head = q.waiting[:0], 0
	}
	return data
}

func (q *Queue) run() {
	defer close(q.ended)
	var told time.Time
	for {
		data, lossy, ok := q.next()
		if !ok {
			return
		}
		if lossy && time.Since(told) >= fullEvery {
			q.full()
			told = time.Now()
		}
		q.receive(data)
	}
}

// next waits for a message.
func (q *Queue) next() (data []byte, lossy, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 && !q.closed {
		q.wake.Wait()
	}
	if q.closed {
		return nil, false, false
	}
	lossy, q.lossy = q.lossy, false
	return q.takeLocked(), lossy, true
}
