package serve

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"

	"caac-hub/config"
	hubhttp "caac-hub/http"
	"caac-hub/hub/notify"
)

// Names of the store's facts that the program makes at its first start.
const (
	metaVAPID   = "vapid_keys"
	metaReceipt = "receipt_secret"
	metaJWT     = "demo_jwt_secret"
)

// FirstKeyFile is the file in the data folder with the first API key in plain
// text, for the commands run on the same machine.
const FirstKeyFile = "api-key"

// tokenSecret returns the secret agent tokens are signed with: the configured
// one, or in demo mode one of its own. It is nil where a key set judges tokens.
func tokenSecret(ctx context.Context, s hubhttp.KeyStore, c config.Config) ([]byte, error) {
	switch {
	case c.Auth.JWTSecret != "":
		return []byte(c.Auth.JWTSecret), nil
	case c.Auth.JWKSURL != "" || c.Auth.JWKSFile != "":
		return nil, nil
	}
	return ensureSecret(ctx, s, metaJWT)
}

func ensureSecret(ctx context.Context, s hubhttp.KeyStore, name string) ([]byte, error) {
	return ensure(ctx, s, name, func() ([]byte, error) {
		secret := make([]byte, 32)
		rand.Read(secret)
		return []byte(base64.RawURLEncoding.EncodeToString(secret)), nil
	})
}

// ensure returns a fact of the store, making it if it is not there. Of several
// programs that start at once one makes it.
func ensure(ctx context.Context, s hubhttp.KeyStore, name string, create func() ([]byte, error)) ([]byte, error) {
	for {
		b, _, err := s.Meta(ctx, name)
		if !errors.Is(err, notify.ErrNotFound) {
			return b, err
		}
		if b, err = create(); err != nil {
			return nil, err
		}
		if _, err = s.PutMeta(ctx, name, b, 0); !errors.Is(err, notify.ErrConflict) {
			return b, err
		}
	}
}

// firstAPIKey makes an API key if there is none, leaving its plain text in the
// data folder. It reports the file, empty if nothing was made.
func firstAPIKey(ctx context.Context, s hubhttp.KeyStore, dir string) (file string, err error) {
	keys, err := hubhttp.ListAPIKeys(ctx, s)
	if err != nil || len(keys) > 0 {
		return "", err
	}
	key, _, err := hubhttp.CreateAPIKey(ctx, s, "first")
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, FirstKeyFile)
	return file, os.WriteFile(file, []byte(key+"\n"), 0o600)
}
