package redisconn

import (
	"context"
	"crypto/sha1"
	"encoding/hex"

	"github.com/redis/go-redis/v9"
)

// Script is a Lua script. In a Cluster all its keys lie in one slot.
type Script struct {
	src   string
	sha   string
	write bool
}

// NewScript makes a script that writes: where Options.Wait asks for it, its
// answer comes after the replicas'.
func NewScript(src string) *Script { return newScript(src, true) }

// NewReadScript makes a script that only reads.
func NewReadScript(src string) *Script { return newScript(src, false) }

func newScript(src string, write bool) *Script {
	sum := sha1.Sum([]byte(src))
	return &Script{src: src, sha: hex.EncodeToString(sum[:]), write: write}
}

// Invocation is one run of a script. Arguments are strings, []byte or numbers.
type Invocation struct {
	Script *Script
	Keys   []string
	Args   []any
}

// Run runs a script through the shared pipeline. Errors of Redis are those of
// the command as they are; see Unavailable.
func (c *Conn) Run(ctx context.Context, s *Script, keys []string, args ...any) *redis.Cmd {
	return c.RunEach(ctx, Invocation{s, keys, args})[0]
}

// RunEach runs scripts that have nothing to do with each other, in no order.
func (c *Conn) RunEach(ctx context.Context, runs ...Invocation) []*redis.Cmd {
	cmds := make([]*redis.Cmd, len(runs))
	all := make([]int, len(runs))
	for i := range all {
		all[i] = i
	}
	again := c.run(ctx, runs, cmds, all, false)
	if len(again) > 0 {
		// They did not run: this server is new, or its scripts were flushed.
		c.run(ctx, runs, cmds, again, true)
	}
	return cmds
}

// run runs those of the runs at the given places, and returns the places of
// those whose script the server does not have.
func (c *Conn) run(ctx context.Context, runs []Invocation, cmds []*redis.Cmd, places []int, source bool) (unknown []int) {
	calls := make([]*call, len(places))
	for i, at := range places {
		r := &runs[at]
		verb, body := "evalsha", r.Script.sha
		if source {
			verb, body = "eval", r.Script.src
		}
		cmds[at] = command(ctx, verb, body, r.Keys, r.Args)
		calls[i] = &call{cmds: []redis.Cmder{cmds[at]}, write: r.Script.write}
		if len(r.Keys) > 0 {
			calls[i].key = r.Keys[0]
		}
	}
	for i, err := range c.await(ctx, calls) {
		if err == nil {
			continue
		}
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			unknown = append(unknown, places[i])
		}
		// The command that was sent may still be written to if time was over.
		failed := redis.NewCmd(ctx)
		failed.SetErr(err)
		cmds[places[i]] = failed
	}
	return unknown
}

func command(ctx context.Context, verb, body string, keys []string, args []any) *redis.Cmd {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, verb, body, len(keys))
	for _, k := range keys {
		all = append(all, k)
	}
	cmd := redis.NewCmd(ctx, append(all, args...)...)
	if len(keys) > 0 {
		cmd.SetFirstKeyPos(3)
	}
	return cmd
}
