package cgnutls

/*
#include "transport.h"

#cgo noescape cshim_recv
#cgo nocallback cshim_recv
#cgo noescape cshim_send
#cgo nocallback cshim_send
#cgo noescape cshim_bye
#cgo nocallback cshim_bye
#cgo noescape cshim_alert
#cgo nocallback cshim_alert
#cgo noescape cshim_alert_for
#cgo nocallback cshim_alert_for
#cgo noescape cshim_send_tickets
#cgo nocallback cshim_send_tickets
*/
import "C"

import (
	"unsafe"

	"github.com/gnucoap/gnucoap/internal/cshim/handle"
)

// OutputSize is the capacity of an output buffer that holds two full records,
// the amount of work that pays for one crossing into C.
const OutputSize = 34 << 10

// InputSize is the capacity of an input buffer that holds two full records.
const InputSize = 34 << 10

// Result tells what a call on the memory transport did.
type Result struct {
	Code Code // OK, or the error that ended the call
	Used int  // input bytes used up; the rest must be offered again
	Made int  // output bytes made, which must go to the peer in order
	N    int  // application bytes

	Starved bool // needs more input
	Full    bool // needs an empty output buffer
	Closed  bool // the peer sent close_notify
	Verify  bool // the handshake waits for AcceptPeer
	Tickets bool // TakeTickets has something
	KeyLog  bool // TakeKeyLog has something
	Ended   bool // the input ended between two records; sending goes on
}

func result(r C.cshim_result) Result {
	return Result{
		Code:    Code(r.code),
		Used:    int(r.used),
		Made:    int(r.made),
		N:       int(r.n),
		Starved: r.flags&C.CSHIM_STARVED != 0,
		Full:    r.flags&C.CSHIM_FULL != 0,
		Closed:  r.flags&C.CSHIM_CLOSED != 0,
		Verify:  r.flags&C.CSHIM_VERIFY != 0,
		Tickets: r.flags&C.CSHIM_TICKETS != 0,
		KeyLog:  r.flags&C.CSHIM_KEYLOG != 0,
		Ended:   r.flags&C.CSHIM_ENDED != 0,
	}
}

// pointer returns b as C knows it. A pointer to bytes, unlike a void pointer,
// needs no look from cgo's pointer check.
func pointer(b []byte) (*C.uint8_t, C.size_t) {
	return (*C.uint8_t)(unsafe.SliceData(b)), C.size_t(len(b))
}

// Handshake goes on with the handshake. GnuTLS may call back into cb while it
// runs. eof says that no input follows in.
//
// Implements:
//
//	int gnutls_handshake(gnutls_session_t session);
func (s *Session) Handshake(cb *Callbacks, in []byte, eof bool, out []byte) Result {
	h := handle.New(cb)
	defer h.Delete()
	ip, in_len := pointer(in)
	op, out_cap := pointer(out)
	return result(C.cshim_handshake(s.s, h.Pointer(), ip, in_len, C.bool(eof), op, out_cap))
}

// Recv decrypts records from in until p is full or the input ends. It makes
// no output.
//
// Implements:
//
//	ssize_t gnutls_record_recv(gnutls_session_t session, void *data, size_t data_size);
func (s *Session) Recv(in []byte, eof bool, p []byte) Result {
	ip, in_len := pointer(in)
	pp, p_len := pointer(p)
	return result(C.cshim_recv(s.s, ip, in_len, C.bool(eof), pp, p_len))
}

// Send encrypts from p what fits out: with OutputSize bytes, two full records.
//
// Implements:
//
//	ssize_t gnutls_record_send(gnutls_session_t session, const void *data, size_t data_size);
func (s *Session) Send(p, out []byte) Result {
	pp, p_len := pointer(p)
	op, out_cap := pointer(out)
	return result(C.cshim_send(s.s, pp, p_len, op, out_cap))
}

// Bye makes the close_notify alert. The peer may go on sending.
//
// Implements:
//
//	int gnutls_bye(gnutls_session_t session, gnutls_close_request_t how);
func (s *Session) Bye(out []byte) Result {
	op, out_cap := pointer(out)
	return result(C.cshim_bye(s.s, op, out_cap))
}

// Alert makes an alert, after what an earlier call could not make whole.
//
// Implements:
//
//	int gnutls_alert_send(gnutls_session_t session, gnutls_alert_level_t level,
//		gnutls_alert_description_t desc);
func (s *Session) Alert(level AlertLevel, description uint8, out []byte) Result {
	op, out_cap := pointer(out)
	return result(C.cshim_alert(s.s, C.int(level), C.int(description), op, out_cap))
}

// An AlertLevel is the level of an alert.
type AlertLevel int

const (
	Warning AlertLevel = C.GNUTLS_AL_WARNING
	Fatal   AlertLevel = C.GNUTLS_AL_FATAL
)

// AlertFor makes the alert that goes with an error code.
//
// Implements:
//
//	int gnutls_error_to_alert(int err, int *level);
//	int gnutls_alert_send(gnutls_session_t session, gnutls_alert_level_t level,
//		gnutls_alert_description_t desc);
func (s *Session) AlertFor(code Code, out []byte) Result {
	op, out_cap := pointer(out)
	return result(C.cshim_alert_for(s.s, C.int(code), op, out_cap))
}

// SendTickets makes n TLS 1.3 tickets, n > 0, on a server whose handshake is
// over.
//
// Implements:
//
//	int gnutls_session_ticket_send(gnutls_session_t session, unsigned nr, unsigned flags);
func (s *Session) SendTickets(n int, out []byte) Result {
	op, out_cap := pointer(out)
	return result(C.cshim_send_tickets(s.s, C.uint(n), op, out_cap))
}

// ReceivedAlert returns the last alert that the peer sent.
//
// Implements:
//
//	gnutls_alert_description_t gnutls_alert_get(gnutls_session_t session);
func (s *Session) ReceivedAlert() uint8 { return uint8(C.gnutls_alert_get(s.tls())) }

// AlertText returns GnuTLS's English text for an alert, or the empty string.
//
// Implements:
//
//	const char *gnutls_alert_get_name(gnutls_alert_description_t alert);
func AlertText(description uint8) string {
	if name := C.gnutls_alert_get_name(C.gnutls_alert_description_t(description)); name != nil {
		return C.GoString(name)
	}
	return ""
}
