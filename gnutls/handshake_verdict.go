package gnutls

import (
	"crypto/x509"
	"errors"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// acceptPeer decides on the certificate that the peer has sent, and lets the
// handshake go on or tells the peer why not.
func (c *Conn) acceptPeer() error {
	cs, err := c.currentState()
	if !c.client {
		cs.DidResume = false // a certificate came
	} else if lost := c.resumption.judge(&cs, true); err == nil {
		err = lost
	}
	if err == nil {
		err = c.judge(&cs)
	}
	if err != nil {
		return c.reject(err)
	}
	return c.withSession((*cgnutls.Session).AcceptPeer)
}

// A verdict is what a handshake has decided about its peer.
type verdict struct {
	accepted bool
	chains   [][]*x509.Certificate
	err      error // of a certificate that InsecureSkipVerify accepted
}

// judge applies the configuration to the peer's certificate, or to its lack
// of one, and then VerifyConnection.
func (c *Conn) judge(cs *ConnectionState) (err error) {
	switch {
	case !c.client:
		err = c.judgeClient(cs)
	case cs.DidResume:
		err = c.judgeResumedServer(cs)
	default:
		err = c.judgeServer(cs)
	}
	if err != nil {
		return err
	}
	v := &c.handshaking.verdict
	v.chains, v.err = cs.VerifiedChains, cs.VerifyError
	if c.config.VerifyConnection != nil {
		if err := c.config.VerifyConnection(*cs); err != nil {
			return err
		}
	}
	v.accepted = true
	return nil
}

// judgeServer is for a server in a full handshake.
func (c *Conn) judgeServer(cs *ConnectionState) error {
	switch {
	case len(cs.PeerCertificates) > 0 && c.serverName == "" && !c.config.InsecureSkipVerify:
		return errors.New("gnutls: the server presents a certificate and Config.ServerName is empty")
	case len(cs.PeerCertificates) > 0:
		return c.judgeCertificate(cs)
	case !cs.PSK:
		return &Error{Op: "handshake", Code: CodeNoCertificateFound,
			Err: errors.New("the server sent no certificate")}
	}
	return nil
}

// judgeResumedServer is for a server that resumes. The scope of the session says that it was
// verified as this connection would do it.
func (c *Conn) judgeResumedServer(cs *ConnectionState) error {
	switch {
	case len(cs.PeerCertificates) == 0, len(cs.VerifiedChains) > 0:
		return nil
	case !c.config.InsecureSkipVerify:
		return &Error{Op: "handshake", Code: CodeInvalidSession, Err: errNotVerified}
	}
	return c.judgeCertificate(cs)
}

// judgeClient is for a client. A server that resumes looks at its client again, in mayResume
// or here.
func (c *Conn) judgeClient(cs *ConnectionState) error {
	auth := c.config.ClientAuth
	certificate := len(cs.PeerCertificates) > 0
	switch {
	case cs.DidResume && cs.PSK && c.config.GetPSK == nil:
		return &Error{Op: "handshake", Code: CodeInvalidSession,
			Err: errors.New("the session was made with a pre-shared key")}
	case cs.DidResume && c.handshaking.verified != nil:
		cs.VerifiedChains = [][]*x509.Certificate{c.handshaking.verified}
	case certificate && auth.verifies():
		return c.judgeCertificate(cs)
	case !certificate && auth.requires() && !(cs.PSK && c.config.GetPSK != nil):
		return &Error{Op: "handshake", Code: CodeCertificateRequired}
	}
	return nil
}

// judgeCertificate verifies the peer's certificate. A client that skips that gets the error in cs.
func (c *Conn) judgeCertificate(cs *ConnectionState) error {
	chain, err := c.verifyCertificate()
	switch {
	case err == nil:
		cs.VerifiedChains = [][]*x509.Certificate{chain}
	case c.client && c.config.InsecureSkipVerify:
		cs.VerifyError = err
	default:
		return err
	}
	return nil
}

// noClientCertificate ends a handshake that GnuTLS gave up for want of the
// client's certificate. Under TLS 1.2 it also does where an alert came in place
// of the certificate, and under TLS 1.3 where another message did.
func (c *Conn) noClientCertificate() error {
	if err := c.failure(cgnutls.FatalAlertReceived); err.(*Error).Alert != 0 {
		return err
	}
	const certificate = 11
	last := certificate
	c.withSession(func(s *cgnutls.Session) { last = s.LastReceived() })
	if last != certificate {
		return c.reject(&Error{Op: "handshake", Code: CodeUnexpectedPacket,
			Err: errors.New("the client sent something else in place of its certificate")})
	}
	return c.reject(&Error{Op: "handshake", Code: CodeCertificateRequired})
}

// certificateRequired returns the alert for a client without a certificate:
// TLS 1.2 has none of its own (RFC 5246 section 7.4.6).
func (c *Conn) certificateRequired() Alert {
	alert := AlertHandshakeFailure
	c.withSession(func(s *cgnutls.Session) {
		if s.State().Version == VersionTLS13 {
			alert = AlertCertificateRequired
		}
	})
	return alert
}

// reject tells the peer why it is not accepted and returns err.
func (c *Conn) reject(err error) error {
	c.handshakeErr = err
	alert := rejectionAlert(err)
	switch {
	case alert != AlertBadCertificate:
	case errors.Is(err, CodeCertificateRequired):
		alert = c.certificateRequired()
	case errors.Is(err, CodeInternalError):
		alert = AlertInternalError
	case errors.Is(err, CodeInvalidSession):
		alert = AlertIllegalParameter
	case errors.Is(err, CodeNoApplicationProtocol):
		alert = AlertNoApplicationProtocol
	case errors.Is(err, CodeUnexpectedPacket):
		alert = AlertUnexpectedMessage
	case errors.Is(err, cgnutls.ErrUnknownIdentity):
		alert = AlertUnknownPSKIdentity
	}
	c.sendLast(func(s *cgnutls.Session, out []byte) cgnutls.Result {
		return s.Alert(cgnutls.Fatal, uint8(alert), out)
	})
	return err
}
