//go:build linux && redis

package redistest

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func set(t *testing.T, s *Server, key string) {
	t.Helper()
	if err := s.Client().Set(t.Context(), key, "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
}

func has(t *testing.T, s *Server, key string) bool {
	t.Helper()
	n, err := s.Client().Exists(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	return n == 1
}

func TestKilledServerComesBackAtItsAddressWithItsData(t *testing.T) {
	s := Start(t, Options{})
	addr, before := s.Addr(), s.Info("server")["run_id"]
	set(t, s, "kept")
	s.Kill()
	if conn, err := net.Dial("tcp", addr); err == nil {
		conn.Close()
		t.Error("a killed server takes connections")
	}
	s.Restart()
	if s.Addr() != addr || !has(t, s, "kept") {
		t.Errorf("at %s, key kept: %v", s.Addr(), has(t, s, "kept"))
	}
	if after := s.Info("server")["run_id"]; after == before {
		t.Error("the same process as before answers")
	}
}

func TestStoppedServerWithoutPersistenceComesBackEmpty(t *testing.T) {
	s := Start(t, Options{AppendFsync: "off"})
	set(t, s, "lost")
	s.Stop()
	s.Restart()
	if has(t, s, "lost") {
		t.Error("the key is still there")
	}
}

func TestFrozenServerIsSilentUntilThawed(t *testing.T) {
	s := Start(t, Options{AppendFsync: "off"})
	s.Freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Client().Ping(ctx).Err(); err == nil {
		t.Error("a frozen server answered")
	}
	s.Thaw()
	if err := s.Client().Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}

func TestServerIsEmptiedAndConfiguredWhileItRuns(t *testing.T) {
	s := Start(t, Options{AppendFsync: "everysec", MaxMemory: "20mb", Args: []string{"--hz", "50"}})
	set(t, s, "gone")
	s.Empty()
	if has(t, s, "gone") {
		t.Error("the key is still there")
	}
	for key, want := range map[string]string{"appendfsync": "everysec", "maxmemory": "20971520", "hz": "50"} {
		if got := s.Client().ConfigGet(t.Context(), key).Val()[key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	s.Config("min-replicas-to-write", "1")
	err := s.Client().Set(t.Context(), "refused", "1", 0).Err()
	if said := redis.Error(nil); !errors.As(err, &said) {
		t.Errorf("a write without the replicas it needs: %v", err)
	}
}
