package cgnutls

/*
#include "keyfile.h"
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// DecodePrivateKey reads a private key in PEM or DER, in PKCS #8 (also
// encrypted), PKCS #1, SEC 1 or OpenSSL's encrypted PEM, and returns it as
// unencrypted PKCS #8 in DER.
//
// Implements:
//
//	int gnutls_x509_privkey_import2(gnutls_x509_privkey_t key,
//		const gnutls_datum_t *data, gnutls_x509_crt_fmt_t format,
//		const char *password, unsigned int flags);
//	int gnutls_x509_privkey_export2_pkcs8(gnutls_x509_privkey_t key,
//		gnutls_x509_crt_fmt_t format, const char *password,
//		unsigned int flags, gnutls_datum_t *out);
func DecodePrivateKey(data []byte, pem bool, password string) ([]byte, Code) {
	var p runtime.Pinner
	defer p.Unpin()
	in := borrow(&p, data)
	pass := C.CString(password)
	defer freeSecret(pass)
	var out C.gnutls_datum_t
	if code := Code(C.cshim_key_decode(&in, C.bool(pem), pass, &out)); code < 0 {
		return nil, code
	}
	return take(out), OK
}

// DecodePKCS12 reads the key and its certificate chain (DER, leaf first) from
// a PKCS #12 file in DER.
//
// Implements:
//
//	int gnutls_pkcs12_simple_parse(gnutls_pkcs12_t p12, const char *password,
//		gnutls_x509_privkey_t *key, gnutls_x509_crt_t **chain,
//		unsigned int *chain_len, gnutls_x509_crt_t **extra_certs,
//		unsigned int *extra_certs_len, gnutls_x509_crl_t *crl, unsigned int flags);
func DecodePKCS12(data []byte, password string) (key []byte, chain [][]byte, code Code) {
	var p runtime.Pinner
	defer p.Unpin()
	in := borrow(&p, data)
	pass := C.CString(password)
	defer freeSecret(pass)
	var out C.gnutls_datum_t
	var certs *C.gnutls_datum_t
	var n C.uint
	if code := Code(C.cshim_pkcs12_decode(&in, pass, &out, &certs, &n)); code < 0 {
		return nil, nil, code
	}
	for _, d := range unsafe.Slice(certs, n) {
		chain = append(chain, take(d))
	}
	C.cshim_free(unsafe.Pointer(certs))
	return take(out), chain, OK
}

// CheckCertificate tells whether GnuTLS can read a certificate in DER.
//
// Implements:
//
//	int gnutls_x509_crt_import(gnutls_x509_crt_t cert, const gnutls_datum_t *data,
//		gnutls_x509_crt_fmt_t format);
func CheckCertificate(der []byte) Code {
	var p runtime.Pinner
	defer p.Unpin()
	in := borrow(&p, der)
	return Code(C.cshim_certificate_check(&in))
}

// CheckPair tells whether a private key, in unencrypted PKCS #8, belongs to the
// first certificate of a chain: GnuTLS makes a signature to find out.
//
// Implements: see NewCertificateCredentials and AddKey.
func CheckPair(chain [][]byte, pkcs8 []byte) Code {
	c, code := NewCertificateCredentials()
	if code < 0 {
		return code
	}
	defer c.Free()
	C.gnutls_certificate_set_flags(c.c, C.GNUTLS_CERTIFICATE_API_V2)
	return min(c.AddKey(chain, pkcs8), OK)
}

func freeSecret(s *C.char) {
	C.cshim_forget(s)
	C.free(unsafe.Pointer(s))
}
