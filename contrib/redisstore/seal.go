package redisstore

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"

	"github.com/gnucoap/gnucoap/gnutls"
)

// sealFormat is the first byte of what a sealer makes.
const sealFormat = 1

// sealOverhead is how much longer than its data a sealed session is: format,
// nonce and tag.
const sealOverhead = 1 + 12 + 16

// A sealer encrypts and authenticates sessions with AES-256-GCM. Each has a key
// of its own, derived from its ID, so a session is invalid under another ID, and
// random nonces do not repeat however many sessions there are. GnuTLS trusts the
// sessions that it gets from its store, and 3.7.9 crashes on damaged ones.
type sealer struct {
	secret []byte // pseudorandom key of HKDF (RFC 5869)
}

func newSealer(key *gnutls.TicketKey) (sealer, error) {
	b := key.Bytes()
	defer clear(b)
	secret, err := hkdf.Extract(sha256.New, b, []byte("gnucoap redisstore session"))
	return sealer{secret}, err
}

func (s sealer) aead(id []byte) (cipher.AEAD, error) {
	key, err := hkdf.Expand(sha256.New, s.secret, string(id), 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (s sealer) seal(id, data []byte) ([]byte, error) {
	aead, err := s.aead(id)
	if err != nil {
		return nil, err
	}
	return aead.Seal([]byte{sealFormat}, nil, data, id), nil
}

var errNotOurs = errors.New("it was made with another key, or changed")

func (s sealer) open(id, sealed []byte) ([]byte, error) {
	aead, err := s.aead(id)
	if err != nil {
		return nil, err
	}
	if len(sealed) < sealOverhead || sealed[0] != sealFormat {
		return nil, errNotOurs
	}
	data, err := aead.Open(nil, nil, sealed[1:], id)
	if err != nil {
		return nil, errNotOurs
	}
	return data, nil
}
