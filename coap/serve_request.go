package coap

import (
	"bytes"
	"net"
	"time"

	"github.com/gnucoap/gnucoap/coap/internal/block"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A serverRequest is a request that a server has received, and what becomes of it.
type serverRequest struct {
	c           *conn
	m           ccoap.Message
	at          time.Time
	mid         uint16
	sum         uint64
	confirmable bool
	multicast   bool
	blocks      *blockRequest // what it says about blocks, if anything
	observer    *observer     // that its response makes

	// Guarded by the loop.
	response *response // what the handler has written
	acked    bool      // an empty acknowledgement has been sent
	answered bool
	sent     *ccoap.Message // with the acknowledgement

	links[*serverRequest] // in loop.requests

	logged bool // it is there
	size   int  // that it has there
}

func (l *loop) onRequest(id ccoap.SessionID, native ccoap.Session, isNew, multicast bool,
	m ccoap.Message) {
	c := l.conns[id]
	if isNew {
		c = l.newConn(id, native, true, l.shared)
		l.idle.add(c)
		l.todo.locked(c.configure)
	}
	if c != nil && c.lent {
		c.up()
	}
	if c != nil && !c.ready.isUp && c.proto.Reliable() { // it came right after the peer's capabilities
		l.todo.locked(func() {
			if c.ready.isUp && c.ended == nil {
				l.onRequest(id, native, false, multicast, m)
			}
		})
		return
	}
	if c == nil || !c.ready.isUp { // it has ended in this poll, or is about to
		return
	}
	if m.Type == ccoap.Acknowledgement && !c.proto.Reliable() { // RFC 7252, section 4.2
		return
	}
	c.noteAlive()
	// RFC 7252, section 8.1
	if multicast && (m.Type == ccoap.Confirmable || l.service.handler == nil) {
		return
	}
	in := &serverRequest{
		c:           c,
		m:           m,
		at:          time.Now(),
		mid:         uint16(m.ID),
		confirmable: m.Type == ccoap.Confirmable && !c.proto.Reliable(),
		multicast:   multicast,
	}
	if c.address.metered() {
		c.address.earn(&m)
	}
	if !c.proto.Reliable() {
		if !l.shared { // else the last block may come as the whole body first, and then as it is
			in.sum = sum(&m)
		}
		if first := l.requests.add(in); first != nil {
			l.todo.locked(first.again)
			return
		}
	}
	if !in.admit() {
		if in.confirmable && c.address.probing() { // it comes again
			l.requests.overlook(in)
			return
		}
		l.todo.locked(in.challenge)
		return
	}
	if r, ok := l.refuses(&m, l.service.proxy != nil && proxied(m.Options), nil); ok {
		l.todo.locked(func() { in.refuseOption(r) })
		return
	}
	if Code(m.Code) > MethodIPatch { // RFC 7252, section 5.8
		l.todo.locked(func() {
			if !in.multicast {
				_ = in.respond(&ccoap.Message{Code: int(CodeMethodNotAllowed)})
			}
		})
		return
	}
	if l.service.handler == nil {
		l.todo.locked(func() { in.respond(&ccoap.Message{Code: int(CodeNotFound)}) })
		return
	}
	if l.overloaded(c) {
		l.todo.locked(in.refuseForNow)
		return
	}
	c.usage.requests++
	l.service.begin()
	l.outbox.users.Add(1)
	if in.confirmable {
		l.acks.add(in)
	}
	if !block.Mentioned(m.Options) {
		l.serve(in)
		return
	}
	l.todo.locked(func() {
		if in.accept() {
			l.serve(in)
		}
	})
}

// busyAge is for how long a server that has too much to do asks not to be asked again.
const busyAge = 5 * time.Second

// overloaded reports whether a session, or all of them, have as many requests being
// handled as they may.
func (l *loop) overloaded(c *conn) bool {
	most := orDefault(l.config.MaxRequests, defaultMaxRequests)
	if !c.address.verified {
		most -= most / 4
	}
	return l.service.handling >= most ||
		c.usage.requests >= orDefault(l.config.MaxSessionRequests, defaultMaxOfSession)
}

// refuseForNow answers a request when there are too many.
func (in *serverRequest) refuseForNow() {
	if in.multicast { // RFC 7252, section 8.1
		return
	}
	var options Options
	options.SetMaxAge(busyAge)
	if in.c.address.unproved() { // those that are proved have more room
		options.Add(OptionEcho, in.c.address.echo(time.Now()))
	}
	_ = in.respond(&ccoap.Message{Code: int(CodeServiceUnavailable), Options: options.encode()})
}

// again answers a duplicate: what was lost is sent again.
func (in *serverRequest) again() {
	switch {
	case in.c.ended != nil || !in.confirmable:
	case in.acked:
		in.sendEmpty()
	case in.sent != nil:
		sent := *in.sent
		_, _ = in.c.transmit(&sent)
	}
}

func (in *serverRequest) sendEmpty() {
	_, _ = in.c.transmit(&ccoap.Message{Type: ccoap.Acknowledgement, ID: int(in.mid)})
}

func (in *serverRequest) over() *conn { return in.c }

// deliver sends the response of the handler.
func (in *serverRequest) deliver() {
	if in.c.l.native == nil {
		return
	}
	m := in.blockwise(in.response)
	in.response = nil
	in.done()
	_ = in.respond(m)
	in.begin()
}

// forget drops what the request holds: it stays in the log. The token is a part of all that
// came.
func (in *serverRequest) forget() {
	in.m.Token, in.m.Options, in.m.Body, in.blocks = bytes.Clone(in.m.Token), nil, nil, nil
	in.c.l.requests.resize(in)
}

func (in *serverRequest) done() {
	if in.blocks != nil && in.blocks.upload != nil {
		in.c.l.store.release(in.blocks.upload)
	}
	in.c.l.outbox.users.Add(-1)
	in.c.l.service.finish()
	in.c.finishRequest()
}

// respond fills in how the message reaches the peer, and sends it.
func (in *serverRequest) respond(m *ccoap.Message) error {
	if in.c.ended != nil {
		return in.c.ended
	}
	if in.answered {
		return net.ErrClosed
	}
	in.answered = true
	m.ID = ccoap.NewID
	proof := in.wantsProof(m)
	if proof && block.Mentioned(m.Options) {
		in.c.address.prod()
		proof = false
	}
	if proof && in.confirmable && !in.acked {
		in.acked = true
		in.sendEmpty()
	}
	switch {
	case proof:
		m.Type = ccoap.Confirmable
	case in.confirmable && !in.acked:
		m.Type, m.ID = ccoap.Acknowledgement, int(in.mid)
		in.sent = m
	case in.confirmable && !in.c.address.overdrawn(creditBytes) || in.c.proto.Reliable():
		m.Type = ccoap.Confirmable
	default:
		m.Type = ccoap.NonConfirmable
	}
	in.forget()
	m.Token = in.m.Token
	m.Answers = true
	_, err := in.c.send(m)
	if err == ccoap.ErrTooLarge {
		c, why := in.c, tooLarge(decodeOptions(m.Options), len(m.Body))
		c.l.todo.unlocked(func() {
			c.l.config.logError("response refused", "peer", c.uri(), "error", why)
		})
		m.Code, m.Options, m.Body = int(CodeInternalServerError), nil, nil
		_, err = c.send(m)
	}
	return in.c.sendError(err)
}
