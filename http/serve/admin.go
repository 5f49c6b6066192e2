package serve

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"caac-hub/config"
	hubhttp "caac-hub/http"
	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/push"
)

// Admin is what the operator's commands do with a deployment's own state. One
// works on the store of a hub that is not running, one asks a running hub.
type Admin interface {
	// VAPID lists the VAPID keys, the current one first; the private halves
	// only if asked for.
	VAPID(ctx context.Context, private bool) ([]VAPIDKey, error)
	// RotateVAPID makes a new VAPID key, which running hubs use within seconds.
	RotateVAPID(ctx context.Context) (VAPIDKey, error)
	// CreateKey makes an API key.
	CreateKey(ctx context.Context, name string) (CreatedKey, error)
	Keys(ctx context.Context) ([]hubhttp.APIKey, error)
	RevokeKey(ctx context.Context, id string) error
	// Token signs a token for an agent, where the hub holds the secret.
	Token(ctx context.Context, agent string, ttl time.Duration) (Token, error)
}

// VAPIDKey is a VAPID key for the operator's eyes.
type VAPIDKey struct {
	ID      string    `json:"id"`
	Public  string    `json:"public"`            // base64url, uncompressed P-256 point
	Private string    `json:"private,omitempty"` // base64url, 32 bytes
	Created time.Time `json:"created"`

	Subscriptions int `json:"subscriptions"` // made with it, and still there
}

// CreatedKey is a new API key, the only time that it is shown.
type CreatedKey struct {
	hubhttp.APIKey
	Key string `json:"key"`
}

// Token is an agent token (JWT).
type Token struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// OpenAdmin reaches the deployment's state: in Redis, or in the configured data
// folder, there through the running hub's control socket, else by opening the
// store. The caller ends with done.
func OpenAdmin(ctx context.Context, c config.Config) (a Admin, done func() error, err error) {
	if !onRedis(c) {
		if r, ok := dialControl(ctx, c.DataDir); ok {
			return r, r.close, nil
		}
	}
	s, err := openState(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	return &localAdmin{s.store, c}, s.close, nil
}

// Running reports whether a hub runs on the configured data folder.
func Running(ctx context.Context, c config.Config) bool {
	if onRedis(c) {
		return false
	}
	_, ok := dialControl(ctx, c.DataDir)
	return ok
}

// localAdmin works on an open store.
type localAdmin struct {
	store  hub.Store
	config config.Config
}

func (a *localAdmin) VAPID(ctx context.Context, private bool) ([]VAPIDKey, error) {
	if err := a.begun(ctx); err != nil {
		return nil, err
	}
	ring, _, err := vapidKeys(ctx, a.store)
	if err != nil {
		return nil, err
	}
	count, err := subscriptions(ctx, a.store)
	if err != nil {
		return nil, err
	}
	var out []VAPIDKey
	for _, k := range ring.Keys() {
		v, err := showKey(k, private)
		if err != nil {
			return nil, err
		}
		v.Subscriptions = count[v.ID]
		out = append(out, v)
	}
	return out, nil
}

// begun answers an error where a Redis has no VAPID keys: nodes make them, or put
// theirs back, and would be at odds with others made here.
func (a *localAdmin) begun(ctx context.Context) error {
	if !onRedis(a.config) {
		return nil
	}
	_, _, err := a.store.Meta(ctx, metaVAPID)
	if errors.Is(err, notify.ErrNotFound) {
		return errors.New("this Redis holds no VAPID keys: the first node that starts on it makes them")
	}
	return err
}

func (a *localAdmin) RotateVAPID(ctx context.Context) (VAPIDKey, error) {
	if err := a.begun(ctx); err != nil {
		return VAPIDKey{}, err
	}
	ring, err := rotateKeys(ctx, a.store)
	if err != nil {
		return VAPIDKey{}, err
	}
	return showKey(ring.Current(), false)
}

func showKey(k push.Key, private bool) (VAPIDKey, error) {
	b, err := json.Marshal(k)
	if err != nil {
		return VAPIDKey{}, err
	}
	var v VAPIDKey
	if err := json.Unmarshal(b, &v); err != nil {
		return VAPIDKey{}, err
	}
	if !private {
		v.Private = ""
	}
	return v, nil
}

func (a *localAdmin) CreateKey(ctx context.Context, name string) (CreatedKey, error) {
	key, info, err := hubhttp.CreateAPIKey(ctx, a.store, name)
	return CreatedKey{info, key}, err
}

func (a *localAdmin) Keys(ctx context.Context) ([]hubhttp.APIKey, error) {
	return hubhttp.ListAPIKeys(ctx, a.store)
}

func (a *localAdmin) RevokeKey(ctx context.Context, id string) error {
	err := hubhttp.RevokeAPIKey(ctx, a.store, id)
	if errors.Is(err, notify.ErrNotFound) {
		return fmt.Errorf("there is no API key %q; apikey list shows the ids", id)
	}
	return err
}

func (a *localAdmin) Token(ctx context.Context, agent string, ttl time.Duration) (Token, error) {
	if agent == "" || len(agent) > notify.MaxID {
		return Token{}, fmt.Errorf("an agent's id has 1 to %d bytes", notify.MaxID)
	}
	secret, err := tokenSecret(ctx, a.store, a.config)
	if err != nil {
		return Token{}, err
	}
	if secret == nil {
		return Token{}, fmt.Errorf("agent tokens are signed elsewhere, with the keys at %s", cmp.Or(a.config.Auth.JWKSURL, a.config.Auth.JWKSFile))
	}
	now := time.Now()
	claims := jwt.RegisteredClaims{
		Subject:   agent,
		Issuer:    a.config.Auth.Issuer,
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
	}
	if aud := a.config.Auth.Audience; aud != "" {
		claims.Audience = jwt.ClaimStrings{aud}
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	return Token{text, claims.ExpiresAt.Time}, err
}
