package gnutls

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"net"
	"os"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// DefaultMaxCallbacks is how many handshakes may be inside a function of the program at
// once where Config.MaxCallbacks is zero.
const DefaultMaxCallbacks = 64

// callbackTurns bounds the handshakes that are inside functions which the program gave for
// a Config: GnuTLS calls them, and each that waits holds a thread. A handshake takes a turn
// when one of them is called. Where none is free, a server's handshake that has sent
// nothing is given up inside C; it waits outside, and begins again with the same input.
// Later, and on clients, it waits before it enters C, if it may call.
type callbackTurns chan struct{}

// newTurns returns nil where nothing is called that may wait.
func (c *Config) newTurns(server bool) (callbackTurns, error) {
	n := c.MaxCallbacks
	switch {
	case n < 0:
		return nil, errors.New("gnutls: Config.MaxCallbacks is negative")
	case n == 0:
		n = DefaultMaxCallbacks
	}
	calls := server &&
		(c.GetPSK != nil || c.SessionStore != nil || c.LimitTickets != nil || c.AntiReplay != nil)
	for _, cert := range c.Certificates {
		switch cert.PrivateKey.(type) {
		case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		case crypto.Signer:
			calls = true
		}
	}
	if !calls {
		return nil, nil
	}
	return make(callbackTurns, n), nil
}

// turnOf is a handshake's share of callbackTurns. A handshake and what it calls run one at
// a time.
type turnOf struct {
	held   bool
	wanted bool // something could not be called for want of it
}

var errNoTurn = errors.New("too many handshakes are in functions of the program")

// enter is called from inside C, before a function of the program is.
func (c *Conn) enter() error {
	t := &c.handshaking.turn
	if t.held || c.native.turns == nil {
		return nil
	}
	select {
	case c.native.turns <- struct{}{}:
		t.held = true
		return nil
	default:
		t.wanted = true
		return errNoTurn
	}
}

// admit waits for a turn, if the next call into C cannot do without one.
func (c *Conn) admit(ctx context.Context) error {
	t := &c.handshaking.turn
	if c.native.turns == nil || t.held {
		return nil
	}
	if !t.wanted {
		if !c.handshaking.sent {
			return nil
		}
		calls := false
		if err := c.withSession(func(s *cgnutls.Session) {
			calls = c.client || c.mayCall(s)
		}); err != nil || !calls {
			return err
		}
	}
	if err := c.waitForTurn(ctx); err != nil {
		return err
	}
	t.held, t.wanted = true, false
	return nil
}

// mayCall reports whether a server that has sent something may yet call a function of the
// program.
func (c *Conn) mayCall(s *cgnutls.Session) bool {
	return s.AskedForRetry() ||
		s.Version() < VersionTLS13 && (c.config.SessionStore != nil || s.UsesPSK())
}

// leave gives the turn back, if there is one.
func (c *Conn) leave() {
	if t := &c.handshaking.turn; t.held {
		t.held = false
		<-c.native.turns
	}
}

// waitForTurn waits until ctx ends, the read deadline passes or the connection is closed.
func (c *Conn) waitForTurn(ctx context.Context) error {
	for {
		changed, deadline := c.deadlines.watchRead()
		if c.tls.closed.Load() {
			return net.ErrClosed
		}
		var expired <-chan time.Time
		if !deadline.IsZero() {
			left := time.Until(deadline)
			if left <= 0 {
				return os.ErrDeadlineExceeded
			}
			timer := time.NewTimer(left)
			defer timer.Stop()
			expired = timer.C
		}
		select {
		case c.native.turns <- struct{}{}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-expired:
		case <-changed:
		}
	}
}
