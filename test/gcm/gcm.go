// Package gcm is a fake of what Chromium's push client (GCM) talks to: device
// check-in and registration over HTTPS, the MCS stream over TLS, and behind Host
// the posting side for senders.
package gcm

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "google.golang.org/protobuf/encoding/protowire"

	"caac-hub/test/loopback"
	"caac-hub/test/pushservice"
)

// Host is the name senders post to: that of Chromium builds of distributions.
const Host = "jmt17.google.com"

// Server is the fake. What it was told to answer, and what was posted, is in
// its Front.
type Server struct {
	*pushservice.Front
	httpAddr, mcsAddr string
	keyHashes         string
	devices, pushes   atomic.Int64

	mu            sync.Mutex
	subscriptions map[string]subscription // by token
	open          map[*stream]bool
	streams       map[string]*stream   // by device, of those logged in
	waiting       map[string][]waiting // by device, while its browser is away
	serving       sync.WaitGroup
}

// subscription is a registered token, in the words of the protocol.
type subscription struct {
	device, app, subtype string
	sender               string // the VAPID key it was made for
}

type waiting struct {
	token, topic string
	stanza       []byte
}

// Start starts the fake; on network it is Host. It ends with the test.
func Start(t testing.TB, network *loopback.Net) *Server {
	t.Helper()
	s := &Server{
		subscriptions: map[string]subscription{},
		open:          map[*stream]bool{},
		streams:       map[string]*stream{},
		waiting:       map[string][]waiting{},
	}
	s.Front = pushservice.NewFront(s.deliver)
	routes := http.NewServeMux()
	routes.HandleFunc("POST /checkin", s.checkIn)
	routes.HandleFunc("POST /c2dm/register3", s.register)
	routes.Handle("POST /fcm/send/{token}", s.Front)
	addr, cert := network.Serve(Host, routes)
	s.httpAddr = addr

	listener, mcsCert := network.Listen("mtalk.google.com")
	s.mcsAddr = listener.Addr().String()
	s.keyHashes = loopback.PublicKeyHash(cert) + "," + loopback.PublicKeyHash(mcsCert)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.acceptStreams(listener)
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
		s.Disconnect()
		s.serving.Wait()
	})
	return s
}

// Flags are the Chromium flags that lead it here.
func (s *Server) Flags() []string {
	return []string{
		"--gcm-checkin-url=https://" + s.httpAddr + "/checkin",
		"--gcm-registration-url=https://" + s.httpAddr + "/c2dm/register3",
		"--gcm-mcs-endpoint=https://" + s.mcsAddr,
		"--ignore-certificate-errors-spki-list=" + s.keyHashes,
	}
}

// Browsers is how many browsers are connected.
func (s *Server) Browsers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)
}

// Disconnect cuts every browser off; they come back by themselves.
func (s *Server) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.open {
		k.conn.Close()
	}
}

// checkIn gives a browser profile its device id and secret
// (AndroidCheckinResponse in Chromium's google_apis/gcm/protocol).
func (s *Server) checkIn(w http.ResponseWriter, r *http.Request) {
	var b []byte
	b = appendNumber(b, 1, 1) // stats_ok
	b = appendNumber(b, 3, uint64(time.Now().UnixMilli()))
	b = pb.AppendFixed64(pb.AppendTag(b, 7, pb.Fixed64Type), uint64(time.Now().Unix())<<20+uint64(s.devices.Add(1))) // android_id
	b = pb.AppendFixed64(pb.AppendTag(b, 8, pb.Fixed64Type), 1)                                                      // security_token
	b = appendNumber(b, 9, 1)                                                                                        // settings_diff
	w.Header().Set("Content-Type", "application/x-protobuffer")
	w.Write(b)
}

// register gives out a token for a subscription, or takes it back.
func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil {
		return
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sub := subscription{device: form.Get("device"), app: form.Get("app"), subtype: form.Get("X-subtype"), sender: form.Get("sender")}
	s.mu.Lock()
	defer s.mu.Unlock()
	if form.Get("delete") == "true" {
		for token, old := range s.subscriptions {
			if old.device == sub.device && old.app == sub.app && (sub.subtype == "" || old.subtype == sub.subtype) {
				delete(s.subscriptions, token)
			}
		}
		fmt.Fprintf(w, "token=%s", sub.subtype)
		return
	}
	token := rand.Text() + ":APA91b" + rand.Text()
	s.subscriptions[token] = sub
	fmt.Fprintf(w, "token=%s", token)
}

func (s *Server) deliver(r pushservice.Request) pushservice.Answer {
	s.mu.Lock()
	sub, ok := s.subscriptions[r.Token]
	if !ok {
		s.mu.Unlock()
		return pushservice.Answer{Status: http.StatusGone, Body: "push subscription has unsubscribed or expired.\n"}
	}
	if !pushservice.SameKey(sub.sender, r.VAPID.Key) {
		s.mu.Unlock()
		return pushservice.Answer{Status: http.StatusForbidden, Body: "the key in the authorization header does not correspond to the sender ID used to subscribe this user.\n"}
	}
	id := "0:" + strconv.FormatInt(s.pushes.Add(1), 10) + "%" + rand.Text()
	stanza := dataMessage(id, sub, r)
	k := s.streams[sub.device]
	if k == nil {
		s.waitLocked(sub.device, waiting{r.Token, r.Topic, stanza})
	}
	s.mu.Unlock()
	if k != nil && k.write(tagDataMessage, stanza) != nil {
		s.mu.Lock()
		s.waitLocked(sub.device, waiting{r.Token, r.Topic, stanza})
		s.mu.Unlock()
	}
	return pushservice.Answer{Status: http.StatusCreated, Header: map[string]string{"Location": "https://" + Host + "/" + url.PathEscape(id)}}
}

// waitLocked keeps a stanza for a browser that is away; a newer one of the same
// token and topic replaces it.
func (s *Server) waitLocked(device string, m waiting) {
	for i, old := range s.waiting[device] {
		if m.topic != "" && old.topic == m.topic && old.token == m.token {
			s.waiting[device][i] = m
			return
		}
	}
	s.waiting[device] = append(s.waiting[device], m)
}

func (s *Server) acceptStreams(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		k := &stream{conn: conn}
		s.mu.Lock()
		s.open[k] = true
		s.mu.Unlock()
		s.serving.Go(func() { s.serveStream(k) })
	}
}
