package push

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"caac-hub/hub/notify"
)

var message = notify.PushMessage{Payload: []byte(`{"web_push":8030}`), TTL: time.Hour}

func TestPushArrivesEncryptedWithItsHeaders(t *testing.T) {
	all := newServices(t)
	b := newBrowser(t)
	got := make(chan *http.Request, 1)
	bodies := make(chan []byte, 1)
	all.serve(fcmHost, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r
		bodies <- body
		w.WriteHeader(http.StatusCreated)
	})
	s := all.sender(Options{})
	m := message
	m.Topic, m.TTL, m.Declarative = "abc123", 1500*time.Millisecond, true
	a := s.Send(t.Context(), b.subscription("https://"+fcmHost+"/fcm/send/token?x=1"), m)
	if a.Class != notify.AnswerAccepted || a.Status != 201 || a.Host != fcmHost {
		t.Fatalf("%+v", a)
	}
	r, body := <-got, <-bodies
	if plain, err := b.decrypt(body); err != nil || !bytes.Equal(plain, m.Payload) {
		t.Fatalf("decrypted %q, %v", plain, err)
	}
	if a.Bytes != len(body) {
		t.Errorf("Bytes is %d, the body has %d", a.Bytes, len(body))
	}
	for name, want := range map[string]string{
		"Content-Encoding": "aes128gcm", "Content-Type": "application/octet-stream", "Ttl": "2", "Urgency": "high", "Topic": "abc123",
		"Content-Length": fmt.Sprint(len(body)),
	} {
		if r.Header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, r.Header.Get(name), want)
		}
	}
	if r.Method != "POST" || r.RequestURI != "/fcm/send/token?x=1" || r.Host != fcmHost || r.ProtoMajor != 2 {
		t.Errorf("%s %s at %s over %s", r.Method, r.RequestURI, r.Host, r.Proto)
	}
}

func TestDeclarativeContentTypeGoesToAppleOnly(t *testing.T) {
	for _, test := range []struct {
		host        string
		declarative bool
		want        string
	}{
		{appleHost, true, "application/notification+json"},
		{appleHost, false, "application/octet-stream"},
		{mozillaHost, true, "application/octet-stream"},
	} {
		all := newServices(t)
		got := make(chan string, 1)
		all.serve(test.host, func(w http.ResponseWriter, r *http.Request) {
			got <- r.Header.Get("Content-Type")
			w.WriteHeader(http.StatusCreated)
		})
		m := message
		m.Declarative = test.declarative
		if a := all.sender(Options{}).Send(t.Context(), newBrowser(t).subscription("https://"+test.host+"/x"), m); a.Class != notify.AnswerAccepted {
			t.Fatalf("%+v", a)
		}
		if typ := <-got; typ != test.want {
			t.Errorf("%+v: %s", test, typ)
		}
	}
}

