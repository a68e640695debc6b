package ccoap

/*
#include <stdlib.h>
#include "session.h"
*/
import "C"

import (
	"net/netip"
	"unsafe"

	"github.com/gnucoap/gnucoap/internal/cshim/tlsref"
)

// HaveCredentials says that this version has raw public keys, and hints and names
// for pre-shared keys, and that a context may have secured clients and servers.
const HaveCredentials = bool(C.CSHIM_CREDENTIALS != 0)

// A Key is a private key with what goes with it, in PEM. Any part may be nil.
type Key struct {
	Chain []byte // certificates, the leaf first, or a raw public key
	Key   []byte
	CA    []byte // certificates of those who are trusted
}

func (k Key) c() C.struct_cshim_key {
	return C.struct_cshim_key{chain: cString(k.Chain), key: cString(k.Key), ca: cString(k.CA)}
}

// cString returns a copy in C, which its receiver frees, or NULL.
func cString(b []byte) *C.char {
	if len(b) == 0 {
		return nil
	}
	p := unsafe.Slice((*byte)(C.malloc(C.size_t(len(b)+1))), len(b)+1)
	p[copy(p, b)] = 0
	return (*C.char)(unsafe.Pointer(&p[0]))
}

// SetPKI sets servers up for certificates, or for raw public keys.
// Callbacks.Verify decides on what peers send. request has them ask clients for
// certificates, and byName has Callbacks.ServerName choose among key and those of AddKey.
//
// Implements:
//
//	int coap_context_set_pki(coap_context_t *context, const coap_dtls_pki_t *setup_data);
func (c *Context) SetPKI(key Key, raw, request, byName bool) bool {
	k := key.c()
	return C.cshim_pki_set(c.c, &k, C.bool(raw), C.bool(request), C.bool(byName)) != 0
}

// AddKey adds a key that Callbacks.ServerName may choose. The first is number 1.
func (c *Context) AddKey(key Key) bool {
	k := key.c()
	return C.cshim_pki_add(c.c, &k) != 0
}

// NewSessionPKI starts a client session with certificates, or raw public keys.
// Callbacks.Verify decides on what the server sends. name is what to ask the server for,
// or "". credentials take the place of the key where SetsUpTLS is true, unless they are zero;
// then they verify as well.
//
// Implements:
//
//	coap_session_t *coap_new_client_session_pki(coap_context_t *context,
//		const coap_address_t *local_if, const coap_address_t *server, coap_proto_t proto,
//		coap_dtls_pki_t *setup_data);
func (c *Context) NewSessionPKI(local, server netip.AddrPort, proto Protocol, name string, key Key,
	raw bool, credentials tlsref.Credentials) (Session, SessionID, error) {
	n := cString([]byte(name))
	defer C.free(unsafe.Pointer(n))
	k := key.c()
	o := opening(local, server, proto, n)
	s, err := C.cshim_session_open_pki(c.c, &o, &k, C.bool(raw), credentials.Pointer())
	return newSession(s, err)
}

// TLS returns the session of GnuTLS, which is nil where there is none. It must not be used after
// the next call on the context.
//
// Implements:
//
//	void *coap_session_get_tls(const coap_session_t *session, coap_tls_library_t *tls_lib);
func (s Session) TLS() tlsref.Session { return tlsref.SessionAt(C.cshim_session_tls(s.s)) }

// SessionOf returns the session that libcoap has made one of GnuTLS for, by what the latter reads
// from.
func SessionOf(t tlsref.Transport) Session { return SessionAt(t.Pointer()) }

// ID returns the number of the session, 0 where it has none.
func (s Session) ID() SessionID { return SessionID(C.cshim_session_id(s.s)) }
