// Package redisconn opens one Redis, standalone, behind Sentinel or as a
// Cluster, and offers one shared pipeline to everything in this process that
// talks to it.
//
// A command is sent at most once. Where its answer is lost, the caller learns
// that it may have happened and decides; nothing here repeats it. Two things
// are followed because they say that nothing happened yet: NOSCRIPT, and where a
// Cluster says that the slot is elsewhere.
package redisconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"caac-hub/hub/notify"
)

// DefaultPrefix is what all keys and channels start with if nothing else is said.
const DefaultPrefix = "caac:"

const (
	dialTimeout = time.Second
	opTimeout   = 2 * time.Second         // one pipeline, from the first byte sent to the last answer
	callTimeout = 2500 * time.Millisecond // one call, its wait for a pipeline included

	defaultWaitTimeout = time.Second
	maxWaitTimeout     = 10 * time.Second
)

// Options of Open.
type Options struct {
	// URL names the Redis; see the package's file url.go for its forms.
	URL string
	// Prefix starts every key and channel; default DefaultPrefix. A colon is
	// added where it ends without one.
	Prefix string
	// Wait is how many replicas must have a write before it counts as done; 0:
	// none. Not with Redis Cluster.
	Wait int
	// WaitTimeout bounds the wait for them; default 1 s, at most 10 s.
	WaitTimeout time.Duration
	// Dial opens a TCP connection to addr; TLS is put over it where the URL says
	// so. nil: a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	Log  *slog.Logger // nil: discard
}

// Conn is one Redis. Its methods may be called at once from many goroutines.
type Conn struct {
	client  redis.UniversalClient
	prefix  string
	sharded bool
	wait    int
	waitFor time.Duration
	log     *slog.Logger
	lanes   lanes
}

