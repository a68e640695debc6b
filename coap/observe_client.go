package coap

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"time"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// Observe registers for the resource that a GET or FETCH names (RFC 7641), and
// iterates over its states as the server tells them: the first one is the response
// to the request.
//
//	for response, err := range session.Observe(ctx, request) {
//
// An older state never follows a newer one. One that was not taken before the next
// one came is left out: a slow loop sees fewer states, and always the last. When
// nothing has come for the time that a state may be used (Max-Age, and 5 to 15 s on
// top), the registration is sent again, and its response is one more state.
//
// The iteration ends after a response that is an error, or that has no Observe
// option because the server does not let the resource be observed. It ends with an
// error when ctx ends, when the session is over, and when the server does not
// acknowledge. When it ends, or the loop is left, the server is told, without
// waiting for its answer. The errors are those of Do. An Echo option that the server wants
// is sent as Do does it.
func (s *Session) Observe(ctx context.Context, r *Request) iter.Seq2[*Response, error] {
	return func(yield func(*Response, error) bool) {
		if err := s.observe(ctx, r, yield); err != nil {
			yield(nil, s.failed("observe", err))
		}
	}
}

// Observe observes as Session.Observe does, over one session after another: where
// that ends with an error, the error is one step of the iteration, and then the
// client registers anew, after a pause of half a second that grows to a minute
// while there is no response. The iteration ends when ctx does or the client is
// closed.
func (c *Client) Observe(ctx context.Context, r *Request) iter.Seq2[*Response, error] {
	return func(yield func(*Response, error) bool) {
		const first, longest = 500 * time.Millisecond, time.Minute
		pause := first
		taken := func(response *Response, _ error) bool {
			pause = first
			return yield(response, nil)
		}
		for {
			err := c.observe(ctx, r, taken)
			if err == nil || !yield(nil, err) || ctx.Err() != nil || errors.Is(err, net.ErrClosed) &&
				c.isClosed() {
				return
			}
			select {
			case <-time.After(pause/2 + rand.N(pause)):
			case <-ctx.Done():
			}
			pause = min(2*pause, longest)
		}
	}
}

// observe observes in the session that there is.
func (c *Client) observe(ctx context.Context, r *Request, yield func(*Response, error) bool) error {
	s, err := c.Session(ctx)
	if err != nil {
		return err
	}
	defer s.Release()
	if err := s.observe(ctx, r, yield); err != nil {
		c.judge(s, err)
		return s.failed("observe", err)
	}
	return nil
}

var errObserveBody = errors.New("a request for observation cannot have a Source or a Sink")

