// Package coap provides clients and servers of the Constrained Application Protocol (CoAP, RFC
// 7252) over UDP, DTLS, TCP and TLS (RFC 8323). Its API has the shape of net/http; below it works
// the system's libcoap, built with GnuTLS.
//
// A client calls Dial, which returns a Session; its methods Get, Put, Do and so on send requests. A
// Client dials again by itself. Observe iterates over the states of a resource (RFC 7641).
// Node.Multicast sends a request to a group.
//
// A Server listens, and its Handler, usually a Mux, answers. NewResource makes a handler
// observable. A Node lies below both: endpoints and sessions that share a loop.
//
// Package native, below this one, is for programs that share libcoap objects between C and Go;
// package coapdebug switches on libcoap's functions for finding faults.
//
// libcoap moves the messages: it owns the sockets, the security and the retransmissions. Everything
// above that, which differs among versions of libcoap, is done here: block-wise transfers (RFC
// 7959; requests in progress at the same time in one session are told apart as in RFC 9175),
// observation, the detection of duplicates, and the choice of the handler. docs/coap-conformance.md
// lists what libcoap decides by itself.
//
// To do this, and to mend faults of libcoap, the package changes libcoap's own table of imported
// functions in memory, once, before the first Node is made; nothing else in the process is touched.
// The build tag nointerpose switches all of it off, noresume only the part that concerns TLS, and
// Supports reports what is missing then.
//
// Everything may be called from any goroutine, unless its documentation says otherwise.
package coap
