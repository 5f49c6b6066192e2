package serve

import (
	"context"
	"log/slog"

	"caac-hub/config"
	"caac-hub/hub"
	"caac-hub/hub/store/sqlite"
)

// state is what must outlive the program, open.
type state struct {
	store hub.Store
	bus   hub.Bus // nil: no other node shares the store
	close func() error
	// confirm says that a Redis without a deployment's state may be used.
	confirm func(ctx context.Context) error
}

// onRedis reports whether the state is in a Redis, which other nodes may share.
func onRedis(c config.Config) bool { return c.Redis.URL != "" }

// openState opens the state of the configured deployment, made if it is missing.
func openState(ctx context.Context, c config.Config, log *slog.Logger) (*state, error) {
	if onRedis(c) {
		return openRedis(ctx, c, log)
	}
	s, err := openEmbedded(ctx, c, log)
	if err != nil {
		return nil, err
	}
	return &state{store: s, close: s.Close}, nil
}

func openEmbedded(ctx context.Context, c config.Config, log *slog.Logger) (*sqlite.Store, error) {
	return sqlite.Open(ctx, sqlite.Options{
		Dir:       c.DataDir,
		Retention: sqlite.Retention{Traces: c.Retention.Traces, Bytes: int64(c.Retention.TraceBytes)},
		Log:       log,
	})
}
