package ccoap

/*
#include <stdlib.h>
#include "context.h"
#include "ext_heard.h"
*/
import "C"

import (
	"net/netip"
	"syscall"
	"unsafe"

	"github.com/gnucoap/gnucoap/internal/cshim/handle"
	"github.com/gnucoap/gnucoap/internal/cshim/tlsref"
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
	// Session is called when a connection over TCP or TLS that a peer has made can be used;
	// the receiver then owns a reference to it. It is not called for the sessions of
	// contexts that a C program has made.
	Session func(id SessionID, session Session)
	// Response is called for every response. It reports whether a request waits
	// for it; otherwise it is rejected, where Rejects is true and it is no
	// acknowledgement, or goes to the C program that has made the context.
	Response func(id SessionID, m Message) bool
	// Nack is called when a confirmable message was not taken, with that
	// message. It reports whether it was one that Go has sent.
	Nack func(id SessionID, reason Reason, m Message) bool
	// Heard is called when one of certain messages comes, before libcoap
	// deals with it: with the session's number, or else with the peer's address. It reports
	// whether libcoap must not.
	Heard func(id SessionID, peer netip.AddrPort, what Heard, mid uint16) bool
	// Pong is called when a ping over a reliable transport was answered. Over an
	// unreliable one a ping is answered by a reset, of which Nack tells.
	Pong func(id SessionID)
	// Verify reports whether to accept the peer of tls that has sent certificates or a raw
	// public key. It may use tls.
	Verify func(tls tlsref.Session) bool
	// PSK returns the key of a client's identity, or nil where there is none. It
	// may use tls.
	PSK func(tls tlsref.Session, identity []byte) []byte
	// Hint returns what a client session answers to a server's hint. Nil for a key
	// fails the handshake.
	Hint func(id SessionID, hint string) (identity, key []byte)
	// ServerName returns which of the named keys or hints a server has for a
	// name, from 1, or 0 for the default, or a negative number to refuse the client. It is called
	// once for each name.
	ServerName func(name string) int
	// Accepted is called when a server has accepted a connection for TLS and has read what
	// there was. It reports whether to go on, and may use tls.
	Accepted func(tls tlsref.Session) bool
	// TLS is called when libcoap has made tls and has yet to set it up; see
	// Context.HearOfTLS. A server's has ID 0. It may use tls.
	TLS func(id SessionID, tls tlsref.Session, client, datagram bool)
	// Handshake is called when a datagram of the handshake of a client's session over DTLS has come,
	// under the same condition.
	Handshake func(id SessionID)
	// Secured is called when the handshake of a server's session over TLS is over, and
	// nothing was sent after it, under the same condition. It may use tls.
	Secured func(tls tlsref.Session)
	// Unfinished is called when the handshake of a server's client fails.
	Unfinished func(proto Protocol, peer netip.AddrPort)
	// Exhausted is called when a connection cannot be accepted, because there is no file
	// descriptor or memory for it; not again before one was accepted.
	Exhausted func(err error)
	// Event is called when a session changes its state. A session that Go has
	// not heard of has ID 0.
	Event func(id SessionID, event Event)

	// Program are for contexts that a C program has made.
	Program
}

// Rejects says that this version asks before it acknowledges a response.
const Rejects = bool(C.CSHIM_REJECTS != 0)

// ConfirmsAgain says that this version answers a confirmable response that comes again, as it
// has answered the first. Otherwise Callbacks.Heard tells.
const ConfirmsAgain = bool(C.CSHIM_CONFIRMS_AGAIN != 0)

// ForgetsBodies says that this version takes the last block of an upload that it has put
// together, when that comes again, for one of another upload.
const ForgetsBodies = bool(C.CSHIM_FORGETS_BODIES != 0)

// A Heard is a kind of message.
type Heard int

const (
	HeardAcknowledgement = Heard(C.CSHIM_HEARD_ACK)
	HeardReset           = Heard(C.CSHIM_HEARD_RESET)
	HeardResponse        = Heard(C.CSHIM_HEARD_RESPONSE) // that is confirmable
	// in a confirmable request, where ForgetsBodies
	HeardLastBlock = Heard(C.CSHIM_HEARD_LAST)
)

