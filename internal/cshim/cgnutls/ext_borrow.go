package cgnutls

/*
#include "ext_borrow.h"
#include "callback.h"
#include "state.h"
*/
import "C"

import (
	"unsafe"

	"github.com/gnucoap/gnucoap/internal/cshim/handle"
	"github.com/gnucoap/gnucoap/internal/cshim/tlsref"
)

// What those need who see another library call gnutls_init.
const (
	InitClient           = C.GNUTLS_CLIENT
	InitDatagram         = C.GNUTLS_DATAGRAM
	InitNoAutoSendTicket = C.GNUTLS_NO_AUTO_SEND_TICKET
	InitInternalError    = C.GNUTLS_E_INTERNAL_ERROR
	CertificateType      = C.GNUTLS_CRD_CERTIFICATE
)

// A Borrowed is a session that another library has made and will free. It must
// not be used after that.
type Borrowed struct {
	tls    C.gnutls_session_t
	server bool
}

// Borrow returns a session. s must refer to one.
func Borrow(s tlsref.Session, server bool) Borrowed {
	return Borrowed{C.gnutls_session_t(s.Pointer()), server}
}

// Transport returns the transport pointer that the other library has set.
//
// Implements:
//
//	gnutls_transport_ptr_t gnutls_transport_get_ptr(gnutls_session_t session);
func (b Borrowed) Transport() tlsref.Transport {
	return tlsref.TransportAt(unsafe.Pointer(C.gnutls_transport_get_ptr(b.tls)))
}

// A Watcher is told what happens to a borrowed session. Its functions run inside
// the other library and must not call it, nor panic.
type Watcher struct {
	// Verify reports whether to accept the peer, whose certificate has come. It
	// replaces the verification by the credentials, unless it is nil.
	Verify func() bool
	// Ticket is called when there is something for TakeTickets, see KeepTickets.
	Ticket func()
	// Refused, if set, is called when the guard of KeepTickets, or a rule for ticket requests,
	// has refused a message. The handshake fails; the other library may not see that.
	Refused func(Code)
	// LimitTickets returns how many of n tickets to send to a client that asks for some, or a
	// negative number to fail the handshake. See AnswerRequests.
	LimitTickets func(asked TicketCounts, resumed bool, n int) int
	// ClientHello returns the credentials for a client that asks a server for a name, or nil for
	// those that it has. See ChooseByName.
	ClientHello func(serverName string) *CertificateCredentials
	// End, if set, is called when the session is freed, with the last alert that has
	// come, or 0, and whether any handshake message has.
	End func(alert uint8, heard bool)

	h handle.Handle[*Watcher]
}

// Watch has the session watched. It must be called once at most.
//
// Implements:
//
//	void gnutls_session_set_verify_function(gnutls_session_t session,
//		gnutls_certificate_verify_function *func);
//	gnutls_handshake_description_t gnutls_handshake_get_last_in(gnutls_session_t session);
//	int gnutls_session_ext_register(gnutls_session_t session, const char *name, int type,
//		gnutls_ext_parse_type_t parse_point, gnutls_ext_recv_func recv_func,
//		gnutls_ext_send_func send_func, gnutls_ext_deinit_data_func deinit_func,
//		gnutls_ext_pack_func pack_func, gnutls_ext_unpack_func unpack_func, unsigned flags);
func (b Borrowed) Watch(w *Watcher, datagram bool) Code {
	w.h = handle.New(w)
	server, verify := C.bool(b.server), C.bool(w.Verify != nil)
	code := Code(C.cshim_ext_borrow_watch(b.tls, w.h.Pointer(), server, C.bool(datagram), verify))
	if code < 0 {
		w.h.Delete()
	}
	return code
}

//export goGnutlsBorrowedVerify
func goGnutlsBorrowedVerify(h unsafe.Pointer) C.int {
	if w, ok := handle.Lookup[*Watcher](h); ok && w.Verify() {
		return 0
	}
	return C.GNUTLS_E_CERTIFICATE_ERROR
}

