package gnutls

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// A sessionScope says which connections of clients may resume each other's
// sessions.
type sessionScope struct {
	serverName string
	trust      [sha256.Size]byte // identifies whom they trust
	identity   [sha256.Size]byte // identifies what they present
	allows     func(version uint16) bool
}

// wrap makes session data of what GnuTLS gave. message is the NewSessionTicket that they came with,
// or nil. The error is an *UnusableTicketError.
func (s sessionScope) wrap(cs *ConnectionState, family sessionFamily, data,
	message []byte) (*SessionData, error) {
	if err := checkTicket(cs.Version, message); err != nil {
		return nil, err
	}
	d := &SessionData{
		library:     cgnutls.Version(),
		version:     cs.Version,
		cipherSuite: cs.CipherSuite,
		family:      family,
		serverName:  s.serverName,
		protocol:    cs.NegotiatedProtocol,
		lifetime:    idLifetime,
		arrived:     time.Now().Round(0),
		trust:       s.trust,
		identity:    s.identity,
		data:        data,
	}
	if len(cs.VerifiedChains) > 0 {
		d.verified = cs.VerifiedChains[0]
	}
	if len(message) >= 4 {
		seconds := binary.BigEndian.Uint32(message)
		if cs.Version == VersionTLS13 || seconds > 0 {
			d.lifetime = min(time.Duration(seconds)*time.Second, maxTicketLifetime)
		}
	}
	if cs.Version == VersionTLS13 {
		d.maxEarlyData = ticketEarlyData(message)
	}
	return d, nil
}

// usable says why a connection must not offer d, or nil.
func (s sessionScope) usable(d *SessionData) error {
	now := time.Now()
	switch {
	case d.library != cgnutls.Version():
		return refused(ErrSessionLibrary, "%s, this is %s", d.library, cgnutls.Version())
	case !d.Expires().After(now):
		return refused(ErrSessionExpired, "%s ago", now.Sub(d.Expires()).Round(time.Second))
	case d.arrived.After(now.Add(clockSkew)):
		return refused(ErrSessionDamaged, "they come from the future")
	case d.serverName != s.serverName:
		return refused(ErrSessionServerName, "%q, not %q", d.serverName, s.serverName)
	case !s.allows(d.version):
		return refused(ErrSessionConfig, "%s is not allowed", VersionName(d.version))
	case d.trust != s.trust || d.identity != s.identity:
		return refused(ErrSessionConfig, "made with another trust or identity")
	}
	for _, cert := range d.verified {
		if now.After(cert.NotAfter) {
			return refused(ErrSessionExpired, "the certificate of %q has", cert.Subject)
		}
	}
	return nil
}

// chains returns the chain that was verified as a ConnectionState has it.
func (d *SessionData) chains() [][]*x509.Certificate {
	if d.verified == nil {
		return nil
	}
	return [][]*x509.Certificate{d.verified}
}

// declined says why a server did not resume d, from the result of the handshake.
func (d *SessionData) declined(cs *ConnectionState) error {
	switch {
	case cs.Version != d.version:
		return refused(ErrSessionVersion, "%s, not %s", VersionName(cs.Version), VersionName(d.version))
	case cs.Version == VersionTLS13 && usesSHA384(cs.CipherSuite) != usesSHA384(d.cipherSuite),
		cs.Version != VersionTLS13 && cs.CipherSuite != 0 && cs.CipherSuite != d.cipherSuite:
		return refused(ErrSessionCipher, "%s", cs.CipherSuiteName)
	}
	return refused(ErrSessionDeclined, "")
}

// usesSHA384 reports whether the hash of a TLS 1.3 cipher suite is SHA-384 and
// not SHA-256. A ticket can be used with one of them (RFC 8446 section 4.6.1).
func usesSHA384(suite uint16) bool {
	const aes256GCMSHA384 = 0x1302
	return suite == aes256GCMSHA384
}