// CountsTimeouts says that this version counts each timeout of a DTLS handshake once.
const CountsTimeouts = bool(C.CSHIM_COUNTS_TIMEOUTS != 0)

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
	TCPConnected     = Event(C.COAP_EVENT_TCP_CONNECTED)
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
func goCoapRequest(p unsafe.Pointer, id C.uint64_t, session *C.coap_session_t, isNew C.bool,
	multicast C.int, m *C.struct_cshim_message) {
	if isNew {
		liveSessions.Add(1)
	}
	callbacks(p).Request(SessionID(id), Session{session}, bool(isNew), multicast != 0, readMessage(m))
}

//export goCoapSession
func goCoapSession(p unsafe.Pointer, id C.uint64_t, session *C.coap_session_t) {
	liveSessions.Add(1)
	callbacks(p).Session(SessionID(id), Session{session})
}

//export goCoapResponse
func goCoapResponse(p unsafe.Pointer, id C.uint64_t, m *C.struct_cshim_message) C.bool {
	return C.bool(callbacks(p).Response(SessionID(id), readMessage(m)))
}

//export goCoapNack
func goCoapNack(p unsafe.Pointer, id C.uint64_t, reason C.int, m *C.struct_cshim_message) C.bool {
	return C.bool(callbacks(p).Nack(SessionID(id), Reason(reason), readMessage(m)))
}

//export goCoapHeard
func goCoapHeard(p unsafe.Pointer, id C.uint64_t, peer *C.struct_cshim_address, what C.int,
	mid C.uint16_t) C.bool {
	return C.bool(callbacks(p).Heard(SessionID(id), fromC(*peer), Heard(what), uint16(mid)))
}

//export goCoapPong
func goCoapPong(p unsafe.Pointer, id C.uint64_t) {
	callbacks(p).Pong(SessionID(id))
}

//export goCoapEvent
func goCoapEvent(p unsafe.Pointer, id C.uint64_t, event C.int) {
	callbacks(p).Event(SessionID(id), Event(event))
}

//export goCoapTLS
func goCoapTLS(p unsafe.Pointer, id C.uint64_t, tls unsafe.Pointer, client, datagram C.bool) {
	callbacks(p).TLS(SessionID(id), tlsref.SessionAt(tls), bool(client), bool(datagram))
}

//export goCoapHandshake
func goCoapHandshake(p unsafe.Pointer, id C.uint64_t) { callbacks(p).Handshake(SessionID(id)) }

//export goCoapSecured
func goCoapSecured(p, tls unsafe.Pointer) { callbacks(p).Secured(tlsref.SessionAt(tls)) }

//export goCoapUnfinished
func goCoapUnfinished(p unsafe.Pointer, proto C.int, peer *C.struct_cshim_address) {
	callbacks(p).Unfinished(Protocol(proto), fromC(*peer))
}

//export goCoapExhausted
func goCoapExhausted(p unsafe.Pointer, number C.int) {
	callbacks(p).Exhausted(syscall.Errno(number))
}

//export goCoapVerify
func goCoapVerify(p, tls unsafe.Pointer) C.int {
	return cBool(callbacks(p).Verify(tlsref.SessionAt(tls)))
}

//export goCoapAccepted
func goCoapAccepted(p, tls unsafe.Pointer) C.int {
	return cBool(callbacks(p).Accepted(tlsref.SessionAt(tls)))
}

//export goCoapPSK
func goCoapPSK(p, tls unsafe.Pointer, identity *C.uint8_t, size C.size_t,
	out *C.struct_cshim_psk) C.int {
	key := callbacks(p).PSK(tlsref.SessionAt(tls), C.GoBytes(unsafe.Pointer(identity), C.int(size)))
	if key == nil {
		return 0
	}
	out.key, out.key_size = (*C.uint8_t)(C.CBytes(key)), C.size_t(len(key))
	return 1
}

//export goCoapHint
func goCoapHint(p unsafe.Pointer, id C.uint64_t, hint *C.uint8_t, size C.size_t,
	out *C.struct_cshim_psk) C.int {
	identity, key := callbacks(p).Hint(SessionID(id),
		string(C.GoBytes(unsafe.Pointer(hint), C.int(size))))
	if key == nil {
		return 0
	}
	out.identity, out.identity_size = (*C.uint8_t)(C.CBytes(identity)), C.size_t(len(identity))
	out.key, out.key_size = (*C.uint8_t)(C.CBytes(key)), C.size_t(len(key))
	return 1
}

//export goCoapServerName
func goCoapServerName(p unsafe.Pointer, name *C.char) C.int {
	return C.int(callbacks(p).ServerName(C.GoString(name)))
}

func cBool(b bool) C.int {
	if b {
		return 1
	}
	return 0
}
