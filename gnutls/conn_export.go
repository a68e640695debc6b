package gnutls

import (
	"fmt"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// BindingKind is a kind of TLS channel binding (RFC 5929, RFC 9266).
type BindingKind int

const (
	// BindingUnique is tls-unique, for TLS 1.2 and earlier. A resumed session has
	// it only with the extended master secret (RFC 7627 section 5.4).
	BindingUnique BindingKind = iota
	// BindingServerEndPoint is tls-server-end-point: a hash of the server's
	// certificate. GnuTLS 3.7.1 has none: CodeNotAvailable.
	BindingServerEndPoint
	// BindingExporter is tls-exporter, for TLS 1.3, and for TLS 1.2 with the
	// extended master secret.
	BindingExporter
)

// ChannelBinding returns the channel binding of the connection, after the
// handshake (gnutls_session_channel_binding). It fails with CodeNotAvailable
// or CodeInvalidRequest if the version has no binding of that kind.
func (c *Conn) ChannelBinding(kind BindingKind) ([]byte, error) {
	if !c.handshakeDone.Load() {
		return nil, duringHandshake("channel binding")
	}
	native := cgnutls.BindingUnique
	switch kind {
	case BindingExporter:
		var secret bool
		if err := c.withSession(func(s *cgnutls.Session) {
			secret = s.ExtendedMasterSecret()
		}); err != nil {
			return nil, err
		}
		if c.ConnectionState().Version < VersionTLS13 && !secret {
			return nil, &Error{Op: "channel binding", Code: CodeNotAvailable,
				Err: fmt.Errorf("no extended master secret: %w", CodeNotAvailable)}
		}
		return c.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
	case BindingServerEndPoint:
		if !cgnutls.AtLeast("3.7.2") {
			return nil,
				&Error{Op: "channel binding", Code: CodeNotAvailable,
					Err: fmt.Errorf("GnuTLS %s has no tls-server-end-point: %w", LibraryVersion(),
						CodeNotAvailable)}
		}
		native = cgnutls.BindingServerEnd
	case BindingUnique:
		cs := c.ConnectionState()
		var secret bool
		if err := c.withSession(func(s *cgnutls.Session) {
			secret = s.ExtendedMasterSecret()
		}); err != nil {
			return nil, err
		}
		if cs.DidResume && !secret {
			return nil, &Error{Op: "channel binding", Code: CodeNotAvailable, Err: fmt.Errorf(
				"a session that was resumed without the extended master secret has no tls-unique: %w",
				CodeNotAvailable)}
		}
		if cs.Version == VersionTLS13 {
			return nil, &Error{Op: "channel binding", Code: CodeNotAvailable,
				Err: fmt.Errorf("TLS 1.3 has no tls-unique: %w", CodeNotAvailable)}
		}
	default:
		return nil, fmt.Errorf("gnutls: unknown kind of channel binding %d", kind)
	}
	return c.derive("channel binding",
		func(s *cgnutls.Session) ([]byte, cgnutls.Code) { return s.ChannelBinding(native) })
}

// ExportKeyingMaterial returns length bytes of keying material for a label,
// after the handshake (gnutls_prf_rfc5705: RFC 5705, RFC 8446 section 7.5). As
// in crypto/tls a nil context differs from an empty one under TLS 1.2. Under TLS
// 1.0 and 1.1 GnuTLS makes 200 bytes at most; asking for more is an error.
func (c *Conn) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	if length <= 0 {
		return nil, fmt.Errorf("gnutls: %d bytes of keying material were asked for", length)
	}
	const op, maxOld = "exporting keying material", 200
	if v := c.ConnectionState().Version; v != 0 && v < VersionTLS12 && length > maxOld {
		return nil,
			&Error{Op: op, Code: CodeInvalidRequest,
				Err: fmt.Errorf("%d bytes were asked for, and %s has %d at most", length, VersionName(v),
					maxOld)}
	}
	return c.derive(op, func(s *cgnutls.Session) ([]byte, cgnutls.Code) {
		return s.Export(label, context, context != nil, length)
	})
}

func (c *Conn) derive(op string, f func(*cgnutls.Session) ([]byte, cgnutls.Code)) ([]byte, error) {
	if !c.handshakeDone.Load() {
		return nil, duringHandshake(op)
	}
	var b []byte
	var code cgnutls.Code
	if err := c.withSession(func(s *cgnutls.Session) { b, code = f(s) }); err != nil {
		return nil, err
	}
	return b, check(op, code)
}

func duringHandshake(op string) error {
	return &Error{Op: op, Code: CodeDuringHandshake,
		Err: fmt.Errorf("the handshake is not complete: %w", CodeDuringHandshake)}
}
