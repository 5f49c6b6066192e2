package http

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"caac-hub/hub"
)

var testSecret = bytes.Repeat([]byte("s"), MinSecret)

func signed(t *testing.T, m jwt.SigningMethod, key any, kid string, claims jwt.MapClaims) string {
	t.Helper()
	tok := jwt.NewWithClaims(m, claims)
	if kid != "" {
		tok.Header["kid"] = kid
	}
	s, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func in(d time.Duration) int64 { return time.Now().Add(d).Unix() }

func TestTokensThatAreNotGoodAreRefused(t *testing.T) {
	a, err := NewAuthenticator(t.Context(), TokenOptions{Secret: testSecret, Issuer: "caac", Audience: "hub"})
	if err != nil {
		t.Fatal(err)
	}
	good := func() jwt.MapClaims {
		return jwt.MapClaims{"sub": "mei", "iss": "caac", "aud": "hub", "exp": in(time.Hour)}
	}
	with := func(k string, v any) jwt.MapClaims { c := good(); c[k] = v; return c }
	without := func(k string) jwt.MapClaims { c := good(); delete(c, k); return c }
	hs := func(c jwt.MapClaims) string { return signed(t, jwt.SigningMethodHS256, testSecret, "", c) }

	c, err := a.Authenticate(t.Context(), hs(good()))
	if err != nil || c.Agent != "mei" || time.Until(c.Expires) < 59*time.Minute {
		t.Fatalf("a good token: %+v, %v", c, err)
	}
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	odd := jwt.NewWithClaims(jwt.SigningMethodHS256, good())
	odd.Header["crit"] = []string{"b64"}
	critical, _ := odd.SignedString(testSecret)
	for name, tok := range map[string]string{
		"none":           "",
		"rubbish":        "x.y.z",
		"no exp":         hs(without("exp")),
		"expired":        hs(with("exp", in(-time.Second))),
		"not yet":        hs(with("nbf", in(time.Hour))),
		"other issuer":   hs(with("iss", "other")),
		"no issuer":      hs(without("iss")),
		"other audience": hs(with("aud", "other")),
		"no audience":    hs(without("aud")),
		"no subject":     hs(without("sub")),
		"long subject":   hs(with("sub", strings.Repeat("x", 129))),
		"other secret":   signed(t, jwt.SigningMethodHS256, bytes.Repeat([]byte("t"), 32), "", good()),
		"critical":       critical,
		"alg none":       signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "", good()),
		"alg HS384":      signed(t, jwt.SigningMethodHS384, testSecret, "", good()),
		"alg RS256":      signed(t, jwt.SigningMethodRS256, rsaKey, "", good()),
		"endless":        strings.Repeat("x", maxToken+1),
	} {
		_, err := a.Authenticate(t.Context(), tok)
		if kindOf(err) != hub.Unauthorized {
			t.Errorf("%s: %v", name, err)
		} else if e := hub.AsError(err); tok != "" && strings.Contains(e.Message, tok) {
			t.Errorf("%s: the answer repeats the token", name)
		}
	}
}

func TestLeewayCoversASkewedClockAndNoMore(t *testing.T) {
	a, err := NewAuthenticator(t.Context(), TokenOptions{Secret: testSecret, Leeway: MaxLeeway})
	if err != nil {
		t.Fatal(err)
	}
	for late, ok := range map[time.Duration]bool{30 * time.Second: true, 90 * time.Second: false} {
		_, err := a.Authenticate(t.Context(), signed(t, jwt.SigningMethodHS256, testSecret, "", jwt.MapClaims{"sub": "mei", "exp": in(-late)}))
		if (err == nil) != ok {
			t.Errorf("%s late: %v", late, err)
		}
	}
}

