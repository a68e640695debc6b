//go:build !libcoap2

package cprogram

/*
#cgo LDFLAGS: -ldl
#include <stdlib.h>
#include "copy.h"
*/
import "C"

import "unsafe"

// A Copy is a copy of libcoap in the process, with libraries of its own. The zero value is the
// process's own libcoap.
type Copy struct{ handle unsafe.Pointer }

// LoadCopy loads one. It reports whether the system can do that.
func LoadCopy() (Copy, bool) {
	c := Copy{C.cshim_copy_load()}
	return c, c.handle != nil
}

// Unload unloads the copy.
func (c Copy) Unload() { C.cshim_copy_unload(c.handle) }

// Works has the copy make a context and free it, and reports whether it could.
func (c Copy) Works() bool { return C.cshim_copy_works(c.handle) != 0 }

// Callee returns the file that libcoap's calls of a function go to, "" where there are none.
func (c Copy) Callee(function string) string {
	name := C.CString(function)
	defer C.free(unsafe.Pointer(name))
	return C.GoString(C.cshim_copy_callee(c.handle, name))
}
