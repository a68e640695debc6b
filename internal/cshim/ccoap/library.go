// Package ccoap is the one package that calls libcoap.
//
// Its types are thin: they hold a native object and nothing that protects it.
// libcoap is not safe for threads: the caller serialises all calls on a context
// and on what belongs to it, and frees each object exactly once. The functions
// of Callbacks run inside such calls. See the parent package for the rules of
// shims.
//
// Of libcoap's three layers only the lower ones are used: transports with their
// security, and messages with their retransmission. Blocks, observation and
// resources are left to the caller, because each version has other ones.
package ccoap

/*
#cgo CFLAGS: -std=gnu11
#include "context.h"
#include "replaced.h"
*/
import "C"

import (
	"strings"
	"sync"
)

var (
	initLibrary = sync.OnceFunc(func() {
		interpose()
		C.cshim_library_init()
	})
	// interpose replaces functions in libcoap. It comes before any context of ours.
	interpose = sync.OnceFunc(func() { C.cshim_replace() })
)

// Version returns the version of the libcoap library that is loaded, such as
// "4.3.1".
//
// Implements:
//
//	const char *coap_package_version(void);
func Version() string {
	_, number, _ := strings.Cut(C.GoString(C.coap_package_version()), " ")
	return number
}

// TLSLibrary is a library that libcoap may be built with.
type TLSLibrary int

const (
	TLSNone     = TLSLibrary(C.COAP_TLS_LIBRARY_NOTLS)
	TLSTinyDTLS = TLSLibrary(C.COAP_TLS_LIBRARY_TINYDTLS)
	TLSOpenSSL  = TLSLibrary(C.COAP_TLS_LIBRARY_OPENSSL)
	TLSGnuTLS   = TLSLibrary(C.COAP_TLS_LIBRARY_GNUTLS)
)

// BuiltWith returns the TLS library of the libcoap that is loaded.
//
// Implements:
//
//	coap_tls_version_t *coap_get_tls_library_version(void);
func BuiltWith() TLSLibrary { return TLSLibrary(C.coap_get_tls_library_version()._type) }
