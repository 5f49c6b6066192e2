package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	hubhttp "caac-hub/http"
	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/push"
)

// factsAge is how long a node may go on with a VAPID key that is no longer the
// current one.
const factsAge = 2 * time.Second

// facts are what the node keeps of the store in memory. They are looked at again
// now and then: another VAPID key is used from then on; what is missing, because
// a Redis was emptied, is put back.
type facts struct {
	store  hub.Store
	sender *push.Sender
	log    *slog.Logger
	grace  time.Duration // see keyGrace

	mu    sync.Mutex
	known map[string][]byte // nil: not there yet
}

// keep looks until ctx ends. It answers an error if this node can't go on with
// what the store now says.
func (f *facts) keep(ctx context.Context) error {
	tick := time.NewTicker(factsAge)
	defer tick.Stop()
	var swept time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, name := range f.names() {
			if err := f.look(ctx, name); err != nil {
				return err
			}
		}
		if now := time.Now(); now.Sub(swept) >= f.grace/24 {
			swept = now
			f.retire(ctx, now)
		}
	}
}

func (f *facts) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.known))
}

func (f *facts) know(name string, b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known[name] = b
}

// retire removes the VAPID keys that have done their work.
func (f *facts) retire(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	retired, err := retireKeys(ctx, f.store, now.Add(-f.grace))
	if err != nil && ctx.Err() == nil {
		f.log.WarnContext(ctx, "VAPID keys not looked at; they will be", "error", err)
	}
	for _, id := range retired {
		f.log.InfoContext(ctx, "a VAPID key was removed: no subscription names it", "id", id)
	}
}

// look looks at one fact. It may be called at once from many goroutines.
func (f *facts) look(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, factsAge)
	defer cancel()
	f.mu.Lock()
	known := f.known[name]
	f.mu.Unlock()
	b, _, err := f.store.Meta(ctx, name)
	if errors.Is(err, notify.ErrNotFound) {
		if known == nil {
			return nil
		}
		if _, err := f.store.PutMeta(ctx, name, known, 0); err == nil {
			f.log.WarnContext(ctx, "a fact of the deployment was missing and was put back", "name", name)
		}
		return nil
	}
	if err != nil || bytes.Equal(b, known) {
		return nil // while the store is away, what is known holds
	}
	switch name {
	case metaVAPID:
	case hubhttp.MetaAPIKeys:
		f.know(name, b)
		return nil
	default:
		return fmt.Errorf("the store holds another %s: its state was replaced; start this node again", name)
	}
	ring, err := readKeys(b)
	if err != nil {
		return err
	}
	was, _ := f.sender.Key()
	f.sender.SetKeys(ring)
	f.know(name, b)
	if id := ring.Current().ID(); id != was {
		f.log.InfoContext(ctx, "another VAPID key is current", "id", id)
	}
	return nil
}

// keyStore is where the API keys are read from. That an emptied Redis holds none
// does not mean that there are none: those last read hold then.
type keyStore struct{ hub.Store }

func (s keyStore) Meta(ctx context.Context, name string) ([]byte, int64, error) {
	b, rev, err := s.Store.Meta(ctx, name)
	if errors.Is(err, notify.ErrNotFound) {
		if err := s.Ready(ctx); err != nil {
			return nil, 0, err
		}
	}
	return b, rev, err
}
