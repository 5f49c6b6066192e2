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

// Run runs a script through the shared pipeline. Arguments are strings, []byte
// or integers. Errors of Redis are those of the command as they are; see
// Unavailable.
func (c *Conn) Run(ctx context.Context, s *Script, keys []string, args ...any) *redis.Cmd {
	cmd := s.command(ctx, "evalsha", s.sha, keys, args)
	err := c.do(ctx, s.write, keys, cmd)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		// It did not run: this server is new, or its scripts were flushed.
		cmd = s.command(ctx, "eval", s.src, keys, args)
		err = c.do(ctx, s.write, keys, cmd)
	}
	if err != nil {
		// cmd may still be written to if the caller's time was over.
		failed := redis.NewCmd(ctx)
		failed.SetErr(err)
		return failed
	}
	return cmd
}

func (s *Script) command(ctx context.Context, verb, body string, keys []string, args []any) *redis.Cmd {
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
