package coap

import (
	"runtime/debug"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// Handle sends the requests that come over the Node's endpoints to h, and
// those that servers make of it over its client sessions. Requests that come
// before the first call are answered with 4.04.
func (n *Node) Handle(h Handler) {
	n.l.look()
	n.l.service.handler = h
	n.l.endLook()
}

// serve has a request handled, with those that come together.
func (l *loop) serve(in *serverRequest) {
	r := in.request()
	h := l.service.choose(r)
	i, inline := h.(inline)
	if inline {
		h = i.Handler
	}
	l.batches.add(job{handler: h, request: r, in: in}, inline)
}

// Inline marks a handler that is so cheap that a goroutine of its own would cost
// more: it must return at once, without waiting for anything. It is called by the
// goroutine that reads from the network: until it has returned, the Node does
// nothing else. The mark counts for a Node's handler and for those in its Mux.
func Inline(h Handler) Handler { return inline{h} }

type inline struct{ Handler }

// A replier sends what a handler has answered to a request.
type replier interface {
	reply(r *Request, w *response)
}

// handle has a handler answer a request. There is an answer also where it panics.
func (s *Session) handle(h Handler, r *Request, to replier) {
	c := s.c
	w := &response{}
	returned := false
	defer func() {
		if !returned {
			v := recover() // nil: it called runtime.Goexit
			c.l.config.logError("handler panicked", "method", r.Method, "peer", c.uri(), "panic", v, "stack",
				string(debug.Stack()))
			w = &response{code: CodeInternalServerError}
		}
		if w.code == CodeEmpty {
			w.code = successCode(r.Method)
		}
		if err := w.check(); err != nil {
			c.l.config.logError("handler's response refused", "method", r.Method, "path", r.Options.Path(),
				"peer", c.uri(), "error", err)
			w = &response{code: CodeInternalServerError}
		}
		w.shorten()
		to.reply(r, w)
	}()
	h.ServeCoAP(w, r)
	returned = true
}

// request returns the request as handlers see it.
func (in *serverRequest) request() *Request {
	options := decodeOptions(in.m.Options)
	for range in.m.EmptyQueries {
		options.Add(OptionURIQuery, nil)
	}
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
		origin:         in,
	}
}

// warn logs what a server refuses, when the loop is unlocked: it is locked, and the
// logger may use it.
func (l *loop) warn(what string, args ...any) {
	if l.config.Logger != nil {
		l.todo.unlocked(func() { l.config.Logger.Warn("coap: "+what, args...) })
	}
}

// logError is called when the loop is not locked.
func (c *Config) logError(what string, args ...any) {
	if c.Logger != nil {
		c.Logger.Error("coap: "+what, args...)
	}
}
