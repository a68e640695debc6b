package ccoap

// #include "context.h"
import "C"

import "sync"

// HearsOfTLS reports whether Callbacks.TLS is called for those who want that: whether libcoap's
// calls of gnutls_init come to this package. It may be called from any goroutine.
var HearsOfTLS = sync.OnceValue(func() bool {
	interpose()
	return bool(C.cshim_tls_supported())
})

// HearOfTLS has Callbacks.TLS called for the sessions of GnuTLS that libcoap makes for
// clients, and for servers. Servers then send no TLS 1.3 tickets by themselves.
func (c *Context) HearOfTLS(clients, servers bool) {
	c.c.tls.clients = C.bool(clients)
	c.c.tls.servers = C.bool(servers)
}

// What this package takes GnuTLS's constants for.
const (
	InitClient           = C.CSHIM_TLS_CLIENT
	InitDatagram         = C.CSHIM_TLS_DATAGRAM
	InitNoAutoSendTicket = C.CSHIM_TLS_NO_AUTO_SEND_TICKET
	InitInternalError    = C.CSHIM_TLS_INTERNAL_ERROR
)
