package notify

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
)

// Tag names the one notification an agent has of a conversation: 32 characters
// of [0-9a-f], the same for ever. It is also the Topic of its push (RFC 8030
// section 5.4).
func Tag(agent, conversation string) string {
	return hex.EncodeToString(digest("tag", agent, conversation))
}

// DeliveryID names the delivery of a message to a login: 22 characters of
// [A-Za-z0-9_-], the same however often it is decided. A decision of record has
// no device, and may have no agent.
func DeliveryID(ref Ref, agent, device string) string {
	return base64.RawURLEncoding.EncodeToString(digest("delivery", ref.Conversation, ref.Message, agent, device))
}

// digest is 128 bits over the parts, each with its length in front, so that
// moving a character from one part to the next changes it.
func digest(parts ...string) []byte {
	var buf [256]byte
	b := buf[:0]
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	return sum[:16]
}
