package ccoap

// #include "ext_critical.h"
import "C"

import "sync"

// AllOptions is for RegisterOption where PassesCritical reports true: messages are
// refused for no critical option then.
const AllOptions = C.CSHIM_ALL_OPTIONS

// PassesCritical reports whether AllOptions has its meaning in this program: it has
// where libcoap is a shared library. It may be called from any goroutine.
var PassesCritical = sync.OnceValue(func() bool {
	interpose()
	return bool(C.cshim_ext_critical_works())
})
