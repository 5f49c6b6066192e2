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
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"caac-hub/config"
	hubhttp "caac-hub/http"
	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/hub/store/sqlite"
	"caac-hub/push"
	"caac-hub/static"
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
}

// Program is the whole hub, listening. Run it or Close it.
type Program struct {
	config    config.Config
	log       *slog.Logger
	store     *sqlite.Store
	sender    *push.Sender
	hub       *hub.Hub
	server    *hubhttp.Server
	listeners []net.Listener
	control   net.Listener // nil where the data folder's path is too long
	endAuth   context.CancelFunc
	code      string
	keyFile   string
}

// New opens the data folder, making at the first start what it must hold, and
// listens. A port that is in use answers a *TakenError.
func New(ctx context.Context, o Options) (*Program, error) {
	p := &Program{config: o.Config, log: o.Log, endAuth: func() {}}
	if err := p.open(ctx, o); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Program) open(ctx context.Context, o Options) (err error) {
	c := o.Config
	// The port first: of two programs on one port the second shall say so, even
	// where they also share the data folder.
	if p.listeners, err = listen(ctx, c.Listen); err != nil {
		return err
	}
	if c.PublicURL == "" {
		c.PublicURL = p.URL()
	}
	p.config.PublicURL = c.PublicURL
	if p.store, err = openStore(ctx, c, o.Log); err != nil {
		return err
	}
	ring, err := vapidKeys(ctx, p.store)
	if err != nil {
		return err
	}
	receipts, err := ensureSecret(ctx, p.store, metaReceipt)
	if err != nil {
		return err
	}
	secret, err := tokenSecret(ctx, p.store, c)
	if err != nil {
		return err
	}
	if p.keyFile, err = firstAPIKey(ctx, p.store, c.DataDir); err != nil {
		return err
	}
	if p.sender, err = newSender(o, ring); err != nil {
		return err
	}
	authCtx, endAuth := context.WithCancel(context.WithoutCancel(ctx))
	p.endAuth = endAuth
	auth, err := hubhttp.NewAuthenticator(authCtx, hubhttp.TokenOptions{
		Secret:   secret,
		JWKSURL:  c.Auth.JWKSURL,
		JWKSFile: c.Auth.JWKSFile,
		Issuer:   c.Auth.Issuer,
		Audience: c.Auth.Audience,
		Leeway:   c.Auth.Leeway,
		Log:      o.Log,
	})
	if err != nil {
		return err
	}
	metrics := newMetrics(o.Version)
	p.hub, err = hub.New(hub.Options{
		Store:           p.store,
		Push:            p.sender,
		Auth:            auth,
		Log:             o.Log,
		Metrics:         metrics,
		Secret:          receipts,
		PublicURL:       c.PublicURL,
		ConversationURL: conversationURL(c),
		Ceiling:         notify.Preview(c.PreviewCeiling),
		PageDuty:        c.PageDuty,
		Limits: hub.Limits{
			SocketsPerAgent:   c.Limits.SocketsPerAgent,
			SocketsPerAddress: c.Limits.SocketsPerAddress,
			DevicesPerAgent:   c.Limits.DevicesPerAgent,
			LoginsPerDevice:   c.Limits.LoginsPerDevice,
			FramesPerSecond:   c.Limits.FramesPerSecond,
			Queue:             c.Limits.Queue,
			WriteTimeout:      c.Limits.WriteTimeout,
			LoginIdle:         c.Limits.LoginIdle,
		},
	})
	if err != nil {
		return err
	}
	p.code = demoCode(c)
	p.server, err = hubhttp.New(hubhttp.Options{
		Hub:       p.hub,
		Auth:      auth,
		Keys:      hubhttp.NewAPIKeys(p.store),
		Log:       o.Log,
		Mode:      string(c.Mode),
		PublicURL: c.PublicURL,
		Origins:   c.Origins,
		Proxies:   c.ProxyNetworks(),
		Limits: hubhttp.Limits{
			Handshakes: c.Limits.HandshakesPerSecond,
			Requests:   c.Limits.RequestsPerAddress,
		},
		Static:        static.FS,
		Version:       o.Version,
		Metrics:       metrics,
		MetricsPublic: c.Metrics.Public,
		Code:          p.code,
		Secret:        secret,
	})
	if err != nil {
		return err
	}
	if p.control, err = listenControl(c.DataDir); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	if p.control == nil {
		o.Log.WarnContext(ctx, "no control socket: the data folder's path is too long for one; vapid, apikey and token work only while the hub is stopped", "data_dir", c.DataDir)
	}
	return nil
}

func newSender(o Options, ring *push.KeyRing) (*push.Sender, error) {
	var proxy *url.URL
	if text := o.Config.Push.Proxy; text != "" {
		var err error
		if proxy, err = url.Parse(text); err != nil {
			return nil, err
		}
	}
	return push.New(push.Options{
		Keys:       ring,
		Subject:    o.Config.VAPID.Subject,
		Proxy:      proxy,
		ExtraHosts: o.Config.Push.Hosts,
		Log:        o.Log,
		Dial:       o.PushDial,
		RootCAs:    o.PushRootCAs,
	})
}

func newMetrics(version string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "caac_build_info",
		Help:        "Always 1; the labels say which program runs.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	})
	build.Set(1)
	r.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// conversationURL is where a click leads; the demo has pages of its own.
func conversationURL(c config.Config) string {
	if c.ConversationURL == "" {
		return c.PublicURL + "/agent/{agent}?conversation={conversation}"
	}
	return c.ConversationURL
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
// was not the first start.
func (p *Program) FirstKeyFile() string { return p.keyFile }

// Run serves until ctx ends, then drains: no new requests, those under way are
// finished, pages are told to come back. It closes everything and returns nil
// after a drain that was in time.
func (p *Program) Run(ctx context.Context) error {
	defer p.Close()
	quiet := slog.NewLogLogger(p.log.Handler(), slog.LevelDebug)
	front := &http.Server{
		Handler:           timelyBodies(p.server.Handler()),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          quiet,
	}
	control := &http.Server{
		Handler:           controlHandler(&localAdmin{p.store, p.config}, p.log),
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          quiet,
	}

	hubCtx, endHub := context.WithCancel(context.WithoutCancel(ctx))
	defer endHub()
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return p.hub.Run(hubCtx) })
	g.Go(func() error { return p.server.Run(running) })
	g.Go(func() error { newMemory().tidy(running); return nil })
	for _, l := range p.listeners {
		g.Go(func() error { return served(front.Serve(l)) })
	}
	if p.control != nil {
		g.Go(func() error { return served(control.Serve(p.control)) })
	}
	g.Go(func() error {
		<-running.Done()
		p.log.InfoContext(ctx, "draining")
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.config.DrainTimeout)
		defer cancel()
		err := front.Shutdown(limited)
		if err != nil {
			front.Close()
			err = fmt.Errorf("requests were cut off: they took longer than the drain_timeout of %s", p.config.DrainTimeout)
		}
		control.Close()
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

// Close lets go of the data folder and the port. After Run it does nothing.
func (p *Program) Close() error {
	for _, l := range p.listeners {
		l.Close()
	}
	if p.control != nil {
		p.control.Close()
	}
	p.endAuth()
	if p.sender != nil {
		p.sender.Close()
	}
	if p.store == nil {
		return nil
	}
	return p.store.Close()
}
