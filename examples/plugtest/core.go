package main

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/gnucoap/gnucoap/coap"
)

// A note is a representation that clients can replace. A nil body means that there is
// none.
type note struct {
	mu     sync.Mutex
	format coap.ContentFormat
	body   []byte
}

func newNote(body string) *note { return &note{body: []byte(body)} }

func (n *note) get() ([]byte, coap.ContentFormat) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.body, n.format
}

// put takes the body of a request, and returns the code of the response.
func (n *note) put(r *coap.Request) coap.Code {
	n.mu.Lock()
	defer n.mu.Unlock()
	code := coap.CodeChanged
	if n.body == nil {
		code = coap.CodeCreated
	}
	n.format, _ = r.Options.ContentFormat()
	n.body = append([]byte{}, r.Body...)
	return code
}

func (n *note) remove() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.body = nil
}

// etag is different for different bodies.
func etag(body []byte) []byte {
	h := fnv.New64a()
	h.Write(body)
	return h.Sum(nil)
}

// ServeCoAP answers GET, PUT and DELETE, with the conditions of RFC 7252, section
// 5.10.8.
func (n *note) ServeCoAP(w coap.ResponseWriter, r *coap.Request) {
	body, format := n.get()
	if !allowed(r, body) {
		w.SetCode(coap.CodePreconditionFailed)
		return
	}
	switch r.Method {
	case coap.MethodPut:
		w.SetCode(n.put(r))
	case coap.MethodDelete:
		n.remove()
	case coap.MethodGet:
		if body == nil {
			w.SetCode(coap.CodeNotFound)
			return
		}
		tag := etag(body)
		w.Options().Set(coap.OptionETag, tag)
		for _, known := range r.Options.ETags() {
			if bytes.Equal(known, tag) {
				w.SetCode(coap.CodeValid)
				return
			}
		}
		w.Options().SetContentFormat(format)
		w.Write(body)
	default:
		w.SetCode(coap.CodeMethodNotAllowed)
	}
}

// allowed reports whether the conditions of a request hold for what there is.
func allowed(r *coap.Request, body []byte) bool {
	if r.Options.Has(coap.OptionIfNoneMatch) && body != nil {
		return false
	}
	if !r.Options.Has(coap.OptionIfMatch) {
		return true
	}
	for tag := range r.Options.All(coap.OptionIfMatch) {
		if body != nil && (len(tag) == 0 || bytes.Equal(tag, etag(body))) {
			return true
		}
	}
	return false
}

// addCore adds the resources of the CORE cases.
func addCore(mux *coap.Mux) {
	test := newNote("the test resource")
	mux.HandleFunc("GET /test", func(w coap.ResponseWriter, r *coap.Request) {
		body, _ := test.get()
		text(w, string(body))
	}, coap.Attr("title", "Default test resource"), coap.Attr("ct", "0"))
	mux.HandleFunc("PUT /test", func(w coap.ResponseWriter, r *coap.Request) { w.SetCode(test.put(r)) })
	mux.HandleFunc("POST /test", func(w coap.ResponseWriter, r *coap.Request) {
		w.SetCode(coap.CodeCreated)
		for _, segment := range []string{"location1", "location2", "location3"} {
			w.Options().AddString(coap.OptionLocationPath, segment)
		}
	})
	// What is deleted is there again with the next request: others want it too.
	mux.HandleFunc("DELETE /test", func(w coap.ResponseWriter, r *coap.Request) {})

	mux.HandleFunc("GET /separate", func(w coap.ResponseWriter, r *coap.Request) {
		select { // longer than a piggybacked response may take
		case <-time.After(time.Second):
		case <-r.Context().Done():
		}
		text(w, "a separate response")
	}, coap.Attr("title", "Resource which cannot be served immediately"))
	mux.HandleFunc("GET /query", func(w coap.ResponseWriter, r *coap.Request) {
		text(w, fmt.Sprintf("%q", r.Options.Queries()))
	})
	mux.HandleFunc("GET /seg1/seg2/seg3", func(w coap.ResponseWriter, r *coap.Request) {
		text(w, "three segments")
	})
	mux.HandleFunc("POST /location-query", func(w coap.ResponseWriter, r *coap.Request) {
		w.SetCode(coap.CodeCreated)
		w.Options().AddString(coap.OptionLocationQuery, "first=1")
		w.Options().AddString(coap.OptionLocationQuery, "second=2")
	})
	mux.HandleFunc("GET /multi-format", multiFormat, coap.Attr("ct", "0", "41"))
	mux.Handle("/validate", newNote("to be validated"))
	create := newNote("")
	create.remove()
	mux.Handle("/create1", create)
}

func multiFormat(w coap.ResponseWriter, r *coap.Request) {
	switch format, ok := r.Options.Accept(); {
	case !ok || format == coap.TextPlain:
		text(w, "plain")
	case format == coap.XML:
		w.Options().SetContentFormat(coap.XML)
		w.Write([]byte("<plain/>"))
	default:
		w.SetCode(coap.CodeNotAcceptable)
	}
}
