//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"caac-hub/test/process"
)

// redisServer is a Redis of its own that keeps what it answered (appendfsync
// always), until it is told otherwise.
type redisServer struct {
	dir    string
	addr   string
	run    *process.Process
	client *redis.Client
}

// startRedis starts a Redis on a spare port. The caller stops it.
func startRedis(ctx context.Context) (*redisServer, error) {
	logging.Disable() // it does not answer at once
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("%w: scripts/test-deps.sh installs what the tests need", err)
	}
	for range 10 {
		r, err := tryRedis(ctx, binary)
		if err == nil {
			return r, nil
		}
		if ctx.Err() != nil || !errors.Is(err, errTaken) {
			return nil, err
		}
	}
	return nil, errTaken
}

var errTaken = errors.New("redis-server did not get the port it was given")

func tryRedis(ctx context.Context, binary string) (*redisServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	l.Close()
	dir, err := os.MkdirTemp("", "caac-load-redis-")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	run, err := process.Start(exec.Command(binary, "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--logfile", dir+"/log"))
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	r := &redisServer{dir: dir, addr: addr, run: run, client: redis.NewClient(&redis.Options{
		Addr: addr, MaxRetries: -1, DialerRetries: 1, Protocol: 2,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})}
	for {
		if err = r.client.Ping(ctx).Err(); err == nil {
			return r, nil
		}
		select {
		case <-run.Ended():
			r.stop()
			return nil, errTaken
		case <-ctx.Done():
			r.stop()
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (r *redisServer) url() string { return "redis://" + r.addr }

// fsync sets when writes reach the disk: always or everysec.
func (r *redisServer) fsync(ctx context.Context, when string) error {
	return r.client.ConfigSet(ctx, "appendfsync", when).Err()
}

func (r *redisServer) stop() {
	r.client.Close()
	if err := r.run.Kill(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
	}
	os.RemoveAll(r.dir)
}

// redisUsage is what a Redis has done so far.
type redisUsage struct {
	cpu      float64 // s
	commands float64 // those inside scripts too
	scripts  float64
	letters  float64 // published
	bytesIn  float64
	bytesOut float64
}

func (r *redisServer) usage(ctx context.Context) (redisUsage, error) {
	var u redisUsage
	text, err := r.client.Info(ctx, "stats", "cpu", "commandstats").Result()
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if command, ok := strings.CutPrefix(name, "cmdstat_"); ok {
			calls, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			n, err := strconv.ParseFloat(calls, 64)
			if err != nil {
				return u, fmt.Errorf("INFO: %s", line)
			}
			switch command {
			case "info":
				continue
			case "evalsha", "eval":
				u.scripts += n
			case "publish":
				u.letters += n
			}
			u.commands += n
			continue
		}
		n, _ := strconv.ParseFloat(value, 64)
		switch name {
		case "used_cpu_sys", "used_cpu_user":
			u.cpu += n
		case "total_net_input_bytes":
			u.bytesIn = n
		case "total_net_output_bytes":
			u.bytesOut = n
		}
	}
	return u, nil
}
