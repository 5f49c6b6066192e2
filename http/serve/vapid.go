package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	hubhttp "caac-hub/http"
	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/push"
)

// keyGrace is how long a VAPID key is kept at least after a newer one was made:
// far longer than a node may not have noticed it.
const keyGrace = 24 * time.Hour

// vapidKeys returns the deployment's VAPID keys, making the first one, also as
// they are stored.
func vapidKeys(ctx context.Context, s hubhttp.KeyStore) (*push.KeyRing, []byte, error) {
	b, err := ensure(ctx, s, metaVAPID, func() ([]byte, error) {
		k, err := push.GenerateKey(time.Now())
		if err != nil {
			return nil, err
		}
		ring, err := push.NewKeyRing(k)
		if err != nil {
			return nil, err
		}
		return json.Marshal(ring)
	})
	if err != nil {
		return nil, nil, err
	}
	ring, err := readKeys(b)
	return ring, b, err
}

func readKeys(b []byte) (*push.KeyRing, error) {
	ring := new(push.KeyRing)
	if err := json.Unmarshal(b, ring); err != nil {
		return nil, fmt.Errorf("the stored VAPID keys can't be read: %w", err)
	}
	return ring, nil
}

// changeKeys replaces the stored VAPID keys by what change makes of them, in one
// step. Where it returns the same ring nothing is written.
func changeKeys(ctx context.Context, s hubhttp.KeyStore, change func(*push.KeyRing) (*push.KeyRing, error)) (*push.KeyRing, error) {
	for {
		b, rev, err := s.Meta(ctx, metaVAPID)
		if err != nil {
			return nil, err
		}
		ring, err := readKeys(b)
		if err != nil {
			return nil, err
		}
		next, err := change(ring)
		if err != nil || next == ring {
			return next, err
		}
		if b, err = json.Marshal(next); err != nil {
			return nil, err
		}
		if _, err = s.PutMeta(ctx, metaVAPID, b, rev); !errors.Is(err, notify.ErrConflict) {
			return next, err
		}
	}
}

// rotateKeys makes a new current VAPID key; the older ones go on signing for the
// subscriptions made with them.
func rotateKeys(ctx context.Context, s hubhttp.KeyStore) (*push.KeyRing, error) {
	if _, _, err := vapidKeys(ctx, s); err != nil {
		return nil, err
	}
	k, err := push.GenerateKey(time.Now())
	if err != nil {
		return nil, err
	}
	return changeKeys(ctx, s, func(r *push.KeyRing) (*push.KeyRing, error) { return r.With(k) })
}

// retireKeys removes the older VAPID keys that no subscription names and whose
// successor was made before a time, and returns their ids. No node takes new
// subscriptions for such a key by then.
func retireKeys(ctx context.Context, s hub.Store, before time.Time) (retired []string, err error) {
	_, err = changeKeys(ctx, s, func(r *push.KeyRing) (*push.KeyRing, error) {
		retired = nil
		outlived := r.Outlived(before)
		if len(outlived) == 0 {
			return r, nil
		}
		// What an emptied Redis does not show may come back from a copy.
		if err := s.Ready(ctx); err != nil {
			return nil, err
		}
		count, err := subscriptions(ctx, s)
		if err != nil {
			return nil, err
		}
		for _, k := range outlived {
			if count[k.ID()] == 0 {
				retired = append(retired, k.ID())
			}
		}
		if len(retired) == 0 {
			return r, nil
		}
		return r.Without(retired...), nil
	})
	if err != nil {
		return nil, err
	}
	return retired, nil
}

// subscriptions counts the subscriptions by the id of the VAPID key they were
// made with.
func subscriptions(ctx context.Context, s hub.Directory) (map[string]int, error) {
	count := map[string]int{}
	for after := ""; ; {
		devices, err := s.ListDevices(ctx, after, 500)
		if err != nil {
			return nil, err
		}
		if len(devices) == 0 {
			return count, nil
		}
		for _, d := range devices {
			after = d.ID
			if d.Subscription != nil {
				count[d.Subscription.KeyID]++
			}
		}
	}
}

// pusher also knows the VAPID key that was made a moment ago, and that another
// node has already told a page of.
type pusher struct {
	*push.Sender
	facts *facts
}

func (p pusher) Accepts(ctx context.Context, id string) bool {
	return p.Sender.Accepts(ctx, id) || p.facts.look(ctx, metaVAPID) == nil && p.Sender.Accepts(ctx, id)
}
