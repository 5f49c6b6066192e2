//go:build linux

package chaos

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
	"caac-hub/test/loopback"
	"caac-hub/test/pushservice"
)

const pushHost = "updates.push.services.mozilla.com"

// pushService takes pushes as the real one does, decrypts them as the browser
// would, and keeps what it accepted.
type pushService struct {
	t    testing.TB
	addr string
	cert tls.Certificate

	mu       sync.Mutex
	subs     map[string]*subscription // by the endpoint's last part
	accepted []accepted
	refused  int // answered 503
	every    int // one of so many is answered 503; 0: none
	asked    int
	arrived  chan struct{} // closed and replaced with every push accepted
}

// accepted is a push of a delivery that a device was given.
type accepted struct {
	at                time.Time
	id, agent, device string
	ref               notify.Ref
}

// subscription is the browser's half of a PushSubscription.
type subscription struct {
	token   string
	private *ecdh.PrivateKey
	auth    []byte
}

func startPushService(t testing.TB) *pushService {
	s := &pushService{t: t, subs: map[string]*subscription{}, arrived: make(chan struct{})}
	s.addr, s.cert = loopback.New(t).Serve(pushHost, pushservice.NewFront(s.deliver))
	return s
}

// subscribe makes a subscription and its PushSubscription.toJSON().
func (s *pushService) subscribe(token string) map[string]any {
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	sub := &subscription{token: token, private: private, auth: make([]byte, 16)}
	rand.Read(sub.auth)
	s.mu.Lock()
	s.subs[token] = sub
	s.mu.Unlock()
	return map[string]any{
		"endpoint": "https://" + pushHost + "/wpush/v2/" + token,
		"keys": map[string]string{
			"p256dh": base64.RawURLEncoding.EncodeToString(private.PublicKey().Bytes()),
			"auth":   base64.RawURLEncoding.EncodeToString(sub.auth),
		},
	}
}

func (s *pushService) deliver(r pushservice.Request) pushservice.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := s.subs[r.Token]
	if sub == nil {
		s.t.Errorf("a push for an unknown subscription %q", r.Token)
		return pushservice.Answer{Status: http.StatusGone}
	}
	plain, err := sub.decrypt(r.Body)
	var p wire.PushPayload
	if err == nil {
		err = json.Unmarshal(plain, &p)
	}
	if err != nil {
		s.t.Errorf("a push the browser can't read: %v", err)
		return pushservice.Answer{Status: http.StatusBadRequest}
	}
	if s.asked++; s.every > 0 && s.asked%s.every == 0 {
		s.refused++
		return pushservice.Answer{Status: http.StatusServiceUnavailable}
	}
	d := &p.Notification.Data
	s.accepted = append(s.accepted, accepted{time.Now(), d.ID, d.Agent, d.Device, notify.Ref{Conversation: d.Conversation, Message: d.Message}})
	close(s.arrived)
	s.arrived = make(chan struct{})
	return pushservice.Answer{Status: http.StatusCreated}
}

// all is what was accepted so far.
func (s *pushService) all() []accepted {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]accepted(nil), s.accepted...)
}

// wait returns when a push of the message was accepted.
func (s *pushService) wait(message string, within time.Duration) time.Time {
	s.t.Helper()
	timeout := time.After(within)
	for {
		s.mu.Lock()
		all, arrived := s.accepted, s.arrived
		s.mu.Unlock()
		for _, a := range all {
			if a.ref.Message == message {
				return a.at
			}
		}
		select {
		case <-arrived:
		case <-timeout:
			s.t.Fatalf("no push of message %s was accepted within %v", message, within)
		}
	}
}

// decrypt opens a body of one record (RFC 8291, RFC 8188).
func (s *subscription) decrypt(body []byte) ([]byte, error) {
	if len(body) < 21 || len(body) < 21+int(body[20]) {
		return nil, errors.New("no header")
	}
	salt, id, record := body[:16], body[21:21+int(body[20])], body[21+int(body[20]):]
	if size := binary.BigEndian.Uint32(body[16:20]); int(size) < len(record) {
		return nil, errors.New("more than one record")
	}
	sender, err := ecdh.P256().NewPublicKey(id)
	if err != nil {
		return nil, err
	}
	shared, err := s.private.ECDH(sender)
	if err != nil {
		return nil, err
	}
	info := "WebPush: info\x00" + string(s.private.PublicKey().Bytes()) + string(id)
	ikm, err := hkdf.Key(sha256.New, shared, s.auth, info, 32)
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, err
	}
	nonce, err := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	plain, err := gcm.Open(nil, nonce, record, nil)
	if err != nil {
		return nil, err
	}
	for n := len(plain) - 1; n >= 0; n-- {
		switch plain[n] {
		case 0:
		case 2:
			return plain[:n], nil
		default:
			return nil, errors.New("no delimiter of a last record")
		}
	}
	return nil, errors.New("nothing but padding")
}
