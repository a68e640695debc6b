package coap

import (
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// Handle sends the requests that come over the context's endpoints to h, and
// those that servers make of it over its client sessions. Requests that come
// before the first call are answered with 4.04.
func (c *Node) Handle(h Handler) {
	c.l.mu.Lock()
	c.l.handler = h
	c.l.mu.Unlock()
}

// serve has a request handled with those that come together.
func (l *loop) serve(in *incoming) {
	h := l.handler
	if l.drained != nil {
		h = answer(CodeServiceUnavailable)
	}
	r := in.request()
	if r.Options.proxied() && l.drained == nil {
		if h = l.proxy; h == nil {
			h = answer(CodeProxyingNotSupported)
		}
	}
	for {
		m, ok := h.(*Mux)
		if !ok {
			break
		}
		h, _ = m.Handler(r)
	}
	if l.batch == nil {
		l.batch = &batch{l: l}
	}
	if i, ok := h.(inline); ok {
		l.batch.inline = append(l.batch.inline, job{i.Handler, r, in})
		return
	}
	l.batch.jobs = append(l.batch.jobs, job{h, r, in})
}

// Inline marks a handler that is so cheap that a goroutine of its own would cost
// more: it must return at once, without waiting for anything. It is called by the
// goroutine that reads from the network: until it has returned, the context does
// nothing else. The mark counts for a context's handler and for those in its Mux.
func Inline(h Handler) Handler { return inline{h} }

type inline struct{ Handler }

// drain has new requests refused. The channel is closed when no handler runs, or the
// loop is closed.
func (l *loop) drain() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drained == nil {
		l.drained = make(chan struct{})
		if l.handling == 0 || l.native == nil {
			close(l.drained)
		}
	}
	return l.drained
}

// handled notes that a handler has returned. The loop is locked.
func (l *loop) handled() {
	l.handling--
	if l.handling == 0 {
		l.endDrain()
	}
}

// endDrain closes the channel of drain. The loop is locked.
func (l *loop) endDrain() {
	if l.drained == nil {
		return
	}
	select {
	case <-l.drained:
	default:
		close(l.drained)
	}
}

// A replier sends what a handler has answered to a request.
type replier interface {
	reply(r *Request, w *response)
}

// handle has a handler answer a request. There is an answer also where it panics.
func (c *conn) handle(h Handler, r *Request, to replier) {
	w := &response{}
	returned := false
	defer func() {
		if !returned {
			v := recover() // nil: it called runtime.Goexit
			c.l.log("handler panicked", "method", r.Method, "peer", c.peer(), "panic", v, "stack", string(debug.Stack()))
			w = &response{code: CodeInternalServerError}
		}
		if w.code == CodeEmpty {
			w.code = successCode(r.Method)
		}
		if err := w.check(); err != nil {
			c.l.log("handler's response refused", "method", r.Method, "path", r.Options.Path(), "peer", c.peer(), "error", err)
			w = &response{code: CodeInternalServerError}
		}
		w.shorten()
		to.reply(r, w)
	}()
	h.ServeCoAP(w, r)
	returned = true
}

// request returns the request as handlers see it.
func (in *incoming) request() *Request {
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

// reply sends what a handler has written.
func (in *incoming) reply(r *Request, w *response) {
	in.mark(w)
	switch {
	case in.unwanted(r, w):
		in.silence()
	case in.multicast:
		in.together = false
		time.AfterFunc(rand.N(orDefault(in.c.l.config.Leisure, defaultLeisure)), func() { in.answer(w) })
	default:
		in.answer(w)
	}
}

// unwanted reports whether the response is not to be sent: because the client does
// not want to hear of it (RFC 7967), or because it is an error or has no content and
// the request was for a group (RFC 7252, section 8.1).
func (in *incoming) unwanted(r *Request, w *response) bool {
	if classes, ok := r.Options.Uint(OptionNoResponse); ok {
		return classes>>(w.code.Class()-1)&1 == 1
	}
	return in.multicast && (!w.code.IsSuccess() || w.code == CodeContent && len(w.body) == 0)
}

// warn logs what a server refuses, when the loop is unlocked: it is locked, and the
// logger may use it.
func (l *loop) warn(what string, args ...any) {
	if l.config.Logger != nil {
		l.late = append(l.late, func() { l.config.Logger.Warn("coap: "+what, args...) })
	}
}

func (l *loop) log(what string, args ...any) {
	if l.config.Logger != nil {
		l.config.Logger.Error("coap: "+what, args...)
	}
}
