package hub

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// seenStep is how exactly the last sign of life is kept.
const seenStep = time.Hour

// login makes sure that the agent is logged in on the device of a hello, minting
// a device where the page has none that it can prove. key is then its key.
func (h *Hub) login(ctx context.Context, agent string, f *wire.Client) (device, key string, err error) {
	if err := checkHello(f); err != nil {
		return "", "", err
	}
	a, err := h.dir.agent(ctx, agent)
	if err != nil {
		return "", "", err
	}
	now := time.Now()
	if f.Device != nil {
		d, err := h.dir.device(ctx, f.Device.ID)
		if e := AsError(err); e != nil && e.Kind != NotFound {
			return "", "", err
		}
		if err == nil && proves(d, f.Device.Key) {
			device = d.ID
		}
	}
	known := slices.ContainsFunc(a.Logins, func(l notify.Login) bool { return l.Device == device })
	if !known {
		if err := h.makeRoom(ctx, a); err != nil {
			return "", "", err
		}
	}
	if device == "" {
		device, key = newID(), newID()+newID()
	}
	d, err := h.dir.updateDevice(ctx, device, func(d *notify.Device) error {
		was := d.Rev != 0
		if !was {
			d.KeyHash, d.Created, d.Permission = hashKey(key), now, notify.NotAsked
		}
		changed := !was || now.Sub(d.Seen) >= seenStep
		if changed {
			d.Seen = now
		}
		changed = set(&d.Permission, f.Permission) || changed
		changed = set(&d.Label, f.Label) || changed
		changed = set(&d.Platform, f.Platform) || changed
		if i, ok := slices.BinarySearch(d.Agents, agent); !ok {
			if len(d.Agents) >= h.limits.LoginsPerDevice {
				return &Error{Kind: TooMany, Code: "too_many_logins", Message: "too many agents are logged in on this device; log one out first"}
			}
			d.Agents = slices.Insert(d.Agents, i, agent)
			changed = true
		}
		if !changed {
			return errKnown
		}
		return nil
	})
	if err != nil {
		return "", "", err
	}
	_, err = h.dir.updateAgent(ctx, agent, func(a *notify.Agent) error {
		if a.Rev == 0 {
			return missing("agent", agent)
		}
		i, ok := slices.BinarySearchFunc(a.Logins, device, func(l notify.Login, id string) int { return strings.Compare(l.Device, id) })
		if !ok {
			a.Logins = slices.Insert(a.Logins, i, notify.Login{Device: device, Place: f.Place, Since: now, Seen: now})
			return nil
		}
		l := &a.Logins[i]
		if l.Place == f.Place && now.Sub(l.Seen) < seenStep {
			return errKnown
		}
		l.Place, l.Seen = f.Place, now
		return nil
	})
	if err != nil {
		return "", "", err
	}
	return device, key, h.logoutPlace(ctx, d, agent, f.Place)
}

// set changes *to if there is a new value, and reports whether it did.
func set[T comparable](to *T, v T) bool {
	var zero T
	if v == zero || v == *to {
		return false
	}
	*to = v
	return true
}

// checkViewing bounds what a page may have kept as its view.
func checkViewing(p *wire.PageState) error {
	if p == nil || p.Viewing == "" {
		return nil
	}
	return checkID("viewing", p.Viewing)
}

func checkHello(f *wire.Client) error {
	for _, err := range []error{
		checkViewing(f.State),
		checkText("label", f.Label, notify.MaxID), checkText("platform", f.Platform, notify.MaxID), checkText("place", f.Place, notify.MaxID),
	} {
		if err != nil {
			return err
		}
	}
	if f.Permission == "" {
		return nil
	}
	return oneOf("permission", f.Permission, notify.Granted, notify.Denied, notify.NotAsked)
}

