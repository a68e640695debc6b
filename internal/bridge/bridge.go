// Package bridge lends package coap what package gnutls does not export. Package
// gnutls sets the functions when it is initialised. Values of its types go
// through them as any, because this package cannot import it.
package bridge

import (
	"crypto/x509"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

var (
	// Credentials returns credentials that trust pool, a *gnutls.CertPool (nil:
	// those that the system trusts), and hold certs, a []gnutls.Certificate. They live as long
	// as owner is reachable.
	Credentials func(pool, certs any) (c *cgnutls.CertificateCredentials, owner any, err error)
	// CertPEM returns the authorities of a *gnutls.CertPool in PEM.
	CertPEM func(pool any) []byte
	// CheckCertificate returns what is wrong with a *gnutls.Certificate.
	CheckCertificate func(cert any) error
	// VerifyPeer verifies the peer's certificates with c. client says that the peer is a
	// server and must be called host. It returns the verified chain, or a
	// *gnutls.CertificateError.
	VerifyPeer func(b cgnutls.Borrowed, c *cgnutls.CertificateCredentials, host string, client bool) ([]*x509.Certificate, error)
	// RejectionAlert returns the alert that tells a peer of an error of VerifyPeer.
	RejectionAlert func(err error) uint8
	// ConnectionState returns st as a gnutls.ConnectionState.
	ConnectionState func(st cgnutls.State) (any, error)
)
