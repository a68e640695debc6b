package cgnutls

/*
#include "session.h"
*/
import "C"

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"unsafe"

	"github.com/gnucoap/gnucoap/internal/cshim/handle"
)

// A signer is a private key that Go holds for GnuTLS.
type signer struct {
	key crypto.Signer
}

func publicKeyAlgorithm(pub crypto.PublicKey) (algo, bits int) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return C.GNUTLS_PK_RSA, pub.N.BitLen()
	case *ecdsa.PublicKey:
		return C.GNUTLS_PK_ECDSA, pub.Curve.Params().BitSize
	case ed25519.PublicKey:
		return C.GNUTLS_PK_EDDSA_ED25519, 256
	}
	return C.GNUTLS_PK_UNKNOWN, 0
}

func (s *signer) sign(algo, hashAlgo int, prehashed bool, data []byte) ([]byte, error) {
	var hash crypto.Hash
	switch hashAlgo {
	case C.GNUTLS_DIG_SHA1:
		hash = crypto.SHA1
	case C.GNUTLS_DIG_SHA256:
		hash = crypto.SHA256
	case C.GNUTLS_DIG_SHA384:
		hash = crypto.SHA384
	case C.GNUTLS_DIG_SHA512:
		hash = crypto.SHA512
	}
	var opts crypto.SignerOpts = hash
	switch algo {
	case C.GNUTLS_SIGN_EDDSA_ED25519:
		return s.key.Sign(rand.Reader, data, crypto.Hash(0))
	case C.GNUTLS_SIGN_RSA_PSS_SHA256, C.GNUTLS_SIGN_RSA_PSS_SHA384, C.GNUTLS_SIGN_RSA_PSS_SHA512,
		C.GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, C.GNUTLS_SIGN_RSA_PSS_RSAE_SHA384, C.GNUTLS_SIGN_RSA_PSS_RSAE_SHA512:
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	if hash == 0 {
		name := C.GoString(C.gnutls_sign_get_name(C.gnutls_sign_algorithm_t(algo)))
		return nil, fmt.Errorf("signature algorithm %q is not supported with a crypto.Signer", name)
	}
	if !prehashed {
		h := hash.New()
		h.Write(data)
		data = h.Sum(nil)
	}
	return s.key.Sign(rand.Reader, data, opts)
}

//export goGnutlsSign
func goGnutlsSign(session, key unsafe.Pointer, algo, hash, prehashed C.int, data unsafe.Pointer, size C.size_t, out *C.gnutls_datum_t) C.int {
	s, ok := handle.Lookup[*signer](key)
	if !ok {
		return C.GNUTLS_E_PK_SIGN_FAILED
	}
	var signature []byte
	err := guard(func() (err error) {
		signature, err = s.sign(int(algo), int(hash), prehashed != 0, C.GoBytes(data, C.int(size)))
		return err
	})
	if err == nil {
		err = give(out, signature)
	}
	if err != nil {
		failed(session, fmt.Errorf("signing with the private key: %w", err))
		return C.GNUTLS_E_PK_SIGN_FAILED
	}
	return 0
}
