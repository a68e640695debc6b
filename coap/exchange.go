package coap

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// An exchange waits for what comes for a token.
type exchange struct {
	c     *conn
	token wire.Token
	size  int                  // of the token in bytes; 0: not chosen yet
	bytes [wire.TokenSize]byte // of the token
	mid   int
	to    receiver

	options wire.Options // of the last message
}

// A receiver gets what comes for an exchange, with the loop locked: it must not
// block or use libcoap.
type receiver interface {
	// receive reports whether it takes the message. Otherwise that is rejected.
	receive(m ccoap.Message) bool
	// fail is the last call.
	fail(err error)
}

// choose takes the token of a message. If that is empty, open takes a random one.
func (x *exchange) choose(b []byte) { x.token, x.size = wire.ParseToken(b), len(b) }

var errTokenInUse = errors.New("another request has the same token")

// open makes a receiver get what comes for the exchange's token.
func (x *exchange) open(to receiver) error {
	c := x.c
	switch {
	case x.size == 0:
		x.token, x.size = wire.NewToken(), wire.TokenSize
		for c.exchanges[x.token] != nil {
			x.token = wire.NewToken()
		}
	case c.exchanges[x.token] != nil:
		return errTokenInUse
	}
	x.to = to
	if c.exchanges == nil {
		c.exchanges = make(map[wire.Token]*exchange)
	}
	c.exchanges[x.token] = x
	return nil
}

// forget ends the exchange without telling its receiver.
func (x *exchange) forget() {
	if x.c != nil && x.c.exchanges[x.token] == x {
		delete(x.c.exchanges, x.token)
	}
}

func (x *exchange) fail(err error) {
	x.forget()
	x.to.fail(err)
}

// begin sends a request, under a new message ID. If that fails, the exchange is
// forgotten.
func (x *exchange) begin(m *ccoap.Message) error {
	m.ID = ccoap.NewID
	err := x.post(m)
	if err == nil {
		return nil
	}
	x.forget()
	x.c.l.settle() // it may tell the reason
	return orDefault(x.c.ended, err)
}

// post sends a message of the exchange.
func (x *exchange) post(m *ccoap.Message) error {
	if x.c.ended != nil {
		return x.c.ended
	}
	m.Token = x.token.Append(x.bytes[:0], x.size)
	x.options = m.Options
	mid, err := x.c.send(m)
	x.mid = mid
	return x.c.sendError(err)
}

// dispatch hands a response to the exchange that waits for it.
func (l *loop) dispatch(id ccoap.SessionID, m ccoap.Message) bool {
	x := l.exchange(id, m.Token)
	// A piggybacked response must match in its message ID too (RFC 7252, section
	// 5.3.2), unless libcoap has put it together for a C program.
	if x == nil || m.Type == ccoap.Acknowledgement && m.ID != x.mid && !l.shared {
		return false
	}
	if err := l.acceptable(&m, x.options); err != nil {
		x.fail(err)
		return false
	}
	return x.to.receive(m)
}

// exchange returns what waits for messages with a token, or nil.
func (l *loop) exchange(id ccoap.SessionID, token []byte) *exchange {
	c := l.conns[id]
	if c == nil || len(token) > wire.TokenSize {
		return nil
	}
	if x := c.exchanges[wire.ParseToken(token)]; x != nil && x.size == len(token) {
		return x
	}
	return nil
}

// A call waits for the one response to a message.
type call struct {
	exchange exchange
	request  ccoap.Message
	next     func(ccoap.Message) (*ccoap.Message, error) // or nil, see Session.converse
	response ccoap.Message
	err      error
	ended    bool          // there is a response or an error, or nobody waits for it
	done     chan struct{} // gets an element then
}

func (k *call) receive(m ccoap.Message) bool {
	switch {
	case k.ended:
	case isStale(&m, &k.request):
		l := k.exchange.c.l
		l.todo.locked(k.again)
	default:
		k.response = m
		if k.next == nil {
			k.finish()
			break
		}
		k.exchange.forget()
		l := k.exchange.c.l
		l.todo.locked(k.goOn)
	}
	return true
}

// again sends the message again. libcoap has stopped doing so, because a late response had its
// token.
func (k *call) again() {
	if k.ended {
		return
	}
	if err := k.exchange.begin(&k.request); err != nil {
		k.fail(err)
	}
}

// goOn sends the message that follows the response.
func (k *call) goOn() {
	if k.ended {
		return
	}
	m, err := k.next(k.response)
	switch {
	case err != nil:
		k.fail(err)
	case m == nil:
		k.finish()
	default:
		k.request = *m
		k.exchange.choose(m.Token)
		k.deliver()
	}
}

func (k *call) fail(err error) {
	if !k.ended {
		k.err = err
		k.finish()
	}
}

// finish is the last use of the call by the loop.
func (k *call) finish() {
	k.ended = true
	k.exchange.forget()
	k.done <- struct{}{}
}

func newCall() *call { return &call{done: make(chan struct{}, 1)} }

var calls = sync.Pool{New: func() any { return newCall() }}

func (k *call) free() {
	*k = call{done: k.done}
	calls.Put(k)
}

func (k *call) over() *conn { return k.exchange.c }

// deliver sends the message.
func (k *call) deliver() {
	if k.ended { // its context has ended
		return
	}
	if err := k.exchange.start(&k.request, k); err != nil {
		k.fail(err)
	}
}

// wait returns what came, or the error of ctx.
func (k *call) wait(ctx context.Context) (ccoap.Message, error) {
	select {
	case <-k.done:
		return k.response, k.err
	case <-ctx.Done():
		return ccoap.Message{}, ctx.Err()
	}
}

// exchange sends one message and waits for its response.
func (s *Session) exchange(ctx context.Context, m *ccoap.Message) (ccoap.Message, error) {
	return s.converse(ctx, m, nil)
}

// converse is exchange for several messages: next is called for each response, with
// the loop locked, and returns the next message to send, or nil if the response is the last
// one. It is not called after the context has ended.
func (s *Session) converse(
	ctx context.Context, m *ccoap.Message, next func(ccoap.Message) (*ccoap.Message, error),
) (ccoap.Message, error) {
	c := s.c
	c.l.outbox.users.Add(1)
	defer c.l.outbox.users.Add(-1)
	waiting := calls.Get().(*call)
	waiting.exchange.c = c
	waiting.request = *m
	waiting.exchange.choose(m.Token)
	waiting.next = next
	c.l.driver.submit(waiting)
	select {
	case <-waiting.done:
		response, err := waiting.response, waiting.err
		waiting.free()
		return response, err
	case <-ctx.Done():
		c.l.look()
		waiting.ended = true
		waiting.exchange.forget()
		c.l.endLook()
		return ccoap.Message{}, ctx.Err()
	}
}

// start sends a message, whose responses go to a receiver until the exchange is
// closed.
func (s *Session) start(m *ccoap.Message, to receiver) (*exchange, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.c.l.leave()
	x := &exchange{c: s.c}
	x.choose(m.Token)
	if err := x.start(m, to); err != nil {
		return nil, err
	}
	return x, nil
}

// start opens the exchange and sends its first message.
func (x *exchange) start(m *ccoap.Message, to receiver) error {
	c := x.c
	if c.l.native == nil {
		return net.ErrClosed
	}
	if c.ended != nil {
		return c.ended
	}
	if err := x.open(to); err != nil {
		return err
	}
	return x.begin(m)
}
