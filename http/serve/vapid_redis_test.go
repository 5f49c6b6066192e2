//go:build redis

package serve

import (
	"log/slog"
	"testing"

	"caac-hub/config"
	redistest "caac-hub/test/redis"
)

func TestVAPIDKeyOnRedisIsKeptUntilItsLastSubscriptionIsGone(t *testing.T) {
	c := config.Default(config.Demo, t.TempDir())
	c.Redis.URL = redistest.Start(t, redistest.Options{}).URL()
	s, err := openRedis(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	retires(t, s.store)
	rotatesAtOnce(t, s.store)
}
