// Package cgnutls is the one package that calls libgnutls.
//
// Its types are thin: they hold a native object and nothing that protects it.
// The caller serialises calls on one object, keeps it reachable during a call
// and frees it exactly once. See the parent package for the rules of shims.
package cgnutls

/*
#cgo pkg-config: gnutls
#cgo CFLAGS: -std=gnu11
#include <stdlib.h>

#include "library.h"
*/
import "C"

import "unsafe"

// Version returns the version of the GnuTLS library that is loaded, such as
// "3.7.9".
//
// Implements:
//
//	const char *gnutls_check_version(const char *req_version);
func Version() string { return C.GoString(C.gnutls_check_version(nil)) }

// AtLeast reports whether the GnuTLS library that is loaded is of a version or
// a later one.
//
// Implements:
//
//	const char *gnutls_check_version(const char *req_version);
func AtLeast(version string) bool {
	v := C.CString(version)
	defer C.free(unsafe.Pointer(v))
	return C.gnutls_check_version(v) != nil
}

// Code is a GnuTLS result code: zero or positive for success, negative for an
// error.
type Code int

// Message returns GnuTLS's English text for c.
//
// Implements:
//
//	const char *gnutls_strerror(int error);
func (c Code) Message() string { return C.GoString(C.gnutls_strerror(C.int(c))) }

// Name returns the C name of c, such as "GNUTLS_E_AGAIN", or the empty string
// where GnuTLS knows none.
//
// Implements:
//
//	const char *gnutls_strerror_name(int error);
func (c Code) Name() string {
	if name := C.gnutls_strerror_name(C.int(c)); name != nil {
		return C.GoString(name)
	}
	return ""
}

// Fatal reports whether c ends the session.
//
// Implements:
//
//	int gnutls_error_is_fatal(int error);
func (c Code) Fatal() bool { return c < 0 && C.gnutls_error_is_fatal(C.int(c)) != 0 }

// Codes that this module acts on.
const (
	OK                         Code = C.GNUTLS_E_SUCCESS
	UnsupportedVersion         Code = C.GNUTLS_E_UNSUPPORTED_VERSION_PACKET
	UnexpectedPacketLength     Code = C.GNUTLS_E_UNEXPECTED_PACKET_LENGTH
	InvalidSession             Code = C.GNUTLS_E_INVALID_SESSION
	FatalAlertReceived         Code = C.GNUTLS_E_FATAL_ALERT_RECEIVED
	UnexpectedPacket           Code = C.GNUTLS_E_UNEXPECTED_PACKET
	NoCipherSuites             Code = C.GNUTLS_E_NO_CIPHER_SUITES
	NoPriorities               Code = C.GNUTLS_E_NO_PRIORITIES_WERE_SET
	DecryptionFailed           Code = C.GNUTLS_E_DECRYPTION_FAILED
	Expired                    Code = C.GNUTLS_E_EXPIRED
	InsufficientCredentials    Code = C.GNUTLS_E_INSUFFICIENT_CREDENTIALS
	CertificateError           Code = C.GNUTLS_E_CERTIFICATE_ERROR
	InvalidRequest             Code = C.GNUTLS_E_INVALID_REQUEST
	PKSignFailed               Code = C.GNUTLS_E_PK_SIGN_FAILED
	NoCertificateFound         Code = C.GNUTLS_E_NO_CERTIFICATE_FOUND
	CertificateKeyMismatch     Code = C.GNUTLS_E_CERTIFICATE_KEY_MISMATCH
	Rehandshake                Code = C.GNUTLS_E_REHANDSHAKE
	PrematureTermination       Code = C.GNUTLS_E_PREMATURE_TERMINATION
	SessionEOF                 Code = C.GNUTLS_E_SESSION_EOF
	UnavailableDuringHandshake Code = C.GNUTLS_E_UNAVAILABLE_DURING_HANDSHAKE
	NoApplicationProtocol      Code = C.GNUTLS_E_NO_APPLICATION_PROTOCOL
	CertificateVerification    Code = C.GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR
	CertificateRequired        Code = C.GNUTLS_E_CERTIFICATE_REQUIRED
	InternalError              Code = C.GNUTLS_E_INTERNAL_ERROR
	RecordOverflow             Code = C.GNUTLS_E_RECORD_OVERFLOW
	HandshakeTooLarge          Code = C.GNUTLS_E_HANDSHAKE_TOO_LARGE
	EarlyDataRejected          Code = C.GNUTLS_E_EARLY_DATA_REJECTED
	RequestedDataNotAvailable  Code = C.GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE
	MACVerifyFailed            Code = C.GNUTLS_E_MAC_VERIFY_FAILED
	CRLVerificationError       Code = C.GNUTLS_E_CRL_VERIFICATION_ERROR
)
