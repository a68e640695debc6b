// Package coap is for clients and servers of the Constrained Application Protocol
// (CoAP, RFC 7252) over UDP, DTLS, TCP and TLS. It has the shape of net/http, and
// the substance of the system's libcoap, built with GnuTLS.
//
// libcoap moves the messages: it owns the sockets, the security, the
// retransmissions. What goes above that, and differs from version to version of
// libcoap, is done here: block-wise transfers (RFC 7959), and the choice of who
// handles a request.
package coap
