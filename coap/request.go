package coap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A Request is what a client sends and what a server's Handler gets.
type Request struct {
	// Method is MethodGet and so on.
	Method Code
	// Options are sent as they are. Those that the library needs for itself, such
	// as Block1, are added.
	Options Options
	// Body is sent in blocks where it is too large for one message. A handler gets
	// it whole.
	Body []byte
	// NonConfirmable sends the request without asking for an acknowledgement (RFC
	// 7252, section 4.3): it is not sent again when it is lost. It has no meaning over TCP and TLS.
	NonConfirmable bool

	// Token, if not empty, is the token of a client's request, of up to 8 bytes, in place
	// of a random one (RFC 7252, section 5.3.1): over UDP, whoever guesses it can answer.
	// No two requests that a session has under way can have the same, and an
	// observation is under way until the server knows of its end. Where a response comes in
	// blocks, the requests for further ones have random tokens, and so has a request that is
	// repeated with an Echo option, see Session.Do. Handlers do not get it.
	Token []byte

	// NoEcho has a 4.01 that asks for an Echo option returned, in place of a request with that
	// option, in a client, see Session.Do. It is for proxies: they cannot tell that
	// a request of their client is fresh (RFC 9175, section 2.3).
	NoEcho bool

	// Source, if set, is read for the body in place of Body, in a client. Where the
	// server makes the transfer start again, or wants an Echo option when it has all of
	// the body's blocks, and Source is no io.Seeker, the
	// server's response is returned. A size that Len, Stat or Seek tells has two uses:
	// the server hears of it, and over TCP and TLS what fits goes in one message.
	Source io.Reader
	// Sink, if set, gets the body of a successful response as it comes, in a
	// client; then Response.Body is empty. Config.MaxBody does not apply.
	Sink io.Writer
	// OnProgress, if set, is called in a client whenever a part of a body was
	// sent or received, on the goroutine that makes the request.
	OnProgress func(Progress)

	// Session is the session that a server received the request in. It is ignored
	// in requests of clients.
	Session *Session
	// Multicast says that a server received the request for a group.
	Multicast bool

	ctx    context.Context   // that WithContext has set, or nil
	values map[string]string // of the wildcards of a pattern
	origin *incoming         // of a request that came
}

// PathValue returns what a wildcard of the pattern stands for that the request was
// matched with, or "".
func (r *Request) PathValue(name string) string { return r.values[name] }

// Context returns the context of a request that a server handles: unless WithContext
// has set another, it ends when the session does: when the client is gone, or the
// server closes. For requests of clients it never ends, and has no meaning.
func (r *Request) Context() context.Context {
	switch {
	case r.ctx != nil:
		return r.ctx
	case r.Session == nil:
		return context.Background()
	}
	return r.Session.c.context()
}

// WithContext returns a shallow copy of the request with another context, for handlers
// that hand it on to others.
func (r *Request) WithContext(ctx context.Context) *Request {
	other := *r
	other.ctx = ctx
	return &other
}

// A Response is what a server answers.
type Response struct {
	Code    Code
	Options Options
	Body    []byte
}

// A call waits for the one response to a message.
type call struct {
	exchange exchange
	request  ccoap.Message
	next     func(ccoap.Message) (*ccoap.Message, error) // or nil, see conn.converse
	response ccoap.Message
	err      error
	ended    bool          // there is a response or an error, or nobody waits for it
	done     chan struct{} // gets an element then
}

func (c *call) receive(m ccoap.Message) bool {
	switch {
	case c.ended:
	case isStale(&m, &c.request):
		l := c.exchange.c.l
		l.events = append(l.events, c.again)
	default:
		c.response = m
		if c.next == nil {
			c.end()
			break
		}
		c.exchange.close()
		l := c.exchange.c.l
		l.events = append(l.events, c.goOn)
	}
	return true
}

// again sends the message again, because libcoap does no longer: a late response had
// its token.
func (c *call) again() {
	if c.ended {
		return
	}
	if err := c.exchange.begin(&c.request); err != nil {
		c.fail(err)
	}
}

// goOn sends what is to follow the response.
func (c *call) goOn() {
	if c.ended {
		return
	}
	m, err := c.next(c.response)
	switch {
	case err != nil:
		c.fail(err)
	case m == nil:
		c.end()
	default:
		c.request = *m
		c.exchange.choose(m.Token)
		c.send()
	}
}

func (c *call) fail(err error) {
	if !c.ended {
		c.err = err
		c.end()
	}
}

// end is the last use of the call by the loop.
func (c *call) end() {
	c.ended = true
	c.exchange.close()
	c.done <- struct{}{}
}

func newCall() *call { return &call{done: make(chan struct{}, 1)} }

var calls = sync.Pool{New: func() any { return newCall() }}

func (c *call) free() {
	*c = call{done: c.done}
	calls.Put(c)
}

func (c *call) over() *conn { return c.exchange.c }

