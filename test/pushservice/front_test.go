package pushservice_test

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"

	webpush "github.com/SherClockHolmes/webpush-go"

	"caac-hub/test/loopback"
	"caac-hub/test/pushservice"
)

const host = "push.example.com"

// sender posts encrypted pushes to a Front served at host.
type sender struct {
	client          *http.Client
	private, public string
	topic           string
}

func newSender(t *testing.T, front *pushservice.Front) *sender {
	t.Helper()
	network := loopback.New(t)
	network.Serve(host, front)
	private, public, err := webpush.GenerateVAPIDKeys()
	if err != nil {
		t.Fatal(err)
	}
	return &sender{client: network.Client(), private: private, public: public}
}

func (s *sender) send(t *testing.T, token string) *http.Response {
	t.Helper()
	// Keys of some receiver; nobody decrypts here.
	sub := &webpush.Subscription{Endpoint: "https://" + host + "/send/" + token, Keys: webpush.Keys{P256dh: s.public, Auth: rand.Text()[:22]}}
	response, err := webpush.SendNotification([]byte("hello"), sub, &webpush.Options{
		HTTPClient: s.client, Subscriber: "https://example.com", VAPIDPublicKey: s.public, VAPIDPrivateKey: s.private, TTL: 60, Topic: s.topic,
	})
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response
}

// deliveries is a Deliver that takes every push.
type deliveries struct{ tokens []string }

func (d *deliveries) take(r pushservice.Request) pushservice.Answer {
	d.tokens = append(d.tokens, r.Token+r.Topic)
	return pushservice.Answer{Status: http.StatusCreated}
}

func TestPushInOrderIsRecordedAndDelivered(t *testing.T) {
	var d deliveries
	front := pushservice.NewFront(d.take)
	s := newSender(t, front)
	if got := s.send(t, "a").StatusCode; got != http.StatusCreated {
		t.Fatalf("answered %d", got)
	}
	r := front.WaitRequests(t, 1)[0]
	if r.Token != "a" || r.Host != host || r.TTL != 60 || r.Encoding != "aes128gcm" || r.VAPID.Audience != "https://"+host || !pushservice.SameKey(r.VAPID.Key, s.public) {
		t.Errorf("recorded %+v", r)
	}
	if len(d.tokens) != 1 {
		t.Errorf("delivered %q", d.tokens)
	}
}

func TestPushOutOfOrderIsRefusedAndNotDelivered(t *testing.T) {
	var d deliveries
	front := pushservice.NewFront(d.take)
	s := newSender(t, front)
	for name, request := range map[string]struct {
		header http.Header
		body   string
		want   int
	}{
		"no authorization": {http.Header{"Ttl": {"60"}}, "", http.StatusUnauthorized},
		"a forged token":   {http.Header{"Ttl": {"60"}, "Authorization": {"vapid t=a.b.c,k=" + s.public}}, "", http.StatusUnauthorized},
	} {
		r, err := http.NewRequest("POST", "https://"+host+"/send/a", strings.NewReader(request.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = request.header
		response, err := s.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != request.want {
			t.Errorf("%s: answered %d, want %d", name, response.StatusCode, request.want)
		}
	}
	s.topic = "not/allowed"
	if got := s.send(t, "a").StatusCode; got != http.StatusBadRequest {
		t.Errorf("a topic outside base64url was answered %d", got)
	}
	if len(d.tokens) != 0 {
		t.Errorf("delivered %q", d.tokens)
	}
}

func TestFaultsGoToTheTokenTheyWereAskedFor(t *testing.T) {
	var d deliveries
	front := pushservice.NewFront(d.take)
	s := newSender(t, front)
	front.AnswerNext("a", pushservice.Answer{Status: http.StatusServiceUnavailable, RetryAfter: "3"})
	front.AnswerAlways("b", pushservice.Answer{Status: http.StatusGone})
	if r := s.send(t, "a"); r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") != "3" {
		t.Errorf("answered %d with Retry-After %q", r.StatusCode, r.Header.Get("Retry-After"))
	}
	for _, c := range []struct {
		token string
		want  int
	}{{"a", 201}, {"b", 410}, {"b", 410}, {"c", 201}} {
		if got := s.send(t, c.token).StatusCode; got != c.want {
			t.Errorf("token %s was answered %d, want %d", c.token, got, c.want)
		}
	}
	front.Recover()
	if got := s.send(t, "b").StatusCode; got != 201 {
		t.Errorf("after Recover token b was answered %d", got)
	}
}

func TestHeldPushOfATopicIsReplacedByTheNewer(t *testing.T) {
	var d deliveries
	front := pushservice.NewFront(d.take)
	s := newSender(t, front)
	front.Hold()
	for _, topic := range []string{"one", "two", "one"} {
		s.topic = topic
		s.send(t, "a")
	}
	if len(d.tokens) != 0 {
		t.Fatalf("delivered while held: %q", d.tokens)
	}
	front.Release()
	if strings.Join(d.tokens, " ") != "atwo aone" {
		t.Errorf("delivered %q", d.tokens)
	}
}

func TestAnswerCanBeHeldBack(t *testing.T) {
	var d deliveries
	front := pushservice.NewFront(d.take)
	s := newSender(t, front)
	open := make(chan struct{})
	front.AnswerNext("a", pushservice.Answer{Status: 201, Until: open})
	answered := make(chan int, 1)
	go func() { answered <- s.send(t, "a").StatusCode }()
	if got := s.send(t, "b").StatusCode; got != 201 {
		t.Errorf("another token was answered %d", got)
	}
	select {
	case <-answered:
		t.Error("answered before it was let go")
	default:
	}
	close(open)
	if got := <-answered; got != 201 {
		t.Errorf("answered %d", got)
	}
}

func TestNothingBesideWhatIsServedCanBeDialed(t *testing.T) {
	network := loopback.New(t)
	for _, addr := range []string{"127.0.0.1:443", "example.com:443", host + ":443"} {
		if conn, err := network.Dial(t.Context(), "tcp", addr); err == nil {
			conn.Close()
			t.Errorf("%s could be dialed", addr)
		}
	}
}
