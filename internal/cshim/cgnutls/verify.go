package cgnutls

/*
#include "verify.h"
*/
import "C"

import "unsafe"

// A Link is one step of a certificate path.
type Link struct {
	Certificate []byte // DER
	Issuer      []byte // DER; nil where no issuer was found
	Status      uint32 // gnutls_certificate_status_t
}

// Key purposes for VerifyPeer.
const (
	PurposeServer = "1.3.6.1.5.5.7.3.1"
	PurposeClient = "1.3.6.1.5.5.7.3.2"
)

// VerifyPeer checks the peer's certificates, and the OCSP response that came
// with them, against the session's credentials and the verification profile
// of its priorities. host (a DNS name) and ip (4 or 16 bytes) name the peer;
// at most one of them is given. A status of zero says that all is well.
//
// Implements:
//
//	int gnutls_certificate_verify_peers(gnutls_session_t session,
//		gnutls_typed_vdata_st *data, unsigned int elements, unsigned int *status);
//	void gnutls_session_set_verify_output_function(gnutls_session_t session,
//		gnutls_verify_output_function *func);
func (s *Session) VerifyPeer(host string, ip []byte, purpose string) (status uint32, path []Link,
	code Code) {
	return verifyPeer(s.tls(), host, ip, purpose)
}

func verifyPeer(tls C.gnutls_session_t, host string, ip []byte, purpose string) (status uint32,
	path []Link, code Code) {
	var name *C.char
	switch {
	case len(ip) > 0:
		name = (*C.char)(C.CBytes(ip))
	case host != "":
		name = C.CString(host)
	}
	defer C.free(unsafe.Pointer(name))
	cpurpose := C.CString(purpose)
	defer C.free(unsafe.Pointer(cpurpose))

	var st C.uint
	var p C.struct_cshim_path
	code = Code(C.cshim_verify_peer(tls, name, C.uint(len(ip)), cpurpose, &st, &p))
	defer C.cshim_path_free(&p)
	if code >= 0 && p.error < 0 {
		code = Code(p.error)
	}
	for _, l := range unsafe.Slice(p.links, p.n) {
		path = append(path,
			Link{Certificate: view(l.cert), Issuer: view(l.issuer), Status: uint32(l.status)})
	}
	return uint32(st), path, code
}

// AcceptPeer lets the handshake go on after Result.Verify.
func (s *Session) AcceptPeer() { C.cshim_verify_accept(s.s) }

// StatusText returns GnuTLS's English text for the bits of a status.
//
// Implements:
//
//	int gnutls_certificate_verification_status_print(unsigned int status,
//		gnutls_certificate_type_t type, gnutls_datum_t *out, unsigned int flags);
func StatusText(status uint32) string {
	var d C.gnutls_datum_t
	if C.gnutls_certificate_verification_status_print(C.uint(status), C.GNUTLS_CRT_X509, &d, 0) < 0 {
		return ""
	}
	return string(take(d))
}

// Bits of a verification status.
const (
	StatusInvalid             uint32 = C.GNUTLS_CERT_INVALID
	StatusRevoked             uint32 = C.GNUTLS_CERT_REVOKED
	StatusSignerNotFound      uint32 = C.GNUTLS_CERT_SIGNER_NOT_FOUND
	StatusSignerNotCA         uint32 = C.GNUTLS_CERT_SIGNER_NOT_CA
	StatusInsecureAlgorithm   uint32 = C.GNUTLS_CERT_INSECURE_ALGORITHM
	StatusNotActivated        uint32 = C.GNUTLS_CERT_NOT_ACTIVATED
	StatusExpired             uint32 = C.GNUTLS_CERT_EXPIRED
	StatusSignatureFailure    uint32 = C.GNUTLS_CERT_SIGNATURE_FAILURE
	StatusRevocationOld       uint32 = C.GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED
	StatusUnexpectedOwner     uint32 = C.GNUTLS_CERT_UNEXPECTED_OWNER
	StatusRevocationFuture    uint32 = C.GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE
	StatusConstraints         uint32 = C.GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE
	StatusMismatch            uint32 = C.GNUTLS_CERT_MISMATCH
	StatusPurposeMismatch     uint32 = C.GNUTLS_CERT_PURPOSE_MISMATCH
	StatusMissingOCSP         uint32 = C.GNUTLS_CERT_MISSING_OCSP_STATUS
	StatusInvalidOCSP         uint32 = C.GNUTLS_CERT_INVALID_OCSP_STATUS
	StatusUnknownCriticalExts uint32 = C.GNUTLS_CERT_UNKNOWN_CRIT_EXTENSIONS
)
