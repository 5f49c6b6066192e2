package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"

	"caac-hub/config"
	"caac-hub/http/serve"
)

type serveCmd struct{}

func (serveCmd) Help() string {
	return `Runs until Ctrl-C or SIGTERM, then drains; a second Ctrl-C ends it at once.

Examples:
  caac-hub
  caac-hub --listen localhost:8081 --data-dir ./state
  CAAC_MODE=production caac-hub --config /etc/caac-hub.yaml`
}

func (serveCmd) Run(ctx context.Context, w *world) error {
	c, err := w.load()
	if err != nil {
		return err
	}
	log := serve.NewLog(w.Stderr, c.Log.Level, c.Log.Format)
	where := slog.String("data_dir", c.DataDir)
	if c.Redis.URL != "" {
		c.Node = nodeName(c)
		log = log.With("node", c.Node)
		where = slog.String("redis_prefix", c.Redis.Prefix)
	}
	p, err := serve.New(ctx, serve.Options{Config: c, Log: log, Version: w.Version})
	if taken := (*serve.TakenError)(nil); errors.As(err, &taken) && taken.Free != "" {
		other := w.Command + " --listen " + taken.Free
		if serve.Running(ctx, c) {
			return fmt.Errorf("%w. A hub runs on the data folder %s already; to run another one:\n\n  %s --data-dir ANOTHER-FOLDER", err, c.DataDir, other)
		}
		return fmt.Errorf("%w. Use another port:\n\n  %s", err, other)
	}
	if err != nil {
		return err
	}
	if c.Mode == config.Demo {
		w.printf("%s", greeting(p, c))
	} else if file := p.FirstKeyFile(); file != "" {
		log.InfoContext(ctx, "first API key made", "file", file)
	}
	log.InfoContext(ctx, "listening", "url", p.URL(), "public_url", p.PublicURL(), "mode", c.Mode, where, "version", w.Version)
	return p.Run(ctx)
}

// nodeName is what the node is called in its log.
func nodeName(c config.Config) string {
	if c.Node != "" {
		return c.Node
	}
	host, err := os.Hostname()
	if err != nil {
		return "unnamed"
	}
	return host
}

// greeting is what a newcomer reads first: one link.
func greeting(p *serve.Program, c config.Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n  The CAAC notification hub runs. Open\n\n    %s\n\n", p.URL())
	if code := p.Code(); code != "" {
		u, _ := url.Parse(p.PublicURL())
		fmt.Fprintf(&b, "  On a phone open %s; it asks for the code %s\n", u.Host, code)
	}
	if file := p.FirstKeyFile(); file != "" {
		fmt.Fprintf(&b, "  First start: an API key for a backend is in %s\n", file)
	}
	where := c.DataDir
	if c.Redis.URL != "" {
		where = "Redis"
	}
	fmt.Fprintf(&b, "  Everything it keeps is in %s. Ctrl-C ends it.\n\n", where)
	return b.String()
}
