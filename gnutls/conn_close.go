package gnutls

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// Close sends close_notify, unless a Write is under way, closes the
// connection and frees its native session. It may be called from any
// goroutine, ends Reads and Writes that wait, and does nothing the second time.
// After a fatal alert, sent or received, it sends nothing.
//
// Tickets that a client has not read would make the kernel reset the connection,
// and data that the client has written would be lost. So Close reads them from the
// socket, and if none have come yet, it keeps the socket open in the background until
// the server closes, for 5 seconds at most.
func (c *Conn) Close() error {
	if c.tls.closed.Load() {
		return nil
	}
	linger := false
	if c.handshakeDone.Load() && c.lastWriter() {
		if !c.writing.closeNotify && c.writing.err == nil && c.fatal() == nil {
			c.writing.closeNotify = true
			c.sendLast(func(s *cgnutls.Session, out []byte) cgnutls.Result { return s.Bye(out) })
		}
		linger = c.drain() && c.writing.err == nil
		c.giveWriter()
		c.deliver()
	}
	c.forgetSession()
	if c.tls.closed.Swap(true) {
		return nil
	}
	c.deadlines.close()
	c.abandonHandshake()
	var err error
	if linger && c.reading.turn.try() {
		err = c.linger()
		c.reading.turn.give()
	} else {
		err = c.conn.Close()
	}
	c.tls.release()
	if errors.Is(err, net.ErrClosed) {
		return nil // somebody closed NetConn before
	}
	return err
}

// lastWriter takes the turn of writing for Close, after tickets in the background
// and the alert of a failure. It reports false if a Write has it.
func (c *Conn) lastWriter() bool {
	c.after.wait(lastWordTimeout)
	c.waitTold()
	return c.writing.turn.try()
}

// maxDrain bounds the input that Close reads from a socket, in buffers.
const maxDrain = 32

// drain reads what has come from the socket of a client that is closing, and
// gives tickets to the cache. It reports whether some may still be on their
// way.
func (c *Conn) drain() (expecting bool) {
	if !c.client || c.reading.in.raw == nil || !c.reading.turn.try() {
		return false
	}
	defer c.reading.turn.give()
	scratch := getBuffer()
	for fills := 0; c.reading.err == nil && fills < maxDrain; {
		if c.reading.dry {
			if !c.reading.in.fillNow() {
				break
			}
			fills++
		}
		c.decrypt(scratch[:])
	}
	putBuffer(scratch)
	cs := c.state.Load()
	return !c.reading.heard && c.reading.err == nil && c.fatal() == nil &&
		!c.config.SessionTicketsDisabled &&
		cs.Version == VersionTLS13 && !cs.noTickets()
}

// linger closes the writing side of the socket now, and the socket when the
// peer has closed its own.
func (c *Conn) linger() error {
	if err := c.conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return errors.Join(err, c.conn.Close())
	}
	if err := c.conn.SetReadDeadline(time.Now().Add(lastWordTimeout)); err != nil {
		return errors.Join(err, c.conn.Close())
	}
	go func(conn net.Conn) {
		io.Copy(io.Discard, conn)
		conn.Close()
	}(c.conn)
	return nil
}

// CloseWrite sends close_notify and leaves the connection open for reading
// (gnutls_bye with GNUTLS_SHUT_WR). Write fails from then on.
func (c *Conn) CloseWrite() error {
	if !c.handshakeDone.Load() {
		return duringHandshake("close write")
	}
	c.writing.turn.take()
	defer c.giveWriter()
	if c.tls.closed.Load() {
		return net.ErrClosed
	}
	if err := c.fatal(); err != nil {
		return err
	}
	if c.writing.err != nil {
		return c.writing.err
	}
	if err := c.flush(); err != nil {
		return err
	}
	if c.writing.closeNotify {
		return nil
	}
	c.writing.closeNotify = true
	return c.produce(func(s *cgnutls.Session, out []byte) cgnutls.Result { return s.Bye(out) })
}
