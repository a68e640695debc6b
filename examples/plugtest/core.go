package main

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/gnucoap/gnucoap/coap"
)

// A note is a representation that clients can replace and remove. One that has a
// first body has that again when it is removed: others want it too. A nil body means
// that there is none.
type note struct {
	first string

	mu     sync.Mutex // guards what follows
	format coap.ContentFormat
	body   []byte
}

func newNote(first string) *note {
	n := &note{first: first}
	n.reset()
	return n
}

func (n *note) reset() {
	n.format, n.body = coap.TextPlain, nil
	if n.first != "" {
		n.body = []byte(n.first)
	}
}

// replace takes the body of a request, and returns the code of the response.
func (n *note) replace(r *coap.Request) coap.Code {
	code := coap.CodeChanged
	if n.body == nil {
		code = coap.CodeCreated
	}
	n.format, _ = r.Options.ContentFormat()
	n.body = append([]byte{}, r.Body...)
	return code
}

// etag is different for different representations.
func (n *note) etag() []byte {
	h := fnv.New64a()
	h.Write([]byte{byte(n.format >> 8), byte(n.format)})
	h.Write(n.body)
	return h.Sum(nil)
}

// ServeCoAP answers GET, PUT and DELETE, with the conditions of RFC 7252, section
// 5.10.8. Nobody else changes the note between the look at it and the change.
func (n *note) ServeCoAP(w coap.ResponseWriter, r *coap.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.allows(r) {
		w.SetCode(coap.CodePreconditionFailed)
		return
	}
	switch r.Method {
	case coap.MethodPut:
		w.SetCode(n.replace(r))
	case coap.MethodDelete:
		n.reset()
	case coap.MethodGet:
		n.get(w, r)
	default:
		w.SetCode(coap.CodeMethodNotAllowed)
	}
}

func (n *note) get(w coap.ResponseWriter, r *coap.Request) {
	if n.body == nil {
		w.SetCode(coap.CodeNotFound)
		return
	}
	tag := n.etag()
	for _, known := range r.Options.ETags() {
		if bytes.Equal(known, tag) {
			w.SetCode(coap.CodeValid)
			w.Options().Set(coap.OptionETag, tag)
			return
		}
	}
	if represent(w, r, n.format, n.body) {
		w.Options().Set(coap.OptionETag, tag)
	}
}

// allows reports whether the conditions of a request hold.
func (n *note) allows(r *coap.Request) bool {
	if r.Options.Has(coap.OptionIfNoneMatch) && n.body != nil {
		return false
	}
	if !r.Options.Has(coap.OptionIfMatch) {
		return true
	}
	for tag := range r.Options.All(coap.OptionIfMatch) {
		if n.body != nil && (len(tag) == 0 || bytes.Equal(tag, n.etag())) {
			return true
		}
	}
	return false
}

// addCore adds the resources of the CORE cases.
func addCore(mux *coap.Mux) {
	posted := newNote("")
	mux.Handle("/test", newNote("the test resource"), coap.Attr("title", "Default test resource"),
		coap.Attr("ct", "0"))
	mux.HandleFunc("POST /test", func(w coap.ResponseWriter, r *coap.Request) {
		posted.mu.Lock()
		defer posted.mu.Unlock()
		posted.replace(r)
		w.SetCode(coap.CodeCreated)
		for _, segment := range []string{"location1", "location2", "location3"} {
			w.Options().AddString(coap.OptionLocationPath, segment)
		}
	})
	mux.Handle("GET /location1/location2/location3", posted)

	mux.HandleFunc("GET /separate", func(w coap.ResponseWriter, r *coap.Request) {
		select { // longer than a piggybacked response may take
		case <-time.After(time.Second):
		case <-r.Context().Done():
		}
		text(w, r, "a separate response")
	}, coap.Attr("title", "Resource which cannot be served immediately"))
	mux.HandleFunc("GET /query", func(w coap.ResponseWriter, r *coap.Request) {
		text(w, r, fmt.Sprintf("%q", r.Options.Queries()))
	})
	mux.HandleFunc("GET /seg1/seg2/seg3", func(w coap.ResponseWriter, r *coap.Request) {
		text(w, r, "three segments")
	})
	mux.HandleFunc("POST /location-query", func(w coap.ResponseWriter, r *coap.Request) {
		w.SetCode(coap.CodeCreated)
		w.Options().AddString(coap.OptionLocationQuery, "first=1")
		w.Options().AddString(coap.OptionLocationQuery, "second=2")
	})
	mux.HandleFunc("GET /multi-format", multiFormat, coap.Attr("ct", "0", "41"))
	mux.Handle("/validate", newNote("to be validated"))
	mux.Handle("/create1", newNote(""))
}

func multiFormat(w coap.ResponseWriter, r *coap.Request) {
	if format, _ := r.Options.Accept(); format == coap.XML {
		represent(w, r, coap.XML, []byte("<plain/>"))
		return
	}
	text(w, r, "plain")
}
