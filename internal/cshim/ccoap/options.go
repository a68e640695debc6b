package ccoap

// #include "options.h"
import "C"

import "sync"

// LeavesOddOptions reports whether options of wrong lengths are left out of datagrams, see
// Message.OddOption. It may be called from any goroutine.
var LeavesOddOptions = sync.OnceValue(func() bool {
	interpose()
	return bool(C.cshim_options_works())
})
