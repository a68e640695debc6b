package tls13peer

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// Groups of the key exchange.
const (
	P256   uint16 = 23
	P384   uint16 = 24
	X25519 uint16 = 29
)

var curves = map[uint16]ecdh.Curve{P256: ecdh.P256(), P384: ecdh.P384(), X25519: ecdh.X25519()}

// newKey makes a private key and returns its share too.
func newKey(group uint16) (*ecdh.PrivateKey, []byte, error) {
	curve := curves[group]
	if curve == nil {
		return nil, nil, fmt.Errorf("tls13peer: unknown group %d", group)
	}
	key, err := curve.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	return key, append(u16(group), vector(2, key.PublicKey().Bytes())...), nil
}

func exchange(key *ecdh.PrivateKey, theirs []byte) ([]byte, error) {
	public, err := key.Curve().NewPublicKey(theirs)
	if err != nil {
		return nil, err
	}
	return key.ECDH(public)
}

// A schedule is the key schedule of RFC 8446 section 7.1. Its secret is the
// Early Secret, and after each mix the next one.
type schedule struct{ secret []byte }

// newSchedule starts with a pre-shared key, or nil for none.
func newSchedule(psk []byte) *schedule { return &schedule{extract(nil, psk)} }

// mix derives the next secret with more input, or nil for none.
func (s *schedule) mix(input []byte) {
	s.secret = extract(s.derive("derived", nil), input)
}

// derive is Derive-Secret.
func (s *schedule) derive(label string, transcript []byte) []byte {
	sum := sha256.Sum256(transcript)
	return expandLabel(s.secret, label, sum[:], sha256.Size)
}

func extract(salt, input []byte) []byte {
	if input == nil {
		input = make([]byte, sha256.Size)
	}
	out, err := hkdf.Extract(sha256.New, input, salt)
	if err != nil {
		panic(err)
	}
	return out
}

func expandLabel(secret []byte, label string, context []byte, n int) []byte {
	info := append(u16(uint16(n)), vector(1, []byte("tls13 "+label))...)
	info = append(info, vector(1, context)...)
	out, err := hkdf.Expand(sha256.New, secret, string(info), n)
	if err != nil {
		panic(err)
	}
	return out
}

// finished returns the content of a Finished message, or of a binder.
func finished(secret, transcript []byte) []byte {
	sum := sha256.Sum256(transcript)
	mac := hmac.New(sha256.New, expandLabel(secret, "finished", nil, sha256.Size))
	mac.Write(sum[:])
	return mac.Sum(nil)
}

// binder returns the PSK binder for a transcript that ends before the binders.
func binder(psk, transcript []byte) []byte {
	return finished(newSchedule(psk).derive("res binder", nil), transcript)
}

// An Identity is a certificate chain in DER, the leaf first, whose key is ECDSA
// over P-256.
type Identity struct {
	Chain [][]byte
	Key   *ecdsa.PrivateKey
}

// ParseIdentity reads an Identity from PEM data: certificates, and a private
// key as PKCS #8.
func ParseIdentity(certificates, key []byte) (*Identity, error) {
	id := new(Identity)
	for {
		block, rest := pem.Decode(certificates)
		if block == nil {
			break
		}
		id.Chain = append(id.Chain, block.Bytes)
		certificates = rest
	}
	block, _ := pem.Decode(key)
	if block == nil || len(id.Chain) == 0 {
		return nil, errors.New("tls13peer: no certificate or no key in the PEM data")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	var ok bool
	if id.Key, ok = parsed.(*ecdsa.PrivateKey); !ok {
		return nil, errors.New("tls13peer: the key is not ECDSA")
	}
	return id, nil
}

// signedHash returns what the CertificateVerify of a server signs.
func signedHash(transcript []byte) []byte {
	const context = "TLS 1.3, server CertificateVerify\x00"
	content := make([]byte, 64, 64+len(context)+sha256.Size)
	for i := range content {
		content[i] = ' '
	}
	sum := sha256.Sum256(transcript)
	content = append(append(content, context...), sum[:]...)
	digest := sha256.Sum256(content)
	return digest[:]
}

func (id *Identity) sign(transcript []byte) ([]byte, error) {
	return id.Key.Sign(rand.Reader, signedHash(transcript), crypto.SHA256)
}

// verifySignature checks the CertificateVerify of a server against its leaf.
func verifySignature(leaf, transcript, signature []byte) error {
	cert, err := x509.ParseCertificate(leaf)
	if err != nil {
		return err
	}
	public, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || !ecdsa.VerifyASN1(public, signedHash(transcript), signature) {
		return errors.New("tls13peer: the CertificateVerify message is wrong")
	}
	return nil
}
