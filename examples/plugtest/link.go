package main

import (
	"github.com/gnucoap/gnucoap/coap"
)

// addLinks adds the resources of the LINK cases.
func addLinks(mux *coap.Mux) {
	hello := func(w coap.ResponseWriter, r *coap.Request) { text(w, r, "a link") }
	mux.HandleFunc("GET /link1", hello, coap.Attr("rt", "Type1", "Type2"), coap.Attr("if", "If1"))
	mux.HandleFunc("GET /link2", hello, coap.Attr("rt", "Type2", "Type3"), coap.Attr("if", "If2"))
	mux.HandleFunc("GET /link3", hello, coap.Attr("rt", "Type1", "Type3"), coap.Attr("if", "foo"))

	subs := []coap.Link{{Target: "/path/sub1"}, {Target: "/path/sub2"}, {Target: "/path/sub3"}}
	mux.HandleFunc("GET /path", func(w coap.ResponseWriter, r *coap.Request) {
		represent(w, r, coap.LinkFormat, coap.FormatLinks(subs))
	}, coap.Attr("title", "Hierarchical link description entry"), coap.Attr("ct", "40"))
	for _, sub := range subs {
		mux.HandleFunc("GET "+sub.Target, hello)
	}
}
