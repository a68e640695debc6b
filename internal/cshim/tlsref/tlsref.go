// Package tlsref names the objects of GnuTLS that the two shims hand to each other: what libcoap
// makes, cgnutls uses, and what cgnutls makes, ccoap gives to libcoap. Neither shim sees the C
// types of the other, and no package above them sees a pointer.
//
// A value owns nothing, and is not to be used after the object was freed. The zero value refers to
// none.
package tlsref

import "unsafe"

// A Session refers to a gnutls_session_t.
type Session struct{ p unsafe.Pointer }

// SessionAt returns the session that p, a gnutls_session_t, is.
func SessionAt(p unsafe.Pointer) Session { return Session{p} }

// IsNil reports whether s refers to none.
func (s Session) IsNil() bool { return s.p == nil }

// Pointer returns the gnutls_session_t.
func (s Session) Pointer() unsafe.Pointer { return s.p }

// A Transport refers to the gnutls_transport_ptr_t of a session, which means something to those
// alone who have set it.
type Transport struct{ p unsafe.Pointer }

// TransportAt returns the transport that p, a gnutls_transport_ptr_t, is.
func TransportAt(p unsafe.Pointer) Transport { return Transport{p} }

// Pointer returns the gnutls_transport_ptr_t.
func (t Transport) Pointer() unsafe.Pointer { return t.p }

// A Priority refers to a gnutls_priority_t.
type Priority struct{ p unsafe.Pointer }

// PriorityAt returns the priority that p, a gnutls_priority_t, is.
func PriorityAt(p unsafe.Pointer) Priority { return Priority{p} }

// Pointer returns the gnutls_priority_t.
func (p Priority) Pointer() unsafe.Pointer { return p.p }

// Credentials refer to a gnutls_certificate_credentials_t.
type Credentials struct{ p unsafe.Pointer }

// CredentialsAt returns the credentials that p, a gnutls_certificate_credentials_t, is.
func CredentialsAt(p unsafe.Pointer) Credentials { return Credentials{p} }

// Pointer returns the gnutls_certificate_credentials_t.
func (c Credentials) Pointer() unsafe.Pointer { return c.p }
