package gnutls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// Handshake runs the handshake if it has not run yet. Read and Write call it.
func (c *Conn) Handshake() error {
	if c.handshakeDone.Load() {
		return nil
	}
	return c.HandshakeContext(context.Background())
}

// HandshakeContext runs the handshake (gnutls_handshake) if it has not run
// yet. When ctx ends while it runs, the connection is closed and the error of ctx
// is returned. After a deadline the handshake can be continued by another call; any
// other error is final, and every later call returns it.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	if c.handshakeDone.Load() {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err := c.handshakeAlone(ctx)
	c.deliver()
	return err
}

// A handshake is what only the handshake needs. The turns of reading and writing guard it.
type handshake struct {
	setup    bool
	session  *session // for callbacks from inside C, during which it is not freed
	begun    bool
	failed   error // of a callback
	received int   // bytes
	sent     bool  // something has gone out
	complete bool  // for GnuTLS; finish has yet to run
	paused   error // a deadline after which it was not continued
	reported bool  // in the log
	verdict  verdict

	// These are a client's.
	early earlyWrite

	// These are a server's.
	ticketKeys []cgnutls.TicketKey // from Config.TicketKeyFile
	replay     lentAntiReplay
	firstFlight

	turn turnOf
}

// handshakeAlone runs the handshake while nobody else reads or writes.
func (c *Conn) handshakeAlone(ctx context.Context) error {
	if err := c.shaking.takeContext(ctx); err != nil {
		return err
	}
	defer c.shaking.give()
	if c.handshakeDone.Load() { // the other goroutine may be reading by now, and wait for our answer
		return nil
	}
	if err := c.reading.turn.takeContext(ctx); err != nil {
		return err
	}
	defer c.reading.turn.give()
	if err := c.writing.turn.takeContext(ctx); err != nil {
		return err
	}
	defer func() {
		if !c.after.begin() { // which otherwise has the turn from here on
			c.giveWriter()
		}
	}()
	switch {
	case c.handshakeDone.Load():
		return nil
	case c.handshakeErr != nil:
		return c.handshakeErr
	case c.tls.closed.Load():
		return net.ErrClosed
	}
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	err := c.handshake(ctx)
	defer func() {
		if c.handshakeErr != nil && c.handshaking != nil {
			c.settleFailed(c.handshakeErr)
			c.reportFailure(c.handshakeErr)
		}
	}()
	if !stop() {
		c.handshakeErr = ctx.Err()
		return c.handshakeErr
	}
	return c.noteHandshakeError(err)
}

// noteHandshakeError makes an error final, unless the handshake can be continued after it.
func (c *Conn) noteHandshakeError(err error) error {
	var timeout net.Error
	switch {
	case err == nil:
	case c.tls.closed.Load():
		err = net.ErrClosed
		c.handshakeErr = err
	case c.handshakeErr == nil && errors.As(err, &timeout) && timeout.Timeout():
		c.handshaking.paused = err // by a deadline of the transport
	default:
		c.handshakeErr = err
	}
	return err
}

// maxHandshakeInput bounds the input of a handshake. GnuTLS takes messages of
// 128 KiB altogether, but keeps up to 16 MiB of one that does not end.
const maxHandshakeInput = 256 << 10

// handshake runs the handshake, or continues it after a deadline.
func (c *Conn) handshake(ctx context.Context) error {
	if err := c.begin(); err != nil {
		return err
	}
	callbacks := c.callbacks(ctx)
	for !c.handshaking.complete {
		r, err := c.step(ctx, callbacks)
		switch {
		case errors.Is(err, errBeginAgain):
			callbacks = c.callbacks(ctx)
		case err != nil:
			return err
		case !c.handshaking.complete:
			if err := c.answer(r, callbacks); err != nil {
				return err
			}
		}
	}
	return c.finish(callbacks)
}

// begin makes the native session, decides what a client's first message asks for, and sends
// what a deadline has kept back.
func (c *Conn) begin() error {
	if err := c.start(); err != nil {
		return err
	}
	if c.client && !c.handshaking.begun {
		if err := c.prepareHello(); err != nil {
			return err
		}
	}
	c.handshaking.begun = true
	waiting := c.writing.out.waiting()
	err := c.flush()
	c.noteOutput(c.writing.out.waiting() < waiting)
	return err
}

// errBeginAgain says that a server's handshake begins again, with another native session.
var errBeginAgain = errors.New("the handshake begins again")

