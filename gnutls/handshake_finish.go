package gnutls

import (
	"errors"
	"log/slog"
	"net"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// finish ends a handshake that is complete for GnuTLS. An error of a callback
// that did not fail the handshake is one of the store.
func (c *Conn) finish(cb *cgnutls.Callbacks) error {
	cs, err := c.currentState()
	var panicked *PanicError
	if failed := callbackError(cb.Err); errors.As(failed, &panicked) {
		err = &Error{Op: "handshake", Code: CodeInternalError, Err: failed}
	} else if failed != nil {
		c.log(slog.LevelWarn, "store failed", "error", failed)
	}
	if !c.client {
		cs.DidResume = cs.DidResume && !c.handshaking.verdict.accepted
	} else if lost := c.resumption.judge(&cs, c.handshaking.verdict.accepted); err == nil {
		err = lost
	}
	if err == nil && !c.handshaking.verdict.accepted {
		err = c.judge(&cs)
	}
	var early []byte
	if err == nil && c.client {
		early, err = c.settleEarly(&cs)
	} else if err == nil {
		err = c.receiveEarly(&cs)
	}
	if err != nil {
		return c.reject(err)
	}
	if c.tls.closed.Load() { // by VerifyConnection
		return net.ErrClosed
	}
	cs.VerifiedChains, cs.VerifyError = c.handshaking.verdict.chains, c.handshaking.verdict.err
	cs.HandshakeComplete = true
	if c.client {
		c.finishClient(&cs, early)
	} else {
		c.state.Store(&cs)
		if cs.Version == VersionTLS13 && !c.config.SessionTicketsDisabled {
			c.sendTickets(&cs)
		}
	}
	c.handshaking = nil
	c.handshakeDone.Store(true)
	c.log(slog.LevelDebug, "handshake complete", "version", VersionName(cs.Version), "cipher",
		cs.CipherSuiteName,
		"resumed", cs.DidResume, "server_name", cs.ServerName)
	return nil
}

// finishClient ends a client's handshake. early must still be sent.
func (c *Conn) finishClient(cs *ConnectionState, early []byte) {
	c.resumption.settle(cs)
	c.tellCache()
	c.state.Store(cs)
	if cs.Version < VersionTLS13 {
		c.finish12(*cs)
	}
	if len(early) > 0 {
		c.sendAfter(func() error {
			_, err := c.write(early)
			return err
		})
	}
}

// finish12 keeps the session of a TLS 1.2 client.
func (c *Conn) finish12(cs ConnectionState) {
	if !cs.DidResume {
		falseStart := false
		if err := c.withSession(func(s *cgnutls.Session) { falseStart = s.FalseStarted() }); err != nil {
			return
		}
		if falseStart {
			c.reading.falseStart = true
			return
		}
	}
	c.keepSession12()
}

func (c *Conn) currentState() (cs ConnectionState, err error) {
	lost := c.withSession(func(s *cgnutls.Session) {
		cs, err = c.connectionState(s.State())
		addTicketRequest(&cs, s)
	})
	return cs, errors.Join(lost, err)
}
