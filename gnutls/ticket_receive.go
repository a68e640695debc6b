package gnutls

import (
	"context"
	"errors"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// SessionData returns what a later connection needs to resume this session
// (gnutls_session_get_data2). It is for clients, and fails with CodeDuringHandshake
// before the handshake is over; after a false start that is when the first
// data have come from the server.
//
// Under TLS 1.3 it returns the data of the newest ticket, and waits for one
// until ctx ends if none has come. Application data that come meanwhile are
// kept for Read, up to 1 MiB. If no ticket comes (ctx ends, the server closes
// the connection or the read deadline passes) the error matches ErrNoTicket and the
// reason, and is also an *UnusableTicketError if only unusable tickets came. It does
// not wait for a server that has announced that it sends none (RFC 9149). Before TLS
// 1.3 the end of the handshake decides whether the session can be resumed.
func (c *Conn) SessionData(ctx context.Context) (*SessionData, error) {
	const op = "session data"
	if !c.client {
		return nil,
			&Error{Op: op, Code: CodeInvalidRequest, Err: errors.New("only clients have session data")}
	}
	if !c.handshakeDone.Load() {
		return nil, duringHandshake(op)
	}
	if c.state.Load().Version < VersionTLS13 {
		return c.sessionData12(op)
	}
	for {
		d, arrival := c.resumption.inbox.current()
		if d != nil {
			return d, nil
		}
		if c.state.Load().noTickets() {
			return nil, c.resumption.inbox.noTicket(errNoneToCome)
		}
		select {
		case <-ctx.Done():
			return nil, c.resumption.inbox.noTicket(ctx.Err())
		case <-arrival:
		case c.reading.turn <- struct{}{}:
			err := c.receiveTicket(ctx)
			c.reading.turn.give()
			c.deliver()
			if err != nil {
				if d := c.resumption.inbox.latest(); d != nil {
					return d, nil
				}
				return nil, c.resumption.inbox.noTicket(err)
			}
		}
	}
}

func (c *Conn) sessionData12(op string) (*SessionData, error) {
	if d := c.resumption.inbox.latest(); d != nil {
		return d, nil
	}
	var code cgnutls.Code
	if err := c.withSession(func(s *cgnutls.Session) { _, _, code = s.Data(nil) }); err != nil {
		return nil, err
	}
	if code == cgnutls.UnavailableDuringHandshake {
		return nil, duringHandshake(op)
	}
	return nil, c.resumption.inbox.noTicket(errNotResuming)
}

// receiveTicket reads once for SessionData, until ctx ends, and keeps the
// application data that come. The caller holds the turn of reading.
func (c *Conn) receiveTicket(ctx context.Context) error {
	if c.kept.full() {
		return errors.New("too much application data came before a ticket")
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		c.deadlines.interruptRead()
		close(interrupted)
	})
	defer func() {
		if !stop() {
			<-interrupted
			c.deadlines.resumeRead()
		}
	}()
	buf := getBuffer()
	defer putBuffer(buf)
	n, err := c.receive(buf[:])
	c.kept.add(buf[:n])
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return err
}

// keepSession12 keeps the session of a TLS 1.2 handshake that is over. The caller holds the turn
// of reading.
func (c *Conn) keepSession12() {
	c.withSession(func(s *cgnutls.Session) { c.resumption.session12(ownSession{s}) })
}

// deliver hands new tickets to the cache and to OnSessionTicket, in order. The
// caller holds no lock.
func (c *Conn) deliver() {
	if c.client {
		c.resumption.inbox.deliver(c.deliverOne)
	}
}

func (c *Conn) deliverOne(d *SessionData) {
	if c.config.ClientSessionCache != nil {
		c.config.ClientSessionCache.Put(c.cacheKey, d)
	}
	if c.config.OnSessionTicket != nil {
		c.config.OnSessionTicket(c, d)
	}
}
