// Package serve is the program as a value: it wires configuration, store,
// push sender, hub and HTTP server, runs them and drains them. A test starts
// the same program.
package serve

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"caac-hub/config"
	"caac-hub/hub/notify"
)

// Options are what New needs.
type Options struct {
	Config  config.Config // checked
	Log     *slog.Logger
	Version string

	// PushDial and PushRootCAs let a test stand in for the push services; see
	// push.Options.
	PushDial    func(ctx context.Context, network, address string) (net.Conn, error)
	PushRootCAs *x509.CertPool
	// KeyGrace, for a test, is how long a VAPID key is kept at least after a newer
	// one was made; a day.
	KeyGrace time.Duration
}

// Program is the whole hub, listening. Run it or Close it.
type Program struct {
	options   Options
	config    config.Config
	log       *slog.Logger
	listeners []net.Listener
	control   net.Listener // nil where there is no data folder, or its path is too long
	code      string
	door      door
	node      *node // nil until the store was reached
}

// New listens and opens what the state is kept in, making at the first start
// what it must hold. A port that is in use answers a *TakenError. A Redis that
// does not answer yet is no error: Run tries on, and /readyz says so.
func New(ctx context.Context, o Options) (*Program, error) {
	p := &Program{options: o, config: o.Config, log: o.Log}
	if err := p.open(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Program) open(ctx context.Context) (err error) {
	c := &p.config
	// The port first: of two programs on one port the second shall say so, even
	// where they also share the data folder.
	if p.listeners, err = listen(ctx, c.Listen); err != nil {
		return err
	}
	if c.PublicURL == "" {
		c.PublicURL = p.URL()
	}
	p.options.Config = *c
	p.code = demoCode(*c)
	p.door.log = p.log
	p.node, err = openNode(ctx, p.options, p.code)
	switch {
	case onRedis(*c) && errors.Is(err, notify.ErrUnavailable):
		p.door.wait(ctx, err)
		return nil
	case err != nil:
		return err
	case onRedis(*c):
		return nil
	}
	if p.control, err = listenControl(c.DataDir); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	if p.control == nil {
		p.log.WarnContext(ctx, "no control socket: the data folder's path is too long for one; vapid, apikey and token work only while the hub is stopped", "data_dir", c.DataDir)
	}
	return nil
}

// demoCode is what the demo asks of those who come through a public address.
func demoCode(c config.Config) string {
	u, err := url.Parse(c.PublicURL)
	if c.Mode != config.Demo || err != nil || config.IsLoopback(u.Hostname()) {
		return ""
	}
	random := make([]byte, 5)
	rand.Read(random)
	text := strings.ToLower(base32.StdEncoding.EncodeToString(random))
	return text[:4] + "-" + text[4:]
}

// URL is the address of this machine the program answers at.
func (p *Program) URL() string {
	host, port, _ := net.SplitHostPort(p.listeners[0].Addr().String())
	if configured, _, _ := net.SplitHostPort(p.config.Listen); configured == "localhost" || p.config.Mode == config.Demo {
		host = "localhost"
	} else if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// PublicURL is the origin browsers reach the program at.
func (p *Program) PublicURL() string { return p.config.PublicURL }

// Code is what the demo asks for at a public address; empty where nothing is asked.
func (p *Program) Code() string { return p.code }

// FirstKeyFile is the file the first API key was just left in; empty if this
// was not the first start, or the state is in Redis.
func (p *Program) FirstKeyFile() string {
	if p.node == nil {
		return ""
	}
	return p.node.keyFile
}

// tryAgain is how long Run waits between two tries to reach the store.
const tryAgain = time.Second

// Run serves until ctx ends, then drains: /readyz says so, requests under way are
// finished, pages are told to come back. It closes everything and returns nil
// after a drain that was in time.
func (p *Program) Run(ctx context.Context) error {
	defer p.Close()
	quiet := slog.NewLogLogger(p.log.Handler(), slog.LevelDebug)
	front := &http.Server{
		Handler:           timelyBodies(&p.door),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          quiet,
	}
	hubCtx, endHub := context.WithCancel(context.WithoutCancel(ctx))
	defer endHub()
	serving, endServing := context.WithCancel(context.WithoutCancel(ctx))
	defer endServing()
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { newMemory().tidy(running); return nil })
	for _, l := range p.listeners {
		g.Go(func() error { return served(front.Serve(l)) })
	}
	g.Go(func() error {
		if err := p.reach(running); err != nil || p.node == nil {
			return err
		}
		p.door.open(p.node.server.Handler())
		g.Go(func() error { return p.node.server.Run(serving) })
		g.Go(func() error { return p.node.facts.keep(running) })
		return p.node.hub.Run(hubCtx)
	})
	closeControl := func() error { return nil }
	if p.control != nil {
		control := &http.Server{
			Handler:           controlHandler(&localAdmin{p.node.state.store, p.config}, p.log),
			ReadHeaderTimeout: 5 * time.Second,
			ErrorLog:          quiet,
		}
		closeControl = control.Close
		g.Go(func() error { return served(control.Serve(p.control)) })
	}
	g.Go(func() error {
		<-running.Done()
		p.log.InfoContext(ctx, "draining")
		p.door.leave()
		if ctx.Err() != nil {
			time.Sleep(p.config.DrainDelay)
		}
		endServing()
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.config.DrainTimeout)
		defer cancel()
		err := front.Shutdown(limited)
		if err != nil {
			front.Close()
			err = fmt.Errorf("requests were cut off: they took longer than the drain_timeout of %s", p.config.DrainTimeout)
		}
		closeControl()
		endHub()
		return err
	})
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	p.log.InfoContext(ctx, "ended")
	return errors.Join(err, p.Close())
}

// reach opens the node if New could not reach its store. It returns once it has,
// or ctx ended; an error is one that waiting does not mend.
func (p *Program) reach(ctx context.Context) error {
	for p.node == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tryAgain):
		}
		n, err := openNode(ctx, p.options, p.code)
		switch {
		case ctx.Err() != nil:
			if n != nil {
				return n.close()
			}
			return nil
		case errors.Is(err, notify.ErrUnavailable):
			p.door.wait(ctx, err)
		case err != nil:
			return err
		default:
			p.log.InfoContext(ctx, "the store was reached")
			p.node = n
		}
	}
	return nil
}

// bodyTimeout is how long a request may take to bring its body.
const bodyTimeout = 15 * time.Second

// timelyBodies gives the reading of a body a deadline. http.Server.ReadTimeout
// would do so too, and end every stream that takes longer.
func timelyBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
				http.Error(w, "this connection can't be given a deadline", http.StatusInternalServerError)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func served(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Close lets go of the state and the port. After Run it does nothing.
func (p *Program) Close() error {
	for _, l := range p.listeners {
		l.Close()
	}
	if p.control != nil {
		p.control.Close()
	}
	if p.node == nil {
		return nil
	}
	return p.node.close()
}
