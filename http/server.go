// Package http is the hub's face to the network: the backend's and the agents'
// API, the WebSocket's handshake, the pages, health and metrics. Handlers read,
// check and answer; what is asked of them the hub does.
package http

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"caac-hub/http/demo"
	"caac-hub/http/problem"
	"caac-hub/hub"
)

// Modes a Server runs in.
const (
	ModeDemo       = "demo"
	ModeProduction = "production"
)

// Options wires a Server. Hub, Auth, Keys and Log are required, and Origins in
// production.
type Options struct {
	Hub  *hub.Hub
	Auth hub.Authenticator
	Keys KeyVerifier
	Log  *slog.Logger
	Mode string // ModeDemo or ModeProduction

	// PublicURL is the origin browsers reach the hub at.
	PublicURL string
	// MIUIGuide is where the demo's app leads to for the settings of MIUI phones.
	MIUIGuide string
	// Origins are the origins, scheme://host[:port], whose pages may open sockets
	// and call the agents' API. In the demo PublicURL always is one.
	Origins []string
	// Proxies are the networks whose X-Forwarded-For is believed.
	Proxies []netip.Prefix
	Limits  Limits
	Static  fs.FS // what static/ embeds; nil: no files
	Version string

	Metrics       *prometheus.Registry // nil: no /metrics
	MetricsPublic bool                 // /metrics answers without an API key

	SupportText bool        // support's role sees the messages' text
	Support     SupportRole // of the demo's login to /support; empty: none

	// Demo only: Code is asked for where the request comes through the public
	// host; Secret signs the demo's agent tokens and is the one Auth judges by.
	Code   string
	Secret []byte
}

// Limits on requests. Zero fields take the default.
type Limits struct {
	Body       int64         // bytes of a body, default 128 KiB
	BulkBody   int64         // bytes of a bulk body, default 12 MiB
	Batch      int           // items of a bulk body, default and at most 500
	Handshakes float64       // sockets opened per second, default 500, with a burst of twice that; one address gets half
	Requests   float64       // agents' API and receipts, per second and address, default 100, with a burst of four times that
	Concurrent int           // requests to the API at work at once, the backend's and the pages' each, default 1024
	Timeout    time.Duration // of one request to the API, default 10 s
}

const maxBatch = 500

func (l Limits) withDefaults() Limits {
	set := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&l.Body, 128<<10)
	set(&l.BulkBody, 12<<20)
	if l.Batch <= 0 || l.Batch > maxBatch {
		l.Batch = maxBatch
	}
	if l.Handshakes <= 0 {
		l.Handshakes = 500
	}
	if l.Requests <= 0 {
		l.Requests = 100
	}
	if l.Concurrent <= 0 {
		l.Concurrent = 1024
	}
	if l.Timeout <= 0 {
		l.Timeout = 10 * time.Second
	}
	return l
}

// Server answers everything the hub is asked over HTTP.
type Server struct {
	hub        *hub.Hub
	auth       hub.Authenticator
	keys       KeyVerifier
	log        *slog.Logger
	limits     Limits
	origins    []string
	proxies    []netip.Prefix
	local      bool // pages of this very server on localhost may do what those of the origins may
	metrics    *prometheus.Registry
	openMetric bool

	supportText bool
	searches    chan struct{}
	streams     chan struct{}
	ended       chan struct{} // closed when streams must end

	echo         *echo.Echo
	handler      http.Handler
	demo         *demo.Demo // nil in production
	readiness    singleflight.Group
	handshakes   *rate.Limiter
	addresses    *addressLimiter
	knocks       *addressLimiter // handshakes: half of what there are, for each address
	working      chan struct{}
	pagesWorking chan struct{}
	requests     *prometheus.CounterVec
}

