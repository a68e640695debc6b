package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gnucoap/gnucoap/coap"
)

// period is how often an observable resource changes by itself.
const period = time.Second

// An observable is a resource whose state is a number that grows, or what a client
// has put.
type observable struct {
	*coap.Resource

	mu     sync.Mutex
	n      int
	put    []byte // nil: the number
	format coap.ContentFormat
}

func newObservable(padding string) *observable {
	o := &observable{}
	o.Resource = coap.NewResource(coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		w.Options().SetContentFormat(o.format)
		w.Options().SetMaxAge(2 * period)
		if o.put != nil {
			w.Write(o.put)
			return
		}
		fmt.Fprintf(w, "%d\n%s", o.n, padding)
	}))
	return o
}

func (o *observable) tick() {
	o.mu.Lock()
	o.n++
	o.put, o.format = nil, coap.TextPlain
	o.mu.Unlock()
	o.Notify()
}

// replace sets the state. Observers of another format would not understand it: their
// observation ends (RFC 7641, section 4.2).
func (o *observable) replace(w coap.ResponseWriter, r *coap.Request) {
	format, _ := r.Options.ContentFormat()
	o.mu.Lock()
	other := format != o.format
	o.put, o.format = append([]byte{}, r.Body...), format
	o.mu.Unlock()
	if other {
		o.Cancel(coap.CodeInternalServerError)
		return
	}
	o.Notify()
}

// addObservable adds the resources of the OBS cases. They change until stop is
// called.
func addObservable(mux *coap.Mux) (stop func()) {
	plain, non, long := newObservable(""), newObservable(""), newObservable(strings.Repeat("0123456789abcdef\n", 100))
	non.NonConfirmable = true
	all := []*observable{plain, non, long}
	for i, path := range []string{"/obs", "/obs-non", "/obs-large"} {
		o := all[i]
		mux.Handle("GET "+path, o.Resource, coap.Attr("rt", "observe"))
		mux.HandleFunc("PUT "+path, o.replace)
		mux.HandleFunc("DELETE "+path, func(w coap.ResponseWriter, r *coap.Request) { o.Cancel(coap.CodeNotFound) })
	}
	ticker, done := time.NewTicker(period), make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				for _, o := range all {
					o.tick()
				}
			case <-done:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(done)
	}
}
