//go:build linux && redis

package redistest

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

func TestClusterServesEverySlotFromItsURL(t *testing.T) {
	c := StartCluster(t, Options{AppendFsync: "off"})
	o, err := redis.ParseClusterURL(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	client := redis.NewClusterClient(o)
	defer client.Close()
	seen := map[*Server]bool{}
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		if err := client.Set(t.Context(), key, "1", 0).Err(); err != nil {
			t.Error(err)
		}
		owner := c.Owner(key)
		seen[owner] = true
		if !has(t, owner, key) {
			t.Errorf("%s does not hold %q", owner.name, key)
		}
	}
	if len(seen) != 3 {
		t.Errorf("ten keys fell to %d of 3 masters", len(seen))
	}
}

func TestClusterReplicaTakesOverFromKilledMaster(t *testing.T) {
	c := StartCluster(t, Options{Replicas: 1})
	old := c.Owner("key")
	set(t, old, "key")
	if n := old.Client().Do(t.Context(), "wait", 1, 5000).Val(); n != int64(1) {
		t.Fatalf("%v replicas have the key", n)
	}
	old.Kill()
	await(t, "another owner", func(context.Context) error {
		if c.Owner("key") == old {
			return errors.New("the killed master owns the key")
		}
		return nil
	})
	if owner := c.Owner("key"); !has(t, owner, "key") {
		t.Errorf("%s does not hold the key", owner.name)
	}
}

func TestSentinelsPutReplicaInPlaceOfKilledMaster(t *testing.T) {
	g := StartSentinel(t, Options{Replicas: 2})
	o, err := redis.ParseFailoverURL(g.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewFailoverClient(o)
	defer client.Close()
	if err := client.Set(t.Context(), "key", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n := g.Master().Client().Do(t.Context(), "wait", 2, 5000).Val(); n != int64(2) {
		t.Fatalf("%v replicas have the key", n)
	}
	old := g.Servers[0]
	master := g.Failover()
	if master == old {
		t.Fatal("the killed master is still named")
	}
	if !has(t, master, "key") {
		t.Error("the new master does not hold the key")
	}
	old.Restart()
	g.AwaitSync()
}
