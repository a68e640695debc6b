package cgnutls

/*
#include "library.h"
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// borrow points a datum at b. The datum is for one C call that does not keep
// it; p pins b for that call.
func borrow(p *runtime.Pinner, b []byte) C.gnutls_datum_t {
	if len(b) == 0 {
		return C.gnutls_datum_t{}
	}
	p.Pin(&b[0])
	return C.gnutls_datum_t{data: (*C.uchar)(unsafe.Pointer(&b[0])), size: C.uint(len(b))}
}

// view copies the bytes of a datum that GnuTLS owns.
func view(d C.gnutls_datum_t) []byte {
	if d.data == nil {
		return nil
	}
	return C.GoBytes(unsafe.Pointer(d.data), C.int(d.size))
}

// take copies the bytes of a datum that was allocated for the caller, clears
// them and releases them with gnutls_free.
func take(d C.gnutls_datum_t) []byte {
	if d.data == nil {
		return nil
	}
	liveBuffers.Add(1)
	b := view(d)
	clear(unsafe.Slice((*byte)(d.data), int(d.size)))
	C.cshim_free(unsafe.Pointer(d.data))
	liveBuffers.Add(-1)
	return b
}
