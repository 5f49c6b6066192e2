package hub

import (
	"context"
	"slices"
	"sync"
	"time"

	"caac-hub/hub/notify"
)

// A device whose push service accepts one push after the other without a receipt
// ever coming back is likely silent. Which pushes those were is kept in memory by
// the node that sent them; the verdict is kept with the device, and ends with its
// next receipt or subscription. A node that starts anew counts anew.
const (
	unheardPushes  = 3
	unheardGrace   = time.Minute // for the last one's receipt
	unheardEvery   = 10 * time.Second
	unheardDevices = 50_000 // remembered
	unheardTurn    = 200    // judged in one turn
)

type unheard struct {
	mu      sync.Mutex
	devices map[string]*silence
}

// silence is what a device was sent without a word from it.
type silence struct {
	generation int64
	pushes     []sentRef // the last, at most unheardPushes
	last       time.Time
}

type sentRef struct {
	ref       notify.Ref
	partition int
	delivery  string
}

// sent notes a push that was accepted.
func (u *unheard) sent(device string, generation int64, s sentRef, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	d := u.devices[device]
	if d == nil || d.generation != generation {
		if d == nil && len(u.devices) >= unheardDevices {
			return
		}
		d = &silence{generation: generation}
		u.devices[device] = d
	}
	d.pushes = append(d.pushes, s)
	if n := len(d.pushes) - unheardPushes; n > 0 {
		d.pushes = slices.Delete(d.pushes, 0, n)
	}
	d.last = now
}

// heard notes a sign of life of the device's worker.
func (u *unheard) heard(device string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.devices, device)
}

// silent returns devices that may be judged now, and forgets them.
func (u *unheard) silent(now time.Time) map[string]*silence {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := map[string]*silence{}
	for id, d := range u.devices {
		if now.Sub(d.last) < unheardGrace {
			continue
		}
		if len(d.pushes) == unheardPushes {
			out[id] = d
			delete(u.devices, id)
			if len(out) == unheardTurn {
				break
			}
		} else if now.Sub(d.last) > 24*time.Hour {
			delete(u.devices, id)
		}
	}
	return out
}

// unheardLoop judges silent devices until ctx ends.
func (h *Hub) unheardLoop(ctx context.Context) {
	tick := time.NewTicker(unheardEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for id, s := range h.unheard.silent(now) {
				if err := h.judge(ctx, id, s); err != nil && ctx.Err() == nil {
					h.log.Warn("not known whether a device is silent", "device", id, "error", err)
				}
			}
		}
	}
}

// judge keeps with a device that its last pushes brought no receipt, unless the
// records know of one: another node may have taken it.
func (h *Hub) judge(ctx context.Context, device string, s *silence) error {
	for _, p := range s.pushes {
		f, err := h.store.Fanout(ctx, p.partition, p.ref)
		if err != nil {
			return err
		}
		if d := find(&f, p.delivery); d == nil || slices.ContainsFunc(d.Events, isReceipt) {
			return nil
		}
	}
	return h.setUnheard(ctx, device, s.generation, s.generation)
}

func isReceipt(e notify.Event) bool {
	return e.Kind == notify.EventDisplayed || e.Kind == notify.EventClicked || e.Kind == notify.EventDismissed
}

// receiptCame ends a device's silence.
func (h *Hub) receiptCame(ctx context.Context, device string, generation int64) {
	h.unheard.heard(device)
	if d, err := h.dir.device(ctx, device); err != nil || d.Unheard == 0 || d.Unheard != generation {
		return
	}
	if err := h.setUnheard(ctx, device, generation, 0); err != nil {
		h.log.Warn("a device is not silent any more, and that is not kept", "device", device, "error", err)
	}
}

// setUnheard keeps the verdict on a device's subscription of one generation.
func (h *Hub) setUnheard(ctx context.Context, device string, generation, verdict int64) error {
	_, err := h.dir.updateDevice(ctx, device, func(d *notify.Device) error {
		if d.Rev == 0 || d.Generation != generation || d.Unheard == verdict {
			return errKeep
		}
		d.Unheard = verdict
		return nil
	})
	return err
}
