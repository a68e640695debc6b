// Package bridge lends package coap what package gnutls does not export. Both use the types of
// package gnutls, so that the compiler checks each call; that gnutls lends all of it is checked by
// the compiler in a test of package gnutls, and when a program starts.
package bridge

import (
	"log/slog"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/bridge/registry"
	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

type (
	// Credentials are the keys and the trust of an endpoint.
	Credentials = registry.Credentials
	// A Priority is what a session may negotiate.
	Priority = registry.Priority
	// PriorityConfig says what a session may negotiate.
	PriorityConfig = registry.PriorityConfig
	// ResumptionConfig says which sessions a client may resume.
	ResumptionConfig = registry.ResumptionConfig
	// A Resumption is a client's side of resumption, for one session.
	Resumption = registry.Resumption[*gnutls.SessionData, *gnutls.ConnectionState]
)

// Lent is what package gnutls lends.
var Lent = registry.Lent.(GnuTLS)

// GnuTLS is what package gnutls lends to package coap.
type GnuTLS interface {
	registry.GnuTLS

	// ClientCredentials returns credentials that trust pool (nil: the system's) and hold certs, of
	// which the client chooses what suits the server.
	ClientCredentials(pool *gnutls.CertPool, certs []gnutls.Certificate) (Credentials, error)
	// ServerCredentials returns credentials that trust pool (nil: nobody) and hold certs, of which
	// the server chooses by the name that the client asks for.
	ServerCredentials(pool *gnutls.CertPool, certs []gnutls.Certificate) (Credentials, error)
	// CertPEM returns the authorities of a pool in PEM.
	CertPEM(pool *gnutls.CertPool) []byte
	// CheckCertificate returns what is wrong with a key pair.
	CheckCertificate(cert *gnutls.Certificate) error
	// Trust identifies what a pool trusts (nil: what the system does).
	Trust(pool *gnutls.CertPool) [32]byte

	// RejectionAlert returns the alert that tells a peer of an error of VerifyPeer, or of one of
	// the program's: the gnutls.Alert that it wraps, if any.
	RejectionAlert(err error) gnutls.Alert
	// ConnectionState returns st as package gnutls shows it.
	ConnectionState(st cgnutls.State) (gnutls.ConnectionState, error)

	// NewResumption returns what resumes the session of a client. cache and request may be nil.
	NewResumption(cache gnutls.ClientSessionCache, request *gnutls.TicketRequest,
		config ResumptionConfig) Resumption
	// TicketKeys returns the key for a server's tickets, a new one for nil, and none where they
	// are in a file. Both are an error.
	TicketKeys(key *gnutls.TicketKey, file *gnutls.TicketKeyFile) ([]cgnutls.TicketKey, error)
	// TicketKeysIn returns the keys in a file for connections that start now. It may read the
	// file.
	TicketKeysIn(file *gnutls.TicketKeyFile, logger *slog.Logger) []cgnutls.TicketKey
}
