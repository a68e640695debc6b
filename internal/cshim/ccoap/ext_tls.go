package ccoap

/*
#include "context.h"
*/
import "C"

import (
	"sync"

	"github.com/gnucoap/gnucoap/internal/cshim/tlsref"
)

// HearsOfTLS reports whether Callbacks.TLS is called for those who want that: whether libcoap's
// calls of gnutls_init come to this package. It may be called from any goroutine.
var HearsOfTLS = sync.OnceValue(func() bool {
	interpose()
	return bool(C.cshim_ext_tls_supported())
})

// SetsUpTLS reports whether SetPriority, SetServerCredentials and the credentials of
// NewSessionPKI have an effect. It may be called from any goroutine.
var SetsUpTLS = sync.OnceValue(func() bool {
	interpose()
	return bool(C.cshim_ext_tls_sets_up())
})

// HearOfTLS has Callbacks.TLS called for the sessions of GnuTLS that libcoap makes. With tickets
// servers send no TLS 1.3 tickets by themselves.
func (c *Context) HearOfTLS(tickets bool) {
	c.c.tls.heard = true
	c.c.tls.tickets = C.bool(tickets)
}

// SetPriority sets the versions, ciphers and so on of sessions that begin from now on. hint is
// for clients that answer the hint of a server. Those that are zero leave it to libcoap.
//
// Implements:
//
//	int gnutls_priority_set(gnutls_session_t session, gnutls_priority_t priority);
func (c *Context) SetPriority(priority, hint tlsref.Priority) {
	c.c.tls.priority, c.c.tls.hint_priority = priority.Pointer(), hint.Pointer()
}

// SetClientPriority is SetPriority for clients alone. With the zero value they have what that has
// set.
func (c *Context) SetClientPriority(priority tlsref.Priority) {
	c.c.tls.client_priority = priority.Pointer()
}

// SetServerCredentials sets what the sessions of servers with certificates have that begin from
// now on. They must outlive the sessions. Callbacks.TLS has to see
// to the verification of clients, and to names.
//
// Implements:
//
//	int gnutls_credentials_set(gnutls_session_t session, gnutls_credentials_type_t type, void *cred);
func (c *Context) SetServerCredentials(credentials tlsref.Credentials) {
	c.c.tls.server_credentials = credentials.Pointer()
}

// What this package takes GnuTLS's constants for.
const (
	InitClient           = C.CSHIM_TLS_CLIENT
	InitDatagram         = C.CSHIM_TLS_DATAGRAM
	InitNoAutoSendTicket = C.CSHIM_TLS_NO_AUTO_SEND_TICKET
	InitInternalError    = C.CSHIM_TLS_INTERNAL_ERROR
	CertificateType      = C.CSHIM_TLS_CERTIFICATE
)
