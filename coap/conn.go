package coap

import (
	"errors"
	"net/netip"
	"time"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A conn is a native session. Its methods are called with the loop locked, but for those that
// use no more than what does not change (its fields up to remote) and atomic values.
type conn struct {
	l       *loop
	id      ccoap.SessionID
	native  ccoap.Session // while ended is nil
	proto   Protocol
	server  bool     // the peer has opened the session
	lent    bool     // a C program may have it too
	session *Session // what handlers see, and C programs wrap; it keeps nothing open
	local   netip.AddrPort
	remote  netip.AddrPort

	ended     error         // why it is over
	done      chan struct{} // closed when it is over
	ready     readiness
	exchanges map[wire.Token]*exchange
	pings     []*ping
	appData   any
	context   contextOf

	security *security // of a secured session of a client
	peer     tlsPeer

	links[*conn] // in loop.idle, of a server

	usage     usage
	address   address
	recent    exchangeLog
	confirmed confirmed

	cork cork

	transfers transfers

	observers peerObservers
}

// foreignTags is beyond the Request-Tags of libcoap, which have 4 bytes.
const foreignTags = 1 << 32

func (l *loop) newConn(id ccoap.SessionID, native ccoap.Session, server, lent bool) *conn {
	c := &conn{
		l:      l,
		id:     id,
		native: native,
		proto:  protocols[native.Protocol()],
		server: server,
		lent:   lent,
		done:   make(chan struct{}),
		ready:  readiness{done: make(chan struct{})},
	}
	if l.shared {
		c.transfers.tags.Store(foreignTags)
	}
	c.transfers.mtu.Store(int32(l.config.MTU))
	c.local, c.remote = native.Addresses()
	c.session = &Session{c: c}
	proved := !server || c.proto != UDP
	c.address = address{c: c, verified: proved, consents: proved}
	c.observers.c = c
	l.conns[id] = c
	state := native.State()
	secured := !c.proto.Secure() || state == ccoap.StateCSM || state == ccoap.StateEstablished
	if c.proto == UDP || server && (secured || !lent) || lent && state == ccoap.StateEstablished {
		c.up()
	}
	return c
}

// A readiness tells whether messages can be exchanged.
type readiness struct {
	done    chan struct{} // closed when they can, or the session is over
	isUp    bool          // done is closed because they can
	patient bool          // the handshake goes on
}

// up notes that messages can be exchanged.
func (c *conn) up() {
	if !c.ready.isUp && c.ended == nil {
		if c.proto.Secure() {
			if err := c.established(); err != nil {
				c.refuse(err)
				return
			}
		}
		c.ready.isUp = true
		if c.ready.patient {
			c.configure()
		}
		close(c.ready.done)
	}
}

// refuse ends a session whose peer is not accepted.
func (c *conn) refuse(err error) {
	if !c.server {
		c.fail(err)
		return
	}
	c.l.warn("client refused", "peer", c.uri(), "error", err)
	c.l.todo.locked(func() { c.end(ErrHandshake) })
}

// end ends the session. Whoever waits for something gets err.
func (c *conn) end(err error) {
	if c.ended != nil {
		return
	}
	c.ended = err
	delete(c.l.conns, c.id)
	if c.server {
		c.l.idle.remove(c)
		c.l.timer.arm(time.Millisecond) // libcoap frees it in a poll
	}
	if c.lent {
		c.native.Forget()
	} else {
		c.native.Close()
	}
	for _, x := range c.exchanges {
		x.fail(err)
	}
	for len(c.pings) > 0 {
		c.pings[0].settle(err)
	}
	c.exchanges = nil
	if !c.ready.isUp {
		close(c.ready.done)
	}
	c.settleResumption()
	c.l.store.forget(c)
	c.l.requests.forget(c)
	c.address.dropProofs()
	c.observers.end()
	c.forgetConfirmable()
	c.context.end(err)
	close(c.done)
}

// send sends a message. One over a connection waits where others are queued.
func (c *conn) send(m *ccoap.Message) (mid int, err error) {
	m.More = c.proto.Reliable() && c.cork.push()
	if ccoap.StopsItsTimer && m.Type == ccoap.Confirmable && !c.proto.Reliable() {
		c.l.timer.arm(minAckTimeout)
	}
	return c.transmit(m)
}

// sendError explains why libcoap did not take a message.
func (c *conn) sendError(err error) error {
	switch {
	case err == nil:
		return nil
	case err == ccoap.ErrTooLarge:
		return ErrTooLarge
	case c.proto == UDP: // the network, or the host that got an earlier message, refuses it
		return ErrUnreachable
	default:
		return ErrDisconnected
	}
}

// onResponse reports whether somebody waits for the response.
func (l *loop) onResponse(id ccoap.SessionID, m ccoap.Message) bool {
	if c := l.conns[id]; c != nil {
		c.usage.heard = time.Now()
	}
	taken := l.dispatch(id, m)
	if m.Type == ccoap.Confirmable && (taken || !l.shared) {
		l.noteConfirmable(id, uint16(m.ID), taken)
	}
	return taken
}

// onNack reports whether the message was sent by Go.
func (l *loop) onNack(id ccoap.SessionID, reason ccoap.Reason, m ccoap.Message) bool {
	c := l.conns[id]
	if c == nil || c.proto.Reliable() { // the session ends: an event tells
		return false
	}
	c.address.disprove(m.ID)
	if c.pinged(reason, m) {
		return true
	}
	if o := c.observers.byToken[string(m.Token)]; o != nil {
		// else it was acknowledged, with something odd
		if nackErrors[reason] != nil || reason == ccoap.TLSFailed {
			o.remove()
		}
		return true
	}
	if x := l.exchange(id, m.Token); x != nil {
		err := nackError(reason)
		if reason == ccoap.TLSFailed {
			err = c.lost()
		}
		x.fail(err)
		return true
	}
	return false
}

// nackError never returns nil: some versions of libcoap have more reasons.
func nackError(reason ccoap.Reason) error { return orDefault(nackErrors[reason], errBadMessage) }

var errBadMessage = errors.New("the peer sent a message that is not valid")

var nackErrors = map[ccoap.Reason]error{
	ccoap.TooManyRetries: ErrRetriesExhausted,
	ccoap.NotDeliverable: ErrDisconnected,
	ccoap.WasReset:       ErrReset,
	ccoap.Unreachable:    ErrUnreachable,
}

func (l *loop) onEvent(id ccoap.SessionID, event ccoap.Event) {
	if id == 0 {
		return
	}
	l.todo.locked(func() {
		if c := l.conns[id]; c != nil {
			c.changed(event)
		}
	})
}

// changed deals with a change of the native session's state.
func (c *conn) changed(event ccoap.Event) {
	switch event {
	case ccoap.TCPConnected:
		c.tcpConnected()
	case ccoap.TLSConnected:
		if !c.proto.Reliable() {
			c.up()
		}
	case ccoap.SessionConnected:
		c.up()
	case ccoap.TLSError:
		c.end(c.lost())
	case ccoap.TCPFailed:
		c.end(ErrUnreachable)
	case ccoap.TLSClosed, ccoap.TCPClosed, ccoap.SessionClosed, ccoap.SessionFailed:
		c.end(c.lost())
	}
}

// lost says why the session was disconnected.
func (c *conn) lost() error {
	if c.proto.Secure() && !c.ready.isUp {
		return c.handshakeError()
	}
	return ErrDisconnected
}
