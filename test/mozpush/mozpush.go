// Package mozpush is a fake of Mozilla's push service (autopush): the WebSocket
// that Firefox keeps open, and behind Host the posting side for senders.
package mozpush

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"caac-hub/test/loopback"
	"caac-hub/test/pushservice"
)

// Host is the name senders post to.
const Host = "updates.push.services.mozilla.com"

const endpointBase = "https://" + Host + "/wpush/v2/"

// Server is the fake. What it was told to answer, and what was posted, is in
// its Front.
type Server struct {
	*pushservice.Front
	addr string

	mu            sync.Mutex
	subscriptions map[string]subscription // by token
	sockets       map[string]*socket      // by user agent id
	waiting       map[string][]message    // by user agent id, while its browser is away
	forget        bool
	open          sync.WaitGroup
}

type subscription struct {
	agent   string // user agent id: one browser profile
	channel string
	key     string // the VAPID key it was made for; empty for none
}

// message is any message of the protocol, in either direction.
type message struct {
	Type        string            `json:"messageType,omitempty"`
	UserAgent   string            `json:"uaid,omitempty"`
	Channel     string            `json:"channelID,omitempty"`
	Key         string            `json:"key,omitempty"`
	Status      int               `json:"status,omitempty"`
	UseWebPush  bool              `json:"use_webpush,omitempty"`
	Broadcasts  map[string]string `json:"broadcasts,omitzero"`
	Endpoint    string            `json:"pushEndpoint,omitempty"`
	Version     string            `json:"version,omitempty"`
	Data        string            `json:"data,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	postedTopic string
}

// Start starts the fake; on net it is Host. It ends with the test.
func Start(t testing.TB, network *loopback.Net) *Server {
	t.Helper()
	s := &Server{
		subscriptions: map[string]subscription{},
		sockets:       map[string]*socket{},
		waiting:       map[string][]message{},
	}
	s.Front = pushservice.NewFront(s.deliver)
	network.Serve(Host, s.Front)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = listener.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	server := &http.Server{
		Handler:     http.HandlerFunc(s.accept),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    log.New(io.Discard, "", 0),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(listener)
	}()
	t.Cleanup(func() {
		stop()
		server.Close()
		<-done
		s.open.Wait()
	})
	return s
}

// Preferences are the Firefox preferences that lead it here.
func (s *Server) Preferences() map[string]any {
	return map[string]any{
		"dom.push.serverURL":                      "ws://" + s.addr + "/",
		"dom.push.testing.allowInsecureServerURL": true,
		"dom.push.enabled":                        true,
		"dom.push.connection.enabled":             true,
		"dom.push.retryBaseInterval":              200, // ms between attempts to reconnect
	}
}

// Browsers is how many browsers are connected.
func (s *Server) Browsers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sockets)
}

// Disconnect cuts every browser off; they come back by themselves.
func (s *Server) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.sockets {
		k.conn.CloseNow()
	}
}

// Forget cuts every browser off and greets it as unknown when it comes back, as
// Mozilla's service does with profiles it has lost: their subscriptions are gone.
func (s *Server) Forget() {
	s.mu.Lock()
	s.forget = true
	clear(s.subscriptions)
	s.mu.Unlock()
	s.Disconnect()
}

// socket is one browser's connection.
type socket struct {
	conn  *websocket.Conn
	agent string

	mu sync.Mutex // held to write
}

func (s *Server) accept(w http.ResponseWriter, r *http.Request) {
	s.open.Add(1)
	defer s.open.Done()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{"push-notification"},
		InsecureSkipVerify: true, // Firefox sends no Origin that could match
	})
	if err != nil {
		return
	}
	conn.SetReadLimit(1 << 20)
	k := &socket{conn: conn}
	defer s.leave(k)
	for {
		_, data, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		var m message
		// Acknowledgements carry fields of other types; nothing of them is needed.
		_ = json.Unmarshal(data, &m)
		if err := s.answer(r.Context(), k, m); err != nil {
			return
		}
	}
}

func (s *Server) answer(ctx context.Context, k *socket, m message) error {
	switch m.Type {
	case "hello":
		return s.enter(ctx, k, m)
	case "register":
		token := rand.Text() + rand.Text()
		s.mu.Lock()
		s.subscriptions[token] = subscription{agent: k.agent, channel: m.Channel, key: m.Key}
		s.mu.Unlock()
		return k.write(ctx, message{Type: "register", Channel: m.Channel, Status: 200, Endpoint: endpointBase + token})
	case "unregister":
		s.mu.Lock()
		for token, sub := range s.subscriptions {
			if sub.channel == m.Channel {
				delete(s.subscriptions, token)
			}
		}
		s.mu.Unlock()
		return k.write(ctx, message{Type: "unregister", Channel: m.Channel, Status: 200})
	case "", "ping":
		return k.write(ctx, message{})
	}
	return nil
}

// enter connects a browser, greets it and sends what waited for it. A push that
// comes meanwhile goes out behind that: before the greeting it would be lost.
func (s *Server) enter(ctx context.Context, k *socket, hello message) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.mu.Lock()
	k.agent = hello.UserAgent
	if k.agent == "" || s.forget {
		k.agent = rand.Text()
		s.forget = false
	}
	s.sockets[k.agent] = k
	waiting := s.waiting[k.agent]
	delete(s.waiting, k.agent)
	s.mu.Unlock()
	greeting := message{Type: "hello", UserAgent: k.agent, Status: 200, UseWebPush: true, Broadcasts: map[string]string{}}
	for _, m := range append([]message{greeting}, waiting...) {
		if err := k.writeLocked(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) leave(k *socket) {
	k.conn.CloseNow()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sockets[k.agent] == k {
		delete(s.sockets, k.agent)
	}
}

func (s *Server) deliver(r pushservice.Request) pushservice.Answer {
	s.mu.Lock()
	sub, ok := s.subscriptions[r.Token]
	if !ok {
		s.mu.Unlock()
		return pushservice.Answer{Status: http.StatusGone, Body: `{"code":410,"errno":103,"error":"Gone","message":"Endpoint has expired"}`}
	}
	if sub.key != "" && !pushservice.SameKey(sub.key, r.VAPID.Key) {
		s.mu.Unlock()
		return pushservice.Answer{Status: http.StatusUnauthorized, Body: `{"code":401,"errno":109,"error":"Unauthorized","message":"VAPID public key mismatch"}`}
	}
	m := message{Type: "notification", Channel: sub.channel, Version: rand.Text(), postedTopic: r.Topic}
	if len(r.Body) > 0 {
		m.Data = base64.RawURLEncoding.EncodeToString(r.Body)
		m.Headers = map[string]string{"encoding": r.Encoding}
	}
	k := s.sockets[sub.agent]
	if k == nil {
		s.waitLocked(sub.agent, m)
	}
	s.mu.Unlock()
	if k != nil && k.write(context.Background(), m) != nil {
		s.mu.Lock()
		s.waitLocked(sub.agent, m)
		s.mu.Unlock()
	}
	return pushservice.Answer{Status: http.StatusCreated, Header: map[string]string{"Location": endpointBase + "m/" + m.Version, "TTL": r.Header.Get("TTL")}}
}

// waitLocked keeps a message for a browser that is away; a newer one of the
// same channel and topic replaces it.
func (s *Server) waitLocked(agent string, m message) {
	for i, old := range s.waiting[agent] {
		if m.postedTopic != "" && old.postedTopic == m.postedTopic && old.Channel == m.Channel {
			s.waiting[agent][i] = m
			return
		}
	}
	s.waiting[agent] = append(s.waiting[agent], m)
}

func (k *socket) write(ctx context.Context, m message) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.writeLocked(ctx, m)
}

func (k *socket) writeLocked(ctx context.Context, m message) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return k.conn.Write(ctx, websocket.MessageText, data)
}
