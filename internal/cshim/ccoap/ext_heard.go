package ccoap

// #include "receive.h"
import "C"

import "sync"

// TellsEmpty reports whether Callbacks.Heard is called in this program, see
// interpose.h. It may be called from any goroutine.
var TellsEmpty = sync.OnceValue(func() bool {
	interpose()
	return bool(C.cshim_receive_works())
})
