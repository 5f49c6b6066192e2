package push

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/SherClockHolmes/webpush-go"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// The example of RFC 8291 section 5 and appendix A.
const (
	vectorPlain     = "When I grow up, I want to be a watermelon"
	vectorASPrivate = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
	vectorUAPrivate = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
	vectorUAPublic  = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
	vectorAuth      = "BTBZMqHH6r4Tts7J_aSIgg"
	vectorSalt      = "DGv6ra1nlYgDCS1FRnbzlw"
	vectorBody      = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml" +
		"mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT" +
		"pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func privateKey(t *testing.T, s string) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.P256().NewPrivateKey(unbase64(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestBrowserDecryptsTheRFC8291Example(t *testing.T) {
	b := &browser{privateKey(t, vectorUAPrivate), unbase64(t, vectorAuth)}
	plain, err := b.decrypt(unbase64(t, vectorBody))
	if err != nil || string(plain) != vectorPlain {
		t.Fatalf("decrypted %q, %v", plain, err)
	}
}

func TestSealMakesTheRFC8291ExampleByteForByte(t *testing.T) {
	to, err := parseRecipient(notify.Subscription{P256dh: vectorUAPublic, Auth: vectorAuth})
	if err != nil {
		t.Fatal(err)
	}
	body, err := seal(to, []byte(vectorPlain), privateKey(t, vectorASPrivate), [16]byte(unbase64(t, vectorSalt)), len(vectorPlain)+recordOverhead, 4096)
	if err != nil {
		t.Fatal(err)
	}
	if got := base64.RawURLEncoding.EncodeToString(body); got != vectorBody {
		t.Fatalf("got  %s\nwant %s", got, vectorBody)
	}
}

func TestEveryPayloadIsPaddedAndDecryptedToItself(t *testing.T) {
	b := newBrowser(t)
	to, err := parseRecipient(b.subscription(""))
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[int]bool{}
	for n := 0; n <= MaxPayload; n += 1 + n%7 {
		payload := bytes.Repeat([]byte{byte(n), 2, 0}, n)[:n]
		body, err := encrypt(to, payload)
		if err != nil {
			t.Fatal(n, err)
		}
		record := len(body) - headerSize
		if record%256 != 0 || record < n+recordOverhead || record >= n+recordOverhead+256 || len(body) > MaxBody {
			t.Fatalf("a payload of %d bytes has a record of %d and a body of %d", n, record, len(body))
		}
		sizes[record] = true
		if plain, err := b.decrypt(body); err != nil || !bytes.Equal(plain, payload) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	if len(sizes) != 10 {
		t.Fatalf("record sizes %v", sizes)
	}
}

func TestTheHubsLongestPayloadFits(t *testing.T) {
	if wire.MaxPushPlain > MaxPayload || wire.MaxPushBody != MaxBody {
		t.Fatalf("the hub makes %d bytes for a body of %d; %d and %d are taken", wire.MaxPushPlain, wire.MaxPushBody, MaxPayload, MaxBody)
	}
}

func TestTwoBodiesOfOnePayloadShareNothing(t *testing.T) {
	to, err := parseRecipient(newBrowser(t).subscription(""))
	if err != nil {
		t.Fatal(err)
	}
	var bodies [2][]byte
	for i := range bodies {
		if bodies[i], err = encrypt(to, []byte("same")); err != nil {
			t.Fatal(err)
		}
	}
	if bytes.Equal(bodies[0][:16], bodies[1][:16]) || bytes.Equal(bodies[0][21:86], bodies[1][21:86]) {
		t.Fatal("salt or key used twice")
	}
}

// requests keeps what was sent and accepts it.
type requests struct {
	seen   []*http.Request
	bodies [][]byte
}

func (r *requests) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	req.Body.Close()
	r.seen, r.bodies = append(r.seen, req), append(r.bodies, body)
	return &http.Response{StatusCode: http.StatusCreated, Body: http.NoBody, Header: http.Header{}, Request: req}, err
}

func TestWebpushGoThroughOurSeamSendsTheSameRequest(t *testing.T) {
	b := newBrowser(t)
	sub := b.subscription("https://web.push.apple.com/token")
	payload := []byte(`{"web_push":8030}`)
	ring := newRing(t)
	s, err := New(Options{Subject: testSubject, Keys: ring})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	seen := &requests{}
	s.transport = func() http.RoundTripper { return seen }
	if a := s.Send(t.Context(), sub, notify.PushMessage{Payload: payload, Declarative: true, TTL: 90e9, Topic: "abc"}); a.Class != notify.AnswerAccepted {
		t.Fatal(a)
	}

	h, _ := s.acquire("web.push.apple.com")
	defer s.release(h)
	vapid, err := h.authorization(&ring.keys[0], testSubject, s.now())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ring.Current().private.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	resp, err := webpush.SendNotificationWithContext(t.Context(), slices.Clone(payload),
		&webpush.Subscription{Endpoint: sub.Endpoint, Keys: webpush.Keys{Auth: sub.Auth, P256dh: sub.P256dh}},
		&webpush.Options{
			HTTPClient: exchange{h, vapid, true},
			RecordSize: headerSize + 256, TTL: 90, Topic: "abc", Urgency: webpush.UrgencyHigh,
			Subscriber: "ops@caac-hub.net", VAPIDPublicKey: ring.Current().Public(),
			VAPIDPrivateKey: base64.RawURLEncoding.EncodeToString(raw),
		})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()

	if len(seen.seen) != 2 {
		t.Fatalf("%d requests", len(seen.seen))
	}
	ours, theirs := seen.seen[0], seen.seen[1]
	if ours.Method != theirs.Method || ours.URL.String() != theirs.URL.String() || ours.Host != theirs.Host || ours.ContentLength != theirs.ContentLength {
		t.Fatalf("ours %s %s %d, theirs %s %s %d", ours.Method, ours.URL, ours.ContentLength, theirs.Method, theirs.URL, theirs.ContentLength)
	}
	if len(ours.Header) != len(theirs.Header) {
		t.Fatalf("ours %v\ntheirs %v", ours.Header, theirs.Header)
	}
	for name := range theirs.Header {
		if ours.Header.Get(name) != theirs.Header.Get(name) {
			t.Errorf("%s: ours %q, theirs %q", name, ours.Header.Get(name), theirs.Header.Get(name))
		}
	}
	for i, body := range seen.bodies {
		if plain, err := b.decrypt(body); err != nil || !bytes.Equal(plain, payload) {
			t.Errorf("body %d: %q, %v", i, plain, err)
		}
	}
	if !bytes.Equal(seen.bodies[0][16:21], seen.bodies[1][16:21]) || len(seen.bodies[0]) != len(seen.bodies[1]) {
		t.Error("record sizes differ")
	}
}
