package serve

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"

	hubhttp "caac-hub/http"
	"caac-hub/http/problem"
	"caac-hub/hub"
)

// door is what requests come to. Until the store was reached for the first time
// it says that it is not; when the program drains, /readyz says that first.
type door struct {
	log     *slog.Logger
	inside  atomic.Pointer[http.Handler]
	waiting atomic.Pointer[waiting]
	leaving atomic.Bool
}

// waiting is why the store can't be used yet.
type waiting struct{ err error }

var (
	errStarting = &hub.Error{Kind: hub.Unavailable, Code: "not_ready", Message: "this node is starting"}
	errLeaving  = &hub.Error{Kind: hub.Unavailable, Code: "not_ready", Message: "this node is going"}
)

func (d *door) open(inside http.Handler) { d.inside.Store(&inside) }

func (d *door) leave() { d.leaving.Store(true) }

// wait keeps why requests are refused, and logs it if that is news.
func (d *door) wait(ctx context.Context, err error) {
	before := d.waiting.Swap(&waiting{err})
	if before == nil || before.err.Error() != err.Error() {
		d.log.WarnContext(ctx, "the store can't be used yet; trying on", "err", err)
	}
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	inside := d.inside.Load()
	ready := r.URL.Path == "/readyz"
	switch {
	case ready && d.leaving.Load():
		problem.Write(w, r, d.log, hubhttp.NotReady(errLeaving))
	case inside != nil:
		(*inside).ServeHTTP(w, r)
	case r.URL.Path == "/livez":
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Write([]byte(`{"status":"live"}` + "\n"))
	default:
		var err error = errStarting
		if now := d.waiting.Load(); now != nil {
			err = now.err
		}
		problem.Write(w, r, d.log, hubhttp.NotReady(err))
	}
}
