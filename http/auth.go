package http

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"caac-hub/hub"
	"caac-hub/hub/wire"
)

const agentKey = "agent"

// backend lets CAAC's backend in, by its API key.
func (s *Server) backend(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := s.checkKey(c.Request()); err != nil {
			return err
		}
		return next(c)
	}
}

func (s *Server) checkKey(r *http.Request) error {
	key := bearer(r)
	if key == "" {
		return &hub.Error{Kind: hub.Unauthorized, Code: "no_api_key", Message: "an API key is needed: Authorization: Bearer <key>"}
	}
	_, err := s.keys.Verify(r.Context(), key)
	return err
}

// agent lets an agent in, by the token; the token's subject is who asks.
func (s *Server) agent(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		claims, err := s.auth.Authenticate(c.Request().Context(), bearer(c.Request()))
		if err != nil {
			return err
		}
		c.Set(agentKey, claims.Agent)
		return next(c)
	}
}

// agentIfNamed is agent where the request names one; a token that is not good is
// refused all the same.
func (s *Server) agentIfNamed(next echo.HandlerFunc) echo.HandlerFunc {
	named := s.agent(next)
	return func(c echo.Context) error {
		if c.Request().Header.Get("Authorization") == "" {
			return next(c)
		}
		return named(c)
	}
}

// agentID returns the agent who asks, or "" where only a device does.
func agentID(c echo.Context) string {
	id, _ := c.Get(agentKey).(string)
	return id
}

// bearer returns the token of the Authorization header (RFC 6750 section 2.1), or "".
func bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// device returns the device that asks and its proof.
func device(c echo.Context) (wire.DeviceAuth, error) {
	h := c.Request().Header
	d := wire.DeviceAuth{ID: h.Get("X-Device"), Key: h.Get("X-Device-Key")}
	if d.ID == "" || d.Key == "" {
		return d, &hub.Error{Kind: hub.Unauthorized, Code: "no_device", Message: "the headers X-Device and X-Device-Key must name and prove the device"}
	}
	return d, nil
}
