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
	"crypto/x509/pkix"
	"encoding/asn1"
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
	case C.GNUTLS_SIGN_RSA_RAW:
		digest, hash, err := pkcs1Digest(data)
		if err != nil {
			return nil, err
		}
		return s.key.Sign(rand.Reader, digest, hash)
	case C.GNUTLS_SIGN_RSA_PSS_SHA256, C.GNUTLS_SIGN_RSA_PSS_SHA384, C.GNUTLS_SIGN_RSA_PSS_SHA512,
		C.GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, C.GNUTLS_SIGN_RSA_PSS_RSAE_SHA384,
		C.GNUTLS_SIGN_RSA_PSS_RSAE_SHA512:
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

var digestHashes = map[string]crypto.Hash{
	"1.3.14.3.2.26":          crypto.SHA1,
	"2.16.840.1.101.3.4.2.1": crypto.SHA256,
	"2.16.840.1.101.3.4.2.2": crypto.SHA384,
	"2.16.840.1.101.3.4.2.3": crypto.SHA512,
}

// pkcs1Digest returns the digest in what GnuTLS has a PKCS #1 signature made
// of: a DigestInfo, or below TLS 1.2 the bare MD5 and SHA-1 hashes.
func pkcs1Digest(data []byte) ([]byte, crypto.Hash, error) {
	if len(data) == crypto.MD5SHA1.Size() {
		return data, crypto.MD5SHA1, nil
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	if _, err := asn1.Unmarshal(data, &info); err != nil {
		return nil, 0, fmt.Errorf("decoding a DigestInfo: %w", err)
	}
	hash, ok := digestHashes[info.Algorithm.Algorithm.String()]
	if !ok {
		return nil, 0, fmt.Errorf("hash algorithm %s is not supported with a crypto.Signer",
			info.Algorithm.Algorithm)
	}
	return info.Digest, hash, nil
}

//export goGnutlsSign
func goGnutlsSign(session, key unsafe.Pointer, algo, hash, prehashed C.int, data unsafe.Pointer,
	size C.size_t, out *C.gnutls_datum_t) C.int {
	s, ok := handle.Lookup[*signer](key)
	if !ok {
		return C.GNUTLS_E_PK_SIGN_FAILED
	}
	var signature []byte
	err := handle.Guard(func() (err error) {
		if cb, ok := handle.Lookup[*Callbacks](session); ok && cb.Enter != nil {
			if err := cb.Enter(); err != nil {
				return err
			}
		}
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
