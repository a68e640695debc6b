package coap

import (
	"math/rand/v2"
	"time"
)

// A job is a request and the handler that answers it. Its methods run on the goroutine of the
// handler, and lock the loop by themselves.
type job struct {
	handler  Handler
	request  *Request
	in       *serverRequest
	together bool // the response is sent with those to other requests
}

func (j *job) run() { j.in.c.session.handle(j.handler, j.request, j) }

// reply sends what a handler has written.
func (j *job) reply(r *Request, w *response) {
	in := j.in
	j.mark(w)
	switch {
	case in.unwanted(r, w):
		j.silence()
	case in.multicast:
		late := &job{in: in}
		time.AfterFunc(rand.N(orDefault(in.c.l.config.Leisure, defaultLeisure)),
			func() { late.answer(w) })
	default:
		j.answer(w)
	}
}

// unwanted reports whether the response is not to be sent: because the client does
// not want to hear of it (RFC 7967), or because it is an error or has no content and
// the request was for a group (RFC 7252, section 8.1).
func (in *serverRequest) unwanted(r *Request, w *response) bool {
	if classes, ok := r.Options.Uint(OptionNoResponse); ok {
		return classes>>(w.code.Class()-1)&1 == 1
	}
	return in.multicast && (!w.code.IsSuccess() || w.code == CodeContent && len(w.body) == 0)
}

// answer sends the response, and ends the handling of the request.
func (j *job) answer(w *response) {
	in := j.in
	if !in.c.proto.Reliable() && len(w.body) > 16<<in.c.blockSZX() {
		w.tag() // before the loop is locked: it takes long
	}
	in.response = w
	if j.together {
		in.c.l.outbox.add(in)
	} else {
		in.c.l.driver.submit(in)
	}
}

// silence ends the handling of the request without a response: it is only
// acknowledged.
func (j *job) silence() {
	in := j.in
	if in.c.l.enter() != nil {
		return
	}
	defer in.c.l.leave()
	in.done()
	in.acknowledgeOnly()
	in.begin()
}

// mark marks the response to a request for observation. One that is not a success
// does not make an observer.
func (j *job) mark(w *response) {
	in := j.in
	o := in.observer
	if o == nil {
		return
	}
	if w.code.IsSuccess() {
		w.options.SetUint(OptionObserve, uint64(numberOf(o.sequence)))
		return
	}
	in.observer = nil
	if o.c.l.enter() == nil {
		o.remove()
		o.c.l.leave()
	}
}