// send makes a call of a conn.
func (c *call) send() {
	if c.ended { // its context has ended
		return
	}
	if err := c.exchange.start(&c.request, c); err != nil {
		c.fail(err)
	}
}

// wait returns what came, or the error of ctx.
func (c *call) wait(ctx context.Context) (ccoap.Message, error) {
	select {
	case <-c.done:
		return c.response, c.err
	case <-ctx.Done():
		return ccoap.Message{}, ctx.Err()
	}
}

// exchange sends one message and waits for its response.
func (c *conn) exchange(ctx context.Context, m *ccoap.Message) (ccoap.Message, error) {
	return c.converse(ctx, m, nil)
}

// converse is exchange for several messages: next is called for each response, with
// the loop locked, and returns the message that is to be sent then. Where it returns
// none, the response is the last one. After the context has ended it is not called
// again.
func (c *conn) converse(ctx context.Context, m *ccoap.Message, next func(ccoap.Message) (*ccoap.Message, error)) (ccoap.Message, error) {
	c.l.outbox.users.Add(1)
	defer c.l.outbox.users.Add(-1)
	waiting := calls.Get().(*call)
	waiting.exchange.c = c
	waiting.request = *m
	waiting.exchange.choose(m.Token)
	waiting.next = next
	c.l.submit(waiting)
	select {
	case <-waiting.done:
		response, err := waiting.response, waiting.err
		waiting.free()
		return response, err
	case <-ctx.Done():
		c.l.mu.Lock()
		waiting.ended = true
		waiting.exchange.close()
		c.l.mu.Unlock()
		return ccoap.Message{}, ctx.Err()
	}
}

// start sends a message, whose responses go to a receiver until the exchange is
// closed.
func (c *conn) start(m *ccoap.Message, to receiver) (*exchange, error) {
	c.l.mu.Lock()
	defer c.l.unlock()
	x := &exchange{c: c}
	x.choose(m.Token)
	if err := x.start(m, to); err != nil {
		return nil, err
	}
	return x, nil
}

// start is conn.start for an exchange that there is. The loop is locked.
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

// Do sends a request and waits for its response, until ctx ends. A response of
// any code is a response; the error tells that there is none: see the errors of
// this package, net.ErrClosed, those of ctx, and those of Source and Sink.
//
// Bodies that are too large for one message go in blocks (RFC 7959), in as many
// exchanges as that takes. Over TCP and TLS one message may be as large as the
// peer allows, and several blocks go in one message (RFC 8323, section 6) when the peer
// has sent such a message: libcoap does not tell whether it takes them.
// A request that has an option Block1 or Block2 is sent as it is, and its response
// returned as it is, but for an Echo option that is wanted. Where the body of a response
// to a GET changes meanwhile, it is fetched anew, 3 times at most.
//
// A server that answers with 4.01 and an Echo option wants to know whether the request is
// fresh, or whether the client has its address (RFC 9175, section 2.3). Then the request is
// repeated once, with that option and, unless it is in the midst of a body, another token. Of
// a body in several blocks that is the block that was answered, or all of them when it was
// the last one. The response to the repeated request is returned, also where that is
// 4.01 again. A request that has an Echo option of its own, or NoEcho, is not repeated.
func (s *Session) Do(ctx context.Context, r *Request) (*Response, error) {
	options := r.Options
	if s.host != "" {
		options = withHost(options, s.host)
	}
	err := r.check(options)
	var response *Response
	if err == nil {
		response, err = s.c.do(ctx, r, options)
	}
	if errors.Is(err, ErrTooLarge) {
		err = tooLarge(options, len(r.Body))
	}
	if err != nil {
		return nil, s.failed(r.Method.String(), err)
	}
	return response, nil
}

// check refuses what must not be sent as a request.
func (r *Request) check(options Options) error {
	if !r.Method.IsRequest() {
		return fmt.Errorf("code %v is no method", r.Method)
	}
	if len(r.Token) > tokenSize {
		return fmt.Errorf("a token of %d bytes; %d are the most", len(r.Token), tokenSize)
	}
	return options.check()
}

// tooLarge is ErrTooLarge with what there is of a message.
func tooLarge(options Options, body int) error {
	var longest Option
	for _, option := range options {
		if len(option.Value) >= len(longest.Value) {
			longest = option
		}
	}
	if len(options) == 0 {
		return fmt.Errorf("%w: the body has %d bytes", ErrTooLarge, body)
	}
	return fmt.Errorf("%w: the body has %d bytes, and the options have %d, of which %v has %d",
		ErrTooLarge, body, options.wireSize(), longest.ID, len(longest.Value))
}

// withHost adds the name of the server that the session was dialled with (RFC 7252,
// section 6.4), unless the request names one.
func withHost(options Options, host string) Options {
	if _, ok := options.Get(OptionURIHost); ok {
		return options
	}
	options = options.Clone()
	options.AddString(OptionURIHost, host)
	return options
}