//export goGnutlsBorrowedTicket
func goGnutlsBorrowedTicket(h unsafe.Pointer) {
	if w, ok := handle.Lookup[*Watcher](h); ok && w.Ticket != nil {
		w.Ticket()
	}
}

//export goGnutlsBorrowedRefused
func goGnutlsBorrowedRefused(h unsafe.Pointer, code C.int) {
	if w, ok := handle.Lookup[*Watcher](h); ok && w.Refused != nil {
		w.Refused(Code(code))
	}
}

//export goGnutlsBorrowedLimit
func goGnutlsBorrowedLimit(h unsafe.Pointer, newSession, resumption, resumed, n C.int) C.int {
	w, ok := handle.Lookup[*Watcher](h)
	if !ok {
		return C.GNUTLS_E_INTERNAL_ERROR
	}
	return C.int(w.LimitTickets(TicketCounts{New: uint8(newSession), Resumed: uint8(resumption)},
		resumed != 0, int(n)))
}

//export goGnutlsBorrowedHello
func goGnutlsBorrowedHello(h, name unsafe.Pointer, size C.size_t) unsafe.Pointer {
	if w, ok := handle.Lookup[*Watcher](h); ok {
		if c := w.ClientHello(C.GoStringN((*C.char)(name), C.int(size))); c != nil {
			return unsafe.Pointer(c.c)
		}
	}
	return nil
}

//export goGnutlsBorrowedEnd
func goGnutlsBorrowedEnd(h unsafe.Pointer, alert, heard C.int) {
	w, ok := handle.Lookup[*Watcher](h)
	if !ok {
		return
	}
	w.h.Delete()
	if w.End != nil {
		w.End(uint8(alert), heard != 0)
	}
}

// Watched reports whether the session is watched.
//
// Implements:
//
//	void *gnutls_session_get_ptr(gnutls_session_t session);
func (b Borrowed) Watched() bool { return C.cshim_session_of(b.tls) != nil }

// watched returns what goes with a session that is watched.
func (b Borrowed) watched() *Session { return &Session{C.cshim_session_of(b.tls)} }

// KeepTickets makes a watched client keep the tickets that come, and guards it against
// a server that claims to resume a TLS 1.3 session in an earlier version. It comes
// before the handshake.
//
// Implements: see Session.TakeTickets.
func (b Borrowed) KeepTickets() { C.cshim_ext_borrow_keep_tickets(b.watched().s) }

// TakeAnyKeyUsage is Options.AnyKeyUsage for a watched client. It comes before the handshake.
//
// Implements:
//
//	void gnutls_session_enable_compatibility_mode(gnutls_session_t session);
func (b Borrowed) TakeAnyKeyUsage() { C.cshim_ext_borrow_any_key_usage(b.watched().s) }

// TakeTickets is as for Session.
func (b Borrowed) TakeTickets() []Ticket { return b.watched().TakeTickets() }

// SetData is as for Session. The session must be watched.
func (b Borrowed) SetData(data []byte, tls13 bool) Code { return b.watched().SetData(data, tls13) }

// Data returns the session data of a client below TLS 1.3, after the handshake.
//
// Implements:
//
//	int gnutls_session_get_data2(gnutls_session_t session, gnutls_datum_t *data);
func (b Borrowed) Data() ([]byte, Code) {
	var d C.gnutls_datum_t
	if code := Code(C.gnutls_session_get_data2(b.tls, &d)); code < 0 {
		return nil, code
	}
	return take(d), OK
}

// RequestTickets is as for Session. The session must be watched.
func (b Borrowed) RequestTickets(n TicketCounts) Code {
	s := b.watched()
	s.RequestTickets(n)
	return Code(C.cshim_ext_borrow_know_requests(s.s))
}

// AnswerRequests makes a watched server answer ticket requests, with limit tickets
// at most. With callback, Watcher.LimitTickets may lower the number. It comes before the handshake.
func (b Borrowed) AnswerRequests(limit uint8, callback bool) Code {
	s := b.watched()
	s.s.ticket_request.modes = allModes
	s.s.ticket_request.limit = C.uint8_t(limit)
	s.s.ticket_request.limited = C.bool(callback)
	return Code(C.cshim_ext_borrow_know_requests(s.s))
}

