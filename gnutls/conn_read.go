package gnutls

import (
	"errors"
	"io"
	"net"
)

// A readSide is the reading side of a connection. Whoever has its turn may use the rest.
type readSide struct {
	turn  turn
	in    input
	dry   bool // GnuTLS has nothing left to give before more input comes
	heard bool // something has come since the handshake
	// falseStart: the handshake is complete in GnuTLS only when data come.
	falseStart bool
	err        error // what Read returns from now on
}

func (r *readSide) init(conn net.Conn) {
	r.turn = newTurn()
	r.in.init(conn)
}

// Read reads data into p. At the peer's close_notify it returns io.EOF; if
// the transport ends without one, an error that matches io.ErrUnexpectedEOF.
// After a deadline has passed Read can be called again.
//
// A violation of the protocol by the peer is fatal, and so is a fatal alert from
// it: the peer gets one alert, and Write, Read and CloseWrite return the error
// from then on. The session is not resumed: a SessionStore, and a
// ClientSessionCache that is a SessionDecliner, forget it (RFC 8446 section 6.2).
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if n := c.kept.take(p); n > 0 {
			return n, nil
		}
		n, err := c.read(p)
		c.deliver()
		c.forgetSession()
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// read reads once: data, or an error, or nothing where only a ticket came.
func (c *Conn) read(p []byte) (int, error) {
	c.reading.turn.take()
	defer c.reading.turn.give()
	if n := c.kept.take(p); n > 0 {
		return n, nil
	}
	return c.receive(p)
}

// maxCrossing bounds the data of one call into C: two full records. A longer
// call loses its processor to the Go scheduler.
const maxCrossing = 32 << 10

// receive is read past what SessionData kept. The caller holds the turn of reading.
func (c *Conn) receive(p []byte) (int, error) {
	for {
		if c.tls.closed.Load() {
			return 0, net.ErrClosed
		}
		if c.reading.err != nil {
			return 0, c.reading.err
		}
		if err := c.fatal(); err != nil { // of writing
			return 0, err
		}
		if c.reading.dry && !c.reading.in.eof {
			if err := c.reading.in.fill(); err != nil {
				return 0, c.readFailure(err)
			}
		}
		n, ticket := c.decrypt(p)
		if n > 0 || ticket {
			return n, nil
		}
	}
}

// decrypt lets GnuTLS use up the input: it returns data, or whether a ticket
// came, or sets readErr, or finds that it needs more.
func (c *Conn) decrypt(p []byte) (n int, ticket bool) {
	if !c.tls.lock() {
		c.reading.err = net.ErrClosed
		return 0, false
	}
	r := c.tls.session.s.Recv(c.reading.in.bytes(), c.reading.in.eof, p[:min(len(p), maxCrossing)])
	tickets, keys := c.tls.queued(r)
	var failed *failure
	if r.Code < 0 && !r.Ended {
		failed = c.fail("read", r.Code)
	}
	c.tls.unlock()
	c.reading.in.skip(r.Used)
	c.reading.dry = r.Starved
	c.reading.heard = c.reading.heard || r.Used > 0
	c.logKeys(keys)
	if c.client {
		c.resumption.collect(tickets)
	}
	if c.reading.falseStart && r.N > 0 {
		c.reading.falseStart = false
		c.keepSession12()
	}
	switch {
	case r.Closed:
		c.reading.err = io.EOF
	case r.Ended && c.config.AllowTruncation:
		c.reading.err = io.EOF
	case r.Ended:
		c.reading.err = truncated("read")
	case failed != nil:
		c.reading.err = failed.err
		c.tellSoon()
	}
	return r.N, len(tickets) > 0
}

// readFailure says what a failed read of the transport means. All but a
// deadline is final.
func (c *Conn) readFailure(err error) error {
	if c.tls.closed.Load() {
		return net.ErrClosed
	}
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		c.reading.err = err
	}
	return err
}
