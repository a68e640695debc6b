package cgnutls

/*
#include "ext_earlydata.h"
*/
import "C"

import (
	"time"
	"unsafe"
)

// AntiReplay decides on early data by time, and asks Callbacks.ReplayAdd. GnuTLS
// changes it without a lock: one handshake at a time may use it.
type AntiReplay struct{ a C.gnutls_anti_replay_t }

// NewAntiReplay returns an object that refuses early data with tickets made
// before it, and ClientHellos older than window.
//
// Implements:
//
//	int gnutls_anti_replay_init(gnutls_anti_replay_t *anti_replay);
//	void gnutls_anti_replay_set_window(gnutls_anti_replay_t anti_replay, unsigned int window);
//	void gnutls_anti_replay_set_add_function(gnutls_anti_replay_t anti_replay,
//		gnutls_db_add_func add_func);
func NewAntiReplay(window time.Duration) (*AntiReplay, Code) {
	a := new(AntiReplay)
	if code := Code(C.cshim_ext_anti_replay_new(&a.a, C.uint(window.Milliseconds()))); code < 0 {
		return nil, code
	}
	liveAntiReplays.Add(1)
	return a, OK
}

// Free releases the object. No session may use it any more.
//
// Implements:
//
//	void gnutls_anti_replay_deinit(gnutls_anti_replay_t anti_replay);
func (a *AntiReplay) Free() {
	C.gnutls_anti_replay_deinit(a.a)
	a.a = nil
	liveAntiReplays.Add(-1)
}

// AcceptEarlyData lets a server ask Callbacks.EarlyData for each ClientHello with
// early data. p is the priority of the session, and precedence tells whether it
// has %SERVER_PRECEDENCE. p must live as long as the handshake.
//
// Implements:
//
//	void gnutls_anti_replay_enable(gnutls_session_t session, gnutls_anti_replay_t anti_replay);
//	int gnutls_priority_group_list(gnutls_priority_t pcache, const unsigned int **list);
func (s *Session) AcceptEarlyData(p *Priority, precedence bool) {
	C.cshim_ext_early_data_attach(s.s, p.p, C.bool(precedence))
}

// DropAntiReplay makes a server forget what Callbacks.EarlyData returned.
//
// Implements: see AcceptEarlyData.
func (s *Session) DropAntiReplay() { C.gnutls_anti_replay_enable(s.tls(), nil) }

// SetMaxEarlyData sets how many bytes of early data a server takes, n > 0. Of
// early data that it refuses it counts the ciphertext. The tickets that it makes
// announce the number.
//
// Implements:
//
//	int gnutls_record_set_max_early_data_size(gnutls_session_t session, size_t size);
func (s *Session) SetMaxEarlyData(n int) Code {
	return Code(C.gnutls_record_set_max_early_data_size(s.tls(), C.size_t(n)))
}

// SendEarlyData makes a client send p with its ClientHello, before the
// handshake.
//
// Implements:
//
//	ssize_t gnutls_record_send_early_data(gnutls_session_t session, const void *data,
//		size_t length);
func (s *Session) SendEarlyData(p []byte) Code {
	s.s.early_data = true
	pp, n := pointer(p)
	return Code(C.gnutls_record_send_early_data(s.tls(), unsafe.Pointer(pp), n))
}

// EarlyDataAccepted reports whether the server has taken the early data, on
// both sides.
//
// Implements:
//
//	unsigned gnutls_session_get_flags(gnutls_session_t session);
func (s *Session) EarlyDataAccepted() bool {
	return C.gnutls_session_get_flags(s.tls())&C.GNUTLS_SFLAGS_EARLY_DATA != 0
}

// TakeEarlyData returns the early data that a server has taken.
//
// Implements:
//
//	ssize_t gnutls_record_recv_early_data(gnutls_session_t session, void *data,
//		size_t data_size);
func (s *Session) TakeEarlyData() []byte {
	var data []byte
	buf := make([]byte, 4096)
	for {
		p, size := pointer(buf)
		n := C.gnutls_record_recv_early_data(s.tls(), unsafe.Pointer(p), size)
		if n <= 0 {
			return data
		}
		data = append(data, buf[:n]...)
	}
}

// ClientRandom returns the random bytes of the ClientHello.
//
// Implements:
//
//	void gnutls_session_get_random(gnutls_session_t session, gnutls_datum_t *client,
//		gnutls_datum_t *server);
func (s *Session) ClientRandom() []byte {
	var client, server C.gnutls_datum_t
	C.gnutls_session_get_random(s.tls(), &client, &server)
	return view(client)
}