// New makes a Server; it listens on nothing.
func New(o Options) (*Server, error) {
	if o.Hub == nil || o.Auth == nil || o.Keys == nil || o.Log == nil {
		return nil, errors.New("http: Hub, Auth, Keys and Log are required")
	}
	public, err := url.Parse(o.PublicURL)
	if err != nil || public.Host == "" {
		return nil, fmt.Errorf("http: the public URL %q is not an origin like https://chat.example.com", o.PublicURL)
	}
	origins := slices.Clone(o.Origins)
	switch o.Mode {
	case ModeDemo:
		origins = append(origins, public.Scheme+"://"+public.Host)
	case ModeProduction:
		if len(origins) == 0 {
			return nil, errors.New("http: production needs at least one origin")
		}
	default:
		return nil, fmt.Errorf("http: mode %q: %s or %s is allowed", o.Mode, ModeDemo, ModeProduction)
	}
	l := o.Limits.withDefaults()
	s := &Server{
		hub: o.Hub, auth: o.Auth, keys: o.Keys, log: o.Log, limits: l,
		origins: origins, local: o.Mode == ModeDemo, proxies: o.Proxies, metrics: o.Metrics, openMetric: o.MetricsPublic,
		supportText: o.SupportText, searches: make(chan struct{}, maxSearches), streams: make(chan struct{}, maxStreams), ended: make(chan struct{}),
		handshakes:   rate.NewLimiter(rate.Limit(l.Handshakes), max(1, int(2*l.Handshakes))),
		addresses:    newAddressLimiter(l.Requests, 4*l.Requests),
		knocks:       newAddressLimiter(l.Handshakes/2, l.Handshakes),
		working:      make(chan struct{}, l.Concurrent),
		pagesWorking: make(chan struct{}, l.Concurrent),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caac_http_requests_total", Help: "Requests by route, method and status.",
		}, []string{"route", "method", "status"}),
	}
	if o.Metrics != nil {
		if err := o.Metrics.Register(s.requests); err != nil {
			return nil, fmt.Errorf("http: metrics: %w", err)
		}
	}
	s.echo = echo.New()
	s.echo.HTTPErrorHandler = s.fail
	s.echo.Use(s.count)
	s.routes(s.echo)

	files, err := newFiles(o.Static, s.local, public.Scheme+"://"+public.Host)
	if err != nil {
		return nil, fmt.Errorf("http: static files: %w", err)
	}
	var h http.Handler = s.cors(files.before(s.supportPages(files, &o, s.bounded(s.echo))))
	if o.Mode == ModeDemo {
		s.demo, err = demo.New(demo.Options{
			Hub: o.Hub, Log: o.Log, PublicURL: o.PublicURL, MIUIGuide: o.MIUIGuide, Code: o.Code,
			Pages: files.page,
			Sign: func(agent string, ttl time.Duration) (string, time.Time, error) {
				return SignToken(o.Secret, agent, ttl)
			},
		})
		if err != nil {
			return nil, err
		}
		h = s.demo.Handler(h)
	}
	s.handler = s.outermost(o.Version, h)
	return s, nil
}

// Handler answers requests.
func (s *Server) Handler() http.Handler { return s.handler }

// Run does what the demo's pages need done beside requests until ctx ends; in
// production it only waits. End ctx before http.Server.Shutdown: streams that are
// open then end with it.
func (s *Server) Run(ctx context.Context) error {
	defer close(s.ended)
	if s.demo != nil {
		return s.demo.Run(ctx)
	}
	<-ctx.Done()
	return nil
}

// Seed makes what the demo needs to be there; Run does it too.
func (s *Server) Seed(ctx context.Context) error {
	if s.demo == nil {
		return nil
	}
	return s.demo.Seed(ctx)
}

