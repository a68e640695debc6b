package cgnutls

/*
#include "fix_choose.h"
#include "credentials.h"
#include "callback.h"
*/
import "C"

import (
	"crypto"
	"runtime"
	"unsafe"

	"github.com/gnucoap/gnucoap/internal/cshim/handle"
	"github.com/gnucoap/gnucoap/internal/cshim/tlsref"
)

// CertificateCredentials holds key pairs and trust. Once it is set up it does
// not change, so any number of sessions in any goroutine may share it; it must
// outlive them.
type CertificateCredentials struct {
	c       C.gnutls_certificate_credentials_t
	signers []handle.Handle[*signer]
}

// NewCertificateCredentials returns empty credentials. That a key belongs to
// its certificate is for the caller to see: GnuTLS would make a signature to
// find out.
//
// Implements:
//
//	int gnutls_certificate_allocate_credentials(gnutls_certificate_credentials_t *res);
//	void gnutls_certificate_set_flags(gnutls_certificate_credentials_t res,
//		unsigned int flags);
//	int gnutls_certificate_set_known_dh_params(gnutls_certificate_credentials_t res,
//		gnutls_sec_param_t sec_param);
func NewCertificateCredentials() (*CertificateCredentials, Code) {
	c := new(CertificateCredentials)
	if code := Code(C.gnutls_certificate_allocate_credentials(&c.c)); code < 0 {
		return nil, code
	}
	C.gnutls_certificate_set_flags(c.c,
		C.GNUTLS_CERTIFICATE_API_V2|C.GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH|
			C.GNUTLS_CERTIFICATE_VERIFY_CRLS)
	liveCredentials.Add(1)
	if code := Code(C.gnutls_certificate_set_known_dh_params(c.c, dhStrength)); code < 0 {
		c.Free()
		return nil, code
	}
	return c, OK
}

// dhStrength is that of the groups (RFC 7919) which servers make finite field
// Diffie-Hellman exchanges in below TLS 1.3, with clients that name none: 2048 bits.
const dhStrength = C.GNUTLS_SEC_PARAM_MEDIUM

// ChooseForClient makes clients present the first of the key pairs added later that
// the server's authorities, signature algorithms and certificate types allow, or
// none. It is for credentials that no server uses.
//
// Implements:
//
//	void gnutls_certificate_set_retrieve_function3(gnutls_certificate_credentials_t cred,
//		gnutls_certificate_retrieve_function3 *func);
//	int gnutls_sign_algorithm_get_requested(gnutls_session_t session, size_t indx,
//		gnutls_sign_algorithm_t *algo);
func (c *CertificateCredentials) ChooseForClient() Code {
	return Code(C.cshim_fix_choose_attach(c.c))
}

// Ref refers to the credentials, for a library that sets them by itself.
func (c *CertificateCredentials) Ref() tlsref.Credentials {
	return tlsref.CredentialsAt(unsafe.Pointer(c.c))
}

// Free releases c and the handles of its signers.
//
// Implements:
//
//	void gnutls_certificate_free_credentials(gnutls_certificate_credentials_t sc);
func (c *CertificateCredentials) Free() {
	C.cshim_fix_choose_detach(c.c)
	C.gnutls_certificate_free_credentials(c.c)
	c.c = nil
	for i := range c.signers {
		c.signers[i].Delete()
	}
	c.signers = nil
	liveCredentials.Add(-1)
}

// TrustSystem adds the certificate authorities that the system trusts and
// returns how many there are.
//
// Implements:
//
//	int gnutls_certificate_set_x509_system_trust(gnutls_certificate_credentials_t cred);
func (c *CertificateCredentials) TrustSystem() Code {
	return Code(C.gnutls_certificate_set_x509_system_trust(c.c))
}

// Trust adds certificate authorities, each in DER.
//
// Implements:
//
//	int gnutls_certificate_set_x509_trust_mem(gnutls_certificate_credentials_t res,
//		const gnutls_datum_t *ca, gnutls_x509_crt_fmt_t type);
func (c *CertificateCredentials) Trust(certs [][]byte) Code {
	if len(certs) == 0 {
		return OK
	}
	var p runtime.Pinner
	defer p.Unpin()
	data := borrowAll(&p, certs)
	return Code(C.cshim_credentials_trust(c.c, &data[0], C.int(len(data))))
}

// Revoke adds a certificate revocation list in DER. It gives
// CRLVerificationError for a list that is too old or that no authority trusted
// so far has signed.
//
// Implements:
//
//	int gnutls_certificate_set_x509_crl_mem(gnutls_certificate_credentials_t res,
//		const gnutls_datum_t *CRL, gnutls_x509_crt_fmt_t type);
func (c *CertificateCredentials) Revoke(crl []byte) Code {
	var p runtime.Pinner
	defer p.Unpin()
	d := borrow(&p, crl)
	return Code(C.cshim_credentials_crl(c.c, &d))
}

// AddKey adds a certificate chain (DER, leaf first) with its private key in
// unencrypted PKCS #8 and returns the index of the pair.
//
// Implements:
//
//	int gnutls_certificate_set_key(gnutls_certificate_credentials_t res,
//		const char **names, int names_size, gnutls_pcert_st *pcert_list,
//		int pcert_list_size, gnutls_privkey_t key);
func (c *CertificateCredentials) AddKey(chain [][]byte, pkcs8 []byte) Code {
	var p runtime.Pinner
	defer p.Unpin()
	key := borrow(&p, pkcs8)
	certs := borrowAll(&p, chain)
	return Code(C.cshim_credentials_key(c.c, &certs[0], C.int(len(certs)), &key, nil, 0, 0))
}

