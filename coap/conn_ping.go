package coap

import (
	"context"
	"slices"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A ping waits for its answer.
type ping struct {
	c   *conn
	mid int // over UDP and DTLS
	*call
	// told is called with the loop locked. Where the peer is there it must not use libcoap.
	told func(there bool)
}

// Ping asks whether the peer is there: over UDP and DTLS with an empty confirmable
// message (RFC 7252, section 4.3), and over TCP and TLS with a Ping (RFC 8323,
// section 5.4). It waits for the connection and the handshake first. It wraps
// coap_session_send_ping.
func (s *Session) Ping(ctx context.Context) error {
	err := s.ready(ctx)
	if err != nil {
		return s.failed("ping", err)
	}
	p, err := s.sendPing()
	if err == nil {
		_, err = p.wait(ctx)
		s.forget(p)
	}
	if err != nil {
		return s.failed("ping", err)
	}
	return nil
}

func (s *Session) sendPing() (*ping, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	return s.c.sendPing()
}

// sendPing asks the peer whether it is there, in a session that is not over.
func (c *conn) sendPing() (*ping, error) {
	var mid int
	var err error
	if c.proto.Reliable() {
		mid, err = c.native.Ping()
	} else { // libcoap 4.3.4 sends none while something waits for its acknowledgement
		mid, err = c.native.Send(&ccoap.Message{Type: ccoap.Confirmable, Code: int(CodeEmpty),
			ID: ccoap.NewID})
	}
	if err != nil {
		return nil, c.sendError(err)
	}
	p := &ping{c: c, mid: mid, call: newCall()}
	c.pings = append(c.pings, p)
	if !c.proto.Reliable() {
		c.l.hearers[p.id()] = p
	}
	return p, nil
}

func (p *ping) id() messageID { return messageID{p.c.remote, uint16(p.mid)} }

// forget drops a ping that nobody waits for any more. Over a reliable transport it is not
// dropped before its Pong, which would be taken for that of the next one.
func (s *Session) forget(p *ping) {
	if s.c.proto.Reliable() {
		return
	}
	s.look()
	defer s.endLook()
	p.drop()
}

func (p *ping) drop() {
	p.c.pings = slices.DeleteFunc(p.c.pings, func(other *ping) bool { return other == p })
	if p.c.l.hearers[p.id()] == hearer(p) {
		delete(p.c.l.hearers, p.id())
	}
}

// settle says what became of a ping.
func (p *ping) settle(err error) {
	p.drop()
	if err == nil {
		if p.told != nil {
			p.told(true)
		}
		p.receive(ccoap.Message{})
		return
	}
	if p.told != nil {
		p.c.l.todo.locked(func() { p.told(false) })
	}
	p.fail(err)
}

// onPong is called for a Pong over a reliable transport, where they come in the
// order of the pings.
func (l *loop) onPong(id ccoap.SessionID) {
	if c := l.conns[id]; c != nil && len(c.pings) > 0 {
		c.pings[0].settle(nil)
	}
}

// acknowledged takes the answer of go-coap 3.8.1, which should be a reset.
func (p *ping) acknowledged() { p.settle(nil) }

// rejected has nothing to do: onNack comes.
func (p *ping) rejected() {}

// pinged reports whether a message that was not taken was a ping. The answer to one
// is a reset (RFC 7252, section 1.2).
func (c *conn) pinged(reason ccoap.Reason, m ccoap.Message) bool {
	if m.Code != int(CodeEmpty) {
		return false
	}
	for _, p := range c.pings {
		if p.mid != m.ID {
			continue
		}
		if reason == ccoap.WasReset {
			p.settle(nil)
		} else {
			p.settle(nackError(reason))
		}
		break
	}
	return true
}