// step calls GnuTLS once, with the input that has come, and sends what it makes.
func (c *Conn) step(ctx context.Context, callbacks *cgnutls.Callbacks) (r cgnutls.Result,
	err error) {
	if err := c.admit(ctx); err != nil {
		return r, err
	}
	buf := getBuffer()
	if !c.tls.lock() {
		c.leave()
		putBuffer(buf)
		return r, net.ErrClosed
	}
	in, eof := c.handshakeInput()
	r = c.tls.session.s.Handshake(callbacks, in, eof, buf[:])
	tickets, keys := c.tls.queued(r)
	c.returnAntiReplay()
	c.tls.unlock()
	c.leave()
	c.skipHandshakeInput(in[:r.Used])
	again, err := c.reconsider(ctx, callbacks, &r, buf[:])
	c.handshaking.failed = callbacks.Err
	if again && err == nil {
		err = errBeginAgain
	}
	if err != nil {
		putBuffer(buf)
		return r, err
	}
	c.logKeys(keys)
	if c.client {
		c.resumption.hold(tickets...)
	}
	c.handshaking.complete = r.Code == cgnutls.OK && !r.Verify && !r.Starved && !r.Full
	err = c.send(buf, r.Made)
	c.noteOutput(c.writing.out.waiting() < r.Made)
	return r, err
}

// answer does what GnuTLS waits for after a step: it decides on the peer's certificate, or waits
// for input, or tells the peer of an error.
func (c *Conn) answer(r cgnutls.Result, callbacks *cgnutls.Callbacks) error {
	switch {
	case r.Code == cgnutls.NoCertificateFound && !c.client:
		return c.noClientCertificate()
	case r.Code < 0:
		err := c.handshakeFailure(r.Code, callbacks)
		c.handshakeErr = err
		if errors.Is(err, cgnutls.ErrUnknownIdentity) {
			return c.reject(err)
		}
		c.alertFor(r.Code)
		return err
	case r.Verify:
		return c.acceptPeer()
	case r.Starved && c.handshaking.received > maxHandshakeInput:
		c.handshakeErr = c.failure(cgnutls.HandshakeTooLarge)
		c.alertFor(cgnutls.HandshakeTooLarge)
		return c.handshakeErr
	case r.Starved && len(c.reading.in.bytes()) == 0:
		if err := c.reading.in.fill(); err != nil {
			return err
		}
		c.handshaking.received += len(c.reading.in.bytes())
	}
	return nil
}

// noteOutput notes whether output of the handshake has begun to go out.
func (c *Conn) noteOutput(sent bool) {
	if !sent {
		return
	}
	c.handshaking.sent = true
	if c.client {
		c.resumption.sent()
	}
}

// abandonHandshake is settleFailed for Close, where no handshake is running that
// would do it itself.
func (c *Conn) abandonHandshake() {
	if c.handshakeDone.Load() || !c.reading.turn.try() {
		return
	}
	defer c.reading.turn.give()
	if c.writing.turn.try() {
		defer c.giveWriter()
		if c.handshaking != nil {
			c.settleFailed(net.ErrClosed)
			if c.handshaking.paused != nil {
				c.reportFailure(c.handshaking.paused)
			}
		}
	}
}

// reportFailure logs, once, why a server's handshake failed: net/http and others
// drop its error.
func (c *Conn) reportFailure(err error) {
	if c.client || c.handshaking.reported {
		return
	}
	c.handshaking.reported = true
	level := slog.LevelWarn
	if c.handshaking.received == 0 &&
		(errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)) {
		level = slog.LevelDebug // it looked whether somebody listens
	}
	c.log(level, "handshake failed", "error", err)
}

// failure turns a result code of GnuTLS into the error of a handshake.
func (c *Conn) failure(code cgnutls.Code) (err error) {
	if lost := c.withSession(func(s *cgnutls.Session) {
		err = failureOf("handshake", code, s)
	}); lost != nil {
		return &Error{Op: "handshake", Code: ErrorCode(code)}
	}
	return err
}

// handshakeFailure is failure with what the handshake's callbacks said.
func (c *Conn) handshakeFailure(code cgnutls.Code, cb *cgnutls.Callbacks) error {
	err := c.failure(code)
	e := err.(*Error)
	switch {
	case cb.Err != nil:
		e.Err = callbackError(cb.Err)
	case code == cgnutls.EarlyDataRejected:
		e.Err = ErrEarlyData
	case code == cgnutls.PrematureTermination, code == cgnutls.SessionEOF:
		e.Err = fmt.Errorf("the peer closed the connection: %w", io.ErrUnexpectedEOF)
	}
	return err
}
