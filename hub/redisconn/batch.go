package redisconn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"caac-hub/hub/notify"
)

const (
	inFlight   = 4       // pipelines under way at once, to one master
	maxCalls   = 256     // calls in one pipeline
	maxBytes   = 1 << 20 // arguments in one pipeline, beyond its first call
	maxWaiting = 8192    // calls waiting for a pipeline
	maxQueued  = 64 << 20
)

var (
	errClosed = fmt.Errorf("%w: it is closed", notify.ErrUnavailable)
	errFull   = fmt.Errorf("%w: too many commands wait for Redis", notify.ErrUnavailable)
)

// call is the commands of one Do or Run.
type call struct {
	ctx   context.Context
	cmds  []redis.Cmder
	key   string // says which master they go to
	write bool
	size  int64
	taken atomic.Bool // by the lane, or by the caller that gives up
	err   error
	done  chan struct{}
}

// Do sends commands through the shared pipeline and waits for their answers. It
// returns the first error among them, redis.Nil excepted; each command holds its
// own. Commands of one call stay in order, where they go to one master. Their
// arguments are strings, []byte or numbers. When ctx ended first the commands
// may have run, and must not be read.
func (c *Conn) Do(ctx context.Context, cmds ...redis.Cmder) error {
	if len(cmds) == 0 {
		return nil
	}
	return c.await(ctx, []*call{{cmds: cmds, key: keyOf(cmds[0])}})[0]
}

// Each is Do for commands that have nothing to do with each other: in a Cluster
// each is sent to its master without waiting for the others.
func (c *Conn) Each(ctx context.Context, cmds ...redis.Cmder) error {
	if !c.sharded {
		return c.Do(ctx, cmds...)
	}
	calls := make([]*call, len(cmds))
	for i, cmd := range cmds {
		calls[i] = &call{cmds: []redis.Cmder{cmd}, key: keyOf(cmd)}
	}
	for _, err := range c.await(ctx, calls) {
		if err != nil {
			return err
		}
	}
	return nil
}

// keyOf is the key of a command that has one key as its first argument.
func keyOf(cmd redis.Cmder) string {
	if args := cmd.Args(); len(args) > 1 {
		key, _ := args[1].(string)
		return key
	}
	return ""
}

// await sends the calls and returns the error of each.
func (c *Conn) await(ctx context.Context, calls []*call) []error {
	ctx, cancel := context.WithTimeout(ctx, c.callTimeout())
	defer cancel()
	errs := make([]error, len(calls))
	for i, l := range calls {
		l.ctx, l.done = ctx, make(chan struct{})
		errs[i] = c.lanes.put(l)
	}
	for i, l := range calls {
		if errs[i] == nil {
			errs[i] = l.wait()
		}
	}
	return errs
}

func (l *call) wait() error {
	select {
	case <-l.done:
		return l.err
	case <-l.ctx.Done():
	}
	if l.taken.CompareAndSwap(false, true) {
		return Unavailable(fmt.Errorf("it was not got to: %w", l.ctx.Err()))
	}
	select {
	case <-l.done:
		return l.err
	default:
		return Unavailable(l.ctx.Err())
	}
}

// size is about how many bytes a command takes. An argument that can't be
// written would fail a whole pipeline, so it is found here.
func size(cmd redis.Cmder) (n int64, err error) {
	for _, arg := range cmd.Args() {
		switch v := arg.(type) {
		case string:
			n += int64(len(v))
		case []byte:
			n += int64(len(v))
		case int, int64, uint64, float64, bool:
		default:
			return 0, fmt.Errorf("redis command %s: argument of type %T; allowed: string, []byte, number", cmd.Name(), arg)
		}
		n += 16
	}
	return n, nil
}

// lanes are the queues to the masters: one, or in a Cluster one each, so that a
// master that does not answer holds up nobody else's commands.
type lanes struct {
	c       *Conn
	ctx     context.Context // ends pipelines under way when Close has waited for long enough
	cancel  context.CancelFunc
	running sync.WaitGroup
	queued  atomic.Int64 // bytes

	mu     sync.RWMutex // held for reading while a call is put
	closed bool
	lanes  map[string]chan *call // by the master's address; "" in front of one Redis
}

func (ls *lanes) init(c *Conn) {
	ls.c = c
	ls.ctx, ls.cancel = context.WithCancel(context.Background())
	ls.lanes = map[string]chan *call{}
}

// address names the lane that leads to a key.
func (ls *lanes) address(ctx context.Context, key string) string {
	many, ok := ls.c.client.(*redis.ClusterClient)
	if !ok || key == "" {
		return ""
	}
	node, err := many.MasterForKey(ctx, key)
	if err != nil {
		return ""
	}
	return node.Options().Addr
}

