package gnutls

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// Reasons why session data cannot be used. A SessionDataError has one.
var (
	// ErrSessionForeign: the bytes are not session data of this package.
	ErrSessionForeign = errors.New("not session data")
	// ErrSessionDamaged: the bytes are cut off or changed.
	ErrSessionDamaged = errors.New("session data are damaged")
	// ErrSessionFormat: another version of this package made them.
	ErrSessionFormat = errors.New("session data have an unknown format version")
	// ErrSessionLibrary: another version of GnuTLS made them, whose sessions
	// this one cannot read.
	ErrSessionLibrary = errors.New("session data are from another GnuTLS version")
	// ErrSessionExpired: their lifetime is over.
	ErrSessionExpired = errors.New("session data have expired")
	// ErrSessionServerName: they belong to another server.
	ErrSessionServerName = errors.New("session data are for another server name")
	// ErrSessionConfig: they were made with other trust, another client
	// certificate or another pre-shared key than this Config has, or their
	// version is not among those that it allows.
	ErrSessionConfig = errors.New("session data do not suit the configuration")
)

// Further reasons why a connection did not resume a session, see
// ConnectionState.ResumeError.
var (
	// ErrNoSession: there are no session data for the server.
	ErrNoSession = errors.New("no session data for the server")
	// ErrSessionVersion: the server chose another version than that of the
	// session.
	ErrSessionVersion = errors.New("the server chose another version than that of the session")
	// ErrSessionCipher: the server chose a cipher suite that does not go with
	// the session.
	ErrSessionCipher = errors.New("the server chose a cipher suite that does not go with the session")
	// ErrSessionDeclined: the server did not accept the session. A client cannot
	// know whether the server's key has changed, or it has none, or the session
	// is too old for it.
	ErrSessionDeclined = errors.New("the server did not accept the session")
)

// A SessionDataError says that session data were refused, and why: Reason is
// one of the ErrSession… errors, which errors.Is finds. It is never a reason
// to give up: without session data the connection makes a full handshake.
type SessionDataError struct {
	Reason error
	Detail string // what was found, may be empty
}

// Error describes the failure in one line.
func (e *SessionDataError) Error() string {
	if e.Detail == "" {
		return "gnutls: " + e.Reason.Error()
	}
	return "gnutls: " + e.Reason.Error() + ": " + e.Detail
}

// Unwrap returns e.Reason.
func (e *SessionDataError) Unwrap() error { return e.Reason }

func refused(reason error, detail string, args ...any) error {
	return &SessionDataError{Reason: reason, Detail: fmt.Sprintf(detail, args...)}
}

const (
	sessionMagic  = "gnucoap session"
	sessionFormat = 2
	// maxTicketLifetime is the longest that RFC 8446 section 4.6.1 lets a
	// ticket live.
	maxTicketLifetime = 7 * 24 * time.Hour
	// idLifetime is how long a TLS 1.2 session without a lifetime is offered:
	// the upper limit that RFC 5246 appendix F.1.4 suggests.
	idLifetime = 24 * time.Hour
	// clockSkew is how far in the future data may have arrived: the clock may
	// have been set back since.
	clockSkew = time.Hour
)

// SessionData is what a client needs to resume a session
// (gnutls_session_get_data2), with what this package needs to decide whether
// it may. It holds the keys of the session: keep it as secret as a private
// key. It does not change and may be used from any goroutine.
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

// ServerName returns the name of the server, as its certificate was verified.
func (d *SessionData) ServerName() string { return d.serverName }

// NegotiatedProtocol returns the application protocol (ALPN) of the session.
func (d *SessionData) NegotiatedProtocol() string { return d.protocol }

// LibraryVersion returns the version of GnuTLS that made the data.
func (d *SessionData) LibraryVersion() string { return d.library }

// Lifetime returns how long the session may be resumed, counted from Arrived:
// what the server says, at most 7 days. A TLS 1.2 server that says nothing is
// taken to mean 24 hours.
func (d *SessionData) Lifetime() time.Duration { return d.lifetime }

// Arrived returns when the data came from the server.
func (d *SessionData) Arrived() time.Time { return d.arrived }

// Expires returns Arrived plus Lifetime.
func (d *SessionData) Expires() time.Time { return d.arrived.Add(d.lifetime) }

// MaxEarlyData returns how many bytes of early data the server accepts with
// the ticket, 0 for none.
func (d *SessionData) MaxEarlyData() uint32 { return d.maxEarlyData }

