package hub

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// directory is the store's agents, teams and devices with a cache in front.
// What it hands out is shared and must not be changed.
type directory struct {
	store   Directory
	wrote   func(change) // told of every document written here
	shared  bool         // other nodes write too
	mu      sync.RWMutex
	dropped int64 // grows when documents are forgotten: what was being read meanwhile may be older
	agents  map[string]notify.Agent
	teams   map[string]notify.Team
	devices map[string]notify.Device
}

func newDirectory(s Directory) *directory {
	return &directory{store: s, wrote: func(change) {}, agents: map[string]notify.Agent{}, teams: map[string]notify.Team{}, devices: map[string]notify.Device{}}
}

// keep puts a document that was read in the cache, unless a newer one stands
// there, and returns the newer one. What was read while documents were forgotten
// (since names the time of the read) is not kept.
func keep[T any](d *directory, m map[string]T, id string, v T, rev func(T) int64, since int64) T {
	d.mu.Lock()
	defer d.mu.Unlock()
	if old, ok := m[id]; ok && rev(old) > rev(v) {
		return old
	}
	if since == d.dropped {
		m[id] = v
	}
	return v
}

// written is keep for a document that was written here. Where it is not kept
// nothing older may be: neither what stands there nor what is being read.
func written[T any](d *directory, m map[string]T, id string, v T, rev func(T) int64, since int64) T {
	d.mu.Lock()
	defer d.mu.Unlock()
	old, ok := m[id]
	switch {
	case ok && rev(old) > rev(v):
		return old
	case since == d.dropped:
		m[id] = v
	default:
		delete(m, id)
		d.dropped++
	}
	return v
}

// now names the present time, for keep.
func (d *directory) now() int64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.dropped
}

func agentRev(a notify.Agent) int64   { return a.Rev }
func teamRev(t notify.Team) int64     { return t.Rev }
func deviceRev(d notify.Device) int64 { return d.Rev }

// many answers those of the ids that exist, from the cache and for the rest
// from the store.
func many[T any](ctx context.Context, d *directory, m map[string]T, ids []string, load func(context.Context, []string) ([]T, error), key func(T) string, rev func(T) int64) ([]T, error) {
	out := make([]T, 0, len(ids))
	var absent []string
	d.mu.RLock()
	since := d.dropped
	for _, id := range ids {
		if v, ok := m[id]; ok {
			out = append(out, v)
		} else {
			absent = append(absent, id)
		}
	}
	d.mu.RUnlock()
	if len(absent) == 0 {
		return out, nil
	}
	loaded, err := load(ctx, absent)
	if err != nil {
		return nil, err
	}
	for _, v := range loaded {
		out = append(out, keep(d, m, key(v), v, rev, since))
	}
	return out, nil
}

func (d *directory) agentsOf(ctx context.Context, ids []string) ([]notify.Agent, error) {
	return many(ctx, d, d.agents, ids, d.store.Agents, func(a notify.Agent) string { return a.ID }, agentRev)
}

func (d *directory) devicesOf(ctx context.Context, ids []string) ([]notify.Device, error) {
	return many(ctx, d, d.devices, ids, d.store.Devices, func(v notify.Device) string { return v.ID }, deviceRev)
}

func (d *directory) agent(ctx context.Context, id string) (notify.Agent, error) {
	as, err := d.agentsOf(ctx, []string{id})
	if err == nil && len(as) == 0 {
		return notify.Agent{}, missing("agent", id)
	}
	if err != nil {
		return notify.Agent{}, err
	}
	return as[0], nil
}

// latest is agent as the store has it now.
func (d *directory) latest(ctx context.Context, id string) (notify.Agent, error) {
	if d.shared {
		d.forget(id, "", "")
	}
	return d.agent(ctx, id)
}

