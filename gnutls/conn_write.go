package gnutls

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// A writeSide is the writing side of a connection. Whoever has its turn may use the rest.
type writeSide struct {
	turn        turn
	out         output // goes to the peer before anything else
	err         error  // what Write returns from now on
	closeNotify bool   // was sent
	tickets     int    // that a server has yet to make
}

func (w *writeSide) init(conn net.Conn) {
	w.turn = newTurn()
	w.out.conn = conn
}

// Write encrypts p and sends it. When it fails, n is the number of bytes of p that
// have been accepted: after a deadline, Write can be called again with p[n:]; what
// could not be sent yet is sent first.
func (c *Conn) Write(p []byte) (n int, err error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	if err := c.takeWriter(); err != nil {
		return 0, err
	}
	n, err = c.write(p)
	c.giveWriter()
	if err != nil {
		c.forgetSession()
	}
	return n, err
}

// takeWriter takes writer to send something. It holds nothing when it fails.
func (c *Conn) takeWriter() error {
	c.writing.turn.take()
	err := c.writable()
	if err != nil {
		c.giveWriter()
	}
	return err
}

var errWriteClosed = errors.New("the writing side is closed")

func (c *Conn) writable() error {
	switch {
	case c.tls.closed.Load():
		return net.ErrClosed
	case c.fatal() != nil:
		return c.fatal()
	case c.writing.err != nil:
		return c.writing.err
	case c.writing.closeNotify:
		return &Error{Op: "write", Code: CodeInvalidRequest, Err: errWriteClosed}
	case c.deadlines.writeExpired():
		return os.ErrDeadlineExceeded
	}
	if err := c.flush(); err != nil {
		return err
	}
	return c.produceTickets(0)
}

// write encrypts p and sends it. The caller holds the turn of writing.
func (c *Conn) write(p []byte) (n int, err error) {
	for full := false; n < len(p) || full; {
		buf := getBuffer()
		if !c.tls.lock() {
			putBuffer(buf)
			return n, net.ErrClosed
		}
		if err := c.fatal(); err != nil {
			c.tls.unlock()
			putBuffer(buf)
			return n, err
		}
		r := c.tls.session.s.Send(p[n:min(len(p), n+maxCrossing)], buf[:])
		c.noteSent(r)
		c.tls.unlock()
		n += r.N
		full = r.Full
		if err := c.sent(buf, r); err != nil {
			return n, err
		}
	}
	return n, nil
}

// produce calls f until GnuTLS has given out all that it made, and sends that.
// The caller holds the turn of writing.
func (c *Conn) produce(f func(*cgnutls.Session, []byte) cgnutls.Result) error {
	for {
		buf := getBuffer()
		if !c.tls.lock() {
			putBuffer(buf)
			return net.ErrClosed
		}
		r := f(c.tls.session.s, buf[:])
		c.noteSent(r)
		c.tls.unlock()
		if err := c.sent(buf, r); err != nil || !r.Full {
			return err
		}
	}
}

// noteSent notes an error of GnuTLS in making output. The caller holds the turn of writing
// and the lock of tls.
func (c *Conn) noteSent(r cgnutls.Result) {
	switch {
	case r.Code >= 0:
	case c.handshakeDone.Load():
		c.writing.err = c.fail("write", r.Code).err
	default:
		c.writing.err = failureOf("write", r.Code, c.tls.session.s)
	}
}

// sent sends the output of a call into GnuTLS, in buf, which it owns, and
// returns the error of that call.
func (c *Conn) sent(buf *buffer, r cgnutls.Result) error {
	err := c.send(buf, r.Made)
	if fatal := c.fatal(); fatal != nil {
		return fatal
	}
	if err == nil && r.Code < 0 {
		err = c.writing.err
	}
	return err
}

// lastWordTimeout bounds how long an alert may wait for the peer.
const lastWordTimeout = 5 * time.Second

// sendLast sends the last thing on the connection, best effort. The caller holds the turn of
// writing.
func (c *Conn) sendLast(f func(*cgnutls.Session, []byte) cgnutls.Result) {
	defer c.deadlines.boundWrite(lastWordTimeout)()
	c.produce(f)
}

// send sends the first n bytes of buf, which it owns, after all output before
// them. The caller holds the turn of writing.
func (c *Conn) send(buf *buffer, n int) error {
	c.writing.out.add(buf, n)
	return c.flush()
}

// flush sends the output that waits. The caller holds the turn of writing.
func (c *Conn) flush() error {
	if err := c.writing.out.flush(); err != nil {
		return c.writeFailure(err)
	}
	return nil
}

// writeFailure says what a failed write to the transport means. All but a
// deadline is final.
func (c *Conn) writeFailure(err error) error {
	if c.tls.closed.Load() {
		return net.ErrClosed
	}
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		c.writing.err = err
	}
	return err
}
