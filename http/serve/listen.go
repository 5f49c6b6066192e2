package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// TakenError says that another program listens there already.
type TakenError struct {
	Listen string // as configured
	Free   string // the same host with a port that was free just now; empty if none was found
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("%s is taken: another program listens there", e.Listen)
}

// listen opens the configured address; localhost means both loopback
// addresses, the second as far as the machine has it.
func listen(ctx context.Context, address string) ([]net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var open []net.Listener
	if host == "localhost" {
		open, err = listenLoopback(ctx, port)
	} else {
		var l net.Listener
		l, err = new(net.ListenConfig).Listen(ctx, "tcp", address)
		open = []net.Listener{l}
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &TakenError{address, freeNear(ctx, host, port)}
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return open, nil
}

func listenLoopback(ctx context.Context, port string) ([]net.Listener, error) {
	// A free port of one address may be taken on the other: then another one is asked for.
	for try := 0; ; try++ {
		v4, err := new(net.ListenConfig).Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			return nil, err
		}
		same := strconv.Itoa(v4.Addr().(*net.TCPAddr).Port)
		v6, err := new(net.ListenConfig).Listen(ctx, "tcp6", net.JoinHostPort("::1", same))
		switch {
		case err == nil:
			return []net.Listener{v4, v6}, nil
		case !errors.Is(err, syscall.EADDRINUSE):
			return []net.Listener{v4}, nil
		}
		v4.Close()
		if port != "0" || try == 9 {
			return nil, err
		}
	}
}

// freeNear is the host with the next port that nobody listens on.
func freeNear(ctx context.Context, host, port string) string {
	n, _ := strconv.Atoi(port)
	for next := n + 1; next <= min(n+50, 65535); next++ {
		address := net.JoinHostPort(host, strconv.Itoa(next))
		if open, err := listenQuietly(ctx, host, strconv.Itoa(next)); err == nil {
			for _, l := range open {
				l.Close()
			}
			return address
		}
	}
	return ""
}

func listenQuietly(ctx context.Context, host, port string) ([]net.Listener, error) {
	if host == "localhost" {
		return listenLoopback(ctx, port)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, port))
	return []net.Listener{l}, err
}
