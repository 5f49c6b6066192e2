// Package demo plays CAAC: its pages are the stage and an agent's page, and its
// endpoints do what CAAC's backend would. It serves this machine and, behind a
// code, the deployment's public host.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/time/rate"

	"caac-hub/hub"
)

// The demo's people.
const (
	team     = "support"
	teamName = "Support"
)

var people = []struct{ id, name string }{{"mei", "Mei"}, {"ken", "Ken"}}

// tokenTTL is how long a demo token is good; a page gets a new one by itself.
const tokenTTL = time.Hour

// Hub is what the demo asks of a *hub.Hub.
type Hub interface {
	PutAgents(ctx context.Context, in []hub.AgentInput) []hub.ItemAnswer
	PutTeams(ctx context.Context, in []hub.TeamInput) []hub.ItemAnswer
	board
	sender
}

// Options wires a Demo. All but MIUIGuide and Code are required.
type Options struct {
	Hub       Hub
	Log       *slog.Logger
	PublicURL string
	MIUIGuide string // URL the app leads to for the settings of MIUI phones
	// Code is asked for where a request comes through the public host. Empty:
	// nothing is served there.
	Code string
	// Pages answers with a file of static/, and reports false if there is none.
	Pages func(w http.ResponseWriter, r *http.Request, name string) bool
	// Sign makes an agent's token.
	Sign func(agent string, ttl time.Duration) (token string, expires time.Time, err error)
}

// Demo is the demo's pages and endpoints.
type Demo struct {
	Options
	public *url.URL
	mux    *http.ServeMux
	room   *room
	codes  *rate.Limiter
	now    func() time.Time
}

// New makes a Demo; Run gives it its people and keeps what the stage shows.
func New(o Options) (*Demo, error) {
	u, err := url.Parse(o.PublicURL)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("demo: the public URL %q is not an origin like https://demo.example.com", o.PublicURL)
	}
	d := &Demo{
		Options: o, public: u, mux: http.NewServeMux(), room: newRoom(),
		codes: rate.NewLimiter(rate.Every(2*time.Second), 5), now: time.Now,
	}
	d.mux.HandleFunc("GET /{$}", d.page("demo/stage.html"))
	d.mux.HandleFunc("GET /agent/{$}", d.page("demo/agent.html"))
	d.mux.HandleFunc("GET /agent/{id}", d.page("demo/agent.html"))
	d.mux.HandleFunc("GET /demo/offline", d.page("demo/offline.html"))
	d.mux.HandleFunc("GET /sw-app.js", d.worker)
	d.mux.HandleFunc("POST /demo/code", d.enter)
	d.mux.HandleFunc("GET /demo/state", d.state)
	d.mux.HandleFunc("POST /demo/token", d.token)
	d.mux.HandleFunc("POST /demo/messages", d.send)
	d.mux.HandleFunc("POST /demo/preview", d.preview)
	d.mux.HandleFunc("GET /demo/events", d.events)
	d.mux.HandleFunc("GET /demo/conversations/{id}/messages", d.transcript)
	d.mux.HandleFunc("POST /demo/conversations/{id}/reply", d.reply)
	return d, nil
}

// Handler guards everything, answers what is the demo's and leaves the rest to next.
func (d *Demo) Handler(next http.Handler) http.Handler {
	// Pages of other sites can neither post to the demo nor read from it.
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.fail(w, r, &hub.Error{Kind: hub.Forbidden, Code: "foreign_origin", Message: "only the demo's own pages may do this"})
	}))
	own := protection.Handler(d.mux)
	return d.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := d.mux.Handler(r); pattern != "" {
			own.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// Run makes the demo's agents and team where they are missing, then keeps the
// stage's pages up to date until ctx ends. The streams that are open end with it.
func (d *Demo) Run(ctx context.Context) error {
	defer d.room.close()
	for {
		err := d.Seed(ctx)
		if err == nil {
			break
		}
		if e := hub.AsError(err); e.Kind != hub.Unavailable || ctx.Err() != nil {
			return ignoreEnd(ctx, fmt.Errorf("demo: %w", err))
		}
		d.Log.WarnContext(ctx, "demo waits for the store", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
	return ignoreEnd(ctx, d.watch(ctx))
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Seed makes those of the demo's agents and its team that are missing.
func (d *Demo) Seed(ctx context.Context) error {
	var missing []hub.AgentInput
	var members []string
	on := true
	for _, p := range people {
		members = append(members, p.id)
		_, err := d.Hub.Agent(ctx, p.id)
		if isNotFound(err) {
			missing = append(missing, hub.AgentInput{ID: p.id, Name: &p.name, OnDuty: &on})
		} else if err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		for _, a := range d.Hub.PutAgents(ctx, missing) {
			if a.Err != nil {
				return a.Err
			}
		}
	}
	_, err := d.Hub.Team(ctx, team)
	if !isNotFound(err) {
		return err
	}
	return d.Hub.PutTeams(ctx, []hub.TeamInput{{ID: team, Name: teamName, Members: members}})[0].Err
}

func isNotFound(err error) bool {
	return err != nil && hub.AsError(err).Kind == hub.NotFound
}

func (d *Demo) page(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !d.Pages(w, r, name) {
			d.fail(w, r, errors.New("the page "+name+" is not in this build"))
		}
	}
}

// worker answers with the app's service worker, at the root of what it controls.
func (d *Demo) worker(w http.ResponseWriter, r *http.Request) {
	// A worker's policy is that of its own response.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self' "+d.public.Scheme+"://"+d.public.Host+"; base-uri 'none'; frame-ancestors 'none'")
	d.page("demo/sw-app.js")(w, r)
}

// port returns ":8080" of "localhost:8080", or "".
func port(host string) string {
	if _, p, err := net.SplitHostPort(host); err == nil {
		return ":" + p
	}
	return ""
}
