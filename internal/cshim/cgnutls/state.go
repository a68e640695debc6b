package cgnutls

/*
#include <gnutls/crypto.h>

#include "state.h"
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// State is what a session has negotiated.
type State struct {
	Version      uint16 // wire number
	CipherSuite  uint16 // IANA number, 0 where it is not found
	Cipher       string // GnuTLS's name of the suite
	Group        string // name of the key exchange group, "" where there is none
	Resumed      bool
	PSK          bool   // authenticated with a pre-shared key, not certificates
	PSKIdentity  []byte // server: the client's identity
	ServerName   string // the name that the client asked for
	ALPN         string
	PeerChain    [][]byte // DER, leaf first
	RawKey       bool     // PeerChain is a public key (SubjectPublicKeyInfo) in place of certificates
	OCSPResponse []byte   // DER
	SessionID    []byte
}

// State returns what the session has negotiated so far.
//
// Implements:
//
//	gnutls_protocol_t gnutls_protocol_get_version(gnutls_session_t session);
//	gnutls_kx_algorithm_t gnutls_kx_get(gnutls_session_t session);
//	gnutls_cipher_algorithm_t gnutls_cipher_get(gnutls_session_t session);
//	gnutls_mac_algorithm_t gnutls_mac_get(gnutls_session_t session);
//	gnutls_group_t gnutls_group_get(gnutls_session_t session);
//	gnutls_credentials_type_t gnutls_auth_server_get_type(gnutls_session_t session);
//	int gnutls_psk_server_get_username2(gnutls_session_t session, gnutls_datum_t *username);
//	int gnutls_session_is_resumed(gnutls_session_t session);
//	int gnutls_server_name_get(gnutls_session_t session, void *data,
//		size_t *data_length, unsigned int *type, unsigned int indx);
//	int gnutls_alpn_get_selected_protocol(gnutls_session_t session, gnutls_datum_t *protocol);
//	const gnutls_datum_t *gnutls_certificate_get_peers(gnutls_session_t session,
//		unsigned int *list_size);
//	gnutls_certificate_type_t gnutls_certificate_type_get2(gnutls_session_t session,
//		gnutls_ctype_target_t target);
//	int gnutls_ocsp_status_request_get(gnutls_session_t session, gnutls_datum_t *response);
//	int gnutls_session_get_id2(gnutls_session_t session, gnutls_datum_t *session_id);
//	const char *gnutls_cipher_suite_info(size_t idx, unsigned char *cs_id,
//		gnutls_kx_algorithm_t *kx, gnutls_cipher_algorithm_t *cipher,
//		gnutls_mac_algorithm_t *mac, gnutls_protocol_t *min_version);
func (s *Session) State() State {
	st := state(s.tls(), bool(s.s.server))
	if st.CipherSuite == 0 && s.s.suite != 0 { // chosen, and not yet in use
		if name := C.cshim_cipher_suite_name(C.unsigned(s.s.suite)); name != nil {
			st.CipherSuite, st.Cipher = uint16(s.s.suite), C.GoString(name)
		}
	}
	return st
}

// LastReceived returns the type of the last handshake message that came and
// that had its place.
//
// Implements:
//
//	gnutls_handshake_description_t gnutls_handshake_get_last_in(gnutls_session_t session);
func (s *Session) LastReceived() int { return int(C.gnutls_handshake_get_last_in(s.tls())) }

func state(tls C.gnutls_session_t, server bool) State {
	st := State{
		Version: sessionVersion(C.gnutls_protocol_get_version(tls)),
		Resumed: C.gnutls_session_is_resumed(tls) != 0,
	}
	var id C.uint
	if name := C.cshim_cipher_suite(tls, &id); name != nil {
		st.CipherSuite = uint16(id)
		st.Cipher = C.GoString(name)
	}
	if group := C.gnutls_group_get(tls); group != 0 {
		st.Group = C.GoString(C.gnutls_group_get_name(group))
	}
	st.PSK = C.cshim_is_psk(tls, C.bool(server)) != 0
	if server {
		st.ServerName = serverName(tls)
	}
	var d C.gnutls_datum_t
	if st.PSK && server && C.gnutls_psk_server_get_username2(tls, &d) >= 0 {
		st.PSKIdentity = view(d)
	}
	if C.gnutls_alpn_get_selected_protocol(tls, &d) >= 0 {
		st.ALPN = string(view(d))
	}
	var n C.uint
	if peers := C.gnutls_certificate_get_peers(tls, &n); peers != nil {
		for _, cert := range unsafe.Slice(peers, n) {
			st.PeerChain = append(st.PeerChain, view(cert))
		}
		st.RawKey = C.gnutls_certificate_type_get2(tls, C.GNUTLS_CTYPE_PEERS) == C.GNUTLS_CRT_RAWPK
	}
	if C.gnutls_ocsp_status_request_get(tls, &d) >= 0 {
		st.OCSPResponse = view(d)
	}
	if C.gnutls_session_get_id2(tls, &d) >= 0 {
		st.SessionID = view(d)
	}
	return st
}

func serverName(tls C.gnutls_session_t) string {
	var buf [256]byte
	n := C.size_t(len(buf))
	var kind C.uint
	if C.gnutls_server_name_get(tls, unsafe.Pointer(&buf[0]), &n, &kind, 0) < 0 {
		return ""
	}
	return string(buf[:n])
}

// Version returns the version of the protocol, as far as is known.
//
// Implements:
//
//	gnutls_protocol_t gnutls_protocol_get_version(gnutls_session_t session);
func (s *Session) Version() uint16 { return sessionVersion(C.gnutls_protocol_get_version(s.tls())) }

// UsesPSK reports whether a server has chosen a cipher suite of TLS 1.2 or earlier with a
// pre-shared key.
//
// Implements:
//
//	gnutls_kx_algorithm_t gnutls_kx_get(gnutls_session_t session);
func (s *Session) UsesPSK() bool {
	switch C.gnutls_kx_get(s.tls()) {
	case C.GNUTLS_KX_PSK, C.GNUTLS_KX_RSA_PSK, C.GNUTLS_KX_DHE_PSK, C.GNUTLS_KX_ECDHE_PSK:
		return true
	}
	return false
}

// Resumed reports whether the session is one that was resumed, as far as is known.
//
// Implements:
//
//	int gnutls_session_is_resumed(gnutls_session_t session);
func (s *Session) Resumed() bool { return C.gnutls_session_is_resumed(s.tls()) != 0 }

// AskedForRetry reports whether a HelloRetryRequest was the last that a server has made.
//
// Implements:
//
//	gnutls_handshake_description_t gnutls_handshake_get_last_out(gnutls_session_t session);
func (s *Session) AskedForRetry() bool {
	return C.gnutls_handshake_get_last_out(s.tls()) == C.GNUTLS_HANDSHAKE_HELLO_RETRY_REQUEST
}

// FalseStarted reports whether a client made a false start: its handshake is
// over only when data has come from the peer.
//
// Implements:
//
//	unsigned gnutls_session_get_flags(gnutls_session_t session);
func (s *Session) FalseStarted() bool {
	return C.gnutls_session_get_flags(s.tls())&C.GNUTLS_SFLAGS_FALSE_START != 0
}

// ChannelBinding returns the TLS channel binding of a kind.
//
// Implements:
//
//	int gnutls_session_channel_binding(gnutls_session_t session,
//		gnutls_channel_binding_t cbtype, gnutls_datum_t *cb);
func (s *Session) ChannelBinding(kind int) ([]byte, Code) {
	var d C.gnutls_datum_t
	code := Code(C.gnutls_session_channel_binding(s.tls(), C.gnutls_channel_binding_t(kind), &d))
	binding := take(d) // also made where the call fails late
	if code < 0 {
		return nil, code
	}
	return binding, OK
}

// ExtendedMasterSecret reports whether the session has the extended master
// secret (RFC 7627), which ties keying material to its handshake.
//
// Implements:
//
//	unsigned gnutls_session_ext_master_secret_status(gnutls_session_t session);
func (s *Session) ExtendedMasterSecret() bool {
	return C.gnutls_session_ext_master_secret_status(s.tls()) != 0
}

// Kinds of channel binding.
const (
	BindingUnique    = C.GNUTLS_CB_TLS_UNIQUE
	BindingServerEnd = C.GNUTLS_CB_TLS_SERVER_END_POINT
)

// Export derives n bytes of keying material (RFC 5705, RFC 8446 section 7.5).
//
// Implements:
//
//	int gnutls_prf_rfc5705(gnutls_session_t session, size_t label_size,
//		const char *label, size_t context_size, const char *context,
//		size_t outsize, char *out);
//	gnutls_digest_algorithm_t gnutls_prf_hash_get(const gnutls_session_t session);
func (s *Session) Export(label string, context []byte, hasContext bool, n int) ([]byte, Code) {
	// The most that HKDF makes. GnuTLS 3.7.1 would make more, and wrong.
	if C.gnutls_protocol_get_version(s.tls()) == C.GNUTLS_TLS1_3 &&
		n > 255*int(C.gnutls_hash_get_len(C.gnutls_prf_hash_get(s.tls()))) {
		return nil, InvalidRequest
	}
	var p runtime.Pinner
	defer p.Unpin()
	l := borrow(&p, []byte(label))
	c := borrow(&p, context)
	empty := [1]C.char{}
	cp := (*C.char)(unsafe.Pointer(c.data))
	if hasContext && cp == nil {
		cp = &empty[0]
	}
	out := make([]byte, n)
	op, _ := pointer(out)
	code := Code(C.gnutls_prf_rfc5705(s.tls(), C.size_t(l.size), (*C.char)(unsafe.Pointer(l.data)),
		C.size_t(c.size), cp, C.size_t(n), (*C.char)(unsafe.Pointer(op))))
	if code < 0 {
		return nil, code
	}
	return out, OK
}

// sessionVersion is wireVersion for sessions, which may also be DTLS ones that
// another library has made.
func sessionVersion(v C.gnutls_protocol_t) uint16 {
	switch v {
	case C.GNUTLS_DTLS1_0:
		return 0xfeff
	case C.GNUTLS_DTLS1_2:
		return 0xfefd
	}
	return wireVersion(v)
}

// wireVersion returns the number that stands for a TLS version in a record,
// or 0 for anything but TLS.
func wireVersion(v C.gnutls_protocol_t) uint16 {
	switch v {
	case C.GNUTLS_TLS1_0:
		return 0x0301
	case C.GNUTLS_TLS1_1:
		return 0x0302
	case C.GNUTLS_TLS1_2:
		return 0x0303
	case C.GNUTLS_TLS1_3:
		return 0x0304
	}
	return 0
}