func TestSignedTokenIsGood(t *testing.T) {
	a, _ := NewAuthenticator(t.Context(), TokenOptions{Secret: testSecret})
	tok, expires, err := SignToken(testSecret, "ken", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := a.Authenticate(t.Context(), tok); err != nil || c.Agent != "ken" || !c.Expires.Equal(expires) {
		t.Errorf("%+v, %v", c, err)
	}
}

func b64(i *big.Int, n int) string {
	return base64.RawURLEncoding.EncodeToString(i.FillBytes(make([]byte, n)))
}

// keySet returns a JWKS (RFC 7517) of both keys.
func keySet(t *testing.T, r *rsa.PrivateKey, e *ecdsa.PrivateKey) []byte {
	t.Helper()
	point, err := e.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]any{"keys": []map[string]any{
		{"kty": "RSA", "kid": "r", "use": "sig", "n": b64(r.N, 256), "e": b64(big.NewInt(int64(r.E)), 3)},
		{"kty": "EC", "kid": "e", "use": "sig", "crv": "P-256", "x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:])},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestKeySetTakesItsKeysOnly(t *testing.T) {
	r, _ := rsa.GenerateKey(rand.Reader, 2048)
	e, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	set := keySet(t, r, e)
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, set, 0o600); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(set) }))
	defer srv.Close()
	claims := jwt.MapClaims{"sub": "mei", "exp": in(time.Hour)}
	der := r.PublicKey.N.Bytes()
	for name, o := range map[string]TokenOptions{"file": {JWKSFile: file}, "URL": {JWKSURL: srv.URL, Client: srv.Client()}} {
		ctx, cancel := context.WithCancel(t.Context())
		a, err := NewAuthenticator(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		for what, c := range map[string]struct {
			m    jwt.SigningMethod
			key  crypto.PrivateKey
			kid  string
			good bool
		}{
			"RS256":                {jwt.SigningMethodRS256, r, "r", true},
			"ES256":                {jwt.SigningMethodES256, e, "e", true},
			"no kid":               {jwt.SigningMethodES256, e, "", true},
			"PS256":                {jwt.SigningMethodPS256, r, "r", false},
			"another key":          {jwt.SigningMethodES256, other, "e", false},
			"unknown kid":          {jwt.SigningMethodES256, other, "z", false},
			"HS256 by public key":  {jwt.SigningMethodHS256, der, "r", false},
			"kid of the other alg": {jwt.SigningMethodES256, e, "r", false},
		} {
			_, err := a.Authenticate(ctx, signed(t, c.m, c.key, c.kid, claims))
			if (err == nil) != c.good || err != nil && kindOf(err) != hub.Unauthorized {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		cancel()
	}
}

func TestKeySetThatCannotBeFetchedRefusesTokens(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	e, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a, err := NewAuthenticator(ctx, TokenOptions{JWKSURL: srv.URL, Client: srv.Client()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Authenticate(ctx, signed(t, jwt.SigningMethodES256, e, "e", jwt.MapClaims{"sub": "mei", "exp": in(time.Hour)}))
	if kindOf(err) != hub.Unauthorized || hub.AsError(err).Code != hub.TokenKeyUnknown {
		t.Errorf("got %v, want that the page may come back", err)
	}
}

func TestNewKeyOfASetIsFoundAtItsFirstToken(t *testing.T) {
	r, _ := rsa.GenerateKey(rand.Reader, 2048)
	before, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	after, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	var set atomic.Pointer[[]byte]
	put := func(b []byte) { set.Store(&b) }
	put(bytes.ReplaceAll(keySet(t, r, before), []byte(`"kid":"e"`), []byte(`"kid":"old"`)))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(30 * time.Millisecond) // no key set is a millisecond away
		w.Write(*set.Load())
	}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a, err := NewAuthenticator(ctx, TokenOptions{JWKSURL: srv.URL, Client: srv.Client()})
	if err != nil {
		t.Fatal(err)
	}
	put(keySet(t, r, after))
	if _, err := a.Authenticate(ctx, signed(t, jwt.SigningMethodES256, after, "e", jwt.MapClaims{"sub": "mei", "exp": in(time.Hour)})); err != nil {
		t.Error(err)
	}
}

func TestBadAuthenticationOptionsAreRefused(t *testing.T) {
	for name, o := range map[string]TokenOptions{
		"nothing":      {},
		"both":         {Secret: testSecret, JWKSURL: "https://id.example.com/jwks"},
		"short secret": {Secret: []byte("short")},
		"leeway":       {Secret: testSecret, Leeway: 2 * time.Minute},
		"no file":      {JWKSFile: filepath.Join(t.TempDir(), "none")},
	} {
		if _, err := NewAuthenticator(t.Context(), o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
