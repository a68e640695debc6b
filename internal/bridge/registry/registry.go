// Package registry is what packages gnutls and bridge have in common: the types that name
// nothing of package gnutls, and the place where gnutls leaves what it lends.
package registry

import (
	"crypto/x509"
	"log/slog"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// Lent is what package gnutls lends. It is set when gnutls is initialised, to a bridge.GnuTLS,
// which package bridge asserts once: the types of gnutls cannot be named here.
var Lent GnuTLS

// GnuTLS is the part of bridge.GnuTLS without types of package gnutls.
type GnuTLS interface {
	// Priority returns what a session may negotiate.
	Priority(PriorityConfig) (Priority, error)
	// VerifyPeer verifies the peer's certificates. client says that this side is a client, whose
	// server must be called host. It returns the verified chain, or a *gnutls.CertificateError.
	// warn gets what the operator should know; it may be nil.
	VerifyPeer(b cgnutls.Borrowed, c Credentials, host string, client bool,
		warn func(string, ...any)) ([]*x509.Certificate, error)
	// TicketLimits returns how many tickets a server sends unasked and how many at most, from
	// what its configuration says.
	TicketLimits(sessionTickets, maxSessionTickets int) (unasked, most int, err error)
}

// Credentials are the keys and the trust of an endpoint. The native object lives as long as they
// are reachable.
type Credentials interface {
	// Native returns the object that holds all of them.
	Native() *cgnutls.CertificateCredentials
	// ForName returns the credentials for a client that asks for a name, or nil where they are
	// those of Native. It is for servers.
	ForName(name string) *cgnutls.CertificateCredentials
}

// A Priority is what a session may negotiate. The native object lives as long as it is reachable.
type Priority interface {
	Native() *cgnutls.Priority
}

// PriorityConfig says what a session may negotiate. MinVersion, MaxVersion and Priority are those
// of gnutls.Config, and count for DTLS too.
type PriorityConfig struct {
	MinVersion, MaxVersion uint16
	Priority               string
	Added                  []string // to the default, where Priority is empty
	Client                 bool     // for sessions that offer to resume and have no pre-shared key
}

// ResumptionConfig says which sessions a client may resume.
type ResumptionConfig struct {
	Key        string   // of the server in the cache
	ServerName string   // that the server's certificate is verified against
	Trust      [32]byte // identifies whom the client trusts
	Identity   [32]byte // identifies what it presents
	Datagram   bool     // DTLS, and otherwise TLS
	Logger     *slog.Logger
}

// A Resumption is a client's side of resumption, for one session: SessionData is a
// *gnutls.SessionData and State a *gnutls.ConnectionState. Its methods are called one at a time.
// Those that say so call the user's cache.
type Resumption[SessionData, State any] interface {
	// Choose takes the session to offer from the cache, which it calls. fresh says to offer none.
	Choose(fresh bool)
	// Offer makes a watched session, before its handshake, offer it, keep tickets and ask for
	// them.
	Offer(b cgnutls.Borrowed)
	// Settle completes the state of a handshake that is over, in which judged says that a
	// certificate was verified. It fails where the server resumes what was not offered.
	Settle(b cgnutls.Borrowed, state State, judged bool) error
	// Tickets returns the sessions that have come since the last call. It comes after Settle.
	Tickets(b cgnutls.Borrowed) []SessionData
	// Current returns the newest session, or nil, and then why none will come, or nil again.
	Current() (SessionData, error)
	// NoTicket returns the error where no session has come for a reason.
	NoTicket(reason error) error
	// Put gives sessions to the cache, which it calls.
	Put(sessions []SessionData)
	// Failed notes that the handshake has failed, after something was heard of the server or
	// not. It reports whether a session was offered in it.
	Failed(heard bool) bool
	// Done returns what tells the cache, which it calls, what became of the session that Choose
	// took, or nil.
	Done() func()
}
