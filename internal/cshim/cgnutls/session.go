package cgnutls

/*
#include "session.h"
#include "callback.h"
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// Session is one TLS connection's state. One goroutine at a time may use it.
type Session struct {
	s *C.cshim_session
}

// Options say how NewSession sets a session up.
type Options struct {
	Server     bool
	FalseStart bool // client, TLS 1.2
	NoTickets  bool
	Tickets    bool // client: keep received tickets for TakeTickets
	TLS13      bool // server: it may choose TLS 1.3
	Requests   bool // server: answer ticket requests; a client always knows them
	EarlyData  bool // server: take early data, see SetMaxEarlyData
	KeyLog     bool // keep secrets for TakeKeyLog
	Store      bool // server: use the store functions of Callbacks
	ByName     bool // server: ask Callbacks.ClientHello
	// AnyKeyUsage, for a client, overlooks that the key usage of the server's
	// certificate is wrong.
	AnyKeyUsage bool
}

// NewSession returns a session on the memory transport. A server sends TLS 1.3
// tickets only by SendTickets.
//
// Implements:
//
//	int gnutls_init(gnutls_session_t *session, unsigned int flags);
//	void gnutls_session_enable_compatibility_mode(gnutls_session_t session);
func NewSession(o Options) (*Session, Code) {
	flags := C.uint(C.GNUTLS_NO_AUTO_SEND_TICKET)
	if o.FalseStart {
		flags |= C.GNUTLS_ENABLE_FALSE_START
	}
	if o.NoTickets {
		flags |= C.GNUTLS_NO_TICKETS
	}
	s := new(Session)
	if o.EarlyData {
		flags |= C.GNUTLS_ENABLE_EARLY_DATA
	}
	requests := !o.Server || o.Requests
	code := Code(C.cshim_session_new(&s.s, C.bool(o.Server), flags, C.bool(o.Tickets),
		C.bool(requests), C.bool(o.KeyLog)))
	if code < 0 {
		return nil, code
	}
	s.s.tls13 = C.bool(o.Server && o.TLS13)
	if o.Store {
		C.cshim_store_attach(s.s)
	}
	s.s.any_key_usage = C.bool(o.AnyKeyUsage)
	if o.ByName {
		C.cshim_client_hello_attach(s.s)
	}
	liveSessions.Add(1)
	return s, OK
}

// Free releases the session and what it has queued.
//
// Implements:
//
//	void gnutls_deinit(gnutls_session_t session);
func (s *Session) Free() {
	C.cshim_session_free(s.s)
	s.s = nil
	liveSessions.Add(-1)
}

func (s *Session) tls() C.gnutls_session_t { return s.s.tls }

// SetPriority sets what the session may negotiate.
//
// Implements:
//
//	int gnutls_priority_set(gnutls_session_t session, gnutls_priority_t priority);
func (s *Session) SetPriority(p *Priority) Code {
	return Code(C.gnutls_priority_set(s.tls(), p.p))
}

// SetCertificateCredentials sets the key pairs and the trust of the session.
// c must outlive s.
//
// Implements:
//
//	int gnutls_credentials_set(gnutls_session_t session,
//		gnutls_credentials_type_t type, void *cred);
func (s *Session) SetCertificateCredentials(c *CertificateCredentials) Code {
	return Code(C.gnutls_credentials_set(s.tls(), C.GNUTLS_CRD_CERTIFICATE, unsafe.Pointer(c.c)))
}

// SetPSKClientCredentials sets a client's pre-shared key. c must outlive s.
//
// Implements: see SetCertificateCredentials.
func (s *Session) SetPSKClientCredentials(c *PSKClientCredentials) Code {
	return Code(C.gnutls_credentials_set(s.tls(), C.GNUTLS_CRD_PSK, unsafe.Pointer(c.c)))
}

// SetPSKServerCredentials makes a server look pre-shared keys up. c must
// outlive s.
//
// Implements: see SetCertificateCredentials.
func (s *Session) SetPSKServerCredentials(c *PSKServerCredentials) Code {
	return Code(C.gnutls_credentials_set(s.tls(), C.GNUTLS_CRD_PSK, unsafe.Pointer(c.c)))
}

// SetServerName sets the name that a client asks for (SNI).
//
// Implements:
//
//	int gnutls_server_name_set(gnutls_session_t session,
//		gnutls_server_name_type_t type, const void *name, size_t name_length);
func (s *Session) SetServerName(name string) Code {
	b := []byte(name)
	return Code(C.gnutls_server_name_set(s.tls(), C.GNUTLS_NAME_DNS, unsafe.Pointer(&b[0]),
		C.size_t(len(b))))
}

// SetALPN sets the application protocols, the preferred first. With mandatory
// a handshake without a common protocol fails.
//
// Implements:
//
//	int gnutls_alpn_set_protocols(gnutls_session_t session,
//		const gnutls_datum_t *protocols, unsigned protocols_size, unsigned int flags);
func (s *Session) SetALPN(protocols []string, mandatory, serverPrecedence bool) Code {
	list := make([][]byte, len(protocols))
	for i, p := range protocols {
		list[i] = []byte(p)
	}
	var p runtime.Pinner
	defer p.Unpin()
	data := borrowAll(&p, list)
	var flags C.uint
	if mandatory {
		flags |= C.GNUTLS_ALPN_MANDATORY
	}
	if serverPrecedence {
		flags |= C.GNUTLS_ALPN_SERVER_PRECEDENCE
	}
	return Code(C.gnutls_alpn_set_protocols(s.tls(), &data[0], C.uint(len(data)), flags))
}

// RequestCertificate makes a server ask for the client's certificate.
//
// Implements:
//
//	void gnutls_certificate_server_set_request(gnutls_session_t session,
//		gnutls_certificate_request_t req);
func (s *Session) RequestCertificate(require bool) {
	req := C.gnutls_certificate_request_t(C.GNUTLS_CERT_REQUEST)
	if require {
		req = C.GNUTLS_CERT_REQUIRE
	}
	C.gnutls_certificate_server_set_request(s.tls(), req)
}

// EnableTickets lets a server make and accept tickets under a key, which
// GnuTLS copies.
//
// Implements:
//
//	int gnutls_session_ticket_enable_server(gnutls_session_t session,
//		const gnutls_datum_t *key);
func (s *Session) EnableTickets(key []byte) Code {
	var p runtime.Pinner
	defer p.Unpin()
	d := borrow(&p, key)
	return Code(C.gnutls_session_ticket_enable_server(s.tls(), &d))
}
