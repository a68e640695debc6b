package ccoap

/*
#include "context.h"
*/
import "C"

import (
	"unsafe"

	"github.com/gnucoap/gnucoap/internal/cshim/handle"
)

// A SessionID is the number of a session in its context, never 0.
type SessionID uint64

// Callbacks are what a context calls when something happens to it. All of them
// must be set. They run inside calls on the context and its sessions, and must
// not make such calls themselves, block or panic.
type Callbacks struct {
	// Request is called for every request. isNew says that the session is a
	// server session with an ID that was not seen before; the receiver then owns
	// a reference to it. multicast says that the request was sent to a group.
	Request func(id SessionID, session Session, isNew, multicast bool, m Message)
	// Response is called for every response. It reports whether a request waits
	// for it; otherwise a confirmable one is rejected.
	Response func(id SessionID, m Message) bool
	// Nack is called when a confirmable message was not taken, with that
	// message.
	Nack func(id SessionID, reason Reason, m Message)
	// Pong is called when a ping over a reliable transport was answered. Over an
	// unreliable one a ping is answered by a reset, of which Nack tells.
	Pong func(id SessionID)
	// Event is called when a session changes its state. A session that Go has
	// not heard of has ID 0.
	Event func(id SessionID, event Event)
}

// A Reason says why a message was not taken.
type Reason int

const (
	TooManyRetries = Reason(C.COAP_NACK_TOO_MANY_RETRIES)
	NotDeliverable = Reason(C.COAP_NACK_NOT_DELIVERABLE)
	WasReset       = Reason(C.COAP_NACK_RST)
	TLSFailed      = Reason(C.COAP_NACK_TLS_FAILED)
	Unreachable    = Reason(C.COAP_NACK_ICMP_ISSUE)
)

// An Event is something that happens to a session.
type Event int

const (
	TLSClosed        = Event(C.COAP_EVENT_DTLS_CLOSED)
	TLSConnected     = Event(C.COAP_EVENT_DTLS_CONNECTED)
	TLSError         = Event(C.COAP_EVENT_DTLS_ERROR)
	TCPClosed        = Event(C.COAP_EVENT_TCP_CLOSED)
	TCPFailed        = Event(C.COAP_EVENT_TCP_FAILED)
	SessionConnected = Event(C.COAP_EVENT_SESSION_CONNECTED)
	SessionClosed    = Event(C.COAP_EVENT_SESSION_CLOSED)
	SessionFailed    = Event(C.COAP_EVENT_SESSION_FAILED)
)

func callbacks(p unsafe.Pointer) *Callbacks {
	cb, _ := handle.Lookup[*Callbacks](p)
	return cb
}

//export goCoapRequest
func goCoapRequest(p unsafe.Pointer, id C.uint64_t, session *C.coap_session_t, isNew C.bool, multicast C.int, m *C.struct_cshim_message) {
	if isNew {
		liveSessions.Add(1)
	}
	callbacks(p).Request(SessionID(id), Session{session}, bool(isNew), multicast != 0, readMessage(m))
}

//export goCoapResponse
func goCoapResponse(p unsafe.Pointer, id C.uint64_t, m *C.struct_cshim_message) C.bool {
	return C.bool(callbacks(p).Response(SessionID(id), readMessage(m)))
}

//export goCoapNack
func goCoapNack(p unsafe.Pointer, id C.uint64_t, reason C.int, m *C.struct_cshim_message) {
	callbacks(p).Nack(SessionID(id), Reason(reason), readMessage(m))
}

//export goCoapPong
func goCoapPong(p unsafe.Pointer, id C.uint64_t) {
	callbacks(p).Pong(SessionID(id))
}

//export goCoapEvent
func goCoapEvent(p unsafe.Pointer, id C.uint64_t, event C.int) {
	callbacks(p).Event(SessionID(id), Event(event))
}
