package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"caac-hub/hub/notify"
)

// agentRev returns the agent's revision as the transaction sees it.
func (t *tx) agentRev(id string) int64 {
	if rev, ok := t.revs[id]; ok {
		return rev
	}
	return t.s.mem.revs[id]
}

// list collects the documents a statement yields as (id, rev, doc).
func list[T any](ctx context.Context, s *Store, set func(v *T, id string, rev int64), sql string, args ...driverValue) ([]T, error) {
	var found []T
	err := s.read(ctx, func(c *conn) error {
		return c.query(func(row []driverValue) error {
			var v T
			if err := json.Unmarshal(blob(row[2]), &v); err != nil {
				return unavailable(fmt.Errorf("the document of %q is damaged: %w", text(row[0]), err))
			}
			set(&v, text(row[0]), row[1].(int64))
			found = append(found, v)
			return nil
		}, sql, args...)
	})
	return found, err
}

// one is the document found, or ErrNotFound.
func one[T any](found []T, err error) (T, error) {
	var none T
	if err != nil {
		return none, err
	}
	if len(found) == 0 {
		return none, notify.ErrNotFound
	}
	return found[0], nil
}

func setAgent(a *notify.Agent, id string, rev int64)   { a.ID, a.Rev = id, rev }
func setTeam(t *notify.Team, id string, rev int64)     { t.ID, t.Rev = id, rev }
func setDevice(d *notify.Device, id string, rev int64) { d.ID, d.Rev = id, rev }

// array is the ids as JSON, for json_each.
func array(ids []string) string {
	if ids == nil {
		return "[]"
	}
	b, _ := json.Marshal(ids)
	return string(b)
}

// Agents implements hub.Directory.
func (s *Store) Agents(ctx context.Context, ids []string) ([]notify.Agent, error) {
	return list(ctx, s, setAgent, "SELECT id, rev, doc FROM agents WHERE id IN (SELECT value FROM json_each(?))", array(ids))
}

// ListAgents implements hub.Directory.
func (s *Store) ListAgents(ctx context.Context, after string, limit int) ([]notify.Agent, error) {
	return list(ctx, s, setAgent, "SELECT id, rev, doc FROM agents WHERE id > ? ORDER BY id LIMIT ?", after, int64(max(limit, 0)))
}

// PutAgent implements hub.Directory.
func (s *Store) PutAgent(ctx context.Context, a notify.Agent) (int64, error) {
	doc, err := json.Marshal(a)
	if err != nil {
		return 0, err
	}
	var rev int64
	err = s.do(ctx, func(t *tx) error {
		if t.agentRev(a.ID) != a.Rev {
			return notify.ErrConflict
		}
		rev = t.rev()
		if _, err := t.c.exec("INSERT OR REPLACE INTO agents (id, rev, doc) VALUES (?, ?, ?)", a.ID, rev, doc); err != nil {
			return err
		}
		if t.revs == nil {
			t.revs = map[string]int64{}
		}
		t.revs[a.ID] = rev
		return nil
	})
	return answer(rev, err)
}

// Team implements hub.Directory.
func (s *Store) Team(ctx context.Context, id string) (notify.Team, error) {
	return one(list(ctx, s, setTeam, "SELECT id, rev, doc FROM teams WHERE id = ?", id))
}

// ListTeams implements hub.Directory.
func (s *Store) ListTeams(ctx context.Context, after string, limit int) ([]notify.Team, error) {
	return list(ctx, s, setTeam, "SELECT id, rev, doc FROM teams WHERE id > ? ORDER BY id LIMIT ?", after, int64(max(limit, 0)))
}

