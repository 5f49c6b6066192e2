package push

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Key is a VAPID key (RFC 8292): a P-256 key pair that pages subscribe with
// and requests to push services are signed with. It prints as its id, never as
// its private half; only MarshalJSON shows that.
type Key struct {
	id      string
	public  string
	created time.Time
	private *ecdsa.PrivateKey
}

// GenerateKey makes a new key.
func GenerateKey(created time.Time) (Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Key{}, err
	}
	return newKey(private, created)
}

// ParseKey reads a private key as VAPID tools write it: the 32-byte scalar in
// base64url.
func ParseKey(private string, created time.Time) (Key, error) {
	raw, err := decode(private)
	if err != nil {
		return Key{}, fmt.Errorf("VAPID private key: %w", err)
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		return Key{}, errors.New("VAPID private key: want 32 bytes, a P-256 scalar, in base64url")
	}
	return newKey(key, created)
}

func newKey(private *ecdsa.PrivateKey, created time.Time) (Key, error) {
	public, err := private.PublicKey.Bytes()
	if err != nil {
		return Key{}, err
	}
	sum := sha256.Sum256(public)
	return Key{
		id:      hex.EncodeToString(sum[:6]),
		public:  base64.RawURLEncoding.EncodeToString(public),
		created: created.UTC(),
		private: private,
	}, nil
}

// ID is a short hash of the public half: 12 hexadecimal digits.
func (k Key) ID() string { return k.id }

// Public is the public half in base64url: an uncompressed P-256 point, the
// applicationServerKey of the Push API.
func (k Key) Public() string { return k.public }

// Created is when the key was made.
func (k Key) Created() time.Time { return k.created }

func (k Key) String() string       { return "VAPID key " + k.id }
func (k Key) GoString() string     { return k.String() }
func (k Key) LogValue() slog.Value { return slog.StringValue(k.id) }

type keyJSON struct {
	ID      string    `json:"id"`
	Private string    `json:"private"` // base64url, 32 bytes
	Public  string    `json:"public"`  // base64url, 65 bytes
	Created time.Time `json:"created"`
}

// MarshalJSON writes the whole key, the private half too, for the store.
func (k Key) MarshalJSON() ([]byte, error) {
	if k.private == nil {
		return nil, errors.New("VAPID key: empty")
	}
	raw, err := k.private.Bytes()
	if err != nil {
		return nil, err
	}
	return json.Marshal(keyJSON{k.id, base64.RawURLEncoding.EncodeToString(raw), k.public, k.created})
}

// UnmarshalJSON reads what MarshalJSON wrote and refuses a key whose halves or
// id do not belong together.
func (k *Key) UnmarshalJSON(b []byte) error {
	var j keyJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	key, err := ParseKey(j.Private, j.Created)
	if err != nil {
		return err
	}
	if key.id != j.ID || key.public != j.Public {
		return fmt.Errorf("VAPID key %q: id and public half do not belong to the private half", j.ID)
	}
	*k = key
	return nil
}

// KeyRing holds the VAPID keys of a deployment: the one pages subscribe with
// now, and older ones that subscriptions were made for. It never changes once
// made; its JSON is a list, the current key first.
type KeyRing struct {
	keys []Key
}

// NewKeyRing makes a ring.
func NewKeyRing(current Key, older ...Key) (*KeyRing, error) {
	return newKeyRing(append([]Key{current}, older...))
}

func newKeyRing(keys []Key) (*KeyRing, error) {
	if len(keys) == 0 {
		return nil, errors.New("VAPID keys: none; at least one is needed")
	}
	for i, k := range keys {
		if k.private == nil {
			return nil, errors.New("VAPID keys: one is empty")
		}
		if slices.ContainsFunc(keys[:i], func(o Key) bool { return o.id == k.id }) {
			return nil, fmt.Errorf("VAPID keys: %s stands there twice", k.id)
		}
	}
	return &KeyRing{keys}, nil
}

// Current is the key pages subscribe with now.
func (r *KeyRing) Current() Key { return r.keys[0] }

// Keys returns all keys, the current one first.
func (r *KeyRing) Keys() []Key { return slices.Clone(r.keys) }

// With returns a ring in which k is current and all others are older.
func (r *KeyRing) With(k Key) (*KeyRing, error) { return NewKeyRing(k, r.keys...) }

// accepts reports whether the key of that id is current, or was after since.
func (r *KeyRing) accepts(id string, since time.Time) bool {
	i := slices.IndexFunc(r.keys, func(k Key) bool { return k.id == id })
	return i == 0 || i > 0 && r.keys[i-1].created.After(since)
}

// Outlived are the older keys whose successor was made before a time.
func (r *KeyRing) Outlived(before time.Time) []Key {
	var out []Key
	for i, k := range r.keys[1:] {
		if r.keys[i].created.Before(before) {
			out = append(out, k)
		}
	}
	return out
}

// Without returns a ring without the older keys of those ids; the current one stays.
func (r *KeyRing) Without(ids ...string) *KeyRing {
	older := slices.DeleteFunc(slices.Clone(r.keys[1:]), func(k Key) bool { return slices.Contains(ids, k.id) })
	return &KeyRing{append([]Key{r.keys[0]}, older...)}
}

// find returns the key with the id, or the current one for none.
func (r *KeyRing) find(id string) (*Key, bool) {
	if id == "" {
		return &r.keys[0], true
	}
	for i := range r.keys {
		if r.keys[i].id == id {
			return &r.keys[i], true
		}
	}
	return nil, false
}

func (r *KeyRing) MarshalJSON() ([]byte, error) { return json.Marshal(r.keys) }

func (r *KeyRing) UnmarshalJSON(b []byte) error {
	var keys []Key
	if err := json.Unmarshal(b, &keys); err != nil {
		return err
	}
	ring, err := newKeyRing(keys)
	if err != nil {
		return err
	}
	*r = *ring
	return nil
}
