package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"

	"caac-hub/hub"
	"caac-hub/hub/notify"
)

// MaxLeeway is the most a token's times may be off by.
const MaxLeeway = time.Minute

// MinSecret is the least an HS256 secret has, in bytes (RFC 7518 section 3.2).
const MinSecret = 32

const maxToken = 8 << 10

// TokenOptions say which agent tokens are good. Exactly one of Secret, JWKSURL
// and JWKSFile is set.
type TokenOptions struct {
	Secret   []byte // HS256, at least MinSecret bytes
	JWKSURL  string // RS256 or ES256 by a key set (RFC 7517) that is read again hourly and for unknown keys
	JWKSFile string // the same, read once
	Issuer   string // required as iss where set
	Audience string // required in aud where set
	// A token whose SupportClaim names SupportRole is support's: a list of texts, or
	// words separated by spaces. SupportRole empty: none is.
	SupportClaim, SupportRole string

	Leeway time.Duration // of exp, nbf and iat; at most MaxLeeway
	Client *http.Client  // for JWKSURL; nil: one with a deadline
	Now    func() time.Time
	Log    *slog.Logger
}

type tokens struct {
	parser      *jwt.Parser
	key         func(ctx context.Context) jwt.Keyfunc
	claim, role string
}

// NewAuthenticator returns the judge of agent tokens (JWT, RFC 7519): the
// subject is the agent, exp is required, and the algorithm is the configured
// one whatever the token says. A key set that can't be fetched at start is
// fetched later; until then every token is refused. Reading goes on until ctx ends.
func NewAuthenticator(ctx context.Context, o TokenOptions) (hub.Authenticator, error) {
	if o.Leeway < 0 || o.Leeway > MaxLeeway {
		return nil, fmt.Errorf("token leeway %s: 0 to %s is allowed", o.Leeway, MaxLeeway)
	}
	t := &tokens{claim: o.SupportClaim, role: o.SupportRole}
	methods := []string{"RS256", "ES256"}
	switch {
	case len(o.Secret) > 0 && o.JWKSURL == "" && o.JWKSFile == "":
		if len(o.Secret) < MinSecret {
			return nil, fmt.Errorf("the token secret has %d bytes; at least %d are needed (RFC 7518 section 3.2)", len(o.Secret), MinSecret)
		}
		methods = []string{"HS256"}
		t.key = func(context.Context) jwt.Keyfunc {
			return func(*jwt.Token) (any, error) { return o.Secret, nil }
		}
	case len(o.Secret) == 0 && o.JWKSURL != "" && o.JWKSFile == "":
		k, err := remoteKeys(ctx, o)
		if err != nil {
			return nil, err
		}
		t.key = func(ctx context.Context) jwt.Keyfunc {
			find := k.KeyfuncCtx(ctx)
			return func(token *jwt.Token) (any, error) {
				key, err := find(token)
				if err != nil {
					err = errors.Join(errKeyUnknown, err)
				}
				return key, err
			}
		}
	case len(o.Secret) == 0 && o.JWKSURL == "" && o.JWKSFile != "":
		b, err := os.ReadFile(o.JWKSFile)
		if err != nil {
			return nil, fmt.Errorf("key set: %w", err)
		}
		k, err := keyfunc.NewJWKSetJSON(b)
		if err != nil {
			return nil, fmt.Errorf("key set %s: %w", o.JWKSFile, err)
		}
		t.key = k.KeyfuncCtx
	default:
		return nil, errors.New("agent authentication needs exactly one of a secret, a key set's URL and a key set's file")
	}
	opts := []jwt.ParserOption{jwt.WithValidMethods(methods), jwt.WithExpirationRequired(), jwt.WithLeeway(o.Leeway)}
	if o.Issuer != "" {
		opts = append(opts, jwt.WithIssuer(o.Issuer))
	}
	if o.Audience != "" {
		opts = append(opts, jwt.WithAudience(o.Audience))
	}
	if o.Now != nil {
		opts = append(opts, jwt.WithTimeFunc(o.Now))
	}
	t.parser = jwt.NewParser(opts...)
	return t, nil
}

// errKeyUnknown is a key that a set which can change does not hold.
var errKeyUnknown = errors.New("key unknown")