func (d *directory) device(ctx context.Context, id string) (notify.Device, error) {
	ds, err := d.devicesOf(ctx, []string{id})
	if err == nil && len(ds) == 0 {
		return notify.Device{}, missing("device", id)
	}
	if err != nil {
		return notify.Device{}, err
	}
	return ds[0], nil
}

func (d *directory) team(ctx context.Context, id string) (notify.Team, error) {
	d.mu.RLock()
	t, ok := d.teams[id]
	since := d.dropped
	d.mu.RUnlock()
	if ok {
		return t, nil
	}
	t, err := d.store.Team(ctx, id)
	if errors.Is(err, notify.ErrNotFound) {
		return t, missing("team", id)
	}
	if err != nil {
		return t, err
	}
	return keep(d, d.teams, id, t, teamRev, since), nil
}

// forget drops cached documents, so that the next look reads the store.
func (d *directory) forget(agent, team, device string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dropped++
	delete(d.agents, agent)
	delete(d.teams, team)
	delete(d.devices, device)
}

// forgetAll drops every cached document.
func (d *directory) forgetAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dropped++
	clear(d.agents)
	clear(d.teams)
	clear(d.devices)
}

// casTries bounds how often a change is tried again because others changed the
// same document meanwhile.
const casTries = 50

// errKeep tells an update that there is nothing to write. Where other nodes
// write too, the store is asked first: what is kept here may be older. errKnown
// is errKeep where what is kept here is good enough.
var (
	errKeep  = errors.New("keep")
	errKnown = errors.New("keep what is known")
)

// updateAgent changes an agent by fn, which may be called more than once, on a
// copy. fn sees Rev 0 for an agent not known yet, and answers errKeep to leave
// everything as it is.
func (d *directory) updateAgent(ctx context.Context, id string, fn func(*notify.Agent) error) (notify.Agent, error) {
	looked := !d.shared
	for range casTries {
		a, err := d.agent(ctx, id)
		if e := AsError(err); e != nil && e.Kind != NotFound {
			return a, err
		} else if e != nil {
			a = notify.Agent{ID: id}
		}
		a.Logins = slices.Clone(a.Logins)
		if err := fn(&a); errors.Is(err, errKnown) || looked && errors.Is(err, errKeep) {
			return a, nil
		} else if err != nil && looked {
			return a, err
		} else if err != nil {
			looked = true
			d.forget(id, "", "")
			continue
		}
		since := d.now()
		a.Rev, err = d.store.PutAgent(ctx, a)
		if errors.Is(err, notify.ErrConflict) {
			d.forget(id, "", "")
			continue
		}
		if err != nil {
			d.forget(id, "", "") // it may have been written
			d.wrote(change{Agent: id})
			return a, err
		}
		d.wrote(change{Agent: id})
		return written(d, d.agents, id, a, agentRev, since), nil
	}
	return notify.Agent{}, notify.ErrConflict
}

// updateDevice is updateAgent for devices.
func (d *directory) updateDevice(ctx context.Context, id string, fn func(*notify.Device) error) (notify.Device, error) {
	looked := !d.shared
	for range casTries {
		v, err := d.device(ctx, id)
		if e := AsError(err); e != nil && e.Kind != NotFound {
			return v, err
		} else if e != nil {
			v = notify.Device{ID: id}
		}
		v.Agents = slices.Clone(v.Agents)
		if err := fn(&v); errors.Is(err, errKnown) || looked && errors.Is(err, errKeep) {
			return v, nil
		} else if err != nil && looked {
			return v, err
		} else if err != nil {
			looked = true
			d.forget("", "", id)
			continue
		}
		since := d.now()
		v.Rev, err = d.store.PutDevice(ctx, v)
		if errors.Is(err, notify.ErrConflict) {
			d.forget("", "", id)
			continue
		}
		if err != nil {
			d.forget("", "", id) // it may have been written
			d.wrote(change{Device: id})
			return v, err
		}
		d.wrote(change{Device: id})
		return written(d, d.devices, id, v, deviceRev, since), nil
	}
	return notify.Device{}, notify.ErrConflict
}