// SingleUse reports whether the data should be used for one connection only,
// as is so for TLS 1.3 (RFC 8446 appendix C.4).
func (d *SessionData) SingleUse() bool { return d.version == VersionTLS13 }

// String describes the data without their secrets.
func (d *SessionData) String() string {
	return fmt.Sprintf("SessionData(%s, %q, expires %s)", VersionName(d.version), d.serverName, d.Expires().UTC().Format(time.RFC3339))
}

// GoString does the same as String.
func (d *SessionData) GoString() string { return d.String() }

// sessionEnvelope is the encoded form of SessionData, in DER. Sum is a SHA-256
// hash of all that comes before it. It must find all damage: GnuTLS 3.7.9
// crashes on session data of its own that are cut off.
type sessionEnvelope struct {
	Magic        string `asn1:"utf8"`
	Format       int
	Library      string `asn1:"utf8"`
	Version      int
	CipherSuite  int
	Family       []byte
	ServerName   string `asn1:"utf8"`
	Protocol     []byte
	LifetimeMs   int64
	ArrivedMs    int64 // since 1970, UTC
	MaxEarlyData int64
	Trust        []byte
	Identity     []byte
	Verified     [][]byte
	Data         []byte
	Sum          []byte
}

func (e sessionEnvelope) sum() ([]byte, error) {
	e.Sum = nil
	der, err := asn1.Marshal(e)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}

// MarshalBinary encodes the data, for UnmarshalBinary in this or another
// process. The result is as secret as d: a file that holds it should have mode
// 0600.
func (d *SessionData) MarshalBinary() ([]byte, error) {
	e := sessionEnvelope{
		Magic:        sessionMagic,
		Format:       sessionFormat,
		Library:      d.library,
		Version:      int(d.version),
		CipherSuite:  int(d.cipherSuite),
		Family:       d.family[:],
		ServerName:   d.serverName,
		Protocol:     []byte(d.protocol),
		LifetimeMs:   d.lifetime.Milliseconds(),
		ArrivedMs:    d.arrived.UnixMilli(),
		MaxEarlyData: int64(d.maxEarlyData),
		Trust:        d.trust[:],
		Identity:     d.identity[:],
		Data:         d.data,
	}
	for _, cert := range d.verified {
		e.Verified = append(e.Verified, cert.Raw)
	}
	var err error
	if e.Sum, err = e.sum(); err != nil {
		return nil, fmt.Errorf("gnutls: encoding session data: %w", err)
	}
	return asn1.Marshal(e)
}

// UnmarshalBinary decodes what MarshalBinary made. Bytes that are anything
// else give a *SessionDataError. Data of another GnuTLS version and expired
// data are decoded; a connection refuses them.
func (d *SessionData) UnmarshalBinary(b []byte) error {
	var head struct {
		Magic  string `asn1:"utf8"`
		Format int
	}
	var body asn1.RawValue
	rest, err := asn1.Unmarshal(b, &body)
	if err != nil || len(rest) > 0 || body.Tag != asn1.TagSequence {
		if bytes.Contains(b[:min(len(b), 64)], []byte(sessionMagic)) {
			return refused(ErrSessionDamaged, "")
		}
		return refused(ErrSessionForeign, "")
	}
	tail, err := asn1.Unmarshal(body.Bytes, &head.Magic)
	if err != nil || head.Magic != sessionMagic {
		return refused(ErrSessionForeign, "")
	}
	if _, err := asn1.Unmarshal(tail, &head.Format); err != nil {
		return refused(ErrSessionDamaged, "")
	}
	if head.Format != sessionFormat {
		return refused(ErrSessionFormat, "%d", head.Format)
	}
	var e sessionEnvelope
	if _, err := asn1.Unmarshal(b, &e); err != nil {
		return refused(ErrSessionDamaged, "")
	}
	sum, err := e.sum()
	if err != nil || !bytes.Equal(sum, e.Sum) ||
		e.Version < 0 || e.Version > math.MaxUint16 || e.MaxEarlyData < 0 || e.MaxEarlyData > math.MaxUint32 ||
		e.CipherSuite < 0 || e.CipherSuite > math.MaxUint16 || len(e.Family) != len(sessionFamily{}) ||
		e.LifetimeMs < 0 || e.LifetimeMs > maxTicketLifetime.Milliseconds() ||
		len(e.Trust) != sha256.Size || len(e.Identity) != sha256.Size || len(e.Data) == 0 {
		return refused(ErrSessionDamaged, "")
	}
	var verified []*x509.Certificate
	for _, der := range e.Verified {
		cert, err := parseCertificate(der)
		if err != nil {
			return refused(ErrSessionDamaged, "")
		}
		verified = append(verified, cert)
	}
	*d = SessionData{
		library:      e.Library,
		version:      uint16(e.Version),
		cipherSuite:  uint16(e.CipherSuite),
		family:       sessionFamily(e.Family),
		serverName:   e.ServerName,
		protocol:     string(e.Protocol),
		lifetime:     time.Duration(e.LifetimeMs) * time.Millisecond,
		arrived:      time.UnixMilli(e.ArrivedMs),
		maxEarlyData: uint32(e.MaxEarlyData),
		trust:        [sha256.Size]byte(e.Trust),
		identity:     [sha256.Size]byte(e.Identity),
		verified:     verified,
		data:         e.Data,
	}
	return nil
}

