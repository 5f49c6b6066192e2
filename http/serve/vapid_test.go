package serve

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/hub/store/sqlite"
	"caac-hub/push"
)

func TestVAPIDKeyIsKeptUntilItsLastSubscriptionIsGone(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	retires(t, s)
	rotatesAtOnce(t, s)
}

// retires tells how old keys end, on any store.
func retires(t *testing.T, s hub.Store) {
	t.Helper()
	ctx := t.Context()
	rotate := func() string {
		t.Helper()
		r, err := rotateKeys(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		return r.Current().ID()
	}
	ring, _, err := vapidKeys(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	first := ring.Current().ID()
	d := notify.Device{ID: "d1", Created: time.Now(), Seen: time.Now(), Subscription: &notify.Subscription{
		Endpoint: "https://push.test/1", P256dh: "p", Auth: "a", KeyID: first, Generation: 1,
	}}
	if d.Rev, err = s.PutDevice(ctx, d); err != nil {
		t.Fatal(err)
	}
	second := rotate()
	third := rotate()

	sweep := func(before time.Time, want ...string) {
		t.Helper()
		if _, err := retireKeys(ctx, s, before); err != nil {
			t.Fatal(err)
		}
		ring, _, err := vapidKeys(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, k := range ring.Keys() {
			ids = append(ids, k.ID())
		}
		if !slices.Equal(ids, want) {
			t.Errorf("the keys are %q, want %q", ids, want)
		}
	}
	later := time.Now().Add(time.Minute)
	sweep(time.Now().Add(-keyGrace), third, second, first) // a page may be about to subscribe
	sweep(later, third, first)                             // nobody did
	sweep(later, third, first)

	d.Subscription.KeyID, d.Subscription.Endpoint, d.Subscription.Generation = third, "https://push.test/2", 2
	if d.Rev, err = s.PutDevice(ctx, d); err != nil {
		t.Fatal(err)
	}
	sweep(time.Now().Add(-keyGrace), third, first)
	sweep(later, third)

	d.Subscription = nil
	if _, err = s.PutDevice(ctx, d); err != nil {
		t.Fatal(err)
	}
	sweep(later, third) // the current key stays whatever uses it
}

// rotatesAtOnce holds that of several rotations and sweeps at once none undoes another.
func rotatesAtOnce(t *testing.T, s hub.Store) {
	t.Helper()
	before, _, err := vapidKeys(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	made := make([]string, 4)
	for i := range made {
		work.Go(func() {
			r, err := rotateKeys(t.Context(), s)
			if err != nil {
				t.Error(err)
				return
			}
			made[i] = r.Current().ID()
		})
		work.Go(func() {
			if _, err := retireKeys(t.Context(), s, time.Now().Add(-keyGrace)); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	after, _, err := vapidKeys(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, k := range after.Keys() {
		ids = append(ids, k.ID())
	}
	for _, id := range append(made, before.Current().ID()) {
		if !slices.Contains(ids, id) {
			t.Errorf("the key %s was lost; there are %q", id, ids)
		}
	}
}

// broken is a store whose devices can't all be read, or that must not be trusted.
type broken struct {
	hub.Store
	list, ready error
}

func (b broken) ListDevices(ctx context.Context, after string, limit int) ([]notify.Device, error) {
	if b.list != nil && after != "" {
		return nil, b.list
	}
	return b.Store.ListDevices(ctx, after, limit)
}

func (b broken) Ready(context.Context) error { return b.ready }

func TestNoVAPIDKeyIsRemovedInDoubt(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.PutDevice(t.Context(), notify.Device{ID: "d1", Created: time.Now(), Seen: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, err := rotateKeys(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	away := errors.New("away")
	for _, b := range []broken{{s, away, nil}, {s, nil, away}} {
		if retired, err := retireKeys(t.Context(), b, time.Now().Add(time.Minute)); !errors.Is(err, away) || len(retired) > 0 {
			t.Errorf("retired %q, %v", retired, err)
		}
		if r, _, err := vapidKeys(t.Context(), s); err != nil || len(r.Keys()) != 2 {
			t.Errorf("%v, %v", r, err)
		}
	}
}

func TestNodeAcceptsTheKeyThatAnotherJustMade(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ring, stored, err := vapidKeys(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	sender, err := push.New(push.Options{Keys: ring, Subject: "https://example.com"})
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	p := pusher{sender, &facts{store: s, sender: sender, log: slog.New(slog.DiscardHandler), grace: keyGrace, known: map[string][]byte{metaVAPID: stored}}}
	old := ring.Current().ID()
	if ring, err = rotateKeys(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if id := ring.Current().ID(); sender.Accepts(t.Context(), id) || !p.Accepts(t.Context(), id) {
		t.Error("the new key is refused until the node looks by itself")
	}
	if !p.Accepts(t.Context(), old) || p.Accepts(t.Context(), "other") || p.Accepts(t.Context(), "") {
		t.Error("the last key is refused, or one that never was accepted")
	}
}
