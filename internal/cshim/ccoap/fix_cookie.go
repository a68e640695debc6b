package ccoap

// #include "fix_cookie.h"
import "C"

import "sync"

// ChecksCookies reports whether libcoap's servers over DTLS ask each client for a cookie, which
// is checked before libcoap has the ClientHello: fix_cookie.h. It may be called from any goroutine.
var ChecksCookies = sync.OnceValue(func() bool {
	interpose()
	return bool(C.cshim_fix_cookie_works())
})
