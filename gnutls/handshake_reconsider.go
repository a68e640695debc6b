package gnutls

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// firstFlight is what a server needs until it sends something. Up to then it can begin
// again with another native session, which reads the same input.
type firstFlight struct {
	kept     []byte // the input so far
	again    []byte // the part of it that the new session has yet to read
	retry    []byte // a HelloRetryRequest that went out
	settled  bool   // it stays with this session
	declines bool   // the session resumes nothing
	// verified is the chain of the client of a session that is resumed.
	verified []*x509.Certificate
}

// handshakeInput returns what the session is to read next.
func (c *Conn) handshakeInput() (in []byte, eof bool) {
	if h := c.handshaking; len(h.again) > 0 {
		return h.again, false
	}
	return c.reading.in.bytes(), c.reading.in.eof
}

// skipHandshakeInput drops the start of what handshakeInput returned.
func (c *Conn) skipHandshakeInput(used []byte) {
	h := c.handshaking
	if len(h.again) > 0 {
		h.again = h.again[len(used):]
		return
	}
	if !c.client && !h.settled {
		h.kept = append(h.kept, used...)
	}
	c.reading.in.skip(len(used))
}

// reconsider looks, on a server, at what GnuTLS has made of the ClientHello and not yet
// sent. GnuTLS resumes any session that it can read. Where this Config would not accept the
// client in a full handshake, the session is declined: the handshake begins again without
// it, and becomes a full one. The handshake also begins again where it lacked a turn.
func (c *Conn) reconsider(ctx context.Context, cb *cgnutls.Callbacks, r *cgnutls.Result,
	out []byte) (again bool, err error) {
	h := c.handshaking
	if c.client || r.Made == 0 && r.Code >= 0 {
		return false, nil
	}
	if h.settled {
		return false, c.dropRetry(r, out)
	}
	if h.turn.wanted && !h.sent {
		cb.Err = nil
		h.again = h.kept
		return true, c.newSession(c.native)
	}
	var resumed, retry bool
	lost := c.withSession(func(s *cgnutls.Session) { resumed, retry = s.Resumed(), s.AskedForRetry() })
	if lost != nil {
		return false, lost
	}
	if retry && r.Code >= 0 {
		h.retry = bytes.Clone(out[:r.Made])
		return false, nil
	}
	h.settled = true
	hello := h.kept
	h.kept = nil
	if resumed && r.Code >= 0 && cb.Err == nil {
		if ok, err := c.mayResume(ctx, hello); ok || err != nil {
			return false, err
		}
		h.declines, h.again = true, hello
		return true, c.newSession(c.native)
	}
	return false, nil
}

// dropRetry takes a HelloRetryRequest that has gone out before off the output of a session
// that has begun again.
func (c *Conn) dropRetry(r *cgnutls.Result, out []byte) error {
	h := c.handshaking
	n := len(h.retry)
	if !h.declines || n == 0 || r.Code < 0 {
		return nil
	}
	if !bytes.HasPrefix(out[:r.Made], h.retry) {
		return &Error{Op: "handshake", Code: CodeInternalError,
			Err: errors.New("GnuTLS asks for another ClientHello than before")}
	}
	r.Made = copy(out, out[n:r.Made])
	h.retry = nil
	return nil
}

// mayResume reports whether a server accepts the client of a session that it could resume,
// as if it had made a full handshake. hello is the input so far.
func (c *Conn) mayResume(ctx context.Context, hello []byte) (ok bool, err error) {
	var client resumedClient
	early := false
	lost := c.withSession(func(s *cgnutls.Session) {
		if early = s.EarlyDataAccepted(); !early {
			client = c.resumedClient(s)
		}
	})
	if lost != nil {
		return false, lost
	}
	if early {
		if c.config.ClientAuth == NoClientCert && c.config.GetPSK == nil {
			return true, nil
		}
		if client, err = c.probe(hello); err != nil {
			return false, err
		}
	}
	if client.psk {
		return c.knowsIdentity(ctx, client.identity)
	}
	c.handshaking.verified = client.verified
	return client.ok, nil
}

// A resumedClient is who a session is with.
type resumedClient struct {
	psk      bool // it has a pre-shared key
	identity string
	ok       bool // otherwise: its certificate, or that it has none, is as ClientAuth asks for
	verified []*x509.Certificate
}

func (c *Conn) resumedClient(s *cgnutls.Session) (client resumedClient) {
	cs, err := connectionState(s.State())
	client.psk, client.identity = cs.PSK, cs.PSKIdentity
	certificate := len(cs.PeerCertificates) > 0
	switch auth := c.config.ClientAuth; {
	case err != nil:
	case auth == NoClientCert:
		client.ok = !certificate
	case !certificate:
		client.ok = !auth.requires()
	case auth.verifies():
		client.verified, err = verifyPeer(s, c.native.certs.pool, "", false)
		client.ok = err == nil
	default:
		client.ok = true
	}
	return client
}

// probe finds out who a session is with whose early data GnuTLS has accepted: then it does
// not tell before it has all of them. Another session without early data does.
func (c *Conn) probe(hello []byte) (client resumedClient, err error) {
	s, err := c.makeSession(c.native, false)
	if err != nil {
		return client, err
	}
	defer s.Free()
	buf := getBuffer()
	defer putBuffer(buf)
	cb := &cgnutls.Callbacks{LimitTickets: func(cgnutls.TicketCounts, bool, int) int { return 0 }}
	s.Handshake(cb, hello, false, buf[:])
	if s.Resumed() {
		client = c.resumedClient(s)
	}
	return client, nil
}

// knowsIdentity reports whether there is a pre-shared key for an identity.
func (c *Conn) knowsIdentity(ctx context.Context, identity string) (bool, error) {
	get := c.config.GetPSK
	if get == nil {
		return false, nil
	}
	var key []byte
	err := cgnutls.Guard(func() (err error) {
		key, err = get(ctx, identity)
		return err
	})
	return len(key) > 0, err
}