// observe returns nil where the iteration came to its end, or was left.
func (s *Session) observe(ctx context.Context, r *Request,
	yield func(*Response, error) bool) error {
	switch {
	case r.Method != MethodGet && r.Method != MethodFetch:
		return fmt.Errorf("only GET and FETCH can observe, not %v", r.Method)
	case r.Source != nil || r.Sink != nil:
		return errObserveBody
	}
	options := r.Options
	if s.host != "" {
		options = withHost(options, s.host)
	}
	if err := r.check(options); err != nil {
		return err
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	if r.Method != MethodGet {
		options = s.c.begin(options)
		defer s.c.transfers.requests.Add(-1)
	}
	t := newTransfer(ctx, s.c, r, options.without(OptionObserve))
	o := &observation{t: t, reg: &registration{t: t, news: make(chan struct{}, 1)}}
	defer o.deregister()
	return o.run(yield)
}

// An observation is an iteration over the states of a resource. Its methods run on the goroutine
// of the iteration, and lock the loop by themselves.
type observation struct {
	t   *transfer
	reg *registration
}

// take returns what came last, or why nothing will come.
func (o *observation) take() (*ccoap.Message, error) {
	o.t.c.l.look()
	defer o.t.c.l.endLook()
	g := o.reg
	m := g.latest
	g.latest = nil
	if m == nil {
		return nil, g.err
	}
	if g.err != nil { // comes next
		g.wake()
	}
	return m, nil
}

func (o *observation) run(yield func(*Response, error) bool) error {
	if err := o.register(); err != nil {
		return err
	}
	answers := o.t.r.mayAnswer(o.t.options)
	answered := false
	silence := time.NewTimer(untilSilence(defaultMaxAge))
	defer silence.Stop()
	for {
		select {
		case <-o.t.ctx.Done():
			return o.t.ctx.Err()
		case <-silence.C:
			if err := o.register(); err != nil {
				return err
			}
			silence.Reset(untilSilence(defaultMaxAge))
		case <-o.reg.news:
			m, err := o.take()
			if err != nil {
				return err
			}
			if m == nil {
				continue
			}
			_, more := findOption(m.Options, OptionObserve)
			more = more && Code(m.Code).IsSuccess()
			if !more {
				o.forget()
			}
			if echo, ok := echoOf(m); ok && answers && !answered {
				answered = true
				if err := o.answer(echo); err != nil {
					return err
				}
				continue
			}
			answered = answered && !more
			response, err := o.t.receive(*m)
			switch {
			case errors.Is(err, ErrBodyChanged) && more: // the new one will be told
				continue
			case err != nil:
				return err
			}
			silence.Reset(untilSilence(response.Options.MaxAge()))
			if !yield(response, nil) || !more {
				return nil
			}
		}
	}
}

// untilSilence is how long to wait after a state that is fresh for a time (RFC
// 7641, section 3.3.1).
func untilSilence(fresh time.Duration) time.Duration {
	return fresh + 5*time.Second + rand.N(10*time.Second)
}

// register sends the request, with the same token each time.
func (o *observation) register() error {
	g := o.reg
	m := g.message(observeRegister)
	c := o.t.c
	if err := c.l.enter(); err != nil {
		return err
	}
	defer c.l.leave()
	if c.ended != nil {
		return c.ended
	}
	if g.x == nil {
		x := &exchange{c: c}
		x.choose(o.t.r.Token)
		if err := x.open(g); err != nil {
			return err
		}
		g.x = x
	}
	return g.begin(m)
}

// answer registers anew, with an Echo option.
func (o *observation) answer(echo []byte) error {
	o.t.c.l.look()
	o.reg.echo = echo
	o.t.c.l.endLook()
	o.t.r.Token = nil // a late duplicate of the response has the old one
	return o.register()
}

// forget has what comes from now on rejected.
func (o *observation) forget() {
	c := o.t.c
	c.l.look()
	defer c.l.endLook()
	o.reg.x.forget()
	o.reg.x = nil
}

// deregister tells the server that nobody observes any more, confirmably.
func (o *observation) deregister() {
	g := o.reg
	m := g.farewell()
	c := o.t.c
	if c.l.enter() != nil {
		return
	}
	defer c.l.leave()
	x := g.x
	delete(c.l.hearers, g.id)
	g.x = nil
	if x == nil || c.ended != nil || g.err != nil {
		return
	}
	x.to = &farewell{x: x, m: m, g: g}
	// For a C program libcoap would change the token of the request.
	if !c.l.shared || !c.native.CancelObserve(x.token.Append(x.bytes[:0], x.size)) {
		_ = x.begin(m)
	}
}

// A registration is what the loop knows of an observation: the request, which is sent again
// after a silence, and what has come for it. The loop guards it.
type registration struct {
	t    *transfer
	news chan struct{} // has an element when latest or err is set

	x      *exchange
	echo   []byte    // that the server wants, or nil
	id     messageID // of the last request
	awaits bool      // the answer to it
	acked  bool      // the server has it: what comes next is the answer
	fresh  wire.Freshness
	latest *ccoap.Message // nil: taken
	err    error          // there will be no more
}

func (g *registration) receive(m ccoap.Message) bool {
	if sequence, ok := findOption(m.Options, OptionObserve); ok && !g.t.c.proto.Reliable() &&
		!g.isNew(&m, uint32(wire.ParseUint(sequence))) {
		return true
	}
	if b, ok, _ := g.t.c.findBlock(m.Options, OptionBlock2); ok && b.Num > 0 && g.t.c.l.shared {
		return true // libcoap has asked for it, for a C program: so does the transfer
	}
	g.latest = &m
	g.wake()
	return true
}

// isNew reports whether a state with a number is newer than those before it. The answer to a
// registration is: the server may have started again, and count anew. What overtakes
// that answer, or comes without an acknowledgement, is judged by its number.
func (g *registration) isNew(m *ccoap.Message, sequence uint32) bool {
	if g.awaits && (g.acked || m.Type == ccoap.Acknowledgement) {
		g.fresh = wire.Freshness{}
	}
	if g.fresh.Advance(sequence, time.Now()) {
		g.awaits = false
		return true
	}
	if g.awaits { // libcoap does not send the registration again: a response had its token
		g.t.c.l.todo.locked(g.again)
	}
	return false
}

func (g *registration) acknowledged() { g.acked = true }

func (g *registration) rejected() {} // a Nack tells

func (g *registration) fail(err error) {
	g.err = err
	g.wake()
}

func (g *registration) wake() {
	select {
	case g.news <- struct{}{}:
	default:
	}
}

// message asks the server to begin, or to end.
func (g *registration) message(value uint64) *ccoap.Message {
	options := []Option{{OptionObserve, wire.EncodeUint(value)}}
	if szx := g.t.c.blockSZX(); g.t.c.asksEarly(szx) && !g.t.options.hasBlocks() {
		options = append(options, early(szx))
	}
	if g.echo != nil {
		options = append(options, Option{OptionEcho, g.echo})
	}
	return g.t.r.message(g.t.options.encode(options...), g.t.r.Body)
}

// begin sends the request.
func (g *registration) begin(m *ccoap.Message) error {
	c := g.t.c
	g.awaits = true
	g.acked = m.Type == ccoap.NonConfirmable || !ccoap.TellsEmpty()
	err := g.x.begin(m)
	delete(c.l.hearers, g.id)
	if err == nil && !g.acked && !c.proto.Reliable() {
		g.id = messageID{c.remote, uint16(g.x.mid)}
		c.l.hearers[g.id] = g
	}
	return err
}

func (g *registration) again() {
	if g.x == nil || !g.awaits || g.t.c.ended != nil {
		return
	}
	if err := g.begin(g.message(observeRegister)); err != nil {
		g.fail(err)
	}
}

func (g *registration) farewell() *ccoap.Message {
	m := g.message(observeDeregister)
	m.Type = ccoap.Confirmable
	return m
}

// A farewell waits for the response to a request for the end of an observation. A
// notification that comes before it is rejected, which ends the observation as well (RFC
// 7641, section 3.6): libcoap does not send the request again then.
type farewell struct {
	x *exchange
	m *ccoap.Message
	g *registration // nil: a response wanted an Echo option already
}

func (f *farewell) receive(m ccoap.Message) bool {
	_, notifies := findOption(m.Options, OptionObserve)
	echo, wanted := echoOf(&m)
	c := f.x.c
	switch {
	case wanted && f.g != nil && f.g.t.r.mayAnswer(f.g.t.options):
		f.g.echo = echo
		f.m = f.g.farewell()
		f.g = nil
		c.l.todo.locked(f.again)
	case !notifies || m.Type == ccoap.Acknowledgement:
		f.x.forget()
	case c.proto.Reliable():
	case ccoap.Rejects:
		f.x.forget()
		return false
	default:
		c.l.todo.locked(f.again)
	}
	return true
}

func (f *farewell) again() {
	if f.x.c.ended == nil {
		_ = f.x.begin(f.m)
	}
}

func (f *farewell) fail(error) {}
