// Package bridge lends package coap what package gnutls does not export. Package
// gnutls sets the functions when it is initialised. Values of its types go
// through them as any, because this package cannot import it.
package bridge

import (
	"crypto/x509"
	"log/slog"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

var (
	// Credentials returns credentials that trust pool, a *gnutls.CertPool (nil:
	// those that the system trusts), and hold certs, a []gnutls.Certificate. client says that
	// clients use them, which choose what suits the server. They live as long as owner is
	// reachable.
	Credentials func(pool, certs any, client bool) (c *cgnutls.CertificateCredentials, owner any, err error)
	// ServerCredentials is Credentials for a server. byName returns those for clients that ask for
	// a name, or nil where they are the same.
	ServerCredentials func(pool, certs any) (c *cgnutls.CertificateCredentials, byName func(name string) *cgnutls.CertificateCredentials, owner any, err error)
	// Priority returns the versions, ciphers and so on that a session may have.
	Priority func(PriorityConfig) (p *cgnutls.Priority, owner any, err error)
	// CertPEM returns the authorities of a *gnutls.CertPool in PEM.
	CertPEM func(pool any) []byte
	// CheckCertificate returns what is wrong with a *gnutls.Certificate.
	CheckCertificate func(cert any) error
	// VerifyPeer verifies the peer's certificates with c. client says that the peer is a
	// server and must be called host. It returns the verified chain, or a
	// *gnutls.CertificateError. warn is told of what the operator should know.
	VerifyPeer func(b cgnutls.Borrowed, c *cgnutls.CertificateCredentials, host string, client bool, warn func(string, ...any)) ([]*x509.Certificate, error)
	// RejectionAlert returns the alert that tells a peer of an error of VerifyPeer, or
	// of one of the program's: the gnutls.Alert that it wraps, if any.
	RejectionAlert func(err error) uint8
	// ConnectionState returns st as a gnutls.ConnectionState.
	ConnectionState func(st cgnutls.State) (any, error)

	// NewResumer returns what resumes the session of a client.
	NewResumer func(ResumerConfig) Resumer
	// TicketKey returns a *gnutls.TicketKey, or a new one for nil, for a server.
	TicketKey func(key any) ([]cgnutls.TicketKey, error)
	// TicketKeyFile returns the keys in a *gnutls.TicketKeyFile for connections that
	// start now. It may read the file.
	TicketKeyFile func(file any, logger *slog.Logger) []cgnutls.TicketKey
	// TrustOf identifies what a *gnutls.CertPool trusts; nil is the system's.
	TrustOf func(pool any) [32]byte
)

// PriorityConfig says what a session may have. MinVersion, MaxVersion and Priority are those of
// gnutls.Config, and count for DTLS too.
type PriorityConfig struct {
	MinVersion, MaxVersion uint16
	Priority               string
	Added                  []string // to the default, where Priority is empty
	Client                 bool     // of sessions that offer to resume, and have no pre-shared key
}

// ResumerConfig says which sessions a client may resume.
type ResumerConfig struct {
	Cache      any // gnutls.ClientSessionCache, may be nil
	Request    any // *gnutls.TicketRequest, may be nil
	Key        string
	ServerName string   // that the server's certificate is verified against
	Trust      [32]byte // identifies whom the client trusts
	Identity   [32]byte // identifies what it presents
	Datagram   bool     // DTLS, and otherwise TLS
	Logger     *slog.Logger
}

// A Resumer is a client's side of resumption, for one session. Its methods are called
// one at a time. Those that say so call the user's cache.
type Resumer interface {
	// Choose takes the session to offer from the cache, which it calls. fresh says to offer none.
	Choose(fresh bool)
	// Offer makes a watched session, before its handshake, offer that, keep tickets and
	// ask for them.
	Offer(b cgnutls.Borrowed)
	// Settle completes the *gnutls.ConnectionState of a handshake that is over, in which
	// judged says that a certificate was verified. It fails where the server resumes
	// what was not offered.
	Settle(b cgnutls.Borrowed, state any, judged bool) error
	// Tickets returns the sessions that have come since the last call. It comes after Settle.
	Tickets(b cgnutls.Borrowed) []any
	// Current returns the newest session, a *gnutls.SessionData, or nil. more tells whether
	// one may yet come.
	Current() (d any, more bool)
	// Put gives sessions to the cache, which it calls.
	Put(sessions []any)
	// Failed notes that the handshake has failed, after something was heard of the server or not. It
	// reports whether a session was offered in it.
	Failed(heard bool) bool
	// Done returns what tells the cache, which it calls, what became of the session that
	// Choose took, or nil.
	Done() func()
}