func TestMessageThatCannotBeSentIsRefused(t *testing.T) {
	s := newServices(t).sender(Options{})
	sub := newBrowser(t).subscription("https://" + fcmHost + "/x")
	for want, m := range map[string]notify.PushMessage{
		"2544 bytes":  {Payload: make([]byte, MaxPayload+1), TTL: time.Hour},
		"positive":    {},
		"at most 32":  {TTL: time.Hour, Topic: strings.Repeat("a", 33)},
		"letters and": {TTL: time.Hour, Topic: "a/b"},
	} {
		if a := s.Send(t.Context(), sub, m); a.Class != notify.AnswerRefused || !strings.Contains(a.Detail, want) {
			t.Errorf("want %q: %+v", want, a)
		}
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	all := newServices(t)
	var followed atomic.Bool
	all.serve(fcmHost, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://"+mozillaHost+"/x", http.StatusTemporaryRedirect)
	})
	all.serve(mozillaHost, func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	a := all.sender(Options{}).Send(t.Context(), newBrowser(t).subscription("https://"+fcmHost+"/x"), message)
	if a.Class != notify.AnswerRedirect || a.Status != 307 || followed.Load() {
		t.Fatalf("%+v, followed: %v", a, followed.Load())
	}
}

func TestEndlessAnswerIsReadOnlyToItsCap(t *testing.T) {
	all := newServices(t)
	ended := make(chan struct{})
	all.serve(fcmHost, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		w.WriteHeader(http.StatusBadRequest)
		for chunk := bytes.Repeat([]byte("words "), 1000); r.Context().Err() == nil; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	a := all.sender(Options{Timeout: time.Hour}).Send(t.Context(), newBrowser(t).subscription("https://"+fcmHost+"/x"), message)
	if a.Class != notify.AnswerBadRequest || len(a.Detail) > maxDetail {
		t.Fatalf("%+v", a)
	}
	<-ended
}

// closing counts how many bytes of an answer were read and whether it was closed.
type closing struct {
	read   int
	closed bool
}

func (c *closing) Read(p []byte) (int, error) {
	c.read += len(p)
	return len(p), nil
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

func (c *closing) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusCreated, Body: c, Header: http.Header{}, Request: req}, nil
}

func TestAnswersBodyIsClosedAfterItsCap(t *testing.T) {
	s := newServices(t).sender(Options{})
	body := &closing{}
	s.transport = func() http.RoundTripper { return body }
	s.Send(t.Context(), newBrowser(t).subscription("https://"+fcmHost+"/x"), message)
	if body.read > maxAnswer || !body.closed {
		t.Errorf("read %d bytes, closed: %v", body.read, body.closed)
	}
}

func TestAnswerThatDripsKeepsItsClass(t *testing.T) {
	all := newServices(t)
	all.serve(fcmHost, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusGone)
		io.WriteString(w, "go")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	a := all.sender(Options{Timeout: 100 * time.Millisecond}).Send(t.Context(), newBrowser(t).subscription("https://"+fcmHost+"/x"), message)
	if a.Class != notify.AnswerGone {
		t.Fatalf("%+v", a)
	}
}

func TestSilentHostEndsAtTheDeadlineOrWithTheCaller(t *testing.T) {
	all := newServices(t)
	arrived := make(chan struct{}, 2)
	all.serve(fcmHost, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	sub := newBrowser(t).subscription("https://" + fcmHost + "/secret-token")
	a := all.sender(Options{Timeout: 100 * time.Millisecond}).Send(t.Context(), sub, message)
	if a.Class != notify.AnswerNetwork || a.Detail != "no answer in time" {
		t.Errorf("%+v", a)
	}
	<-arrived
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if a := all.sender(Options{}).Send(ctx, sub, message); a.Class != notify.AnswerNetwork || a.Detail != "given up before an answer came" {
		t.Errorf("%+v", a)
	}
}

func TestUnreachableOrUntrustedHostIsANetworkAnswerWithoutTheEndpoint(t *testing.T) {
	all := newServices(t)
	all.serve(appleHost, func(http.ResponseWriter, *http.Request) { t.Error("reached without a trusted certificate") })
	s := all.sender(Options{})
	stranger, err := New(Options{Subject: testSubject, Keys: newRing(t), Dial: all.dial})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	for _, test := range []struct {
		s    *Sender
		host string
		want string
	}{{s, fcmHost, "no push service"}, {stranger, appleHost, "certificate"}} {
		a := test.s.Send(t.Context(), newBrowser(t).subscription("https://"+test.host+"/secret"), message)
		if a.Class != notify.AnswerNetwork || a.Status != 0 || !strings.Contains(a.Detail, test.want) || strings.Contains(a.Detail, "https://") {
			t.Errorf("%+v", a)
		}
	}
}

func TestSlowHostDelaysNoOther(t *testing.T) {
	all := newServices(t)
	arrived, release := make(chan struct{}, 8), make(chan struct{})
	all.serve(fcmHost, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		w.WriteHeader(http.StatusCreated)
	})
	all.serve(mozillaHost, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusCreated) })
	s := all.sender(Options{PerHost: 2, Timeout: time.Minute})
	b := newBrowser(t)
	var slow sync.WaitGroup
	for range 4 {
		slow.Go(func() {
			if a := s.Send(t.Context(), b.subscription("https://"+fcmHost+"/x"), message); a.Class != notify.AnswerAccepted {
				t.Errorf("%+v", a)
			}
		})
	}
	<-arrived
	<-arrived
	if a := s.Send(t.Context(), b.subscription("https://"+mozillaHost+"/x"), message); a.Class != notify.AnswerAccepted {
		t.Errorf("the other host: %+v", a)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if a := s.Send(ctx, b.subscription("https://"+fcmHost+"/x"), message); a.Class != notify.AnswerNetwork || !strings.Contains(a.Detail, "slots") {
		t.Errorf("a push beyond the limit: %+v", a)
	}
	if len(arrived) != 0 {
		t.Error("more pushes at once than PerHost")
	}
	close(release)
	slow.Wait()
}

