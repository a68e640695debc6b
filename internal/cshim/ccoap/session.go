package ccoap

/*
#include "session.h"
*/
import "C"

import (
	"errors"
	"net/netip"
	"runtime"
	"unsafe"
)

// A Session is a reference to a native session.
type Session struct{ s *C.coap_session_t }

// NewSession starts a client session without credentials. local may be the zero
// AddrPort.
//
// Implements:
//
//	coap_session_t *coap_new_client_session(coap_context_t *context,
//		const coap_address_t *local_if, const coap_address_t *server, coap_proto_t proto);
func (c *Context) NewSession(local, server netip.AddrPort, proto Protocol) (Session, SessionID,
	error) {
	o := opening(local, server, proto, nil)
	s, err := C.cshim_session_open(c.c, &o)
	return newSession(s, err)
}

// opening says what a client session is opened with.
func opening(local, server netip.AddrPort, proto Protocol, name *C.char) C.struct_cshim_opening {
	return C.struct_cshim_opening{
		local: toC(local), server: toC(server), proto: C.coap_proto_t(proto), name: name,
	}
}

func newSession(s *C.coap_session_t, err error) (Session, SessionID, error) {
	if s == nil {
		return Session{}, 0, err
	}
	liveSessions.Add(1)
	return Session{s}, SessionID(C.cshim_session_id(s)), nil
}

// Close ends the session's traffic and gives the reference back. What waits to be
// acknowledged is reported by Callbacks.Nack.
//
// Implements:
//
//	void coap_session_disconnected(coap_session_t *session, coap_nack_reason_t reason);
//	void coap_session_release(coap_session_t *session);
func (s Session) Close() {
	C.cshim_session_close(s.s)
	liveSessions.Add(-1)
}

// Forget gives the reference to a session back that a request, or Wrap, took. The next
// request will be one of a new session.
//
// Implements:
//
//	void coap_session_release(coap_session_t *session);
func (s Session) Forget() {
	C.cshim_session_forget(s.s)
	liveSessions.Add(-1)
}

var (
	// ErrTooLarge says that a message is larger than the session's messages
	// may be.
	ErrTooLarge = errors.New("message too large")
	// ErrNotSent says that libcoap did not take a message.
	ErrNotSent = errors.New("message not sent")
)

// TokenIsOfOneMessage says that a token must not be that of several messages one
// after the other: a late response to one would end the retransmission of the next.
// Otherwise only late responses do that which are not piggybacked.
const TokenIsOfOneMessage = C.CSHIM_TOKEN_IS_OF_ONE_MESSAGE == 1

// StopsItsTimer says that Send may stop the timer that wakes up who waits for FD, when
// other confirmable messages are under way.
const StopsItsTimer = C.CSHIM_STOPS_ITS_TIMER == 1

// Send sends a message and returns its message ID.
//
// Implements:
//
//	coap_pdu_t *coap_pdu_init(coap_pdu_type_t type, coap_pdu_code_t code, coap_mid_t mid, size_t size);
//	int coap_add_token(coap_pdu_t *pdu, size_t len, const uint8_t *data);
//	size_t coap_add_option(coap_pdu_t *pdu, coap_option_num_t number, size_t len, const uint8_t *data);
//	int coap_add_data(coap_pdu_t *pdu, size_t len, const uint8_t *data);
//	coap_mid_t coap_send(coap_session_t *session, coap_pdu_t *pdu);
func (s Session) Send(m *Message) (id int, err error) {
	n := C.cshim_session_send(s.s, C.struct_cshim_outgoing{
		message: C.struct_cshim_message{
			_type:        C.int(m.Type),
			code:         C.int(m.Code),
			mid:          C.int(m.ID),
			token:        (*C.uint8_t)(unsafe.SliceData(m.Token)),
			token_size:   C.size_t(len(m.Token)),
			options:      (*C.uint8_t)(unsafe.SliceData(m.Options)),
			options_size: C.size_t(len(m.Options)),
			body:         (*C.uint8_t)(unsafe.SliceData(m.Body)),
			body_size:    C.size_t(len(m.Body)),
		},
		more:   C.bool(m.More),
		answer: C.bool(m.Answers),
	})
	runtime.KeepAlive(m)
	switch n {
	case C.CSHIM_TOO_LARGE:
		return 0, ErrTooLarge
	case C.CSHIM_NOT_SENT:
		return 0, ErrNotSent
	}
	return int(n), nil
}

// Handled says that a request over TCP or TLS is handled that gets no answer. Requests are
// counted from Callbacks.Request until they are handled: see Message.Answers.
func (s Session) Handled() { C.cshim_session_handled(s.s) }

