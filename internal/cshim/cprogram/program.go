//go:build !libcoap2

// Package cprogram is a C program for tests: it has a libcoap context of its own, with a
// server, a client and a loop.
package cprogram

/*
#cgo pkg-config: libcoap-3-gnutls
#include "program.h"
*/
import "C"

import (
	"runtime/cgo"
	"unsafe"

	_ "github.com/gnucoap/gnucoap/internal/cshim/ccoap" // has the functions of gnucoap.h
)

// Ways of libcoap to deal with large bodies.
const (
	Blocks     = 0
	Libcoap    = C.COAP_BLOCK_USE_LIBCOAP
	SingleBody = C.COAP_BLOCK_USE_LIBCOAP | C.COAP_BLOCK_SINGLE_BODY
)

// A Protocol is how the program connects: over DTLS and TLS with the identity "me" and Key.
type Protocol int

// Protocols of libcoap.
const (
	UDP  Protocol = C.COAP_PROTO_UDP
	DTLS Protocol = C.COAP_PROTO_DTLS
	TCP  Protocol = C.COAP_PROTO_TCP
	TLS  Protocol = C.COAP_PROTO_TLS
)

// A Program is the C program. The methods are for one goroutine at a time, but for those
// that say otherwise.
type Program struct {
	p *C.cprogram
	h cgo.Handle
	// Called is what a request to /go-on calls, in libcoap's callback, with the
	// coap_session_t. It reports whether to answer with 2.04.
	Called func(session unsafe.Pointer) bool
	// Event, unless it is nil, is called for each event, in libcoap's callback.
	Event func(session unsafe.Pointer, event int)
}

// Events of libcoap.
const (
	SessionNew     = C.COAP_EVENT_SERVER_SESSION_NEW
	SessionDeleted = C.COAP_EVENT_SERVER_SESSION_DEL
)

// New returns a program that listens on 127.0.0.1, over UDP and TCP.
func New(blockMode int) *Program {
	p := &Program{}
	p.h = cgo.NewHandle(p)
	p.p = C.cprogram_new(C.uintptr_t(p.h), C.int(blockMode))
	return p
}

// Free frees the program, with its context if that is the program's.
func (p *Program) Free(context bool) {
	C.cprogram_free(p.p, C.bool(context))
	p.h.Delete()
}

// Context returns the coap_context_t.
func (p *Program) Context() unsafe.Pointer { return unsafe.Pointer(p.p.context) }

// Port returns where the program listens.
func (p *Program) Port() uint16 { return uint16(p.p.port) }

// Run runs the loop until Stop, which any goroutine may call, or until the context is
// adopted.
func (p *Program) Run()  { C.cprogram_run(p.p) }
func (p *Program) Stop() { C.cprogram_stop(p.p) }

// RunSelect runs a loop until Stop that waits by itself.
func (p *Program) RunSelect() { C.cprogram_run_select(p.p) }

// Process is one turn of the loop.
func (p *Program) Process(milliseconds uint32) int {
	return int(C.cprogram_process(p.p, C.uint32_t(milliseconds)))
}

// Delete deletes the resource /c. Any goroutine may call it while Go has the context.
func (p *Program) Delete() bool { return bool(C.cprogram_delete(p.p)) }

// Notify changes what /c answers, and tells its observers. Any goroutine may call it while
// Go has the context.
func (p *Program) Notify() { C.cprogram_notify(p.p) }

// NameHandlers calls gnucoap_set_handlers.
func (p *Program) NameHandlers() bool { return bool(C.cprogram_name_handlers(p.p)) }

// Key is the pre-shared key of the program's endpoints for DTLS and TLS.
const Key = C.CPROGRAM_KEY

// Secure listens over DTLS or TLS, and returns the port.
func (p *Program) Secure(proto Protocol) uint16 {
	return uint16(C.cprogram_secure(p.p, C.int(proto)))
}

// LimitIdle bounds how many sessions of peers libcoap keeps that nobody uses.
func (p *Program) LimitIdle(n int) {
	C.coap_context_set_max_idle_sessions(p.p.context, C.uint(n))
}

// Connect opens the program's session to a server on 127.0.0.1, Request sends a GET over
// it, and Disconnect gives the reference back.
func (p *Program) Connect(proto Protocol, port uint16) bool {
	return bool(C.cprogram_connect(p.p, C.int(proto), C.int(port)))
}
func (p *Program) Request() bool { return bool(C.cprogram_request(p.p)) }
func (p *Program) Disconnect()   { C.cprogram_disconnect(p.p) }

// Client returns the coap_session_t of that.
func (p *Program) Client() unsafe.Pointer { return unsafe.Pointer(p.p.client) }

// Counts are how often the program's handlers were called.
type Counts struct{ Responses, Nacks, Events, Pings, Pongs int }

// Counts may be called by any goroutine.
func (p *Program) Counts() Counts {
	return Counts{
		int(C.cprogram_count(&p.p.responses)), int(C.cprogram_count(&p.p.nacks)),
		int(C.cprogram_count(&p.p.events)),
		int(C.cprogram_count(&p.p.pings)), int(C.cprogram_count(&p.p.pongs)),
	}
}

//export goCprogramCall
func goCprogramCall(h C.uintptr_t, session unsafe.Pointer) C.int {
	if cgo.Handle(h).Value().(*Program).Called(session) {
		return 1
	}
	return 0
}

//export goCprogramEvent
func goCprogramEvent(h C.uintptr_t, session unsafe.Pointer, event C.int) {
	if f := cgo.Handle(h).Value().(*Program).Event; f != nil {
		f(session, int(event))
	}
}