// logoutPlace ends the logins of other agents in the same place on the device.
func (h *Hub) logoutPlace(ctx context.Context, d notify.Device, agent, place string) error {
	if len(d.Agents) < 2 {
		return nil
	}
	others, err := h.dir.agentsOf(ctx, d.Agents)
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.ID == agent {
			continue
		}
		for _, l := range o.Logins {
			if l.Device == d.ID && l.Place == place {
				if err := h.endLogin(ctx, o.ID, d.ID); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// makeRoom ends the login that gave no sign of life for longest, of those
// without an open page, if the agent has as many as allowed.
func (h *Hub) makeRoom(ctx context.Context, a notify.Agent) error {
	if len(a.Logins) < h.limits.DevicesPerAgent {
		return nil
	}
	var oldest *notify.Login
	for i := range a.Logins {
		l := &a.Logins[i]
		if !h.sockets.open(a.ID, l.Device) && (oldest == nil || l.Seen.Before(oldest.Seen)) {
			oldest = l
		}
	}
	if oldest == nil {
		return &Error{Kind: TooMany, Code: "too_many_devices", Message: "the agent is logged in on too many devices; forget one first"}
	}
	if err := h.endLogin(ctx, a.ID, oldest.Device); err != nil {
		return err
	}
	// A page that makes itself a new device again and again leaves none behind.
	d, err := h.dir.device(ctx, oldest.Device)
	if err != nil || len(d.Agents) > 0 {
		return nil
	}
	if err := h.dir.deleteDevice(ctx, d); err != nil && !errors.Is(err, notify.ErrConflict) {
		return err
	}
	return nil
}

// endLogin ends the agent's login on the device: its pages are closed, and with
// the device's last login its subscription goes.
func (h *Hub) endLogin(ctx context.Context, agent, device string) error {
	_, err := h.dir.updateAgent(ctx, agent, func(a *notify.Agent) error {
		n := len(a.Logins)
		a.Logins = slices.DeleteFunc(a.Logins, func(l notify.Login) bool { return l.Device == device })
		if a.Rev == 0 || len(a.Logins) == n {
			return errKeep
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = h.dir.updateDevice(ctx, device, func(d *notify.Device) error {
		i, ok := slices.BinarySearch(d.Agents, agent)
		if d.Rev == 0 || !ok {
			return errKeep
		}
		d.Agents = slices.Delete(d.Agents, i, i+1)
		if len(d.Agents) == 0 {
			d.Subscription = nil
		}
		return nil
	})
	for _, s := range h.sockets.of(agent, device) {
		s.end(wire.CloseLoggedOut, "the login ended")
	}
	h.changed(Event{Kind: "agent", Agent: agent})
	return err
}

// EndLogins ends the agent's login on the device; device "" ends all of them. It
// reports how many there were.
func (h *Hub) EndLogins(ctx context.Context, agent, device string) (int, error) {
	a, err := h.dir.latest(ctx, agent)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, l := range a.Logins {
		if device != "" && l.Device != device {
			continue
		}
		if err := h.endLogin(ctx, agent, l.Device); err != nil {
			return n, err
		}
		n++
	}
	if n == 0 && device != "" {
		return 0, missing("login", device)
	}
	return n, nil
}

// Logout ends the agent's login on the proven device.
func (h *Hub) Logout(ctx context.Context, agent string, auth wire.DeviceAuth) error {
	if _, err := h.proven(ctx, agent, auth); err != nil {
		return err
	}
	return h.endLogin(ctx, agent, auth.ID)
}

// proven returns the device if the key proves it and the agent, where named, is
// logged in there. Every other case is the same Forbidden.
func (h *Hub) proven(ctx context.Context, agent string, auth wire.DeviceAuth) (notify.Device, error) {
	tries := 1
	if !h.peers.alone() {
		tries = 2 // the login may have been made on another node a moment ago
	}
	for range tries {
		d, err := h.dir.device(ctx, auth.ID)
		if e := AsError(err); e != nil && e.Kind != NotFound {
			return d, err
		}
		if err == nil && proves(d, auth.Key) {
			if _, ok := slices.BinarySearch(d.Agents, agent); ok || agent == "" {
				return d, nil
			}
		}
		h.dir.forget("", "", auth.ID)
	}
	return notify.Device{}, &Error{Kind: Forbidden, Code: "not_this_device", Message: "the device key does not fit the device, or the agent is not logged in there"}
}

// Devices lists the agent's logins. current is the asking device.
func (h *Hub) Devices(ctx context.Context, agent, current string) ([]LoginInfo, error) {
	a, err := h.Agent(ctx, agent)
	if err != nil {
		return nil, err
	}
	for i := range a.Logins {
		a.Logins[i].Current = a.Logins[i].Device == current
	}
	return a.Logins, nil
}

// SetDevice changes the proven device's own settings.
func (h *Hub) SetDevice(ctx context.Context, agent string, auth wire.DeviceAuth, in DeviceInput) (wire.DeviceSettings, error) {
	if _, err := h.proven(ctx, agent, auth); err != nil {
		return wire.DeviceSettings{}, err
	}
	return h.setDevice(ctx, auth.ID, in)
}

func (h *Hub) setDevice(ctx context.Context, device string, in DeviceInput) (wire.DeviceSettings, error) {
	if in.Permission != nil {
		if err := oneOf("permission", *in.Permission, notify.Granted, notify.Denied, notify.NotAsked); err != nil {
			return wire.DeviceSettings{}, err
		}
	}
	if in.Label != nil {
		if err := checkText("label", *in.Label, notify.MaxID); err != nil {
			return wire.DeviceSettings{}, err
		}
	}
	wrote := false
	d, err := h.dir.updateDevice(ctx, device, func(d *notify.Device) error {
		if d.Rev == 0 {
			return missing("device", device)
		}
		wrote = false
		if in.On != nil && d.SwitchOff == *in.On {
			d.SwitchOff, wrote = !*in.On, true
		}
		if in.Permission != nil && d.Permission != *in.Permission {
			d.Permission, wrote = *in.Permission, true
		}
		if in.Label != nil && d.Label != *in.Label {
			d.Label, wrote = *in.Label, true
		}
		if !wrote {
			return errKeep
		}
		return nil
	})
	if err != nil {
		return wire.DeviceSettings{}, err
	}
	if wrote {
		h.tellSettings(ctx, d)
	}
	return h.deviceSettings(d), nil
}

// tellSettings sends the settings as they are to every page of a device.
func (h *Hub) tellSettings(ctx context.Context, d notify.Device) {
	agents, err := h.dir.agentsOf(ctx, d.Agents)
	if err != nil {
		return
	}
	for _, a := range agents {
		for _, s := range h.sockets.of(a.ID, d.ID) {
			s.showSettings(a, d, false)
		}
		h.changed(Event{Kind: "agent", Agent: a.ID})
	}
}

// tellAgentSettings sends the settings as they are to every page of an agent.
func (h *Hub) tellAgentSettings(ctx context.Context, a notify.Agent) {
	for _, l := range a.Logins {
		d, err := h.dir.device(ctx, l.Device)
		if err != nil {
			continue
		}
		for _, s := range h.sockets.of(a.ID, d.ID) {
			s.showSettings(a, d, false)
		}
	}
	h.changed(Event{Kind: "agent", Agent: a.ID})
}

// Subscribe binds a subscription to the proven device. agent "" (the service
// worker) may only replace one. An endpoint belongs to one device: bound again
// with the same keys, the older device is merged into this one.
func (h *Hub) Subscribe(ctx context.Context, agent string, auth wire.DeviceAuth, in SubscriptionInput) (wire.DeviceSettings, error) {
	d, err := h.proven(ctx, agent, auth)
	if err != nil {
		return wire.DeviceSettings{}, err
	}
	if agent == "" && d.Subscription == nil {
		return wire.DeviceSettings{}, &Error{Kind: Forbidden, Code: "nothing_to_replace", Message: "without an agent's token a subscription can only be replaced, and this device has none"}
	}
	sub := notify.Subscription{Endpoint: in.Endpoint, P256dh: in.Keys.P256dh, Auth: in.Keys.Auth, KeyID: in.KeyID, Created: time.Now()}
	// A worker that replaces the subscription of a closed page knows the old key.
	same := d.Subscription != nil && d.Subscription.KeyID == in.KeyID
	if !same && !h.push.Accepts(ctx, in.KeyID) {
		id, _ := h.push.Key()
		return wire.DeviceSettings{}, invalid("key_id", "key_id is %q; subscribe with the key %q of /v1/vapid", in.KeyID, id)
	}
	if err := h.push.Check(ctx, sub); err != nil {
		return wire.DeviceSettings{}, &Error{Kind: Invalid, Code: "bad_subscription", Field: "endpoint", Message: err.Error()}
	}
	older, err := h.store.DeviceByEndpoint(ctx, in.Endpoint)
	if err != nil && !errors.Is(err, notify.ErrNotFound) {
		return wire.DeviceSettings{}, err
	}
	if err == nil && older.ID != d.ID {
		if older.Subscription == nil || older.Subscription.P256dh != sub.P256dh || older.Subscription.Auth != sub.Auth {
			return wire.DeviceSettings{}, &Error{Kind: Conflict, Code: "endpoint_taken", Field: "endpoint", Message: "the endpoint belongs to another device"}
		}
		if err := h.merge(ctx, older, d.ID); err != nil {
			return wire.DeviceSettings{}, err
		}
	}
	d, err = h.dir.updateDevice(ctx, d.ID, func(d *notify.Device) error {
		if d.Rev == 0 {
			return missing("device", auth.ID)
		}
		if o := d.Subscription; o != nil && o.Endpoint == sub.Endpoint && o.P256dh == sub.P256dh && o.Auth == sub.Auth && o.KeyID == sub.KeyID && !d.Resubscribe {
			return errKeep
		}
		d.Generation++
		bound := sub
		bound.Generation = d.Generation
		d.Subscription, d.Resubscribe = &bound, false
		return nil
	})
	if err != nil {
		return wire.DeviceSettings{}, err
	}
	h.tellSettings(ctx, d)
	return h.deviceSettings(d), nil
}

// merge moves the logins of a device that turned out to be another one, and
// removes it.
func (h *Hub) merge(ctx context.Context, older notify.Device, into string) error {
	for _, agent := range older.Agents {
		place := ""
		if a, err := h.dir.agent(ctx, agent); err == nil {
			for _, l := range a.Logins {
				if l.Device == older.ID {
					place = l.Place
				}
			}
		}
		if err := h.endLogin(ctx, agent, older.ID); err != nil {
			return err
		}
		now := time.Now()
		if _, err := h.dir.updateDevice(ctx, into, func(d *notify.Device) error {
			i, ok := slices.BinarySearch(d.Agents, agent)
			if ok || d.Rev == 0 || len(d.Agents) >= h.limits.LoginsPerDevice {
				return errKeep
			}
			d.Agents = slices.Insert(d.Agents, i, agent)
			return nil
		}); err != nil {
			return err
		}
		if _, err := h.dir.updateAgent(ctx, agent, func(a *notify.Agent) error {
			i, ok := slices.BinarySearchFunc(a.Logins, into, func(l notify.Login, id string) int { return strings.Compare(l.Device, id) })
			if ok || a.Rev == 0 {
				return errKeep
			}
			a.Logins = slices.Insert(a.Logins, i, notify.Login{Device: into, Place: place, Since: now, Seen: now})
			return nil
		}); err != nil {
			return err
		}
	}
	d, err := h.dir.device(ctx, older.ID)
	if err != nil {
		return nil
	}
	return h.dir.deleteDevice(ctx, d)
}

// Unsubscribe removes the proven device's subscription.
func (h *Hub) Unsubscribe(ctx context.Context, agent string, auth wire.DeviceAuth) error {
	if _, err := h.proven(ctx, agent, auth); err != nil {
		return err
	}
	d, err := h.dir.updateDevice(ctx, auth.ID, func(d *notify.Device) error {
		if d.Subscription == nil {
			return errKeep
		}
		d.Subscription, d.Resubscribe = nil, false
		return nil
	})
	if err == nil {
		h.tellSettings(ctx, d)
	}
	return err
}

// VAPID is the key pages subscribe with.
func (h *Hub) VAPID() wire.VAPIDKey {
	id, public := h.push.Key()
	return wire.VAPIDKey{ID: id, Public: public}
}

// sweepLogins ends the logins that gave no sign of life for LoginIdle, and
// removes the devices without any.
func (h *Hub) sweepLogins(ctx context.Context) error {
	limit := time.Now().Add(-h.limits.LoginIdle)
	for after := ""; ; {
		agents, err := h.store.ListAgents(ctx, after, 500)
		if err != nil {
			return err
		}
		if len(agents) == 0 {
			break
		}
		for _, a := range agents {
			after = a.ID
			if err := h.sweepAgent(ctx, a, limit); err != nil {
				return err
			}
		}
	}
	for after := ""; ; {
		devices, err := h.store.ListDevices(ctx, after, 500)
		if err != nil {
			return err
		}
		if len(devices) == 0 {
			return nil
		}
		for _, d := range devices {
			after = d.ID
			if len(d.Agents) == 0 && d.Seen.Before(limit) {
				if err := h.dir.deleteDevice(ctx, d); err != nil && !errors.Is(err, notify.ErrConflict) {
					return err
				}
			}
		}
	}
}

func (h *Hub) sweepAgent(ctx context.Context, a notify.Agent, limit time.Time) error {
	alive := map[string]bool{}
	for _, l := range a.Logins {
		if h.sockets.open(a.ID, l.Device) {
			alive[l.Device] = time.Since(l.Seen) >= seenStep
		} else if l.Seen.Before(limit) {
			if err := h.endLogin(ctx, a.ID, l.Device); err != nil {
				return err
			}
		}
	}
	now := time.Now()
	_, err := h.dir.updateAgent(ctx, a.ID, func(a *notify.Agent) error {
		touched := false
		for i := range a.Logins {
			if alive[a.Logins[i].Device] {
				a.Logins[i].Seen, touched = now, true
			}
		}
		if a.Rev == 0 || !touched {
			return errKeep
		}
		return nil
	})
	return err
}
