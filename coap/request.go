package coap

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
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
	// of a random one (RFC 7252, section 5.3.1): over UDP, anybody who guesses it can answer.
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
	// the body's blocks, and Source is not an io.Seeker, the
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
	origin *serverRequest    // of a request that came
}

// PathValue returns the value of a wildcard of the pattern that the request was
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
	return r.Session.context()
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

// Do sends a request and waits for its response, until ctx ends. A response of
// any code is a response; the error tells that there is none: see the errors of
// this package, net.ErrClosed, those of ctx, and those of Source and Sink.
//
// Bodies that are too large for one message go in blocks (RFC 7959), in as many
// exchanges as that takes. Over TCP and TLS one message may be as large as the
// peer allows, and several blocks go in one message (RFC 8323, section 6) when the peer
// has announced that it takes them, or has sent such a message.
// A request that has an option Block1 or Block2 is sent as it is, and its response
// returned as it is, unless the server wants an Echo option. If the body of a response to a GET
// changes meanwhile, it is fetched anew, 3 times at most.
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
		response, err = s.do(ctx, r, options)
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
		return fmt.Errorf("code %v is not a method", r.Method)
	}
	if len(r.Token) > wire.TokenSize {
		return fmt.Errorf("a token of %d bytes; %d are the most", len(r.Token), wire.TokenSize)
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
