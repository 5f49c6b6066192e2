package pushservice

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// VAPID is how a sender identified itself (RFC 8292).
type VAPID struct {
	Key      string // the public key as sent: base64url, an uncompressed P-256 point
	Audience string
	Subject  string
	Expires  time.Time
}

// parseVAPID reads and verifies "Authorization: vapid t=…,k=…".
func parseVAPID(r *http.Request) (VAPID, error) {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "vapid") {
		return VAPID{}, errors.New("no vapid authorization")
	}
	params := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		params[name] = value
	}
	point, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(params["k"], "="))
	if err != nil {
		return VAPID{}, fmt.Errorf("k: %w", err)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return VAPID{}, fmt.Errorf("k: %w", err)
	}
	var claims jwt.RegisteredClaims
	_, err = jwt.ParseWithClaims(params["t"], &claims,
		func(*jwt.Token) (any, error) { return key, nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithExpirationRequired(), jwt.WithAudience("https://"+r.Host))
	if err != nil {
		return VAPID{}, fmt.Errorf("t: %w", err)
	}
	if time.Until(claims.ExpiresAt.Time) > 24*time.Hour {
		return VAPID{}, errors.New("t: expires more than 24 hours ahead")
	}
	return VAPID{Key: params["k"], Audience: claims.Audience[0], Subject: claims.Subject, Expires: claims.ExpiresAt.Time}, nil
}

// SameKey says whether two base64url forms, padded or not, are the same key.
func SameKey(a, b string) bool {
	return strings.TrimRight(a, "=") == strings.TrimRight(b, "=")
}
