package push

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

const (
	// MaxBody is the largest encrypted body, in bytes: Firefox on Android takes
	// 2,744, every other service more.
	MaxBody = 2700
	// MaxPayload is the largest plain payload, in bytes, that Send takes: the
	// whole records that fit into MaxBody, less delimiter and tag.
	MaxPayload = (MaxBody-headerSize)/recordStep*recordStep - recordOverhead

	recordStep     = 256             // encrypted records are a multiple of this
	recordOverhead = 1 + 16          // padding delimiter, AES-GCM tag
	headerSize     = 16 + 4 + 1 + 65 // salt, record size, key length, key (RFC 8188 section 2.1)
	uncompressed   = 65              // bytes of an uncompressed P-256 point
	secretSize     = 16              // bytes of a subscription's auth secret
)

// encrypt seals a payload for one subscription (RFC 8291, aes128gcm of RFC
// 8188) into one record whose size tells of the payload only which multiple of
// recordStep it needed. The payload is copied, so calls may share it.
func encrypt(to recipient, payload []byte) ([]byte, error) {
	if len(payload) > MaxPayload {
		return nil, fmt.Errorf("the payload has %d bytes; at most %d fit", len(payload), MaxPayload)
	}
	ephemeral, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	var salt [16]byte
	rand.Read(salt[:])
	record := (len(payload) + recordOverhead + recordStep - 1) / recordStep * recordStep
	// RFC 8291 section 4: the record size is greater than the record.
	return seal(to, payload, ephemeral, salt, record, headerSize+record)
}

// seal makes the body: the header and one record of exactly the given length.
func seal(to recipient, payload []byte, ephemeral *ecdh.PrivateKey, salt [16]byte, record, recordSize int) ([]byte, error) {
	shared, err := ephemeral.ECDH(to.key)
	if err != nil {
		return nil, err
	}
	public := ephemeral.PublicKey().Bytes()
	aead, nonce, err := contentKey(shared, to, public, salt[:])
	if err != nil {
		return nil, err
	}
	body := make([]byte, headerSize+record)
	copy(body, salt[:])
	binary.BigEndian.PutUint32(body[16:], uint32(recordSize))
	body[20] = uncompressed
	copy(body[21:], public)
	plain := body[headerSize : len(body)-aead.Overhead()]
	plain[copy(plain, payload)] = 2 // the last record's delimiter; zeros pad
	aead.Seal(body[headerSize:headerSize], nonce, plain, nil)
	return body, nil
}

// contentKey derives the cipher and nonce (RFC 8291 section 3.4).
func contentKey(shared []byte, to recipient, senderPublic, salt []byte) (cipher.AEAD, []byte, error) {
	info := make([]byte, 0, 14+2*uncompressed)
	info = append(info, "WebPush: info\x00"...)
	info = append(info, to.public...)
	info = append(info, senderPublic...)
	ikm, err := hkdf.Key(sha256.New, shared, to.secret, string(info), 32)
	if err != nil {
		return nil, nil, err
	}
	prk, err := hkdf.Extract(sha256.New, ikm, salt)
	if err != nil {
		return nil, nil, err
	}
	key, err := hkdf.Expand(sha256.New, prk, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, nil, err
	}
	nonce, err := hkdf.Expand(sha256.New, prk, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	aead, err := cipher.NewGCM(block)
	return aead, nonce, err
}
