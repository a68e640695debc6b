package gnutls

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"runtime"
	"sync"
	"weak"
)

// parsed holds the certificates of peers that something still refers to, by the
// hash of their DER: connections to one server share them.
var parsed sync.Map // [sha256.Size]byte to weak.Pointer[x509.Certificate]

// parseCertificate parses a certificate of a peer, unless it is there already.
func parseCertificate(der []byte) (*x509.Certificate, error) {
	key := sha256.Sum256(der)
	if p, ok := parsed.Load(key); ok {
		if cert := p.(weak.Pointer[x509.Certificate]).Value(); cert != nil {
			return cert, nil
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("gnutls: parsing a certificate of the peer: %w", err)
	}
	p := weak.Make(cert)
	parsed.Store(key, p)
	runtime.AddCleanup(cert, func(key [sha256.Size]byte) { parsed.CompareAndDelete(key, p) }, key)
	return cert, nil
}
