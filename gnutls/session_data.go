package gnutls

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"time"
)

// SessionData is what a client needs to resume a session
// (gnutls_session_get_data2), together with what this package needs to decide
// whether it may. It contains the keys of the session: keep it as secret as a private
// key. It is immutable and may be used from any goroutine.
//
// Under TLS 1.3 session data should be used for one connection only.
type SessionData struct {
	library      string
	version      uint16
	cipherSuite  uint16
	family       sessionFamily
	serverName   string
	protocol     string
	lifetime     time.Duration
	arrived      time.Time
	maxEarlyData uint32
	trust        [sha256.Size]byte
	identity     [sha256.Size]byte
	verified     []*x509.Certificate // chain to a trusted authority, or nil
	data         []byte
}

// A sessionFamily identifies a session that was made by a full handshake: all
// tickets of that connection and of those that resumed it carry it.
type sessionFamily [16]byte

func newSessionFamily() (f sessionFamily) {
	rand.Read(f[:])
	return f
}

// Version returns the protocol version of the session, as VersionTLS13.
func (d *SessionData) Version() uint16 { return d.version }

// ServerName returns the name that the server's certificate was verified for.
func (d *SessionData) ServerName() string { return d.serverName }

// NegotiatedProtocol returns the application protocol (ALPN) of the session.
func (d *SessionData) NegotiatedProtocol() string { return d.protocol }

// LibraryVersion returns the version of GnuTLS that made the data.
func (d *SessionData) LibraryVersion() string { return d.library }

// Lifetime returns how long after Arrived the session may be resumed: as long as
// the server says, but at most 7 days, or 24 hours for a TLS 1.2 server that says
// nothing.
func (d *SessionData) Lifetime() time.Duration { return d.lifetime }

// Arrived returns when the data came from the server.
func (d *SessionData) Arrived() time.Time { return d.arrived }

// Expires returns Arrived plus Lifetime.
func (d *SessionData) Expires() time.Time { return d.arrived.Add(d.lifetime) }

// MaxEarlyData returns how many bytes of early data the server accepts with
// the ticket, 0 for none.
func (d *SessionData) MaxEarlyData() uint32 { return d.maxEarlyData }

// SingleUse reports whether the data should be used for one connection only, as
// with TLS 1.3 (RFC 8446 appendix C.4).
func (d *SessionData) SingleUse() bool { return d.version == VersionTLS13 }

// String describes the data without their secrets.
func (d *SessionData) String() string {
	return fmt.Sprintf("SessionData(%s, %q, expires %s)", VersionName(d.version), d.serverName,
		d.Expires().UTC().Format(time.RFC3339))
}

// GoString is like String.
func (d *SessionData) GoString() string { return d.String() }
