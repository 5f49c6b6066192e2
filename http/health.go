package http

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"caac-hub/docs/openapi"
	"caac-hub/hub"
)

// readyTimeout is how long the store may take to say that it can be written.
const readyTimeout = 2 * time.Second

type health struct {
	Status string `json:"status"`
}

func (s *Server) live(c echo.Context) error { return ok(c, health{"live"}) }

func (s *Server) ready(c echo.Context) error {
	// Anyone may ask, and each answer costs a durable write: those who ask at the
	// same time share one.
	_, err, _ := s.readiness.Do("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request().Context()), readyTimeout)
		defer cancel()
		return nil, s.hub.Ready(ctx)
	})
	if err != nil {
		return NotReady(err)
	}
	return ok(c, health{"ready"})
}

// NotReady is the answer of /readyz while err keeps messages from being taken.
// It says why as far as anyone may know.
func NotReady(err error) *hub.Error {
	e := &hub.Error{Kind: hub.Unavailable, Code: "not_ready", Message: "messages can't be taken right now", RetryAfter: readyTimeout, Err: err}
	var ours *hub.Error
	var said interface{ Public() string }
	switch {
	case errors.As(err, &said):
		e.Message += ": " + said.Public()
	case errors.As(err, &ours):
		e.Message += ": " + ours.Message
	case errors.Is(err, context.DeadlineExceeded):
		e.Message += ": the store does not answer in time"
	}
	return e
}

func (s *Server) showMetrics(c echo.Context) error {
	if !s.openMetric {
		if err := s.checkKey(c.Request()); err != nil {
			return err
		}
	}
	promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{Timeout: 10 * time.Second}).ServeHTTP(c.Response(), c.Request())
	return nil
}

func (s *Server) openAPI(c echo.Context) error {
	return c.Blob(http.StatusOK, "application/vnd.oai.openapi+json;version=3.1", openapi.JSON())
}