func TestConcurrentSendsMayShareAPayload(t *testing.T) {
	all := newServices(t)
	b := newBrowser(t)
	shared := append(make([]byte, 0, 4096), "one payload for all"...)
	want := string(shared)
	all.serve(fcmHost, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if plain, err := b.decrypt(body); err != nil || string(plain) != want {
			t.Errorf("decrypted %q, %v", plain, err)
		}
		w.WriteHeader(http.StatusCreated)
	})
	s := all.sender(Options{PerHost: 8})
	var sends sync.WaitGroup
	for i := range 32 {
		sends.Go(func() {
			sub := b.subscription(fmt.Sprintf("https://%s/%d", fcmHost, i))
			if a := s.Send(t.Context(), sub, notify.PushMessage{Payload: shared, TTL: time.Hour}); a.Class != notify.AnswerAccepted {
				t.Errorf("%+v", a)
			}
		})
	}
	sends.Wait()
	if rest := shared[len(shared):cap(shared)]; string(shared) != want || !bytes.Equal(rest, make([]byte, len(rest))) {
		t.Error("the caller's buffer was written to")
	}
}

func TestOnlyAnExplicitProxyIsUsed(t *testing.T) {
	// net/http reads the environment once a process, so setting it here would prove nothing.
	if newTransport(Options{}, 1).Proxy != nil {
		t.Error("a proxy that nobody asked for")
	}
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	asked := make(chan string, 2)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := proxy.Accept()
			if err != nil {
				return
			}
			line := make([]byte, len("CONNECT "+fcmHost+":443"))
			io.ReadFull(conn, line)
			asked <- string(line)
			io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
			conn.Close()
		}
	})
	defer serving.Wait()
	defer proxy.Close()
	sub := newBrowser(t).subscription("https://" + fcmHost + "/x")
	s, err := New(Options{Subject: testSubject, Keys: newRing(t), Proxy: &url.URL{Scheme: "http", Host: proxy.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if a := s.Send(t.Context(), sub, message); a.Class != notify.AnswerNetwork {
		t.Errorf("through the proxy: %+v", a)
	}
	if line := <-asked; line != "CONNECT "+fcmHost+":443" {
		t.Errorf("the proxy was asked %q", line)
	}
}

func TestCloseEndsSendsUnderWay(t *testing.T) {
	all := newServices(t)
	arrived := make(chan struct{}, 1)
	all.serve(fcmHost, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	s := all.sender(Options{Timeout: time.Hour})
	sub := newBrowser(t).subscription("https://" + fcmHost + "/x")
	answers := make(chan notify.PushAnswer)
	go func() { answers <- s.Send(context.Background(), sub, message) }()
	<-arrived
	go s.Close()
	if a := <-answers; a.Class != notify.AnswerNetwork {
		t.Errorf("%+v", a)
	}
	s.Close()
	if a := s.Send(t.Context(), sub, message); a.Class != notify.AnswerNetwork || !strings.Contains(a.Detail, "closed") {
		t.Errorf("after Close: %+v", a)
	}
}

func TestHostsKeptAreBounded(t *testing.T) {
	s, err := New(Options{Subject: testSubject, Keys: newRing(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.transport = func() http.RoundTripper { return accepting{} }
	b := newBrowser(t)
	for i := range maxHosts + 50 {
		if a := s.Send(t.Context(), b.subscription(fmt.Sprintf("https://h%d.push.apple.com/x", i)), message); a.Class != notify.AnswerAccepted {
			t.Fatalf("%+v", a)
		}
	}
	if len(s.hosts) != maxHosts || s.hosts["h0.push.apple.com"] != nil || s.hosts[fmt.Sprintf("h%d.push.apple.com", maxHosts+49)] == nil {
		t.Errorf("%d hosts are kept; want the %d newest", len(s.hosts), maxHosts)
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	ring := newRing(t)
	for want, o := range map[string]Options{
		"keys":     {},
		"subject":  {Keys: ring, Subject: "ops@localhost"},
		"proxy":    {Subject: testSubject, Keys: ring, Proxy: &url.URL{Scheme: "ftp", Host: "x"}},
		"negative": {Subject: testSubject, Keys: ring, PerHost: -1},
		"10.0.0.1": {Subject: testSubject, Keys: ring, ExtraHosts: []string{"10.0.0.1"}},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}