// ChooseByName has Watcher.ClientHello called for the session of a server, which must be
// watched. It comes before the handshake.
//
// Implements:
//
//	void gnutls_handshake_set_hook_function(gnutls_session_t session, unsigned int htype, int when,
//		gnutls_handshake_hook_func func);
func (b Borrowed) ChooseByName() { C.cshim_client_hello_attach(b.watched().s) }

// TicketRequest is as for Session. The session must be watched.
func (b Borrowed) TicketRequest() (asked TicketCounts, present bool, expected int, answered bool) {
	return b.watched().TicketRequest()
}

// EnableTicketKeys is as for Session. The session must be watched.
func (b Borrowed) EnableTicketKeys(keys []TicketKey) Code {
	return b.watched().EnableTicketKeys(keys)
}

// SendTickets sends n tickets after the handshake of a server over TLS 1.3.
//
// Implements:
//
//	int gnutls_session_ticket_send(gnutls_session_t session, unsigned nr, unsigned flags);
func (b Borrowed) SendTickets(n int) Code {
	if n == 0 {
		return OK
	}
	return Code(C.gnutls_session_ticket_send(b.tls, C.uint(n), 0))
}

// SetCertificateCredentials sets whom the session trusts and the keys that it may
// present from now on. They must outlive it.
//
// Implements:
//
//	int gnutls_credentials_set(gnutls_session_t session, gnutls_credentials_type_t type, void *cred);
func (b Borrowed) SetCertificateCredentials(c *CertificateCredentials) Code {
	return Code(C.gnutls_credentials_set(b.tls, C.GNUTLS_CRD_CERTIFICATE, unsafe.Pointer(c.c)))
}

// WithCertificateCredentials calls f while the session has other credentials.
//
// Implements:
//
//	int gnutls_credentials_get(gnutls_session_t session, gnutls_credentials_type_t type, void **cred);
func (b Borrowed) WithCertificateCredentials(c *CertificateCredentials, f func()) Code {
	var own unsafe.Pointer
	if code := Code(C.gnutls_credentials_get(b.tls, C.GNUTLS_CRD_CERTIFICATE, &own)); code < 0 {
		return code
	}
	if code := b.SetCertificateCredentials(c); code < 0 {
		return code
	}
	f()
	return Code(C.gnutls_credentials_set(b.tls, C.GNUTLS_CRD_CERTIFICATE, own))
}

// VerifyPeer is as for Session.
func (b Borrowed) VerifyPeer(host string, ip []byte, purpose string) (status uint32, path []Link,
	code Code) {
	return verifyPeer(b.tls, host, ip, purpose)
}

// State is as for Session.
func (b Borrowed) State() State { return state(b.tls, b.server) }

// ServerName returns the name that a client asks a server for, or "".
//
// Implements:
//
//	int gnutls_server_name_get(gnutls_session_t session, void *data,
//		size_t *data_length, unsigned int *type, unsigned int indx);
func (b Borrowed) ServerName() string { return serverName(b.tls) }

// Unanswered reports whether a server's session has read the ClientHello and has sent
// nothing: then the handshake has failed.
//
// Implements:
//
//	gnutls_handshake_description_t gnutls_handshake_get_last_in(gnutls_session_t session);
//	gnutls_handshake_description_t gnutls_handshake_get_last_out(gnutls_session_t session);
func (b Borrowed) Unanswered() bool {
	return C.gnutls_handshake_get_last_in(b.tls) == C.GNUTLS_HANDSHAKE_CLIENT_HELLO &&
		int32(C.gnutls_handshake_get_last_out(b.tls)) < 0
}

// SendAlert sends a fatal alert.
//
// Implements:
//
//	int gnutls_alert_send(gnutls_session_t session, gnutls_alert_level_t level,
//		gnutls_alert_description_t desc);
func (b Borrowed) SendAlert(alert uint8) {
	C.gnutls_alert_send(b.tls, C.GNUTLS_AL_FATAL, C.gnutls_alert_description_t(alert))
}
