package ccoap

/*
#include <stdlib.h>
#include "session.h"
*/
import "C"

import (
	"net/netip"
	"unsafe"
)

// The most bytes that identities and keys may have.
const (
	MaxPSKIdentity = int(C.CSHIM_PSK_IDENTITY_MAX)
	MaxPSKKey      = int(C.CSHIM_PSK_KEY_MAX)
)

// SetPSK has the context's servers ask Callbacks.PSK for keys. The first hint is
// for clients that Callbacks.ServerName has no other for; byName has it asked.
//
// Implements:
//
//	int coap_context_set_psk2(coap_context_t *context, coap_dtls_spsk_t *setup_data);
func (c *Context) SetPSK(hints []string, byName bool) bool {
	p := C.malloc(C.size_t(len(hints)) * C.size_t(unsafe.Sizeof((*C.char)(nil))))
	list := unsafe.Slice((**C.char)(p), len(hints))
	for i, hint := range hints {
		list[i] = C.CString(hint)
	}
	return C.cshim_psk_set(c.c, (**C.char)(p), C.size_t(len(hints)), C.bool(byName)) != 0
}

// NewSessionPSK starts a client session with a pre-shared key. name is what to ask the server
// for, or "". byHint has Callbacks.Hint replace identity and key, which must not be
// empty all the same.
//
// Implements:
//
//	coap_session_t *coap_new_client_session_psk2(coap_context_t *context,
//		const coap_address_t *local_if, const coap_address_t *server, coap_proto_t proto,
//		coap_dtls_cpsk_t *setup_data);
func (c *Context) NewSessionPSK(local, server netip.AddrPort, proto Protocol, name string, identity,
	key []byte, byHint bool) (Session, SessionID, error) {
	n := cString([]byte(name))
	defer C.free(unsafe.Pointer(n))
	o := opening(local, server, proto, n)
	s, err := C.cshim_session_open_psk(c.c, &o, C.struct_cshim_secret{
		identity:      (*C.uint8_t)(unsafe.SliceData(identity)),
		identity_size: C.size_t(len(identity)),
		key:           (*C.uint8_t)(unsafe.SliceData(key)),
		key_size:      C.size_t(len(key)),
		by_hint:       C.bool(byHint),
	})
	return newSession(s, err)
}

// PSKIdentity returns the identity that a session uses, or nil.
//
// Implements:
//
//	const coap_bin_const_t *coap_session_get_psk_identity(const coap_session_t *session);
func (s Session) PSKIdentity() []byte {
	var size C.size_t
	p := C.cshim_session_identity(s.s, &size)
	return C.GoBytes(unsafe.Pointer(p), C.int(size))
}

// PSKHint returns the hint of a session's server, or nil.
//
// Implements:
//
//	const coap_bin_const_t *coap_session_get_psk_hint(const coap_session_t *session);
func (s Session) PSKHint() []byte {
	var size C.size_t
	p := C.cshim_session_hint(s.s, &size)
	return C.GoBytes(unsafe.Pointer(p), C.int(size))
}
