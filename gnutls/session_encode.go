package gnutls

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math"
	"time"
)

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
		e.Version < 0 || e.Version > math.MaxUint16 || e.MaxEarlyData < 0 ||
		e.MaxEarlyData > math.MaxUint32 ||
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

func (e sessionEnvelope) sum() ([]byte, error) {
	e.Sum = nil
	der, err := asn1.Marshal(e)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}
