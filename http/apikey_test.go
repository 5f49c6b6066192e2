package http

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/notify"
)

// metaStore is the part of a store that API keys need, with a switch to fail.
type metaStore struct {
	mu    sync.Mutex
	value []byte
	rev   int64
	down  error
	reads int
}

func (m *metaStore) Meta(context.Context, string) ([]byte, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	if m.down != nil {
		return nil, 0, m.down
	}
	if m.rev == 0 {
		return nil, 0, notify.ErrNotFound
	}
	return m.value, m.rev, nil
}

func (m *metaStore) PutMeta(_ context.Context, _ string, v []byte, rev int64) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if rev != m.rev {
		return 0, notify.ErrConflict
	}
	m.value, m.rev = v, rev+1
	return m.rev, nil
}

func TestAPIKeyIsGoodUntilRevoked(t *testing.T) {
	ctx, s := t.Context(), &metaStore{}
	key, info, err := CreateAPIKey(ctx, s, "backend")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(s.value), key) || !strings.HasPrefix(key, "caac_"+info.ID+"_") || len(key) != len("caac_")+8+1+43 {
		t.Fatalf("key %q kept as %s", key, s.value)
	}
	now := time.Now()
	v := NewAPIKeys(s)
	v.now = func() time.Time { return now }
	if id, err := v.Verify(ctx, key); err != nil || id != info.ID {
		t.Fatalf("got %q, %v", id, err)
	}
	if err := RevokeAPIKey(ctx, s, info.ID); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	if _, err := v.Verify(ctx, key); kindOf(err) != hub.Unauthorized {
		t.Errorf("2 s after its revocation the key answers %v", err)
	}
	if err := RevokeAPIKey(ctx, s, info.ID); !errors.Is(err, notify.ErrNotFound) {
		t.Errorf("revoked twice: %v", err)
	}
}

func TestWrongAPIKeysAreRefused(t *testing.T) {
	ctx, s := t.Context(), &metaStore{}
	key, info, _ := CreateAPIKey(ctx, s, "backend")
	v := NewAPIKeys(s)
	last := key[:len(key)-1] + map[bool]string{true: "A", false: "B"}[key[len(key)-1] != 'A']
	for _, k := range []string{"", "x", "caac_", "caac_" + info.ID, "caac_" + info.ID + "_", last, strings.ToUpper(key), key + "A", "caac_00000000_" + key[14:], key[5:]} {
		if _, err := v.Verify(ctx, k); kindOf(err) != hub.Unauthorized {
			t.Errorf("%q answers %v", k, err)
		}
	}
}

func TestAPIKeysAreReadOnceASecondAndHoldWhileTheStoreIsAway(t *testing.T) {
	ctx, s := t.Context(), &metaStore{}
	key, _, _ := CreateAPIKey(ctx, s, "backend")
	now := time.Now()
	v := NewAPIKeys(s)
	v.now = func() time.Time { return now }
	s.down = notify.ErrUnavailable
	if _, err := v.Verify(ctx, key); kindOf(err) != hub.Unavailable {
		t.Errorf("before the first read: %v", err)
	}
	s.down, s.reads = nil, 0
	for range 100 {
		if _, err := v.Verify(ctx, key); err != nil {
			t.Fatal(err)
		}
	}
	if s.reads != 1 {
		t.Errorf("%d reads within a second", s.reads)
	}
	now, s.down = now.Add(time.Minute), notify.ErrUnavailable
	if _, err := v.Verify(ctx, key); err != nil {
		t.Errorf("while the store is away: %v", err)
	}
}

func TestNewAPIKeyIsGoodAtOnceAndUnknownOnesDoNotDrainTheStore(t *testing.T) {
	ctx, s := t.Context(), &metaStore{}
	first, _, _ := CreateAPIKey(ctx, s, "first")
	now := time.Now()
	v := NewAPIKeys(s)
	v.now = func() time.Time { return now }
	if _, err := v.Verify(ctx, first); err != nil {
		t.Fatal(err)
	}
	second, _, _ := CreateAPIKey(ctx, s, "second")
	if _, err := v.Verify(ctx, second); err != nil {
		t.Errorf("a key just made: %v", err)
	}
	s.reads = 0
	for range 1000 {
		if _, err := v.Verify(ctx, "caac_00000000_x"); kindOf(err) != hub.Unauthorized {
			t.Fatal(err)
		}
	}
	if s.reads > 20 {
		t.Errorf("%d reads for keys nobody made", s.reads)
	}
	s.down = notify.ErrUnavailable
	now = now.Add(time.Minute)
	if _, err := v.Verify(ctx, "caac_00000000_x"); kindOf(err) != hub.Unauthorized {
		t.Errorf("an unknown key while the store is away: %v", err)
	}
	if _, err := v.Verify(ctx, first); err != nil {
		t.Errorf("a known key while the store is away: %v", err)
	}
}

func TestAPIKeysMadeAtOnceAreAllKept(t *testing.T) {
	s := &metaStore{}
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if _, _, err := CreateAPIKey(t.Context(), s, "k"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if keys, err := ListAPIKeys(t.Context(), s); err != nil || len(keys) != 5 {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

func kindOf(err error) hub.Kind {
	if err == nil {
		return -1
	}
	return hub.AsError(err).Kind
}