func (ls *lanes) put(l *call) error {
	for _, cmd := range l.cmds {
		n, err := size(cmd)
		if err != nil {
			return err
		}
		l.size += n
	}
	err := errFull
	if ls.queued.Add(l.size) <= maxQueued {
		err = ls.send(l, ls.address(l.ctx, l.key))
	}
	if err != nil {
		ls.queued.Add(-l.size)
	}
	return err
}

func (ls *lanes) send(l *call, address string) error {
	ls.mu.RLock()
	lane := ls.lanes[address]
	if lane == nil && !ls.closed {
		ls.mu.RUnlock()
		ls.open(address)
		ls.mu.RLock()
		lane = ls.lanes[address]
	}
	defer ls.mu.RUnlock()
	if ls.closed {
		return errClosed
	}
	select {
	case lane <- l:
		return nil
	default:
		return errFull
	}
}

func (ls *lanes) open(address string) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closed || ls.lanes[address] != nil {
		return
	}
	lane := make(chan *call, maxWaiting)
	ls.lanes[address] = lane
	ls.running.Go(func() { ls.gather(lane) })
}

// close lets what is under way end and answers the rest.
func (ls *lanes) close() {
	ls.mu.Lock()
	if !ls.closed {
		ls.closed = true
		for _, lane := range ls.lanes {
			close(lane)
		}
	}
	ls.mu.Unlock()
	stop := time.AfterFunc(ls.c.opTimeout(), ls.cancel)
	ls.running.Wait()
	stop.Stop()
	ls.cancel()
}

// gather takes what waits into pipelines; while as many as allowed are under
// way, the next calls gather. It ends when the lane is closed and empty.
func (ls *lanes) gather(lane <-chan *call) {
	slots := make(chan struct{}, inFlight)
	for {
		slots <- struct{}{}
		first, ok := <-lane
		if !ok {
			return
		}
		batch, bytes := ls.take(nil, first), int64(0)
	more:
		for len(batch) < maxCalls && bytes < maxBytes {
			select {
			case l, ok := <-lane:
				if !ok {
					break more
				}
				bytes += l.size
				batch = ls.take(batch, l)
			default:
				break more
			}
		}
		if len(batch) == 0 {
			<-slots
			continue
		}
		ls.running.Go(func() {
			ls.carryOut(batch)
			<-slots
		})
	}
}

func (ls *lanes) take(batch []*call, l *call) []*call {
	ls.queued.Add(-l.size)
	if !l.taken.CompareAndSwap(false, true) {
		return batch // the caller gave up
	}
	if err := l.ctx.Err(); err != nil {
		l.err = Unavailable(err)
		close(l.done)
		return batch
	}
	return append(batch, l)
}

// once keeps the Cluster client from sending a command again of which it does
// not know whether it ran.
type once struct{ redis.Cmder }

func (once) NoRetry() bool { return true }

func (ls *lanes) carryOut(batch []*call) {
	c := ls.c
	ctx, cancel := context.WithTimeout(ls.ctx, c.opTimeout())
	defer cancel()
	pipe := c.client.Pipeline()
	write := false
	for _, l := range batch {
		write = write || l.write
		for _, cmd := range l.cmds {
			if c.sharded {
				cmd = once{cmd}
			}
			pipe.Process(ctx, cmd)
		}
	}
	var replicas *redis.IntCmd
	if write && c.wait > 0 {
		// WAIT asks for the last write of its own connection. This one comes
		// after all that this pipeline read or wrote, whoever wrote it: a
		// repeated message is not answered before its first writing is kept.
		pipe.Set(ctx, c.prefix+"wait", "", 0)
		replicas = redis.NewIntCmd(ctx, "wait", c.wait, c.waitFor.Milliseconds())
		pipe.Process(ctx, replicas)
	}
	_, err := pipe.Exec(ctx)
	if c.sharded && err != nil {
		var said redis.Error
		if !errors.As(err, &said) {
			c.client.(*redis.ClusterClient).ReloadState(ctx)
		}
	}
	for _, l := range batch {
		for _, cmd := range l.cmds {
			if err := cmd.Err(); err != nil && err != redis.Nil && l.err == nil {
				l.err = err
			}
		}
		if l.write && l.err == nil && replicas != nil {
			if n, err := replicas.Result(); err != nil {
				l.err = err
			} else if int(n) < c.wait {
				l.err = fmt.Errorf("%d of %d: %w", n, c.wait, ErrReplicas)
			}
		}
		close(l.done)
	}
}
