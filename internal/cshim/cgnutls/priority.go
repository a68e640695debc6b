package cgnutls

/*
#include "priority.h"
*/
import "C"

import (
	"unsafe"

	"github.com/gnucoap/gnucoap/internal/cshim/tlsref"
)

// Priority is a parsed priority string: the versions, ciphers, key exchanges
// and groups that a session may use. It does not change, so any number of
// sessions in any goroutine may share it.
type Priority struct {
	p C.gnutls_priority_t
}

// NewPriority parses s. With appendToDefault, s is a list of changes (such as
// "-VERS-TLS1.2") to the system's default priorities. When s cannot be
// parsed, the returned position is the byte offset in s where that was found.
//
// Implements:
//
//	int gnutls_priority_init2(gnutls_priority_t *priority_cache,
//		const char *priorities, const char **err_pos, unsigned flags);
func NewPriority(s string, appendToDefault bool) (*Priority, int, Code) {
	cs := C.CString(s)
	defer C.free(unsafe.Pointer(cs))
	p := new(Priority)
	var pos C.int
	code := Code(C.cshim_priority_new(&p.p, cs, C.bool(appendToDefault), &pos))
	if code < 0 {
		return nil, int(pos), code
	}
	livePriorities.Add(1)
	return p, 0, OK
}

// Ref refers to the priority, for a library that sets it by itself.
func (p *Priority) Ref() tlsref.Priority { return tlsref.PriorityAt(unsafe.Pointer(p.p)) }

// Protocols returns the protocol versions that p allows, as wire numbers
// (0x0304 for TLS 1.3). Versions other than those of TLS are left out.
//
// Implements:
//
//	int gnutls_priority_protocol_list(gnutls_priority_t pcache,
//		const unsigned int **list);
func (p *Priority) Protocols() []uint16 {
	var list *C.uint
	n := C.gnutls_priority_protocol_list(p.p, &list)
	var versions []uint16
	for _, v := range unsafe.Slice(list, max(n, 0)) {
		if wire := wireVersion(C.gnutls_protocol_t(v)); wire != 0 {
			versions = append(versions, wire)
		}
	}
	return versions
}

// Key exchange modes as bits.
const (
	pskOnly  = 1 << 0
	pskDHE   = 1 << 1
	allModes = pskOnly | pskDHE
)

// pskModes returns the bits of the key exchange modes (RFC 8446 section 4.2.9)
// that p names.
//
// Implements:
//
//	int gnutls_priority_kx_list(gnutls_priority_t pcache, const unsigned int **list);
func (p *Priority) pskModes() (modes C.uint) {
	var list *C.uint
	n := C.gnutls_priority_kx_list(p.p, &list)
	for _, kx := range unsafe.Slice(list, max(n, 0)) {
		switch kx {
		case C.GNUTLS_KX_PSK:
			modes |= pskOnly
		case C.GNUTLS_KX_DHE_PSK, C.GNUTLS_KX_ECDHE_PSK:
			modes |= pskDHE
		}
	}
	return modes
}

// resumptionModes returns the bits of those in which a server with tickets resumes.
func (p *Priority) resumptionModes() C.uint {
	if modes := p.pskModes(); modes != 0 {
		return modes
	}
	return pskDHE
}

// NamesPSK reports whether p names key exchanges with pre-shared keys. A client where it
// does not offers to resume without Diffie-Hellman, too.
func (p *Priority) NamesPSK() bool { return p.pskModes() != 0 }

// Free releases p. Sessions that use it keep what they need.
//
// Implements:
//
//	void gnutls_priority_deinit(gnutls_priority_t priority_cache);
func (p *Priority) Free() {
	C.gnutls_priority_deinit(p.p)
	p.p = nil
	livePriorities.Add(-1)
}