// A sessionScope says which connections of clients may resume each other's
// sessions.
type sessionScope struct {
	serverName string
	trust      [sha256.Size]byte // identifies whom they trust
	identity   [sha256.Size]byte // identifies what they present
	allows     func(version uint16) bool
}

// An UnusableTicketError says why a ticket that a server has sent is not kept. See
// Conn.SessionData.
type UnusableTicketError struct{ Detail string }

// Error describes the failure in one line.
func (e *UnusableTicketError) Error() string {
	return "gnutls: the server sent a ticket that cannot be used: " + e.Detail
}

// maxTicket is the longest ticket that is kept: a ClientHello that is to offer it must have
// room for the other extensions.
const maxTicket = 63 << 10

// checkTicket says why a NewSessionTicket is of no use, or nil.
func checkTicket(version uint16, message []byte) error {
	const lifetime, ageAdd = 4, 4
	if len(message) < lifetime {
		return nil
	}
	rest := message[lifetime:]
	if version == VersionTLS13 {
		if binary.BigEndian.Uint32(message) == 0 {
			return &UnusableTicketError{"its lifetime is 0"}
		}
		if len(rest) < ageAdd {
			return nil
		}
		if _, after, ok := cutVector(rest[ageAdd:], 1); ok {
			rest = after
		}
	}
	ticket, _, ok := cutVector(rest, 2)
	switch {
	case ok && len(ticket) == 0:
		return &UnusableTicketError{"it is empty"}
	case len(ticket) > maxTicket:
		return &UnusableTicketError{fmt.Sprintf("it has %d bytes, too many for a ClientHello", len(ticket))}
	}
	return nil
}

// wrap makes session data of what GnuTLS gave. message is the NewSessionTicket that they came with,
// or nil. The error is an *UnusableTicketError.
func (s sessionScope) wrap(cs *ConnectionState, family sessionFamily, data, message []byte) (*SessionData, error) {
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

// ticketEarlyData returns max_early_data_size of a TLS 1.3 NewSessionTicket
// (RFC 8446 section 4.6.1), or 0.
func ticketEarlyData(message []byte) uint32 {
	const lifetimeAndAge, earlyData = 8, 42
	if len(message) < lifetimeAndAge {
		return 0
	}
	rest := message[lifetimeAndAge:]
	for _, prefix := range []int{1, 2} { // ticket_nonce, ticket
		_, after, ok := cutVector(rest, prefix)
		if !ok {
			return 0
		}
		rest = after
	}
	extensions, _, _ := cutVector(rest, 2)
	for len(extensions) >= 4 {
		kind := binary.BigEndian.Uint16(extensions)
		body, after, ok := cutVector(extensions[2:], 2)
		if !ok {
			return 0
		}
		if kind == earlyData && len(body) == 4 {
			return binary.BigEndian.Uint32(body)
		}
		extensions = after
	}
	return 0
}

// cutVector splits a vector with a length prefix of 1 or 2 bytes off b.
func cutVector(b []byte, prefix int) (body, rest []byte, ok bool) {
	if len(b) < prefix {
		return nil, nil, false
	}
	n := int(b[0])
	if prefix == 2 {
		n = int(binary.BigEndian.Uint16(b))
	}
	b = b[prefix:]
	if len(b) < n {
		return nil, nil, false
	}
	return b[:n], b[n:], true
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

// declined says why a server that settled on cs did not resume d.
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
// not SHA-256. A ticket goes with one of them (RFC 8446 section 4.6.1).
func usesSHA384(suite uint16) bool {
	const aes256GCMSHA384 = 0x1302
	return suite == aes256GCMSHA384
}
