package http

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"caac-hub/http/problem"
	"caac-hub/hub"
)

// read reads the request's body strictly.
func (s *Server) read(c echo.Context, v any) error {
	return problem.Read(c.Response(), c.Request(), s.limits.Body, v)
}

func ok(c echo.Context, v any) error { return c.JSON(http.StatusOK, v) }

func done(c echo.Context) error { return c.NoContent(http.StatusNoContent) }

// param returns a part of the path as it was before escaping.
func param(c echo.Context, name string) string {
	v := c.Param(name)
	if c.Request().URL.RawPath != "" {
		if u, err := url.PathUnescape(v); err == nil {
			return u
		}
	}
	return v
}

// named makes the path's id the body's, which may repeat it.
func named(c echo.Context, id *string) error {
	p := param(c, "id")
	if *id != "" && *id != p {
		return &hub.Error{Kind: hub.Invalid, Code: "invalid", Field: "id", Message: fmt.Sprintf("the body says %.128q and the path %.128q; leave it out of the body", *id, p)}
	}
	*id = p
	return nil
}

// page returns the after and limit of a listing.
func page(c echo.Context, most int) (after string, limit int, err error) {
	limit, err = number(c, "limit", most)
	return c.QueryParam("after"), limit, err
}

func number(c echo.Context, name string, most int) (int, error) {
	v := c.QueryParam(name)
	if v == "" {
		return min(100, most), nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > most {
		return 0, &hub.Error{Kind: hub.Invalid, Code: "invalid", Field: name, Message: fmt.Sprintf("%.32q: a number from 1 to %d is allowed", v, most)}
	}
	return n, nil
}

// onlyQuery refuses query parameters that mean nothing here.
func onlyQuery(c echo.Context, allowed ...string) error {
next:
	for name := range c.QueryParams() {
		for _, a := range allowed {
			if name == a {
				continue next
			}
		}
		return &hub.Error{Kind: hub.Invalid, Code: "unknown_parameter", Field: name, Message: fmt.Sprintf("there is no query parameter %.64q here; allowed are %v", name, allowed)}
	}
	return nil
}

// upserted is the answer to an upsert.
type upserted struct {
	ID     string     `json:"id"`
	Status hub.Status `json:"status"`
}

// item is the answer to one item of a bulk body: what the item sent alone would
// have been answered.
type item struct {
	Status  int              `json:"status"`
	Body    any              `json:"body,omitempty"`
	Problem *problem.Problem `json:"problem,omitempty"`
}

type items struct {
	Items []item `json:"items"` // parallel to those asked for
}

func good(status int, body any) item { return item{Status: status, Body: body} }

func failed(err error) item {
	p := problem.New(err)
	return item{Status: p.Status, Problem: &p}
}
