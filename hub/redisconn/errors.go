package redisconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"

	"caac-hub/hub/notify"
)

// ErrReplicas: too few replicas had the write in time. It stands on the master
// and may be lost with it.
var ErrReplicas = errors.New("too few replicas confirmed the write in time; it may have happened")

// causes are Redis' own errors that say that it can't serve now.
var causes = []struct{ prefix, words string }{
	{"LOADING", "Redis is loading its data"},
	{"READONLY", "this Redis is a replica and takes no writes (a failover?)"},
	{"MASTERDOWN", "this Redis is a replica without its master"},
	{"CLUSTERDOWN", "the Redis Cluster is down"},
	{"TRYAGAIN", "the Redis Cluster is moving this slot"},
	{"MOVED", "the Redis Cluster is moving this slot"},
	{"ASK", "the Redis Cluster is moving this slot"},
	{"OOM", "Redis is out of memory (maxmemory)"},
	{"MISCONF", "Redis can't save to its disk (MISCONF)"},
	{"NOREPLICAS", "Redis has fewer replicas than min-replicas-to-write"},
	{"BUSY", "Redis is busy with a script"},
	{"UNKILLABLE", "Redis is busy with a script"},
	{"ERR max number of clients", "Redis has no room for another client (maxclients)"},
}

// credentials says what is wrong with the credentials; empty if nothing is.
func credentials(err error) string {
	switch {
	case redis.HasErrorPrefix(err, "WRONGPASS"):
		return "the password, or the user name, is wrong"
	case redis.HasErrorPrefix(err, "NOAUTH"):
		return "it wants a password, and the URL has none"
	case redis.HasErrorPrefix(err, "NOPERM"):
		return "the user lacks a permission"
	case err != nil && strings.Contains(err.Error(), "without any password configured"):
		return "the URL has a password, and this server has none"
	}
	return ""
}

// Unavailable says in words why Redis can't serve now; the error wraps
// notify.ErrUnavailable and err. It never holds the password.
func Unavailable(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, notify.ErrUnavailable):
		return err
	}
	said, detail := words(err)
	return fmt.Errorf("%w: %w", notify.ErrUnavailable, &cause{said, detail, err})
}

// Refused is an error that says in words, which anyone may read, why Redis can't
// serve now; it wraps notify.ErrUnavailable.
func Refused(words string) error {
	return fmt.Errorf("%w: %w", notify.ErrUnavailable, &cause{words: words})
}

// cause shows its words and keeps the error for errors.Is.
type cause struct {
	words, detail string
	err           error
}

func (c *cause) Error() string {
	if c.detail == "" {
		return c.words
	}
	return c.words + ": " + c.detail
}

func (c *cause) Unwrap() error { return c.err }

// Public is the part of the error that anyone may read: it names no address.
func (c *cause) Public() string { return c.words }

// words says what is wrong, and what is for operators only.
func words(err error) (said, detail string) {
	text := err.Error()
	bare := strings.TrimPrefix(text, "ERR Error running script: ")
	for _, c := range causes {
		if strings.HasPrefix(bare, c.prefix) || strings.HasPrefix(bare, "-"+c.prefix) {
			return c.words, ""
		}
	}
	if w := credentials(err); w != "" {
		return "Redis: " + w, ""
	}
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.Is(err, ErrReplicas), errors.Is(err, context.Canceled):
		return text, ""
	case errors.As(err, &op) && op.Op == "dial":
		return "Redis can't be reached", text
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "Redis did not answer in time; a write may have happened", ""
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.As(err, &op):
		return "the connection to Redis broke; a write may have happened", ""
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return "all connections to Redis are busy", ""
	}
	return "Redis answered an error", text
}
