package push

import (
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"caac-hub/hub/notify"
)

// recipient is the browser's side of a subscription, decoded.
type recipient struct {
	key    *ecdh.PublicKey
	public []byte // key, uncompressed
	secret []byte // 16 bytes
}

// parseRecipient decodes a subscription's keys: base64url, padded or not.
func parseRecipient(sub notify.Subscription) (recipient, error) {
	public, err := decode(sub.P256dh)
	if err != nil {
		return recipient{}, fmt.Errorf("p256dh: %w", err)
	}
	if len(public) != uncompressed || public[0] != 4 {
		return recipient{}, fmt.Errorf("p256dh: %d bytes; an uncompressed P-256 point has %d and starts with 4", len(public), uncompressed)
	}
	key, err := ecdh.P256().NewPublicKey(public)
	if err != nil {
		return recipient{}, errors.New("p256dh: not a point on P-256")
	}
	secret, err := decode(sub.Auth)
	if err != nil {
		return recipient{}, fmt.Errorf("auth: %w", err)
	}
	if len(secret) != secretSize {
		return recipient{}, fmt.Errorf("auth: %d bytes; the secret has %d", len(secret), secretSize)
	}
	return recipient{key: key, public: public, secret: secret}, nil
}

// decode reads base64url, padded or not, and nothing around it.
func decode(s string) ([]byte, error) {
	const longest = 4 * (uncompressed + 2) / 3
	if len(s) > longest {
		return nil, fmt.Errorf("%d characters; at most %d are allowed", len(s), longest)
	}
	// The decoder would skip line breaks.
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("not base64url")
	}
	enc := base64.RawURLEncoding
	if strings.HasSuffix(s, "=") {
		enc = base64.URLEncoding
	}
	b, err := enc.DecodeString(s)
	if err != nil {
		return nil, errors.New("not base64url")
	}
	return b, nil
}
