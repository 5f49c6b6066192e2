package http

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"caac-hub/hub"
	"caac-hub/hub/wire"
)

func (s *Server) me(c echo.Context) error {
	ctx, id := c.Request().Context(), agentID(c)
	a, err := s.hub.Agent(ctx, id)
	if err != nil {
		return err
	}
	if a.Logins, err = s.hub.Devices(ctx, id, c.Request().Header.Get("X-Device")); err != nil {
		return err
	}
	return ok(c, withLogins(a))
}

func (s *Server) setPreferences(c echo.Context) error {
	var in hub.PreferencesInput
	if err := s.read(c, &in); err != nil {
		return err
	}
	out, err := s.hub.SetPreferences(c.Request().Context(), agentID(c), in)
	if err != nil {
		return err
	}
	return ok(c, out)
}

type ownDutyInput struct {
	OnDuty *bool `json:"on_duty"`
}

func (s *Server) setOwnDuty(c echo.Context) error {
	var in ownDutyInput
	if err := s.read(c, &in); err != nil {
		return err
	}
	if in.OnDuty == nil {
		return required("on_duty")
	}
	if err := s.hub.SetOwnDuty(c.Request().Context(), agentID(c), *in.OnDuty); err != nil {
		return err
	}
	return done(c)
}

func (s *Server) myUnread(c echo.Context) error { return s.unread(c, agentID(c)) }

func (s *Server) myRead(c echo.Context) error { return s.markRead(c, agentID(c)) }

func (s *Server) myDevices(c echo.Context) error {
	ls, err := s.hub.Devices(c.Request().Context(), agentID(c), c.Request().Header.Get("X-Device"))
	if err != nil {
		return err
	}
	return ok(c, logins(ls))
}

func (s *Server) forgetDevice(c echo.Context) error {
	id := param(c, "id")
	if id == "" {
		return required("id")
	}
	n, err := s.hub.EndLogins(c.Request().Context(), agentID(c), id)
	if err != nil {
		return err
	}
	return ok(c, ended{n})
}

func (s *Server) setDevice(c echo.Context) error {
	d, err := device(c)
	if err != nil {
		return err
	}
	var in hub.DeviceInput
	if err := s.read(c, &in); err != nil {
		return err
	}
	out, err := s.hub.SetDevice(c.Request().Context(), agentID(c), d, in)
	if err != nil {
		return err
	}
	return ok(c, out)
}

// subscriptionInput is hub.SubscriptionInput with the member that
// PushSubscription.toJSON() also writes.
type subscriptionInput struct {
	hub.SubscriptionInput
	ExpirationTime *float64 `json:"expirationTime"`
}

func (s *Server) subscribe(c echo.Context) error {
	d, err := device(c)
	if err != nil {
		return err
	}
	var in subscriptionInput
	if err := s.read(c, &in); err != nil {
		return err
	}
	out, err := s.hub.Subscribe(c.Request().Context(), agentID(c), d, in.SubscriptionInput)
	if err != nil {
		return err
	}
	return ok(c, out)
}

func (s *Server) unsubscribe(c echo.Context) error {
	d, err := device(c)
	if err != nil {
		return err
	}
	if err := s.hub.Unsubscribe(c.Request().Context(), agentID(c), d); err != nil {
		return err
	}
	return done(c)
}

func (s *Server) pushTest(c echo.Context) error {
	d, err := device(c)
	if err != nil {
		return err
	}
	t, err := s.hub.PushTest(c.Request().Context(), agentID(c), d)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusAccepted, t)
}

func (s *Server) pushTestState(c echo.Context) error {
	t, err := s.hub.PushTestState(c.Request().Context(), agentID(c), param(c, "id"))
	if err != nil {
		return err
	}
	return ok(c, t)
}

func (s *Server) logout(c echo.Context) error {
	d, err := device(c)
	if err != nil {
		return err
	}
	if err := s.hub.Logout(c.Request().Context(), agentID(c), d); err != nil {
		return err
	}
	return done(c)
}

func (s *Server) vapid(c echo.Context) error { return ok(c, s.hub.VAPID()) }

// receipt needs no login: its token proves that the hub sent what it answers.
func (s *Server) receipt(c echo.Context) error {
	var in wire.Receipt
	if err := s.read(c, &in); err != nil {
		return err
	}
	if err := s.hub.Receipt(c.Request().Context(), in); err != nil {
		return err
	}
	return done(c)
}