// PutTeam implements hub.Directory.
func (s *Store) PutTeam(ctx context.Context, team notify.Team) (int64, error) {
	doc, err := json.Marshal(team)
	if err != nil {
		return 0, err
	}
	var rev int64
	err = s.do(ctx, func(t *tx) error {
		stored, err := t.c.int("SELECT rev FROM teams WHERE id = ?", team.ID)
		if err != nil {
			return err
		}
		if stored != team.Rev {
			return notify.ErrConflict
		}
		rev = t.rev()
		_, err = t.c.exec("INSERT OR REPLACE INTO teams (id, rev, doc) VALUES (?, ?, ?)", team.ID, rev, doc)
		return err
	})
	return answer(rev, err)
}

// Devices implements hub.Directory.
func (s *Store) Devices(ctx context.Context, ids []string) ([]notify.Device, error) {
	return list(ctx, s, setDevice, "SELECT id, rev, doc FROM devices WHERE id IN (SELECT value FROM json_each(?))", array(ids))
}

// DeviceByEndpoint implements hub.Directory. Should two have it, the one put
// last is returned.
func (s *Store) DeviceByEndpoint(ctx context.Context, endpoint string) (notify.Device, error) {
	return one(list(ctx, s, setDevice, "SELECT id, rev, doc FROM devices WHERE endpoint = ? ORDER BY rev DESC LIMIT 1", endpoint))
}

// ListDevices implements hub.Directory.
func (s *Store) ListDevices(ctx context.Context, after string, limit int) ([]notify.Device, error) {
	return list(ctx, s, setDevice, "SELECT id, rev, doc FROM devices WHERE id > ? ORDER BY id LIMIT ?", after, int64(max(limit, 0)))
}

// PutDevice implements hub.Directory.
func (s *Store) PutDevice(ctx context.Context, d notify.Device) (int64, error) {
	doc, err := json.Marshal(d)
	if err != nil {
		return 0, err
	}
	var endpoint driverValue
	if d.Subscription != nil {
		endpoint = d.Subscription.Endpoint
	}
	var rev int64
	err = s.do(ctx, func(t *tx) error {
		stored, err := t.c.int("SELECT rev FROM devices WHERE id = ?", d.ID)
		if err != nil {
			return err
		}
		if stored != d.Rev {
			return notify.ErrConflict
		}
		rev = t.rev()
		_, err = t.c.exec("INSERT OR REPLACE INTO devices (id, rev, endpoint, doc) VALUES (?, ?, ?, ?)", d.ID, rev, endpoint, doc)
		return err
	})
	return answer(rev, err)
}

// DeleteDevice implements hub.Directory.
func (s *Store) DeleteDevice(ctx context.Context, id string, rev int64) error {
	return s.do(ctx, func(t *tx) error {
		stored, err := t.c.int("SELECT rev FROM devices WHERE id = ?", id)
		switch {
		case err != nil:
			return err
		case stored == 0:
			return notify.ErrNotFound
		case stored != rev:
			return notify.ErrConflict
		}
		_, err = t.c.exec("DELETE FROM devices WHERE id = ?", id)
		return err
	})
}

// Meta implements hub.Directory.
func (s *Store) Meta(ctx context.Context, name string) ([]byte, int64, error) {
	var value []byte
	var rev int64
	err := s.read(ctx, func(c *conn) error {
		return c.query(func(row []driverValue) error {
			rev, value = row[0].(int64), blob(row[1])
			return nil
		}, "SELECT rev, value FROM meta WHERE name = ?", name)
	})
	if err == nil && rev == 0 {
		err = notify.ErrNotFound
	}
	return value, rev, err
}

// PutMeta implements hub.Directory.
func (s *Store) PutMeta(ctx context.Context, name string, value []byte, rev int64) (int64, error) {
	if value == nil {
		value = []byte{}
	}
	var next int64
	err := s.do(ctx, func(t *tx) error {
		stored, err := t.c.int("SELECT rev FROM meta WHERE name = ?", name)
		if err != nil {
			return err
		}
		if stored != rev {
			return notify.ErrConflict
		}
		next = t.rev()
		_, err = t.c.exec("INSERT OR REPLACE INTO meta (name, rev, value) VALUES (?, ?, ?)", name, next, value)
		return err
	})
	return answer(next, err)
}
