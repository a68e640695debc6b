// Package cpeer is a CoAP client and a server in C, over libcoap's ordinary API:
// what package coap is compared with. A process has one of them.
package cpeer

/*
#cgo pkg-config: libcoap-3-gnutls
#include <stdlib.h>
#include "peer.h"
*/
import "C"

import (
	"errors"
	"time"
)

// A Proto is a transport.
type Proto int

// The transports.
const (
	UDP  = Proto(C.COAP_PROTO_UDP)
	DTLS = Proto(C.COAP_PROTO_DTLS)
	TCP  = Proto(C.COAP_PROTO_TCP)
)

// A Kind is what a client does.
type Kind int

// The kinds.
const (
	Small   = Kind(C.CPEER_SMALL)   // GET of the small body
	Get     = Kind(C.CPEER_GET)     // GET of the large body
	Put     = Kind(C.CPEER_PUT)     // PUT of the large body
	Connect = Kind(C.CPEER_CONNECT) // a new session, and a GET of the small body in it
)

// Bodies are what both ends know, and the pre-shared key for DTLS.
type Bodies struct {
	Small, Large  []byte
	Identity, Key string
}

// c copies b to C, where it stays.
func (b Bodies) c() C.struct_cpeer_bodies {
	return C.struct_cpeer_bodies{
		small:      (*C.uint8_t)(C.CBytes(b.Small)),
		small_size: C.size_t(len(b.Small)),
		large:      (*C.uint8_t)(C.CBytes(b.Large)),
		large_size: C.size_t(len(b.Large)),
		identity:   C.CString(b.Identity),
		key:        C.CString(b.Key),
	}
}

var errNew = errors.New("libcoap: the peer could not be made")

// Serve answers requests on a port of 127.0.0.1 that it tells. It returns only
// when it fails.
func Serve(proto Proto, b Bodies, ready func(port int)) error {
	bodies := b.c()
	var port C.int
	s := C.cpeer_server_new(C.coap_proto_t(proto), &bodies, &port)
	if s == nil {
		return errNew
	}
	ready(int(port))
	C.cpeer_server_run(s)
	return errors.New("libcoap: the server's loop failed")
}

// A Client makes requests.
type Client struct{ c *C.cpeer_client }

// NewClient returns a client with so many requests in flight at a server on
// 127.0.0.1.
func NewClient(proto Proto, port, inFlight int, b Bodies) (*Client, error) {
	bodies := b.c()
	c := C.cpeer_client_new(C.coap_proto_t(proto), C.int(port), C.int(inFlight), &bodies)
	if c == nil {
		return nil, errNew
	}
	return &Client{c}, nil
}

// MaxRequests returns how many requests Run makes at most, so that a session does
// not use a message ID again.
func (k Kind) MaxRequests() int {
	if k == Get || k == Put {
		return C.CPEER_MAX_LARGE
	}
	return C.CPEER_MAX_REQUESTS
}

// Run makes requests in a new session for a while, and returns how many were
// answered. A wrong answer is an error.
func (c *Client) Run(k Kind, d time.Duration) (int, error) {
	return c.run(k, uint64(d.Milliseconds()), 0)
}

// Open makes n sessions, with one request each, and keeps them.
func (c *Client) Open(n int) error {
	_, err := c.run(Connect, 0, uint(n))
	return err
}

// Close frees the client. Sessions that Open has made must not be there.
func (c *Client) Close() error {
	C.cpeer_client_free(c.c)
	return nil
}

func (c *Client) run(k Kind, milliseconds uint64, limit uint) (int, error) {
	var done C.size_t
	failure := C.cpeer_client_run(c.c, C.enum_cpeer_kind(k), C.uint64_t(milliseconds), C.size_t(limit),
		&done)
	if failure != nil {
		return 0, errors.New("libcoap: " + C.GoString(failure))
	}
	return int(done), nil
}