// updateTeam is updateAgent for teams.
func (d *directory) updateTeam(ctx context.Context, id string, fn func(*notify.Team) error) (notify.Team, error) {
	looked := !d.shared
	for range casTries {
		t, err := d.team(ctx, id)
		if e := AsError(err); e != nil && e.Kind != NotFound {
			return t, err
		} else if e != nil {
			t = notify.Team{ID: id}
		}
		if err := fn(&t); errors.Is(err, errKnown) || looked && errors.Is(err, errKeep) {
			return t, nil
		} else if err != nil && looked {
			return t, err
		} else if err != nil {
			looked = true
			d.forget("", id, "")
			continue
		}
		since := d.now()
		t.Rev, err = d.store.PutTeam(ctx, t)
		if errors.Is(err, notify.ErrConflict) {
			d.forget("", id, "")
			continue
		}
		if err != nil {
			d.forget("", id, "") // it may have been written
			d.wrote(change{Team: id})
			return t, err
		}
		d.wrote(change{Team: id})
		return written(d, d.teams, id, t, teamRev, since), nil
	}
	return notify.Team{}, notify.ErrConflict
}

// deleteDevice removes a device that no agent is logged in on.
func (d *directory) deleteDevice(ctx context.Context, v notify.Device) error {
	err := d.store.DeleteDevice(ctx, v.ID, v.Rev)
	d.forget("", "", v.ID)
	d.wrote(change{Device: v.ID})
	return err
}

// members returns the members of the assignment's team; none for an assignee.
func (d *directory) members(ctx context.Context, a notify.Assignment) ([]string, error) {
	if a.Agent != "" || a.Team == "" {
		return nil, nil
	}
	t, err := d.team(ctx, a.Team)
	if e := AsError(err); e != nil && e.Kind == NotFound {
		return nil, nil
	}
	return t.Members, err
}

// snapshot is the configuration that decisions are made on.
type snapshot struct {
	views   []notify.AgentView
	index   map[string]int // of an agent in views
	agents  map[string]notify.Agent
	devices map[string]notify.Device
	revs    map[string]int64
}

// view returns the agents' configuration as the rules see it, without sockets.
// Agents that don't exist are left out.
func (d *directory) view(ctx context.Context, ids []string) (snapshot, error) {
	agents, err := d.agentsOf(ctx, ids)
	if err != nil {
		return snapshot{}, err
	}
	s := snapshot{
		index: make(map[string]int, len(agents)),
		views: make([]notify.AgentView, 0, len(agents)), revs: make(map[string]int64, len(agents)),
		agents: make(map[string]notify.Agent, len(agents)), devices: make(map[string]notify.Device, len(agents)),
	}
	var deviceIDs []string
	for _, a := range agents {
		for _, l := range a.Logins {
			deviceIDs = append(deviceIDs, l.Device)
		}
	}
	devices, err := d.devicesOf(ctx, deviceIDs)
	if err != nil {
		return snapshot{}, err
	}
	for _, v := range devices {
		s.devices[v.ID] = v
	}
	for _, a := range agents {
		s.agents[a.ID], s.revs[a.ID] = a, a.Rev
		v := notify.AgentView{ID: a.ID, OnDuty: a.OnDuty, Muted: a.Muted}
		if len(a.Logins) > 0 {
			v.Logins = make([]notify.LoginView, 0, len(a.Logins))
		}
		for _, l := range a.Logins {
			v.Logins = append(v.Logins, loginView(s.devices[l.Device], l.Device))
		}
		s.index[a.ID] = len(s.views)
		s.views = append(s.views, v)
	}
	return s, nil
}

func loginView(d notify.Device, id string) notify.LoginView {
	p := d.Permission
	if p == "" {
		p = notify.NotAsked
	}
	return notify.LoginView{Device: id, SwitchOff: d.SwitchOff, Permission: p, Subscribed: d.Subscription != nil}
}

