package serve

import (
	"context"
	"errors"

	"caac-hub/config"
	"caac-hub/hub/store/sqlite"
)

// Backup copies the store in the configured data folder to a file that must not
// exist yet, whether a hub runs on it or not.
func Backup(ctx context.Context, c config.Config, file string) error {
	if onRedis(c) {
		return errors.New("the state is in Redis, which is backed up with Redis' own means (a copy of its RDB file; see docs/operations.md, Many nodes)")
	}
	return sqlite.Backup(ctx, c.DataDir, file)
}