// AddSigner is AddKey for a private key that Go holds. The handshakes that
// need a signature call key.Sign.
//
// Implements:
//
//	int gnutls_privkey_import_ext4(gnutls_privkey_t pkey, void *userdata,
//		gnutls_privkey_sign_data_func sign_data_fn,
//		gnutls_privkey_sign_hash_func sign_hash_fn,
//		gnutls_privkey_decrypt_func decrypt_fn,
//		gnutls_privkey_deinit_func deinit_fn,
//		gnutls_privkey_info_func info_fn, unsigned int flags);
func (c *CertificateCredentials) AddSigner(chain [][]byte, key crypto.Signer) Code {
	algo, bits := publicKeyAlgorithm(key.Public())
	if algo == C.GNUTLS_PK_UNKNOWN {
		return InvalidRequest
	}
	var p runtime.Pinner
	defer p.Unpin()
	certs := borrowAll(&p, chain)
	var none C.gnutls_datum_t
	h := handle.New(&signer{key})
	code := Code(C.cshim_credentials_key(c.c, &certs[0], C.int(len(certs)), &none, h.Pointer(),
		C.int(algo), C.int(bits)))
	if code < 0 {
		h.Delete()
		return code
	}
	c.signers = append(c.signers, h)
	return code
}

// StapleOCSP sets the DER encoded OCSP response that a server sends with the
// key pair of the given index.
//
// Implements:
//
//	int gnutls_certificate_set_ocsp_status_request_mem(gnutls_certificate_credentials_t sc,
//		const gnutls_datum_t *resp, unsigned idx, gnutls_x509_crt_fmt_t fmt);
func (c *CertificateCredentials) StapleOCSP(index int, response []byte) Code {
	var p runtime.Pinner
	defer p.Unpin()
	d := borrow(&p, response)
	return Code(C.gnutls_certificate_set_ocsp_status_request_mem(c.c, &d, C.uint(index),
		C.GNUTLS_X509_FMT_DER))
}

// PSKClientCredentials holds a client's external pre-shared key. It may be
// shared like CertificateCredentials.
type PSKClientCredentials struct {
	c C.gnutls_psk_client_credentials_t
}

// NewPSKClientCredentials returns credentials with an identity and its key,
// which GnuTLS copies.
//
// Implements:
//
//	int gnutls_psk_set_client_credentials2(gnutls_psk_client_credentials_t res,
//		const gnutls_datum_t *username, const gnutls_datum_t *key,
//		gnutls_psk_key_flags flags);
func NewPSKClientCredentials(identity, key []byte) (*PSKClientCredentials, Code) {
	c := new(PSKClientCredentials)
	if code := Code(C.gnutls_psk_allocate_client_credentials(&c.c)); code < 0 {
		return nil, code
	}
	liveCredentials.Add(1)
	var p runtime.Pinner
	defer p.Unpin()
	id, k := borrow(&p, identity), borrow(&p, key)
	if code := Code(C.gnutls_psk_set_client_credentials2(c.c, &id, &k,
		C.GNUTLS_PSK_KEY_RAW)); code < 0 {
		c.Free()
		return nil, code
	}
	return c, OK
}

// Free releases c.
//
// Implements:
//
//	void gnutls_psk_free_client_credentials(gnutls_psk_client_credentials_t sc);
func (c *PSKClientCredentials) Free() {
	C.gnutls_psk_free_client_credentials(c.c)
	c.c = nil
	liveCredentials.Add(-1)
}

// PSKServerCredentials makes a server ask Callbacks.PSK for keys. It may be
// shared like CertificateCredentials.
type PSKServerCredentials struct {
	c C.gnutls_psk_server_credentials_t
}

// NewPSKServerCredentials returns such credentials.
//
// Implements:
//
//	void gnutls_psk_set_server_credentials_function2(gnutls_psk_server_credentials_t cred,
//		gnutls_psk_server_credentials_function2 *func);
//	int gnutls_psk_set_server_known_dh_params(gnutls_psk_server_credentials_t res,
//		gnutls_sec_param_t sec_param);
func NewPSKServerCredentials() (*PSKServerCredentials, Code) {
	c := new(PSKServerCredentials)
	if code := Code(C.gnutls_psk_allocate_server_credentials(&c.c)); code < 0 {
		return nil, code
	}
	liveCredentials.Add(1)
	C.cshim_psk_server(c.c)
	if code := Code(C.gnutls_psk_set_server_known_dh_params(c.c, dhStrength)); code < 0 {
		c.Free()
		return nil, code
	}
	return c, OK
}

// Free releases c.
//
// Implements:
//
//	void gnutls_psk_free_server_credentials(gnutls_psk_server_credentials_t sc);
func (c *PSKServerCredentials) Free() {
	C.gnutls_psk_free_server_credentials(c.c)
	c.c = nil
	liveCredentials.Add(-1)
}

func borrowAll(p *runtime.Pinner, list [][]byte) []C.gnutls_datum_t {
	data := make([]C.gnutls_datum_t, len(list))
	for i, b := range list {
		data[i] = borrow(p, b)
	}
	return data
}