// withSockets fills in the sockets that are open now.
func (s snapshot) withSockets(r *registry) []notify.AgentView {
	r.views(s.views)
	return s.views
}

// login finds the AgentView and LoginView of a login.
func (s snapshot) login(agent, device string) (a notify.AgentView, l notify.LoginView, ok bool) {
	i, ok := s.index[agent]
	if !ok {
		return a, l, false
	}
	a = s.views[i]
	for _, l := range a.Logins {
		if l.Device == device {
			return a, l, true
		}
	}
	return a, l, false
}

// newID mints an id that can't be guessed: 22 characters, URL safe.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func hashKey(key string) string {
	h := sha256.Sum256([]byte(key))
	return hex.EncodeToString(h[:])
}

// proves reports whether the key is the device's.
func proves(d notify.Device, key string) bool {
	return subtle.ConstantTimeCompare([]byte(d.KeyHash), []byte(hashKey(key))) == 1
}

// deviceCode is the short code of a device that a person can read out to support.
func deviceCode(id string) string {
	h := sha256.Sum256([]byte("code:" + id))
	const letters = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
	var b strings.Builder
	for i := range 8 {
		if i == 4 {
			b.WriteByte('-')
		}
		b.WriteByte(letters[h[i]&31])
	}
	return b.String()
}

// endpointHash lets a page compare its subscription with the hub's without the
// hub giving the endpoint away.
func endpointHash(endpoint string) string {
	h := sha256.Sum256([]byte(endpoint))
	return hex.EncodeToString(h[:])
}

func (h *Hub) settingsOf(a notify.Agent, d notify.Device) wire.Settings {
	p := a.Preview
	if p == "" {
		p = notify.PreviewFull
	}
	return wire.Settings{Notifications: !a.Muted, Preview: p, Locale: a.Locale, Device: h.deviceSettings(d)}
}

// deviceSettings asks for a new subscription also where the one there is was made
// for a VAPID key that is no longer current.
func (h *Hub) deviceSettings(d notify.Device) wire.DeviceSettings {
	s := wire.DeviceSettings{On: !d.SwitchOff, Permission: d.Permission, Resubscribe: d.Resubscribe}
	if s.Permission == "" {
		s.Permission = notify.NotAsked
	}
	if d.Subscription != nil {
		s.Subscribed, s.KeyID, s.Endpoint = true, d.Subscription.KeyID, endpointHash(d.Subscription.Endpoint)
		current, _ := h.push.Key()
		s.Resubscribe = s.Resubscribe || s.KeyID != current
	}
	return s
}

// checkID says what is wrong with an id.
func checkID(field, id string) error {
	switch {
	case id == "":
		return invalid(field, "%s must be given", field)
	case len(id) > notify.MaxID:
		return invalid(field, "%s is %d bytes long; at most %d are allowed", field, len(id), notify.MaxID)
	}
	if strings.ContainsAny(id, "\n\r\t\u2028\u2029") {
		return invalid(field, "%s must have no line breaks and tabs", field)
	}
	return checkText(field, id, notify.MaxID)
}

// checkText says what is wrong with a text of at most max bytes.
func checkText(field, s string, max int) error {
	if len(s) > max {
		return invalid(field, "%s is %d bytes long; at most %d are allowed", field, len(s), max)
	}
	for _, r := range s {
		if r == 0xFFFD || (unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t') {
			return invalid(field, "%s must be UTF-8 without control characters", field)
		}
	}
	return nil
}

func oneOf[T ~string](field string, v T, allowed ...T) error {
	if slices.Contains(allowed, v) {
		return nil
	}
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	return invalid(field, "%s is %q; allowed are %s", field, string(v), strings.Join(words, ", "))
}

func quote(s string) string { return fmt.Sprintf("%q", s) }
