package ccoap

// #include "empty.h"
import "C"

import "sync"

// TellsEmpty reports whether Callbacks.Empty is called in this program: it is where
// libcoap is a shared library that the program was linked with. It may be called
// from any goroutine.
var TellsEmpty = sync.OnceValue(func() bool { return bool(C.cshim_empty_works()) })
