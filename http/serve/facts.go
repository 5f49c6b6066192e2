package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
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
	known  map[string][]byte // nil: not there yet
}

// keep looks until ctx ends. It answers an error if this node can't go on with
// what the store now says.
func (f *facts) keep(ctx context.Context) error {
	tick := time.NewTicker(factsAge)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for name := range f.known {
			if err := f.look(ctx, name); err != nil {
				return err
			}
		}
	}
}

func (f *facts) look(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, factsAge)
	defer cancel()
	known := f.known[name]
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
		f.known[name] = b
		return nil
	default:
		return fmt.Errorf("the store holds another %s: its state was replaced; start this node again", name)
	}
	ring := new(push.KeyRing)
	if err := json.Unmarshal(b, ring); err != nil {
		return fmt.Errorf("the stored VAPID keys can't be read: %w", err)
	}
	f.sender.SetKeys(ring)
	f.known[name] = b
	f.log.InfoContext(ctx, "another VAPID key is current", "id", ring.Current().ID())
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
