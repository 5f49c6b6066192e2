package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"caac-hub/http/problem"
	"caac-hub/hub"
)

// SupportRole says which agent tokens are support's, as TokenOptions do, for the
// demo to make one.
type SupportRole struct{ Claim, Role string }

// pass is what who asks may see.
type pass struct {
	text bool // the messages' text
}

const passKey = "pass"

// supporter lets support in: by an API key, or by an agent token with support's role.
func (s *Server) supporter(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if !strings.HasPrefix(bearer(r), keyPrefix) {
			if wait := s.addresses.wait(s.remote(r), time.Now()); wait > 0 {
				return &hub.Error{Kind: hub.TooMany, Code: "too_many_requests", Message: "too many requests from this address", RetryAfter: wait}
			}
		}
		p, err := s.supportPass(r)
		if err != nil {
			return err
		}
		c.Set(passKey, p)
		c.Response().Header().Set("Cache-Control", "no-store")
		return next(c)
	}
}

func (s *Server) supportPass(r *http.Request) (pass, error) {
	token := bearer(r)
	if token == "" {
		return pass{}, &hub.Error{Kind: hub.Unauthorized, Code: "no_api_key", Message: "an API key, or an agent token with the role of support, is needed: Authorization: Bearer <key or token>"}
	}
	if strings.HasPrefix(token, keyPrefix) {
		_, err := s.keys.Verify(r.Context(), token)
		return pass{text: true}, err
	}
	claims, err := s.auth.Authenticate(r.Context(), token)
	if err != nil {
		return pass{}, err
	}
	if !claims.Support {
		return pass{}, &hub.Error{Kind: hub.Forbidden, Code: "not_support", Message: "this token lacks the role of support; an API key or a token with it may do this"}
	}
	return pass{text: s.supportText}, nil
}

// textFor reports whether text is asked for, and refuses it to who may not see it.
func textFor(c echo.Context) (bool, error) {
	text, err := flag(c, "text")
	if err == nil && text && !c.Get(passKey).(pass).text {
		return false, &hub.Error{Kind: hub.Forbidden, Code: "no_text", Field: "text", Message: "the messages' text is not for this token; auth.support_text would allow it, and an API key may see it"}
	}
	return text, err
}

// loginMark is where the page says how it gets a token by itself: nothing, where
// it must ask.
const (
	loginMark  = `<meta name="login" content="">`
	demoLogin  = "/demo/support"
	supportTTL = time.Hour
)

// supportPages answers /support and, in the demo, its login; the rest is next's.
func (s *Server) supportPages(f files, o *Options, next http.Handler) http.Handler {
	const name = "support/index.html"
	if page, ok := f["/"+name]; ok && o.Mode == ModeDemo && o.Support.Role != "" {
		page.data = bytes.Replace(page.data, []byte(loginMark), []byte(strings.Replace(loginMark, `""`, `"`+demoLogin+`"`, 1)), 1)
		page.small = gzipped(page.data)
		page.etag = strings.Replace(page.etag, `"`, `"demo-`, 1)
		f["/"+name] = page
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /support", func(w http.ResponseWriter, r *http.Request) {
		if !f.page(w, r, name) {
			problem.Write(w, r, s.log, errors.New("the page "+name+" is not in this build"))
		}
	})
	if o.Mode == ModeDemo && o.Support.Role != "" {
		own := http.NewCrossOriginProtection()
		mux.Handle("POST "+demoLogin, own.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, err := signSupport(o.Secret, o.Support)
			if err != nil {
				problem.Write(w, r, s.log, err)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-store")
			json.NewEncoder(w).Encode(struct {
				Token string `json:"token"`
			}{token})
		})))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// signSupport makes a token with support's role for the demo.
func signSupport(secret []byte, role SupportRole) (string, error) {
	now := time.Now()
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "support", "iat": now.Unix(), "exp": now.Add(supportTTL).Unix(), role.Claim: []string{role.Role},
	}).SignedString(secret)
}