func remoteKeys(ctx context.Context, o TokenOptions) (keyfunc.Keyfunc, error) {
	client := o.Client
	if client == nil {
		client = &http.Client{Timeout: 10 * time.Second}
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	k, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{o.JWKSURL}, keyfunc.Override{
		Client:      client,
		HTTPTimeout: 10 * time.Second,
		// Bounds the request as well as the wait for the next that is allowed.
		RateLimitWaitMax:  3 * time.Second,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(15*time.Second), 1),
		RefreshErrorHandlerFunc: func(string) func(context.Context, error) {
			return func(ctx context.Context, err error) { log.WarnContext(ctx, "key set not read", "err", err) }
		},
	})
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	return k, nil
}

// Authenticate implements hub.Authenticator.
func (t *tokens) Authenticate(ctx context.Context, token string) (hub.Claims, error) {
	if token == "" {
		return hub.Claims{}, refuse("no_token", "an agent token is needed: Authorization: Bearer <token>", nil)
	}
	if len(token) > maxToken {
		return hub.Claims{}, refuse("bad_token", fmt.Sprintf("the token is longer than %d bytes", maxToken), nil)
	}
	var c agentClaims
	parsed, err := t.parser.ParseWithClaims(token, &c, t.key(ctx))
	if err != nil {
		code, why := "bad_token", "the token is not good"
		switch {
		case errors.Is(err, errKeyUnknown):
			code, why = hub.TokenKeyUnknown, "the key that the token is signed with is not in the key set, or the set can't be read now"
		case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
			why = "the token's signature is not good here"
		case errors.Is(err, jwt.ErrTokenMalformed):
			why = "this is not a JWT"
		case errors.Is(err, jwt.ErrTokenExpired):
			code, why = hub.TokenExpired, "the token has expired"
		case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
			why = "the token is not valid yet"
		case errors.Is(err, jwt.ErrTokenInvalidIssuer):
			why = "the token is of another issuer"
		case errors.Is(err, jwt.ErrTokenInvalidAudience):
			why = "the token is for another audience"
		case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
			why = "the token lacks a claim: exp is required, and iss and aud where configured"
		}
		return hub.Claims{}, refuse(code, why, err)
	}
	if _, ok := parsed.Header["crit"]; ok {
		return hub.Claims{}, refuse("bad_token", "the token names critical headers (RFC 7515 section 4.1.11), of which none is known here", nil)
	}
	if c.Subject == "" || len(c.Subject) > notify.MaxID {
		return hub.Claims{}, refuse("bad_token", fmt.Sprintf("the token's subject must be an agent's id of 1 to %d bytes", notify.MaxID), nil)
	}
	return hub.Claims{Agent: c.Subject, Expires: c.ExpiresAt.Time, Support: t.support(&c)}, nil
}

// agentClaims are the claims of a token, those of RFC 7519 and all of them.
type agentClaims struct {
	jwt.RegisteredClaims
	all json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *agentClaims) UnmarshalJSON(b []byte) error {
	c.all = append(json.RawMessage{}, b...)
	return json.Unmarshal(b, &c.RegisteredClaims)
}

// support reports whether the token carries support's role. A claim of another
// shape carries none.
func (t *tokens) support(c *agentClaims) bool {
	if t.role == "" || t.claim == "" {
		return false
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(c.all, &all) != nil {
		return false
	}
	var list []string
	var words string
	if json.Unmarshal(all[t.claim], &list) == nil {
		return slices.Contains(list, t.role)
	}
	return json.Unmarshal(all[t.claim], &words) == nil && slices.Contains(strings.Fields(words), t.role)
}

func refuse(code, why string, err error) error {
	return &hub.Error{Kind: hub.Unauthorized, Code: code, Message: why, Err: err}
}

// SignToken makes an HS256 token for an agent that ends after ttl, for trying
// and for the demo.
func SignToken(secret []byte, agent string, ttl time.Duration) (token string, expires time.Time, err error) {
	now := time.Now()
	expires = now.Add(ttl).Truncate(time.Second)
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Subject:   agent,
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(expires),
	})
	token, err = t.SignedString(secret)
	return token, expires, err
}
