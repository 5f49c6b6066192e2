package cli

import (
	"context"
	"fmt"
	"maps"
	"text/tabwriter"

	"caac-hub/config"
	"caac-hub/http/serve"
)

type redisInitCmd struct{}

func (redisInitCmd) Help() string {
	return `A Redis without a deployment's state is not used until someone says that it may be: it may be the
right one, emptied by accident. Where the state can be restored, restore it instead. A Redis that
holds a deployment's state already is left as it is.

Example:
  CAAC_REDIS_URL=redis://localhost caac-hub redis-init`
}

func (redisInitCmd) Run(ctx context.Context, w *world) error {
	c, err := w.load()
	if err != nil {
		return err
	}
	if c.Redis.URL == "" {
		return usage("redis.url is empty: set CAAC_REDIS_URL to the Redis that may be used")
	}
	if err := serve.InitRedis(ctx, c); err != nil {
		return err
	}
	w.printf("the Redis may be used under the prefix %s; nodes that wait for it take it within seconds\n", c.Redis.Prefix)
	return nil
}

type migrateCmd struct {
	To string `placeholder:"URL" help:"The Redis to move to; default redis.url."`
}

func (migrateCmd) Help() string {
	return `Stop the hub first. The data folder stays as it is. What was moved is compared at the end; the
command may be run again, and refuses a Redis that holds another deployment's state. Then start the
nodes with CAAC_REDIS_URL, and never the old hub again.

Example:
  caac-hub migrate --data-dir /var/lib/caac-hub --to redis://localhost`
}

func (m *migrateCmd) Run(ctx context.Context, w *world) error {
	if m.To != "" {
		flags := maps.Clone(w.sources.Flags)
		flags["redis.url"] = m.To
		w.sources.Flags = flags
	}
	c, err := w.load()
	if err != nil {
		return err
	}
	if c.Redis.URL == "" {
		return usage("say with --to which Redis to move to, e.g. --to redis://localhost")
	}
	return w.migrate(ctx, c)
}

func (w *world) migrate(ctx context.Context, c config.Config) error {
	moved, err := serve.Migrate(ctx, c)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MOVED\tNUMBER\tDIGEST OF BOTH SIDES")
	for _, m := range moved {
		fmt.Fprintf(t, "%s\t%d\t%s\n", m.Class, m.Count, m.Digest)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	w.printf("Start the nodes with this Redis, and never a hub on %s again.\n", c.DataDir)
	return nil
}
