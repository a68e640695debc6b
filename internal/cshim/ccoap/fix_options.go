package ccoap

// #include "fix_options.h"
import "C"

import "sync"

// MaxOption returns the highest number of an option that this libcoap takes: it drops a
// message with a higher one. It may be called from any goroutine.
func MaxOption() uint16 {
	interpose()
	return uint16(C.cshim_fix_options_max())
}

// LeavesOddOptions reports whether options of wrong lengths, and above MaxOption, are left out of
// datagrams, see Message.OddOption. It may be called from any goroutine.
var LeavesOddOptions = sync.OnceValue(func() bool {
	interpose()
	return bool(C.cshim_fix_options_works())
})
