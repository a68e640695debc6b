// Package coap is for clients and servers of the Constrained Application Protocol
// (CoAP, RFC 7252) over UDP, DTLS, TCP and TLS (RFC 8323). It has the shape of
// net/http, and the substance of the system's libcoap, built with GnuTLS.
//
// A client dials: Dial returns a Session, whose Get, Put, Do and so on send requests;
// a Client dials again by itself. Observe iterates over the states of a resource (RFC
// 7641). Node.Multicast asks a group.
//
// A Server listens, and its Handler, usually a Mux, answers. NewResource makes a
// handler observable. A Node is what lies below both: endpoints and sessions that
// share a loop.
//
// Package native, below this one, is for programs in C that use libcoap, and move to Go; package
// coapdebug switches on what libcoap offers for finding faults.
//
// libcoap moves the messages: it owns the sockets, the security, the
// retransmissions. What goes above that, and differs from version to version of
// libcoap, is done here: block-wise transfers (RFC 7959; those of requests that are under
// way in a session at the same time are told apart as RFC 9175 says), observation, the
// detection of duplicates, and the choice of who handles a request. What libcoap decides by itself
// is listed in docs/coap-conformance.md.
//
// To do that, and to mend faults of libcoap, the package changes libcoap's own table of imported
// functions in memory, once, before the first Node is made; nothing else in the process is touched.
// The build tag nointerpose switches all of it off, noresume only the part that concerns TLS, and
// Supports reports what is missing then.
//
// Everything may be called from any goroutine, unless it says otherwise.
package coap
