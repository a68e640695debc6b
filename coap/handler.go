package coap

import (
	"bytes"
	"fmt"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
)

// A Handler answers requests. Requests that come together are handled one after
// another while that takes less than two milliseconds; then those that are left get a
// goroutine each, so a slow one holds nobody up, and it may wait for whatever it
// likes. It writes to w before it returns;
// what it has written is sent then. A fast answer is piggybacked on the
// acknowledgement; a slow one follows it as a message of its own (RFC 7252,
// section 5.2). A request that comes twice is handled once. A panic is answered
// with 5.00 and logged, and so is a response with options that it must not have
// (Options.Validate), or with more than fit into a message.
type Handler interface {
	ServeCoAP(w ResponseWriter, r *Request)
}

// A HandlerFunc is a function that is a Handler.
type HandlerFunc func(w ResponseWriter, r *Request)

// ServeCoAP calls f.
func (f HandlerFunc) ServeCoAP(w ResponseWriter, r *Request) { f(w, r) }

// A ResponseWriter takes the response to a request. It must not be used after the
// handler has returned, nor from several goroutines at once.
type ResponseWriter interface {
	// SetCode sets the code. Without it the code is 2.05 for GET and FETCH, 2.02
	// for DELETE, and 2.04 for the others.
	SetCode(Code)
	// Options returns the options of the response, to be changed. Those of blocks and
	// of observation are added by the library.
	Options() *Options
	// Write appends to the body. It never fails. The body of a 5.08 is shortened to
	// about 220 bytes.
	Write([]byte) (int, error)
}

// A response is what a handler has written.
type response struct {
	code    Code
	options Options
	body    []byte
}

func (w *response) SetCode(code Code) { w.code = code }

func (w *response) Options() *Options { return &w.options }

func (w *response) Write(p []byte) (int, error) {
	w.body = append(w.body, p...)
	return len(p), nil
}

// check refuses what must not be sent as a response.
func (w *response) check() error {
	for _, id := range []OptionID{OptionBlock1, OptionBlock2} {
		if w.options.Has(id) {
			return badOption("%v, which is the library's to add", id)
		}
	}
	if !w.code.IsResponse() {
		return fmt.Errorf("code %v is not one of a response", w.code)
	}
	return w.options.check()
}

// firstBuffer is how many bytes of a message libcoap has room for at first. Before the
// body of a 5.08 it puts its own address (RFC 8768, section 4), and meanwhile a 0 behind
// the body: if the buffer had to grow, that is beyond its end.
const firstBuffer = 256

// shorten cuts off what a 5.08 has no room for.
func (w *response) shorten() {
	if w.code != CodeHopLimitReached {
		return
	}
	most := max(0, firstBuffer-2-wire.TokenSize-blockOptions-w.options.wireSize())
	if len(w.body) > most {
		w.body = bytes.ToValidUTF8(w.body[:most], nil)
	}
}

// successCode is the code of a response whose handler has set none.
func successCode(method Code) Code {
	switch method {
	case MethodGet, MethodFetch:
		return CodeContent
	case MethodDelete:
		return CodeDeleted
	}
	return CodeChanged
}
