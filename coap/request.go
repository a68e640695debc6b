package coap

import (
	"context"
	"io"

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

	// Source, if set, is read for the body in place of Body, in a client. Where the
	// server makes the transfer start again and Source is no io.Seeker, the
	// server's response is returned.
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
	response ccoap.Message
	err      error
	done     chan struct{}
}

func (c *call) receive(m ccoap.Message) {
	select {
	case <-c.done: // a second response
	default:
		c.response = m
		close(c.done)
	}
}

func (c *call) fail(err error) {
	select {
	case <-c.done:
	default:
		c.err = err
		close(c.done)
	}
}

func newCall() *call { return &call{done: make(chan struct{})} }

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
	waiting := newCall()
	x, err := c.start(m, waiting)
	if err != nil {
		return ccoap.Message{}, err
	}
	response, err := waiting.wait(ctx)
	c.l.mu.Lock()
	x.close()
	c.l.mu.Unlock()
	return response, err
}

// start sends a message, whose responses go to a receiver until the exchange is
// closed.
func (c *conn) start(m *ccoap.Message, to receiver) (*exchange, error) {
	if err := c.l.lock(); err != nil {
		return nil, err
	}
	defer c.l.unlock()
	if c.ended != nil {
		return nil, c.ended
	}
	x := c.open(to)
	if err := x.begin(m); err != nil {
		return nil, err
	}
	return x, nil
}

// Do sends a request and waits for its response, until ctx ends. A response of
// any code is a response; the error tells that there is none: see the errors of
// this package, net.ErrClosed, those of ctx, and those of Source and Sink.
//
// Bodies that are too large for one message go in blocks (RFC 7959), in as many
// exchanges as that takes. Over TCP and TLS one message may be as large as the
// peer allows, and several blocks go in one message (RFC 8323, section 6) when the peer
// has sent such a message: libcoap does not tell whether it takes them.
// A request that has an option Block1 or Block2 is sent as it is, and
// its response returned as it is. Where the body of a response to a GET changes
// meanwhile, it is fetched anew, 3 times at most.
func (s *Session) Do(ctx context.Context, r *Request) (*Response, error) {
	options := r.Options
	if s.host != "" {
		options = withHost(options, s.host)
	}
	response, err := s.c.do(ctx, r, options)
	if err != nil {
		return nil, s.failed(r.Method.String(), err)
	}
	return response, nil
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
