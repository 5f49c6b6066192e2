package http

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"caac-hub/http/problem"
	"caac-hub/hub"
)

// writeWithin is how long a client may take to read an answer.
const writeWithin = time.Minute

// outermost is around everything: request id, security headers, panics, the
// access log.
func (s *Server) outermost(version string, next http.Handler) http.Handler {
	server := "caac-hub"
	if version != "" {
		server += "/" + version
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		r, id := problem.WithRequestID(r)
		h := w.Header()
		h.Set("X-Request-Id", id)
		h.Set("Server", server)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
		rec := &recorder{ResponseWriter: w}
		// Whoever sends or reads slowly must not hold what others need. A hijacked
		// connection and a stream have deadlines of their own.
		rc := http.NewResponseController(w)
		if r.ContentLength != 0 {
			rc.SetReadDeadline(start.Add(s.limits.Timeout))
		}
		rc.SetWriteDeadline(start.Add(writeWithin))
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				err := fmt.Errorf("panic: %v\n%s", p, debug.Stack())
				if rec.status != 0 {
					s.log.ErrorContext(r.Context(), "request failed after its answer began", "request", id, "err", err)
					panic(http.ErrAbortHandler)
				}
				problem.Write(rec, r, s.log, err)
			}
			if s.log.Enabled(r.Context(), slog.LevelDebug) {
				s.log.DebugContext(r.Context(), "request", "request", id, "method", r.Method, "path", r.URL.Path,
					"status", rec.status, "ms", time.Since(start).Milliseconds())
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// recorder remembers the status of the answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach what is below.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// bounded gives requests to the API a deadline, and those over the number that
// may be at work at once a 503. Those of pages, some of which prove nothing, are
// counted apart: they take no place of the backend's. A socket's handshake and a
// stream have limits of their own.
func (s *Server) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/v1/") || r.URL.Path == "/v1/socket" || r.URL.Path == "/v1/events" {
			next.ServeHTTP(w, r)
			return
		}
		working := s.working
		if forPages(r.URL.Path) {
			working = s.pagesWorking
		}
		select {
		case working <- struct{}{}:
			defer func() { <-working }()
		default:
			problem.Write(w, r, s.log, &hub.Error{Kind: hub.Unavailable, Code: "busy", Message: "too many requests are at work here right now; try again", RetryAfter: time.Second})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), s.limits.Timeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// cors lets pages of the origins call the agents' API, post receipts and import
// the SDK.
func (s *Server) cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !forPages(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		// A worker installed on this machine posts its receipts to the public host.
		allowed := s.allowed(r) || s.local && strings.HasPrefix(origin, "http://localhost:")
		if allowed {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "Retry-After, X-Request-Id")
		}
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			next.ServeHTTP(w, r)
			return
		}
		if !allowed {
			problem.Write(w, r, s.log, foreignOrigin(origin))
			return
		}
		h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Device, X-Device-Key")
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
	})
}

func forPages(path string) bool {
	switch path {
	case "/v1/me", "/v1/device", "/v1/logout", "/v1/receipts", "/v1/vapid":
		return true
	}
	return strings.HasPrefix(path, "/v1/me/") || strings.HasPrefix(path, "/v1/device/") || strings.HasPrefix(path, "/sdk/")
}

// allowed reports whether the request comes from a page of an origin that is
// configured.
func (s *Server) allowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if slices.Contains(s.origins, origin) {
		return true
	}
	host, _, _ := strings.Cut(r.Host, ":")
	return s.local && host == "localhost" && origin == "http://"+r.Host
}

func foreignOrigin(origin string) error {
	return &hub.Error{Kind: hub.Forbidden, Code: "foreign_origin", Message: fmt.Sprintf("pages of the origin %.200q may not do this; the configured origins may", origin)}
}

// perAddress limits what one address may ask for before anything is proven.
func (s *Server) perAddress(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if wait := s.addresses.wait(s.remote(c.Request()), time.Now()); wait > 0 {
			return &hub.Error{Kind: hub.TooMany, Code: "too_many_requests", Message: "too many requests from this address", RetryAfter: wait}
		}
		return next(c)
	}
}

// addressLimiter limits each address by itself. It forgets addresses that were
// silent for a generation, and knows no more than maxAddresses in each of two;
// who comes when it is full shares one limit with all the others.
type addressLimiter struct {
	limit rate.Limit
	burst int

	mu       sync.Mutex
	now, old map[string]*rate.Limiter
	turned   time.Time
	rest     *rate.Limiter
}

const (
	maxAddresses = 20_000
	generation   = time.Minute
)

func newAddressLimiter(perSecond, burst float64) *addressLimiter {
	l := &addressLimiter{limit: rate.Limit(perSecond), burst: max(1, int(burst)), now: map[string]*rate.Limiter{}}
	l.rest = rate.NewLimiter(l.limit, l.burst)
	return l
}

// wait takes one request of the address and answers 0, or answers how long it
// would have to wait.
func (l *addressLimiter) wait(address string, now time.Time) time.Duration {
	lim := l.of(address, now)
	res := lim.ReserveN(now, 1)
	d := res.DelayFrom(now)
	if d > 0 {
		res.CancelAt(now)
	}
	return d
}

func (l *addressLimiter) of(address string, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.turned) > generation {
		l.now, l.old, l.turned = map[string]*rate.Limiter{}, l.now, now
	}
	if lim := l.now[address]; lim != nil {
		return lim
	}
	if len(l.now) >= maxAddresses {
		return l.rest
	}
	lim := l.old[address]
	if lim == nil {
		lim = rate.NewLimiter(l.limit, l.burst)
	}
	l.now[address] = lim
	return lim
}

// remote returns the client's address without its port, of IPv6 the /64 that one
// subscriber has: the last hop of X-Forwarded-For that is no proxy of ours, where
// the peer is one.
func (s *Server) remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if !s.trusted(addr) {
		return client(addr)
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		a, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		if addr = a; !s.trusted(a) {
			break
		}
	}
	return client(addr)
}

func client(a netip.Addr) string {
	if a = a.Unmap(); a.Is4() {
		return a.String()
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return a.String()
	}
	return p.String()
}

func (s *Server) trusted(a netip.Addr) bool {
	a = a.Unmap()
	return slices.ContainsFunc(s.proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// known reports that a 404 came from a route's handler.
func known(c echo.Context) bool { return c.Path() != "" && !strings.HasSuffix(c.Path(), "*") }

func statusLabel(status int) string { return strconv.Itoa(status) }
