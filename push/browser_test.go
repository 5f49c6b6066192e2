package push

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"caac-hub/hub/notify"
)

// browser is the receiving end of a subscription, written from RFC 8291 and
// RFC 8188 with nothing of the sender's.
type browser struct {
	private *ecdh.PrivateKey
	secret  []byte
}

func newBrowser(t testing.TB) *browser {
	t.Helper()
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret := make([]byte, 16)
	rand.Read(secret)
	return &browser{private, secret}
}

func (b *browser) subscription(endpoint string) notify.Subscription {
	return notify.Subscription{
		Endpoint: endpoint,
		P256dh:   base64.RawURLEncoding.EncodeToString(b.private.PublicKey().Bytes()),
		Auth:     base64.RawURLEncoding.EncodeToString(b.secret),
	}
}

func mac(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, part := range parts {
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// decrypt opens a body of one record.
func (b *browser) decrypt(body []byte) ([]byte, error) {
	if len(body) < 21 || len(body) < 21+int(body[20]) {
		return nil, errors.New("no header")
	}
	salt, size, id, record := body[:16], binary.BigEndian.Uint32(body[16:20]), body[21:21+int(body[20])], body[21+int(body[20]):]
	sender, err := ecdh.P256().NewPublicKey(id)
	if err != nil {
		return nil, err
	}
	shared, err := b.private.ECDH(sender)
	if err != nil {
		return nil, err
	}
	ikm := mac(mac(b.secret, string(shared)), "WebPush: info\x00", string(b.private.PublicKey().Bytes()), string(id), "\x01")
	prk := mac(salt, string(ikm))
	block, err := aes.NewCipher(mac(prk, "Content-Encoding: aes128gcm\x00\x01")[:16])
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	plain, err := gcm.Open(nil, mac(prk, "Content-Encoding: nonce\x00\x01")[:12], record, nil)
	if err != nil {
		return nil, err
	}
	if int(size) <= len(record) {
		return nil, errors.New("the record size must be greater than the record (RFC 8291 section 4)")
	}
	end := len(plain)
	for end > 0 && plain[end-1] == 0 {
		end--
	}
	if end == 0 || plain[end-1] != 2 {
		return nil, errors.New("no delimiter of a last record")
	}
	return plain[:end-1], nil
}

func newRing(t testing.TB) *KeyRing {
	t.Helper()
	key, err := GenerateKey(time.Unix(1_800_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := NewKeyRing(key)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}
