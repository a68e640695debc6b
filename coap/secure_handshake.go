package coap

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/bridge"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// handshakes are the sessions over DTLS whose handshakes are not over.
type handshakes struct{ conns []*conn }

func (h *handshakes) add(c *conn) { h.conns = append(h.conns, c) }

// sweep finds those that are over: libcoap tells only of those that fail. It returns when to
// call it again; 0: it need not.
func (h *handshakes) sweep() (next time.Duration) {
	h.conns = slices.DeleteFunc(h.conns, func(c *conn) bool {
		switch {
		case c.ended != nil:
		case c.native.State() == ccoap.StateEstablished:
			c.up()
		case c.ready.patient:
			wait := c.patience() - time.Since(c.usage.heard)
			if wait <= 0 {
				c.end(c.handshakeError())
			} else if next == 0 || wait < next {
				next = wait
			}
		}
		return c.ready.isUp || c.ended != nil
	})
	return next
}

// onHandshake has the handshake of a client go on that the server answers: libcoap would end it
// when it has had MaxRetransmit timeouts in all, one for each message that is lost or late.
func (l *loop) onHandshake(id ccoap.SessionID) {
	c := l.conns[id]
	if c == nil || c.ready.isUp {
		return
	}
	c.usage.heard = time.Now()
	if !c.ready.patient {
		c.ready.patient = true
		l.todo.locked(func() {
			if c.ended == nil && !c.ready.isUp {
				c.native.BePatient()
			}
		})
	}
}

// patience is how long a server may be silent in a handshake: as long as MaxRetransmit
// retransmissions of one message take.
func (c *conn) patience() time.Duration {
	return (2<<orDefault(c.l.config.MaxRetransmit, defaultMaxRetransmit) - 1) * retransmission
}

// retransmission is after what time libcoap sends the messages of a DTLS
// handshake again.
const retransmission = time.Second

// handshakeError says why a handshake failed, as far as that is known.
func (c *conn) handshakeError() error {
	e := &HandshakeError{}
	s := c.security
	if s == nil {
		return e
	}
	e.Err = s.failed
	exhausted := time.Duration(orDefault(c.l.config.MaxRetransmit,
		defaultMaxRetransmit)+1) * retransmission
	if !ccoap.CountsTimeouts {
		exhausted = retransmission
	}
	switch {
	case s.sent != 0:
		e.Alert, e.Sent = s.sent, true
	case s.failed != nil:
	case s.received != 0:
		e.Alert = s.received
	case c.proto == TLS:
		e.Err = fmt.Errorf("the peer closed the connection: %w", io.ErrUnexpectedEOF)
	case time.Since(s.began) >= exhausted:
		e.Err = ErrRetriesExhausted
	case !s.heard && !c.ready.patient:
		return ErrUnreachable
	}
	return e
}

// A tlsPeer is what a handshake has settled about the peer.
type tlsPeer struct {
	state    *gnutls.ConnectionState // nil: there was no handshake, or it is not over
	identity string                  // of a pre-shared key
	key      crypto.PublicKey        // a raw public key
}

// established notes what a handshake has settled. It fails where that is not
// what was asked for: libcoap accepts raw public keys that nobody has verified.
func (c *conn) established() error {
	p := c.native.TLS()
	if p.IsNil() {
		return ErrDisconnected
	}
	b := cgnutls.Borrow(p, c.server)
	st := b.State()
	state, err := bridge.Lent.ConnectionState(st)
	if err != nil {
		return err
	}
	accept := c.acceptServer
	switch {
	case c.lent:
		accept = c.acceptLent
	case c.server:
		accept = c.acceptClient
	}
	if err := accept(b, st, &state); err != nil {
		return err
	}
	state.HandshakeComplete = true
	if st.RawKey {
		if c.peer.key, err = x509.ParsePKIXPublicKey(st.PeerChain[0]); err != nil {
			return err
		}
	}
	c.peer.state = &state
	c.takeTickets()
	return nil
}

// acceptLent takes a peer for what it says: the C program has checked the rest.
func (c *conn) acceptLent(_ cgnutls.Borrowed, _ cgnutls.State,
	state *gnutls.ConnectionState) error {
	c.peer.identity = state.PSKIdentity
	return nil
}

func (c *conn) acceptClient(b cgnutls.Borrowed, st cgnutls.State,
	state *gnutls.ConnectionState) error {
	if state.DidResume {
		if err := c.l.acceptResumed(b, st, state); err != nil {
			return err
		}
	}
	switch {
	case st.RawKey && c.l.credentials.pki.VerifyRawPublicKey == nil:
		return errRawKey
	case strings.ContainsRune(state.PSKIdentity, 0):
		return errors.New("the client's identity holds a NUL byte")
	}
	c.peer.identity = state.PSKIdentity
	return nil
}

func (c *conn) acceptServer(b cgnutls.Borrowed, st cgnutls.State,
	state *gnutls.ConnectionState) error {
	s := c.security
	state.ServerName = s.name
	if err := s.settle(b, st, state); err != nil {
		return err
	}
	switch {
	case s.psk != nil && !state.PSK:
		return errors.New("the server does not use the pre-shared key")
	case s.pki != nil && !s.verified && !state.DidResume:
		return errors.New("the server was not verified")
	case s.psk != nil:
		state.PSKIdentity = string(c.native.PSKIdentity())
		c.peer.identity = string(c.native.PSKHint())
	}
	return nil
}