func (s *Server) routes(e *echo.Echo) {
	e.GET("/livez", s.live)
	e.GET("/readyz", s.ready)
	if s.metrics != nil {
		e.GET("/metrics", s.showMetrics)
	}
	v1 := e.Group("/v1")
	v1.GET("/openapi.json", s.openAPI)
	v1.GET("/vapid", s.vapid)
	v1.POST("/receipts", s.receipt, s.perAddress)
	v1.GET("/socket", s.socket)

	// A group of its own for either would answer what is no route, too.
	b := func(method, path string, h echo.HandlerFunc) { v1.Add(method, path, h, s.backend) }
	b("GET", "/agents", s.listAgents)
	b("POST", "/agents/bulk", s.putAgents)
	b("PUT", "/agents/:id", s.putAgent)
	b("GET", "/agents/:id", s.getAgent)
	b("PUT", "/agents/:id/duty", s.setDuty)
	b("GET", "/agents/:id/unread", s.agentUnread)
	b("POST", "/agents/:id/read", s.agentRead)
	b("GET", "/agents/:id/logins", s.agentLogins)
	b("DELETE", "/agents/:id/logins", s.endLogins)
	b("DELETE", "/agents/:id/logins/:device", s.endLogins)
	b("GET", "/teams", s.listTeams)
	b("POST", "/teams/bulk", s.putTeams)
	b("PUT", "/teams/:id", s.putTeam)
	b("GET", "/teams/:id", s.getTeam)
	b("PUT", "/conversations/:id", s.putConversation)
	b("GET", "/conversations/:id", s.getConversation)
	b("POST", "/conversations/:id/answered", s.answered)
	b("POST", "/messages", s.postMessage)
	b("POST", "/messages/bulk", s.postMessages)
	b("GET", "/devices/:id", s.getDevice)
	b("GET", "/outbox", s.outbox)
	b("POST", "/outbox/retry", s.retryOutbox)

	support := func(method, path string, h echo.HandlerFunc) { v1.Add(method, path, h, s.supporter) }
	support("GET", "/traces", s.listTraces)
	support("GET", "/traces/:conversation/:message", s.getTrace)
	support("GET", "/reach", s.reach)
	support("POST", "/rules/try", s.tryRules)
	support("GET", "/events", s.events)

	a := func(method, path string, h echo.HandlerFunc) { v1.Add(method, path, h, s.perAddress, s.agent) }
	a("GET", "/me", s.me)
	a("PATCH", "/me/preferences", s.setPreferences)
	a("PUT", "/me/duty", s.setOwnDuty)
	a("GET", "/me/unread", s.myUnread)
	a("POST", "/me/read", s.myRead)
	a("GET", "/me/devices", s.myDevices)
	a("DELETE", "/me/devices/:id", s.forgetDevice)
	a("PATCH", "/device", s.setDevice)
	a("DELETE", "/device/subscription", s.unsubscribe)
	a("POST", "/device/push-test", s.pushTest)
	a("GET", "/device/push-test/:id", s.pushTestState)
	a("POST", "/logout", s.logout)
	// The service worker has no token: its device's key is enough to replace what
	// the device has.
	v1.PUT("/device/subscription", s.subscribe, s.perAddress, s.agentIfNamed)
}

// fail is where every handler's error ends.
func (s *Server) fail(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	var he *echo.HTTPError
	if errors.As(err, &he) {
		switch he.Code {
		case http.StatusNotFound:
			err = &problem.StatusError{Status: he.Code, Code: "no_such_route", Message: "there is nothing at this path; /v1/openapi.json lists what there is"}
		case http.StatusMethodNotAllowed:
			err = &problem.StatusError{Status: he.Code, Code: "method_not_allowed", Message: "this path takes " + c.Response().Header().Get("Allow")}
		default:
			err = fmt.Errorf("echo: %w", err)
		}
	}
	problem.Write(c.Response(), c.Request(), s.log, err)
}

func (s *Server) count(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := next(c); err != nil {
			c.Error(err)
		}
		route := c.Path()
		if st := c.Response().Status; st == http.StatusNotFound && !known(c) {
			route = "none"
		}
		s.requests.WithLabelValues(route, c.Request().Method, statusLabel(c.Response().Status)).Inc()
		return nil
	}
}
