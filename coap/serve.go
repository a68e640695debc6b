package coap

import (
	"runtime/debug"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// Handle sends the requests that come over the context's endpoints to h, and
// those that servers make of it over its client sessions. Requests that come
// before the first call are answered with 4.04.
func (c *Context) Handle(h Handler) {
	c.l.mu.Lock()
	c.l.serve = func(in *incoming) { go in.handle(h) }
	c.l.mu.Unlock()
}

// handle answers a request.
func (in *incoming) handle(h Handler) {
	r := in.request()
	w := &response{}
	returned := false
	defer func() {
		if !returned {
			v := recover() // nil: it called runtime.Goexit
			in.c.l.log("handler panicked", "method", r.Method, "peer", in.c.peer(), "panic", v, "stack", string(debug.Stack()))
			w = &response{code: CodeInternalServerError}
		}
		in.reply(r, w)
	}()
	h.ServeCoAP(w, r)
	returned = true
}

// request returns the request as handlers see it.
func (in *incoming) request() *Request {
	options := decodeOptions(in.m.Options)
	if in.blocks != nil {
		options = options.without(OptionBlock1, OptionBlock2)
	}
	return &Request{
		Method:         Code(in.m.Code),
		Options:        options,
		Body:           in.m.Body,
		NonConfirmable: in.m.Type == ccoap.NonConfirmable,
		Session:        in.c.session,
		Multicast:      in.multicast,
	}
}

// reply sends what a handler has written.
func (in *incoming) reply(r *Request, w *response) {
	if w.code == CodeEmpty {
		w.code = successCode(r.Method)
	}
	_ = in.answer(in.blockwise(w))
}

// warn logs what a server refuses.
func (l *loop) warn(what string, args ...any) {
	if l.config.Logger != nil {
		l.config.Logger.Warn("coap: "+what, args...)
	}
}

func (l *loop) log(what string, args ...any) {
	if l.config.Logger != nil {
		l.config.Logger.Error("coap: "+what, args...)
	}
}
