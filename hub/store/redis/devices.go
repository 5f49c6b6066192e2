package redis

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"caac-hub/hub/notify"
)

// An endpoint hashes to another slot than the device that has it. Before a
// document gets an endpoint it did not have, the endpoint is claimed for its device; the
// document is then written only within claimHolds, by the store's clock, and the
// claim settled. Another device may take over a claim only if its device's document
// does not have the endpoint, and while it is pending only after claimPends. So
// two devices never come to have one endpoint; a claim whose writing failed is
// skipped by readers and removed by Sweep.
const (
	claimHolds = 5 * time.Second
	claimPends = 10 * time.Second // leaves room for clocks of several masters
)

// digest is an endpoint in rows and claims.
func digest(endpoint string) string {
	sum := sha256.Sum256([]byte(endpoint))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Devices implements hub.Directory.
func (s *Store) Devices(ctx context.Context, ids []string) ([]notify.Device, error) {
	return get(ctx, s, devices, ids)
}

// ListDevices implements hub.Directory.
func (s *Store) ListDevices(ctx context.Context, after string, limit int) ([]notify.Device, error) {
	return page(ctx, s, devices, after, limit, func(d *notify.Device) string { return d.ID })
}

// DeviceByEndpoint implements hub.Directory.
func (s *Store) DeviceByEndpoint(ctx context.Context, endpoint string) (notify.Device, error) {
	_, d, err := s.holder(ctx, endpoint)
	if err == nil && d.ID == "" {
		err = notify.ErrNotFound
	}
	return d, err
}

// holder returns the claim on an endpoint, "" if there is none, and the device
// that has it, with no id if that has it no longer, or not yet.
func (s *Store) holder(ctx context.Context, endpoint string) (claim string, d notify.Device, err error) {
	key := digest(endpoint)
	cmd := redis.NewStringCmd(ctx, "hget", s.keys[part(key)].endpoints, key)
	if err := s.each(ctx, cmd); err != nil || cmd.Err() != nil {
		return "", d, err
	}
	d, err = one(s.Devices(ctx, []string{claimant(cmd.Val())}))
	if err != nil && !errors.Is(err, notify.ErrNotFound) {
		return "", d, err
	}
	if err != nil || d.Subscription == nil || d.Subscription.Endpoint != endpoint {
		d = notify.Device{}
	}
	return cmd.Val(), d, nil
}

// claimant is the device of a claim.
func claimant(claim string) string {
	var id string
	for i := range len(claim) {
		if claim[i] == ' ' {
			id = claim[:i]
			break
		}
	}
	return untoken(id)
}

// PutDevice implements hub.Directory. ErrConflict also says that another device
// has the endpoint, or is about to.
func (s *Store) PutDevice(ctx context.Context, d notify.Device) (int64, error) {
	doc, err := json.Marshal(d)
	if err != nil {
		return 0, err
	}
	key := ""
	if d.Subscription != nil {
		key = digest(d.Subscription.Endpoint)
	}
	p := part(d.ID)
	k := &s.keys[p]
	put := func(until int64) (int64, error) {
		return revision(s.write(ctx, putScript, p, []string{k.devices, k.deviceIDs}, d.ID, d.Rev, doc, key, until))
	}
	rev, err := put(0)
	if said := (*errStatus)(nil); !errors.As(err, &said) || said.status != "claim" {
		return rev, err
	}
	claim, at, err := s.claimEndpoint(ctx, d.Subscription.Endpoint, d.ID)
	if err != nil {
		return 0, err
	}
	rev, err = put(at + claimHolds.Microseconds())
	if errors.As(err, new(*errStatus)) {
		err = notify.ErrConflict // too late
	}
	if err != nil {
		return 0, err
	}
	e := part(key)
	settled := claim[:len(claim)-1] + "s"
	if _, err := s.write(ctx, settleEndpointScript, e, []string{s.keys[e].endpoints}, key, claim, settled); err != nil {
		s.log.Warn("store: a claim on an endpoint was left pending", "device", d.ID, "error", err)
	}
	return rev, nil
}

// claimEndpoint claims an endpoint for a device and returns the claim with its
// time in µs.
func (s *Store) claimEndpoint(ctx context.Context, endpoint, device string) (claim string, at int64, err error) {
	key, void := digest(endpoint), ""
	p := part(key)
	for range 2 {
		values, err := s.write(ctx, claimEndpointScript, p, []string{s.keys[p].endpoints}, key, token(device), void, claimPends.Microseconds())
		if err == nil {
			return str(values[0]), number(values[1]), nil
		}
		if said := (*errStatus)(nil); !errors.As(err, &said) {
			return "", 0, err
		}
		held, d, err := s.holder(ctx, endpoint)
		if err != nil {
			return "", 0, err
		}
		if d.ID != "" {
			return "", 0, notify.ErrConflict
		}
		void = held
	}
	return "", 0, notify.ErrConflict
}

// DeleteDevice implements hub.Directory.
func (s *Store) DeleteDevice(ctx context.Context, id string, rev int64) error {
	p := part(id)
	_, err := s.write(ctx, deleteScript, p, []string{s.keys[p].devices, s.keys[p].deviceIDs}, id, rev)
	return err
}
