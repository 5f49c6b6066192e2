// Package remote speaks what the DevTools protocol and WebDriver BiDi have in
// common: numbered calls, their answers, and events, as JSON both ways.
package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
)

// Transport carries whole messages. Write is called from one goroutine at a time,
// Read from another; Close makes Read return.
type Transport interface {
	Read() ([]byte, error)
	Write([]byte) error
	Close() error
}

// Event is something the browser tells by itself.
type Event struct {
	Method  string
	Session string // of the DevTools protocol
	Params  json.RawMessage
}

// Conn is a connection to a browser. Its methods may be called from any goroutine.
type Conn struct {
	transport Transport
	onEvent   func(Event)
	ended     chan struct{}

	writing sync.Mutex

	mu      sync.Mutex
	lastID  int64
	waiting map[int64]chan answer
}

type answer struct {
	ID      int64           `json:"id"`
	Method  string          `json:"method"`
	Session string          `json:"sessionId"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   json.RawMessage `json:"error"`   // DevTools: an object; BiDi: a code
	Message string          `json:"message"` // of a BiDi error
}

// ErrEnded is what a call answers with when the connection has ended.
var ErrEnded = errors.New("the connection to the browser has ended")

// New starts reading from transport. onEvent is called in order and must not
// wait for an answer. The caller must Close.
func New(transport Transport, onEvent func(Event)) *Conn {
	c := &Conn{transport: transport, onEvent: onEvent, ended: make(chan struct{}), waiting: map[int64]chan answer{}}
	go c.read()
	return c
}

// Close ends the connection and returns when nothing reads from it any more.
func (c *Conn) Close() error {
	err := c.transport.Close()
	<-c.ended
	return err
}

// Call calls a method, in a session of the DevTools protocol if session is not
// empty, and decodes its result into result if that is not nil.
func (c *Conn) Call(ctx context.Context, session, method string, params, result any) error {
	if params == nil {
		params = struct{}{}
	}
	reply := make(chan answer, 1)
	c.mu.Lock()
	c.lastID++
	id := c.lastID
	c.waiting[id] = reply
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, id)
		c.mu.Unlock()
	}()

	data, err := json.Marshal(struct {
		ID      int64  `json:"id"`
		Session string `json:"sessionId,omitempty"`
		Method  string `json:"method"`
		Params  any    `json:"params"`
	}{id, session, method, params})
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	c.writing.Lock()
	err = c.transport.Write(data)
	c.writing.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case a := <-reply:
		if len(a.Error) > 0 {
			return fmt.Errorf("%s: %s", method, describe(a))
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(a.Result, result)
	case <-c.ended:
		return fmt.Errorf("%s: %w", method, ErrEnded)
	case <-ctx.Done():
		return fmt.Errorf("%s: no answer: %w", method, ctx.Err())
	}
}

func (c *Conn) read() {
	defer close(c.ended)
	for {
		data, err := c.transport.Read()
		if err != nil {
			return
		}
		var a answer
		if json.Unmarshal(data, &a) != nil {
			continue
		}
		if a.Method != "" {
			c.onEvent(Event{Method: a.Method, Session: a.Session, Params: a.Params})
			continue
		}
		c.mu.Lock()
		reply := c.waiting[a.ID]
		delete(c.waiting, a.ID)
		c.mu.Unlock()
		if reply != nil {
			reply <- a
		}
	}
}

func describe(a answer) string {
	var devtools struct{ Message, Data string }
	if json.Unmarshal(a.Error, &devtools) == nil {
		return devtools.Message + " " + devtools.Data
	}
	return string(a.Error) + ": " + a.Message
}
