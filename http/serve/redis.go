package serve

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"caac-hub/config"
	redisbus "caac-hub/hub/bus/redis"
	"caac-hub/hub/redisconn"
	redisstore "caac-hub/hub/store/redis"
)

// reachTime is how long one try to reach Redis may take.
const reachTime = 2 * time.Second

// openRedis opens the state in the configured Redis. An error that wraps
// notify.ErrUnavailable may pass; others don't, such as a wrong password.
func openRedis(ctx context.Context, c config.Config, log *slog.Logger) (*state, error) {
	limited, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	conn, err := redisconn.Open(limited, redisconn.Options{
		URL:         c.Redis.URL,
		Prefix:      c.Redis.Prefix,
		Wait:        c.Redis.Wait,
		WaitTimeout: c.Redis.WaitTimeout,
		Log:         log,
	})
	if err != nil {
		return nil, err
	}
	s, err := redisstore.Open(ctx, redisstore.Options{
		Conn:      conn,
		Retention: redisstore.Retention{Traces: c.Retention.Traces, Bytes: int64(c.Retention.TraceBytes)},
		Log:       log,
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	st := &state{
		store:   s,
		bus:     redisbus.New(conn, log),
		confirm: s.Init,
		close:   func() error { return errors.Join(s.Close(), conn.Close()) },
	}
	// The demo's state is nobody's loss.
	if c.Mode == config.Demo {
		if err := s.Init(ctx); err != nil {
			return nil, errors.Join(err, st.close())
		}
	}
	return st, nil
}

// InitRedis says that the configured Redis may be used though it holds no
// deployment's state, or only a part of one. Where it holds one it does nothing.
func InitRedis(ctx context.Context, c config.Config) error {
	s, err := openRedis(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return errors.Join(s.confirm(ctx), s.close())
}
