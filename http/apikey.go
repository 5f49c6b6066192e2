package http

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"caac-hub/hub"
	"caac-hub/hub/notify"
)

// KeyStore is where API keys are kept; a hub.Store is one.
type KeyStore interface {
	Meta(ctx context.Context, name string) (value []byte, rev int64, err error)
	PutMeta(ctx context.Context, name string, value []byte, rev int64) (int64, error)
}

// KeyVerifier judges API keys. It answers the id of a good one; otherwise an
// *hub.Error of kind Unauthorized or Unavailable.
type KeyVerifier interface {
	Verify(ctx context.Context, key string) (id string, err error)
}

// APIKey is what is kept of an API key: never the key itself.
type APIKey struct {
	ID      string    `json:"id"` // stands in the key, so that it can be told
	Name    string    `json:"name"`
	Hash    string    `json:"hash"` // SHA-256 of the whole key, hex
	Created time.Time `json:"created"`
}

// MetaAPIKeys names the fact of the store that holds the API keys.
const MetaAPIKeys = "api_keys"

const (
	keyPrefix = "caac_"
	// keysAge is how long a node trusts the list it read: a revocation must hold
	// everywhere within 2 s.
	keysAge = time.Second
	maxKeys = 100
)

// CreateAPIKey makes an API key and keeps its hash. The key is in nobody's hands
// but the caller's: caac_, 8 hex digits that are its id, _, and 32 random bytes
// as base64url.
func CreateAPIKey(ctx context.Context, s KeyStore, name string) (key string, info APIKey, err error) {
	if name == "" || len(name) > hub.MaxName {
		return "", APIKey{}, fmt.Errorf("an API key's name has 1 to %d bytes", hub.MaxName)
	}
	var id [4]byte
	var secret [32]byte
	rand.Read(id[:])
	rand.Read(secret[:])
	info = APIKey{ID: hex.EncodeToString(id[:]), Name: name, Created: time.Now().UTC().Truncate(time.Second)}
	key = keyPrefix + info.ID + "_" + base64.RawURLEncoding.EncodeToString(secret[:])
	info.Hash = hashKey(key)
	err = changeKeys(ctx, s, func(keys []APIKey) ([]APIKey, error) {
		if len(keys) >= maxKeys {
			return nil, fmt.Errorf("there are %d API keys already, the most there may be: revoke one first", maxKeys)
		}
		return append(keys, info), nil
	})
	if err != nil {
		return "", APIKey{}, err
	}
	return key, info, nil
}

// ListAPIKeys returns the API keys in the order they were made.
func ListAPIKeys(ctx context.Context, s KeyStore) ([]APIKey, error) {
	keys, _, err := readKeys(ctx, s)
	return keys, err
}

// RevokeAPIKey ends the key with this id. It holds on every node within 2 s.
// An unknown id is notify.ErrNotFound.
func RevokeAPIKey(ctx context.Context, s KeyStore, id string) error {
	return changeKeys(ctx, s, func(keys []APIKey) ([]APIKey, error) {
		for i, k := range keys {
			if k.ID == id {
				return append(keys[:i], keys[i+1:]...), nil
			}
		}
		return nil, fmt.Errorf("API key %q: %w", id, notify.ErrNotFound)
	})
}

func readKeys(ctx context.Context, s KeyStore) ([]APIKey, int64, error) {
	b, rev, err := s.Meta(ctx, MetaAPIKeys)
	if errors.Is(err, notify.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	var keys []APIKey
	if err := json.Unmarshal(b, &keys); err != nil {
		return nil, 0, fmt.Errorf("the stored API keys can't be read: %w", err)
	}
	return keys, rev, nil
}

func changeKeys(ctx context.Context, s KeyStore, change func([]APIKey) ([]APIKey, error)) error {
	for try := 0; ; try++ {
		keys, rev, err := readKeys(ctx, s)
		if err != nil {
			return err
		}
		if keys, err = change(keys); err != nil {
			return err
		}
		b, err := json.Marshal(keys)
		if err != nil {
			return err
		}
		if _, err = s.PutMeta(ctx, MetaAPIKeys, b, rev); !errors.Is(err, notify.ErrConflict) || try == 9 {
			return err
		}
	}
}

func hashKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// APIKeys verifies API keys against a store, which it reads at most once a
// second, and a few times more for keys it doesn't know. While the store can't be read the list last read holds.
type APIKeys struct {
	store KeyStore
	now   func() time.Time
	fresh *rate.Limiter // reads for keys that are not known

	mu   sync.Mutex // held while reading
	read atomic.Pointer[keyList]
}

type keyList struct {
	keys map[string]APIKey // by id
	at   time.Time
}

// NewAPIKeys returns a verifier of the keys in the store.
func NewAPIKeys(s KeyStore) *APIKeys {
	return &APIKeys{store: s, now: time.Now, fresh: rate.NewLimiter(10, 10)}
}

// Verify implements KeyVerifier.
func (a *APIKeys) Verify(ctx context.Context, key string) (string, error) {
	list, err := a.list(ctx, keysAge)
	if err != nil {
		return "", err
	}
	rest, _ := strings.CutPrefix(key, keyPrefix)
	id, _, _ := strings.Cut(rest, "_")
	known, ok := list.keys[id]
	if !ok && a.fresh.AllowN(a.now(), 1) {
		// A key that was just made is good at once.
		if list, err = a.list(ctx, 0); err != nil {
			return "", err
		}
		known, ok = list.keys[id]
	}
	// An unknown id takes as long as a known one.
	same := subtle.ConstantTimeCompare([]byte(hashKey(key)), []byte(known.Hash)) == 1
	if !ok || !same {
		return "", &hub.Error{Kind: hub.Unauthorized, Code: "bad_api_key", Message: "this is not an API key that is in force here"}
	}
	return id, nil
}

// list returns the keys as they were read less than age ago.
func (a *APIKeys) list(ctx context.Context, age time.Duration) (*keyList, error) {
	if l := a.read.Load(); l != nil && a.now().Sub(l.at) < age {
		return l, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	old := a.read.Load()
	if old != nil && a.now().Sub(old.at) < age {
		return old, nil
	}
	l := &keyList{keys: map[string]APIKey{}, at: a.now()}
	keys, _, err := readKeys(ctx, a.store)
	if err != nil {
		if old != nil && !errors.Is(err, context.Canceled) {
			return old, nil
		}
		return nil, err
	}
	for _, k := range keys {
		l.keys[k.ID] = k
	}
	a.read.Store(l)
	return l, nil
}
