package gnutls

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// A failure is an error of TLS that came after the handshake. The peer is told
// of it once. One that is fatal ends the connection: whatever the program does
// next, nothing follows the alert, close_notify included (RFC 8446 section 6.2).
type failure struct {
	err   error
	code  cgnutls.Code
	fatal bool
	told  chan struct{} // closed when the peer has been told, or need not be

	forget    bool // the session must not be resumed
	forgotten atomic.Bool
	sessionID []byte // under which a server's store may have it
}

// fail notes a failure. The first that is fatal stays. The caller holds the lock of tls:
// a goroutine that finds the session invalid in GnuTLS must find the failure too.
func (c *Conn) fail(op string, code cgnutls.Code) *failure {
	if f := c.failed.Load(); f != nil && f.fatal {
		return f
	}
	f := &failure{
		err:    failureOf(op, code, c.tls.session.s),
		code:   code,
		fatal:  code != cgnutls.Rehandshake,
		told:   make(chan struct{}),
		forget: code != cgnutls.Rehandshake && code != cgnutls.PrematureTermination,
	}
	if f.forget && !c.client {
		f.sessionID = c.tls.session.s.State().SessionID
	}
	c.failed.Store(f)
	return f
}

// fatal returns the error that ended the connection, or nil.
func (c *Conn) fatal() error {
	if f := c.failed.Load(); f != nil && f.fatal {
		return f.err
	}
	return nil
}

// truncated is the error of a connection that ended without close_notify.
func truncated(op string) error {
	return &Error{Op: op, Code: CodePrematureTermination,
		Err: fmt.Errorf("the connection ended without close_notify: %w", io.ErrUnexpectedEOF)}
}

// failureOf turns a result code of GnuTLS into an error.
func failureOf(op string, code cgnutls.Code, s *cgnutls.Session) error {
	e := &Error{Op: op, Code: ErrorCode(code)}
	switch code {
	case cgnutls.PrematureTermination:
		return truncated(op)
	case cgnutls.FatalAlertReceived:
		e.Alert = Alert(s.ReceivedAlert())
	case cgnutls.Rehandshake:
		e.Err = fmt.Errorf("renegotiation is refused: %w", e.Code)
	}
	return e
}

// tellSoon tells the peer of a failure now, or leaves that to a Write in
// progress, whose time is limited from then on.
func (c *Conn) tellSoon() {
	if c.writing.turn.try() {
		c.giveWriter()
		return
	}
	if c.fatal() != nil {
		c.deadlines.shortenWrite(lastWordTimeout)
	}
}

// giveWriter gives the turn of writing back, and tells the peer of a failure first.
func (c *Conn) giveWriter() {
	for {
		c.tell()
		c.writing.turn.give()
		// The reader may have failed since, while the turn was taken.
		if !c.untold() || !c.writing.turn.try() {
			return
		}
	}
}

func (c *Conn) untold() bool {
	f := c.failed.Load()
	if f == nil {
		return false
	}
	select {
	case <-f.told:
		return false
	default:
		return true
	}
}

// tell tells the peer of a failure, once. The caller holds the turn of writing.
func (c *Conn) tell() {
	if !c.untold() {
		return
	}
	f := c.failed.Load()
	if !c.writing.closeNotify && !c.tls.closed.Load() {
		c.alertFor(f.code)
	}
	close(f.told)
}

// waitTold waits until the peer has been told of a fatal failure.
func (c *Conn) waitTold() {
	if c.fatal() == nil {
		return
	}
	select {
	case <-c.failed.Load().told:
	case <-time.After(lastWordTimeout):
	}
}

// forgetSession keeps the session of a connection that has failed from being
// resumed, best effort (RFC 5246 section 7.2.2, RFC 8446 section 6.2). The caller
// holds no lock.
func (c *Conn) forgetSession() {
	f := c.failed.Load()
	if f == nil || !f.forget || f.forgotten.Swap(true) {
		return
	}
	if c.client {
		c.resumption.forget()
		return
	}
	if c.state.Load().Version == VersionTLS13 || len(f.sessionID) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastWordTimeout)
	defer cancel()
	if err := c.native.store.Delete(ctx, f.sessionID); err != nil {
		c.log(slog.LevelWarn, "store failed", "error", err)
	}
}

// alertFor tells the peer about an error. The caller holds the turn of writing.
func (c *Conn) alertFor(code cgnutls.Code) {
	switch code {
	case cgnutls.FatalAlertReceived, cgnutls.PrematureTermination, cgnutls.SessionEOF,
		cgnutls.InvalidSession:
		return
	}
	c.sendLast(func(s *cgnutls.Session, out []byte) cgnutls.Result { return s.AlertFor(code, out) })
}