// Ping sends a CoAP ping and returns its message ID, which a reliable transport
// does not have.
//
// Implements:
//
//	coap_mid_t coap_session_send_ping(coap_session_t *session);
func (s Session) Ping() (id int, err error) {
	n := C.cshim_session_ping(s.s)
	if n < 0 {
		return 0, ErrNotSent
	}
	return int(n), nil
}

// Addresses returns both ends. The remote address of a client session with a group
// is that of the peer that a message came from last: in Callbacks.Response, of
// the peer that responded. It may be called in a callback.
//
// Implements:
//
//	const coap_address_t *coap_session_get_addr_local(const coap_session_t *session);
//	const coap_address_t *coap_session_get_addr_remote(const coap_session_t *session);
func (s Session) Addresses() (local, remote netip.AddrPort) {
	var l, r C.struct_cshim_address
	C.cshim_session_addresses(s.s, &l, &r)
	return fromC(l), fromC(r)
}

// Protocol returns the transport.
//
// Implements:
//
//	coap_proto_t coap_session_get_proto(const coap_session_t *session);
func (s Session) Protocol() Protocol { return Protocol(C.cshim_session_proto(s.s)) }

// A State is how far a session is.
type State int

const (
	StateNone        = State(C.COAP_SESSION_STATE_NONE)
	StateConnecting  = State(C.COAP_SESSION_STATE_CONNECTING)
	StateHandshake   = State(C.COAP_SESSION_STATE_HANDSHAKE)
	StateCSM         = State(C.COAP_SESSION_STATE_CSM)
	StateEstablished = State(C.COAP_SESSION_STATE_ESTABLISHED)
)

// State returns how far the session is.
//
// Implements:
//
//	coap_session_state_t coap_session_get_state(const coap_session_t *session);
func (s Session) State() State { return State(C.cshim_session_state(s.s)) }

// String describes the session. Calls for any session of the process must be
// serialised.
//
// Implements:
//
//	const char *coap_session_str(const coap_session_t *session);
func (s Session) String() string { return C.GoString(C.coap_session_str(s.s)) }

// SetMTU bounds the size of messages, in bytes without the headers of IP, UDP
// and TCP.
//
// Implements:
//
//	void coap_session_set_mtu(coap_session_t *session, unsigned mtu);
func (s Session) SetMTU(bytes int) { C.coap_session_set_mtu(s.s, C.uint(bytes)) }

// MaxPDUSize returns the most bytes that a message to the peer may have: 1152 over
// a connection that does not stand yet.
//
// Implements:
//
//	size_t coap_session_max_pdu_size(const coap_session_t *session);
func (s Session) MaxPDUSize() int { return int(C.cshim_session_max_size(s.s)) }

// HasBlocks reports whether the peer of a connection has said that it does block-wise
// transfers (RFC 8323, section 5.3.2), where what libcoap receives passes the shim.
func (s Session) HasBlocks() bool { return bool(C.cshim_session_has_blocks(s.s)) }

// A Fixed is a decimal number with three digits after the point, in thousandths.
type Fixed int

func (f Fixed) c() C.coap_fixed_point_t {
	return C.coap_fixed_point_t{integer_part: C.uint16_t(f / 1000),
		fractional_part: C.uint16_t(f % 1000)}
}

// BePatient has the handshake of a session over DTLS go on however many timeouts it has
// had. SetTransmission ends that.
func (s Session) BePatient() { C.cshim_session_set_max_retransmit(s.s, C.CSHIM_MANY_RETRANSMITS) }

// SetTransmission sets the transmission parameters (RFC 7252, section 4.8). Those
// that are 0 stay as they are.
//
// Implements:
//
//	void coap_session_set_ack_timeout(coap_session_t *session, coap_fixed_point_t value);
//	void coap_session_set_ack_random_factor(coap_session_t *session, coap_fixed_point_t value);
//	void coap_session_set_max_retransmit(coap_session_t *session, uint16_t value);
//	void coap_session_set_nstart(coap_session_t *session, uint16_t value);
func (s Session) SetTransmission(ackTimeout, ackRandomFactor Fixed, maxRetransmit, nstart uint16) {
	if ackTimeout != 0 {
		C.coap_session_set_ack_timeout(s.s, ackTimeout.c())
	}
	if ackRandomFactor != 0 {
		C.coap_session_set_ack_random_factor(s.s, ackRandomFactor.c())
	}
	if maxRetransmit != 0 {
		C.cshim_session_set_max_retransmit(s.s, C.uint16_t(maxRetransmit))
	}
	if nstart != 0 {
		C.cshim_session_set_nstart(s.s, C.uint16_t(nstart))
	}
}
