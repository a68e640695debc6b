package coap

import (
	"net/netip"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A messageID tells messages without transport security, or with DTLS, apart.
type messageID struct {
	peer netip.AddrPort
	mid  uint16
}

// A hearer has sent a message, and is told what the peer says of it. It is called with the
// loop locked, before libcoap knows, and must not use libcoap.
type hearer interface {
	acknowledged()
	rejected()
}

// onHeard deals with a message that libcoap has yet to see. The address is that of the peer
// where id is 0. It reports whether libcoap is not to see the message.
func (l *loop) onHeard(id ccoap.SessionID, peer netip.AddrPort, what ccoap.Heard,
	mid uint16) (dealtWith bool) {
	if c := l.conns[id]; c != nil {
		c.usage.heard = time.Now()
		peer = c.remote
	}
	m := messageID{peer, mid}
	switch what {
	case ccoap.HeardResponse:
		if c := l.confirmed[m]; c != nil {
			l.todo.locked(c.confirmAgain)
		}
		return false
	case ccoap.HeardLastBlock:
		in := l.requests.shared[m]
		if in == nil || in.c.recent.byID[mid] != in || time.Now().After(in.expires()) {
			return false
		}
		l.todo.locked(in.again)
		return true
	}
	// it has asked for what it got
	if c := l.validation.proofs[m]; c != nil && what == ccoap.HeardAcknowledgement {
		c.noteAlive()
		c.trust()
	}
	h := l.hearers[m]
	switch {
	case h == nil:
	case what == ccoap.HeardReset:
		h.rejected()
	default:
		h.acknowledged()
	}
	return false
}

// A confirmed is the last confirmable response that came, and what it was answered with.
type confirmed struct {
	mid   int
	reply int // Acknowledgement or Reset
	known bool
}

// noteConfirmable notes what libcoap answers to a confirmable response. When that comes
// again, 4.3.1 and 4.3.4 are silent, and the peer would give up (RFC 7252, section 4.2).
func (l *loop) noteConfirmable(id ccoap.SessionID, mid uint16, taken bool) {
	c := l.conns[id]
	if c == nil || c.proto.Reliable() || ccoap.ConfirmsAgain {
		return
	}
	c.forgetConfirmable()
	c.confirmed = confirmed{int(mid), ccoap.Acknowledgement, true}
	if !taken {
		c.confirmed.reply = ccoap.Reset
	}
	if l.confirmed == nil {
		l.confirmed = make(map[messageID]*conn)
	}
	l.confirmed[messageID{c.remote, mid}] = c
}

func (c *conn) forgetConfirmable() {
	if m := (messageID{c.remote, uint16(c.confirmed.mid)}); c.confirmed.known &&
		c.l.confirmed[m] == c {
		delete(c.l.confirmed, m)
	}
}

// confirmAgain answers the last confirmable response once more.
func (c *conn) confirmAgain() {
	if c.ended == nil {
		_, _ = c.native.Send(&ccoap.Message{Type: c.confirmed.reply, ID: c.confirmed.mid})
	}
}
