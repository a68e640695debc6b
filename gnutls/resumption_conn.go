package gnutls

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// startResumption tells a client's resumption what it is for, before the handshake.
func (c *Conn) startResumption() {
	r := c.resumption
	r.scope = sessionScope{c.serverName, c.native.trust, c.native.certPresent, c.allows}
	r.cache, r.key = c.config.ClientSessionCache, c.cacheKey
	r.log = c.log
	r.inbox.delivers = r.cache != nil || c.config.OnSessionTicket != nil
}

func (c *Conn) allows(version uint16) bool {
	return slices.Contains(c.native.priority.p.Protocols(), version)
}

// setData makes the handshake offer d.
func (c *Conn) setData(d *SessionData) (err error) {
	lost := c.withSession(func(s *cgnutls.Session) { err = setData(ownSession{s}, d) })
	if lost != nil {
		return lost
	}
	return err
}

// An ownSession is the native session of a Conn as a resumption uses it.
type ownSession struct{ *cgnutls.Session }

func (s ownSession) Data() ([]byte, cgnutls.Code) {
	data, _, code := s.Session.Data(nil)
	return data, code
}

// Resume makes the handshake ask the server to resume the session of d
// (gnutls_session_set_data), instead of data from a ClientSessionCache. It is
// for clients, before the handshake. If the data cannot be used, it returns a
// *SessionDataError, and the handshake will be a full one.
// ConnectionState.DidResume reports whether the server agreed.
func (c *Conn) Resume(d *SessionData) error {
	c.reading.turn.take()
	defer c.reading.turn.give()
	c.writing.turn.take()
	defer c.giveWriter()
	if !c.client {
		return &Error{Op: "resume", Code: CodeInvalidRequest,
			Err: errors.New("only clients ask to resume")}
	}
	if c.handshaking == nil || c.handshaking.begun {
		return &Error{Op: "resume", Code: CodeInvalidRequest, Err: errors.New("the handshake has begun")}
	}
	if err := c.start(); err != nil {
		c.handshakeErr = err
		return err
	}
	c.resumption.refusal = c.resumption.offer(d, c.setData)
	return c.resumption.refusal
}

// prepareHello decides what a client's first message asks for.
func (c *Conn) prepareHello() error {
	c.resumption.choose(c.setData)
	if err := c.requestTickets(); err != nil {
		return err
	}
	return c.sendEarly()
}

// settleFailed is for a handshake that failed: the cache learns what became of the session that
// it offered, or gets it back where it was not sent and is not to blame.
func (c *Conn) settleFailed(err error) {
	if !c.client {
		return
	}
	c.resumption.fail(c.faultOf(err))
	c.tellCache()
}

// faultOf says what the failure of a handshake may be due to. That the server closed the
// connection is not a failure of the transport.
func (c *Conn) faultOf(err error) fault {
	for _, gaveUp := range []error{context.Canceled, context.DeadlineExceeded, os.ErrDeadlineExceeded,
		net.ErrClosed} {
		if errors.Is(err, gaveUp) {
			return faultElsewhere
		}
	}
	var ours *Error
	heard := c.handshaking.received > 0
	switch {
	case !heard && errors.Is(err, io.ErrUnexpectedEOF):
		return faultSilence
	case heard || errors.As(err, &ours):
		return faultSession
	}
	return faultElsewhere
}

func (c *Conn) tellCache() {
	if tell := c.resumption.tellCache(); tell != nil {
		tell()
	}
}

// requestTickets makes a client's handshake ask for tickets.
func (c *Conn) requestTickets() error {
	if c.config.SessionTicketsDisabled {
		return nil
	}
	r := c.resumption.ticketRequest(c.config.TicketRequest, max(c.racing, 1))
	if r == nil || !c.allows(VersionTLS13) {
		return nil
	}
	return c.withSession(func(s *cgnutls.Session) { s.RequestTickets(cgnutls.TicketCounts(*r)) })
}
