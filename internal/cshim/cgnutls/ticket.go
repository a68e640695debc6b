package cgnutls

/*
#include "transport.h"
*/
import "C"

import "unsafe"

// A Ticket is a NewSessionTicket that a client received.
type Ticket struct {
	Message []byte // the body of the handshake message
	// session data that uses it; nil below TLS 1.3, where it comes with the end of the handshake
	Session []byte
}

// TakeTickets returns the tickets that have come since the last call, in
// order, at most the last 255.
//
// Implements:
//
//	void gnutls_handshake_set_hook_function(gnutls_session_t session,
//		unsigned int htype, int when, gnutls_handshake_hook_func func);
func (s *Session) TakeTickets() []Ticket {
	var list []Ticket
	for item := C.cshim_queue_take(&s.s.tickets); item != nil; item = C.cshim_queue_take(
		&s.s.tickets) {
		list = append(list, Ticket{Message: view(item.message), Session: view(item.session)})
		C.cshim_item_free(item)
	}
	return list
}

// TakeKeyLog returns the lines in the NSS key log format that have come since
// the last call.
//
// Implements:
//
//	void gnutls_session_set_keylog_function(gnutls_session_t session,
//		gnutls_keylog_func func);
func (s *Session) TakeKeyLog() [][]byte {
	var list [][]byte
	for item := C.cshim_queue_take(&s.s.keylog); item != nil; item = C.cshim_queue_take(&s.s.keylog) {
		list = append(list, view(item.message))
		C.cshim_item_free(item)
	}
	return list
}

// Data returns the session data. Where a TLS 1.3 client has no ticket yet,
// GnuTLS asks the pull-timeout callback for one round trip whether there is
// input and takes a ticket from it; without one the data are a dummy of four
// zero bytes. used is how much of in was used up.
//
// Implements:
//
//	int gnutls_session_get_data2(gnutls_session_t session, gnutls_datum_t *data);
func (s *Session) Data(in []byte) (data []byte, used int, code Code) {
	var d C.gnutls_datum_t
	p, n := pointer(in)
	r := result(C.cshim_session_data(s.s, p, n, &d))
	if r.Code < 0 {
		return nil, r.Used, r.Code
	}
	return take(d), r.Used, OK
}

// SetPullTimeout sets or takes away the pull-timeout callback, which a new
// session has. Without it Data never finds a ticket by itself. It is for tests.
//
// Implements:
//
//	void gnutls_transport_set_pull_timeout_function(gnutls_session_t session,
//		gnutls_pull_timeout_func func);
func (s *Session) SetPullTimeout(on bool) { C.cshim_set_pull_timeout(s.s, C.bool(on)) }

// SetData makes a client ask to resume, before the handshake. tls13 tells
// whether the data are of a TLS 1.3 session.
//
// Implements:
//
//	int gnutls_session_set_data(gnutls_session_t session, const void *session_data,
//		size_t session_data_size);
func (s *Session) SetData(data []byte, tls13 bool) Code {
	s.s.offered_tls13 = C.bool(tls13)
	p, n := pointer(data)
	return Code(C.gnutls_session_set_data(s.tls(), unsafe.Pointer(p), n))
}

// HasTicket reports whether a ticket has come. Package gnutls counts tickets
// instead; it is for tests.
//
// Implements:
//
//	unsigned gnutls_session_get_flags(gnutls_session_t session);
func (s *Session) HasTicket() bool {
	return C.gnutls_session_get_flags(s.tls())&C.GNUTLS_SFLAGS_SESSION_TICKET != 0
}

// NewTicketKey returns a random master key for a server's tickets.
//
// Implements:
//
//	int gnutls_session_ticket_key_generate(gnutls_datum_t *key);
func NewTicketKey() ([]byte, Code) {
	var d C.gnutls_datum_t
	if code := Code(C.gnutls_session_ticket_key_generate(&d)); code < 0 {
		return nil, code
	}
	return take(d), OK
}

// nativeBuffers counts the queued items of all sessions.
func nativeBuffers() int64 { return int64(C.cshim_items_live()) }