// Open connects to the Redis that o.URL names and looks whether it is one that
// the hub can use. Where none answers yet it tries again until ctx ends (5 s
// where it has no deadline). The caller closes it.
func Open(ctx context.Context, o Options) (*Conn, error) {
	t, prefix, err := o.check()
	if err != nil {
		return nil, err
	}
	if o.WaitTimeout == 0 {
		o.WaitTimeout = defaultWaitTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	// go-redis writes to standard error what it returns as an error as well.
	logging.Disable()
	c := &Conn{prefix: prefix, sharded: t.mode == cluster, wait: o.Wait, waitFor: o.WaitTimeout, log: o.Log}
	c.client = t.client(dialer(o.Dial, t.tls), c.opTimeout())
	c.lanes.init(c)
	if err := c.connect(ctx, t); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Check answers what Open would say of the options before it connects.
func Check(o Options) error {
	_, _, err := o.check()
	return err
}

func (o *Options) check() (t *target, prefix string, err error) {
	if t, err = parseURL(o.URL); err != nil {
		return nil, "", err
	}
	if prefix, err = checkPrefix(o.Prefix); err != nil {
		return nil, "", err
	}
	switch {
	case o.Wait < 0 || o.Wait > 16:
		return nil, "", fmt.Errorf("redis wait: %d replicas; allowed: 0 to 16", o.Wait)
	case o.Wait > 0 && t.mode == cluster:
		return nil, "", errors.New("redis wait: not possible with Redis Cluster, where WAIT names no slot; set it to 0 and min-replicas-to-write on every master")
	case o.WaitTimeout < 0 || o.WaitTimeout > maxWaitTimeout:
		return nil, "", fmt.Errorf("redis wait timeout: %v; allowed: up to %v", o.WaitTimeout, maxWaitTimeout)
	}
	return t, prefix, nil
}

// opTimeout bounds one pipeline.
func (c *Conn) opTimeout() time.Duration {
	if c.wait > 0 {
		return opTimeout + c.waitFor
	}
	return opTimeout
}

// callTimeout bounds one call.
func (c *Conn) callTimeout() time.Duration { return callTimeout - opTimeout + c.opTimeout() }

// Client is for what the shared pipeline can't carry: subscriptions, and
// commands to every node. Close closes it.
func (c *Conn) Client() redis.UniversalClient { return c.client }

// Prefix is what every key and channel must start with.
func (c *Conn) Prefix() string { return c.prefix }

// Sharded reports whether this is a Redis Cluster, where a script's keys must
// lie in one slot and channels are sharded.
func (c *Conn) Sharded() bool { return c.sharded }

// Close ends what is under way, up to its time limit, and disconnects. Later
// calls answer notify.ErrUnavailable.
func (c *Conn) Close() error {
	c.lanes.close()
	if err := c.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return err
	}
	return nil
}

func checkPrefix(p string) (string, error) {
	if p == "" {
		return DefaultPrefix, nil
	}
	if !strings.HasSuffix(p, ":") {
		p += ":"
	}
	if len(p) > 64 || strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`{}*?[]\`, r) }) {
		return "", fmt.Errorf(`redis prefix %q: allowed are up to 63 visible ASCII characters other than {}*?[]\`, p)
	}
	return p, nil
}

// dialer puts TLS over what dial opens, since go-redis leaves that to a dialer
// that is given.
func dialer(dial func(context.Context, string, string) (net.Conn, error), conf *tls.Config) func(context.Context, string, string) (net.Conn, error) {
	if dial == nil {
		d := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
		dial = d.DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		raw, err := dial(ctx, network, addr)
		if err != nil || conf == nil {
			return raw, err
		}
		conf := conf.Clone()
		if conf.ServerName, _, err = net.SplitHostPort(addr); err != nil {
			raw.Close()
			return nil, err
		}
		secure := tls.Client(raw, conf)
		if err := secure.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, err
		}
		return secure, nil
	}
}

// client makes the go-redis client of a target. The pipelines' own pool is
// bounded by how many are under way at once.
func (t *target) client(dial func(context.Context, string, string) (net.Conn, error), timeout time.Duration) redis.UniversalClient {
	const protocol, retries, dials = 2, -1, 1
	off := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch t.mode {
	case cluster:
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: t.addrs, Username: t.user, Password: t.password, Dialer: dial, Protocol: protocol,
			MaxRedirects: 3, MaxRetries: retries, DialTimeout: dialTimeout, DialerRetries: dials,
			ReadTimeout: timeout, WriteTimeout: timeout, ContextTimeoutEnabled: true,
			PoolSize: 4, MaxActiveConns: 16, PipelinePoolSize: inFlight, PoolTimeout: time.Second,
			MaintNotificationsConfig: off,
		})
	case sentinel:
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: t.master, SentinelAddrs: t.addrs, SentinelUsername: t.sentinelUser, SentinelPassword: t.sentinelPassword,
			Username: t.user, Password: t.password, DB: t.db, Dialer: dial, Protocol: protocol,
			MaxRetries: retries, DialTimeout: dialTimeout, DialerRetries: dials,
			ReadTimeout: timeout, WriteTimeout: timeout, ContextTimeoutEnabled: true,
			PoolSize: 4, MaxActiveConns: 16, PipelinePoolSize: inFlight, PoolTimeout: time.Second,
		})
	}
	return redis.NewClient(&redis.Options{
		Addr: t.addrs[0], Username: t.user, Password: t.password, DB: t.db, Dialer: dial, Protocol: protocol,
		MaxRetries: retries, DialTimeout: dialTimeout, DialerRetries: dials,
		ReadTimeout: timeout, WriteTimeout: timeout, ContextTimeoutEnabled: true,
		PoolSize: 4, MaxActiveConns: 16, PipelinePoolSize: inFlight, PoolTimeout: time.Second,
		MaintNotificationsConfig: off,
	})
}

// connect tries until one Redis answers, or says something that trying again
// does not mend.
func (c *Conn) connect(ctx context.Context, t *target) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
	}
	var last error
	for {
		err := c.look(ctx, t)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if !errors.Is(err, notify.ErrUnavailable) {
			return err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// look answers an error that wraps notify.ErrUnavailable if it may pass.
func (c *Conn) look(ctx context.Context, t *target) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	check := func(ctx context.Context, node *redis.Client) error {
		info, err := node.Info(ctx, "server").Result()
		if redis.HasErrorPrefix(err, "NOPERM") {
			err = node.Ping(ctx).Err()
		}
		if err != nil {
			return err
		}
		return checkInfo(info, t)
	}
	var err error
	if many, ok := c.client.(*redis.ClusterClient); ok {
		err = many.ForEachMaster(ctx, check)
	} else {
		err = check(ctx, c.client.(*redis.Client))
	}
	refused := credentials(err)
	switch {
	case err == nil || errors.As(err, new(*unfit)):
		return err
	case refused != "":
		return &unfit{fmt.Sprintf("redis at %s: %s", t.addrs[0], refused)}
	case redis.HasErrorPrefix(err, "This instance has cluster support disabled"):
		return &unfit{fmt.Sprintf("redis at %s is no Redis Cluster: name it alone, without addr=", t.addrs[0])}
	case t.mode == sentinel && errors.Is(err, redis.Nil):
		return &unfit{fmt.Sprintf("the Sentinel at %s knows no master called %q (master_name)", t.addrs[0], t.master)}
	}
	return Unavailable(err)
}

// unfit is a Redis that the hub can't use.
type unfit struct{ why string }

func (u *unfit) Error() string { return u.why }

func checkInfo(info string, t *target) error {
	field := func(name string) string {
		_, rest, _ := strings.Cut(info, "\n"+name+":")
		value, _, _ := strings.Cut(rest, "\r\n")
		return value
	}
	if v := field("redis_version"); v != "" {
		major, _, _ := strings.Cut(v, ".")
		if n, err := strconv.Atoi(major); err == nil && n < 7 {
			return &unfit{fmt.Sprintf("redis at %s is version %s; the hub needs 7.0 or newer", t.addrs[0], v)}
		}
	}
	mode := field("redis_mode")
	if mode == "" {
		mode = field("server_mode")
	}
	switch {
	case mode == "sentinel":
		return &unfit{fmt.Sprintf("redis at %s is a Sentinel: say which master it watches with ?master_name=", t.addrs[0])}
	case mode == "cluster" && t.mode != cluster:
		return &unfit{fmt.Sprintf("redis at %s is part of a Redis Cluster: name at least one node more with ?addr=host:port", t.addrs[0])}
	}
	return nil
}
