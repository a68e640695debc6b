package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gnucoap/gnucoap/coap"
)

// period is how long a state of an observable resource stays, unless another is put.
const period = time.Second

// An observable is a resource whose state is a number that grows, or what a client
// has put.
type observable struct {
	*coap.Resource
	padding string

	mu     sync.Mutex // guards what follows
	n      int
	format coap.ContentFormat
	body   []byte
	next   *time.Timer
	ended  bool
}

func newObservable(padding string) *observable {
	o := &observable{padding: padding}
	o.Resource = coap.NewResource(coap.HandlerFunc(o.get))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next = time.AfterFunc(period, o.tick)
	o.advance()
	return o
}

func (o *observable) get(w coap.ResponseWriter, r *coap.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w.Options().SetMaxAge(2 * period)
	represent(w, r, o.format, o.body)
}

func (o *observable) tick() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended {
		o.advance()
	}
}

// stop makes the resource stay as it is.
func (o *observable) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	o.next.Stop()
}

// advance moves to the next number. The mutex is locked.
func (o *observable) advance() {
	o.n++
	o.become(coap.TextPlain, fmt.Appendf(nil, "%d\n%s", o.n, o.padding))
}

func (o *observable) put(w coap.ResponseWriter, r *coap.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	format, _ := r.Options.ContentFormat()
	o.become(format, append([]byte{}, r.Body...))
}

// become changes the state. Observers cannot be told one of another format: their
// observation ends (RFC 7641, section 4.2), before there is a state that a
// notification on its way could tell them. The mutex is locked.
func (o *observable) become(format coap.ContentFormat, body []byte) {
	if format != o.format {
		o.Cancel(coap.CodeNotAcceptable)
	}
	o.format, o.body = format, body
	o.Notify()
	if !o.ended {
		o.next.Reset(period)
	}
}

// addObservable adds the resources of the OBS cases. They change until stop is
// called.
func addObservable(mux *coap.Mux) (stop func()) {
	plain, non, long := newObservable(""), newObservable(""),
		newObservable(strings.Repeat("0123456789abcdef\n", 100))
	non.NonConfirmable = true
	all := []*observable{plain, non, long}
	for i, path := range []string{"/obs", "/obs-non", "/obs-large"} {
		o := all[i]
		mux.Handle("GET "+path, o.Resource, coap.Attr("rt", "observe"))
		mux.HandleFunc("PUT "+path, o.put)
		mux.HandleFunc("DELETE "+path,
			func(w coap.ResponseWriter, r *coap.Request) { o.Cancel(coap.CodeNotFound) })
	}
	return func() {
		for _, o := range all {
			o.stop()
		}
	}
}
