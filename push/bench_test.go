package push

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/SherClockHolmes/webpush-go"

	"caac-hub/hub/notify"
)

// accepting answers every request as a push service that takes it, in memory.
type accepting struct{}

func (accepting) RoundTrip(req *http.Request) (*http.Response, error) {
	io.Copy(io.Discard, req.Body)
	req.Body.Close()
	return &http.Response{StatusCode: http.StatusCreated, Body: http.NoBody, Header: http.Header{}, Request: req}, nil
}

// benchPayload is as long as a usual message with its badges and receipt.
var benchPayload = make([]byte, 700)

// BenchmarkPush is the CPU of one Web Push without its network: ours,
// webpush-go's as it comes, webpush-go's through our seam, and the floor that
// no sender can go below.
func BenchmarkPush(b *testing.B) {
	ring := newRing(b)
	sub := newBrowser(b).subscription("https://fcm.googleapis.com/fcm/send/token")
	message := notify.PushMessage{Payload: benchPayload, TTL: time.Hour, Topic: "topic"}
	s, err := New(Options{Subject: testSubject, Keys: ring})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	s.transport = func() http.RoundTripper { return accepting{} }

	b.Run("Send", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if a := s.Send(b.Context(), sub, message); a.Class != notify.AnswerAccepted {
				b.Fatal(a)
			}
		}
	})
	raw, err := ring.Current().private.Bytes()
	if err != nil {
		b.Fatal(err)
	}
	library := func(client webpush.HTTPClient) func(b *testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				resp, err := webpush.SendNotificationWithContext(b.Context(), benchPayload,
					&webpush.Subscription{Endpoint: sub.Endpoint, Keys: webpush.Keys{Auth: sub.Auth, P256dh: sub.P256dh}},
					&webpush.Options{
						HTTPClient: client, TTL: 3600, Topic: "topic", Urgency: webpush.UrgencyHigh,
						RecordSize: headerSize + 768, Subscriber: testSubject[len("mailto:"):],
						VAPIDPublicKey:  ring.Current().Public(),
						VAPIDPrivateKey: base64.RawURLEncoding.EncodeToString(raw),
					})
				if err != nil {
					b.Fatal(err)
				}
				resp.Body.Close()
			}
		}
	}
	b.Run("webpush-go", library(&http.Client{Transport: accepting{}}))
	h := newHost("fcm.googleapis.com", accepting{}, 1)
	b.Run("webpush-go-behind-our-seam", library(exchange{h, "vapid t=, k=", false}))

	browser, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("floor", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			key, err := ecdh.P256().GenerateKey(rand.Reader)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := key.ECDH(browser.PublicKey()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
