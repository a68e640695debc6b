package gnutls

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// A Certificate is a chain of certificates with the private key of the first.
// It has the fields of crypto/tls's type that matter here.
type Certificate struct {
	// Certificate is the chain in DER, the leaf first.
	Certificate [][]byte
	// PrivateKey is a crypto.Signer for the leaf's public key: RSA, ECDSA or
	// Ed25519. For other keys that GnuTLS knows, such as those for RSA-PSS alone
	// (id-RSASSA-PSS) and Ed448, LoadX509KeyPair and the like set a value that only
	// this package can use. The standard library's own key types are copied into GnuTLS;
	// with any other, each handshake calls its Sign method on the goroutine of
	// the handshake, possibly from several goroutines at once. Such a key must
	// not refer to a Config or Conn that uses it, or neither is ever freed, and
	// it does not serve the RSA key exchange of TLS 1.2, which decrypts.
	PrivateKey crypto.PrivateKey
	// OCSPStaple, optional, is the DER encoded OCSP response that a server
	// sends together with the leaf.
	OCSPStaple []byte
	// Leaf is the parsed first certificate. The functions of this package set
	// it; it may be nil. If GnuTLS can read the certificate and crypto/x509 cannot
	// (a negative serial number, strings of unusual types), only the Raw fields, the
	// names, the validity, the serial number and, for known kinds of keys, PublicKey
	// are set.
	Leaf *x509.Certificate
}

// LoadX509KeyPair reads a certificate chain and its private key from two
// files; see X509KeyPair for what they may hold.
func LoadX509KeyPair(certFile, keyFile string) (Certificate, error) {
	return LoadX509KeyPairPassword(certFile, keyFile, "")
}

// LoadX509KeyPairPassword is LoadX509KeyPair for a private key that may be
// encrypted with a password.
func LoadX509KeyPairPassword(certFile, keyFile, password string) (Certificate, error) {
	certData, err := os.ReadFile(certFile)
	if err != nil {
		return Certificate{}, fmt.Errorf("gnutls: reading the certificate: %w", err)
	}
	keyData, err := os.ReadFile(keyFile)
	if err != nil {
		return Certificate{}, fmt.Errorf("gnutls: reading the private key: %w", err)
	}
	cert, err := parseKeyPair(certData, keyData, password)
	if err != nil {
		return Certificate{}, fmt.Errorf("gnutls: %s, %s: %w", certFile, keyFile, err)
	}
	return cert, nil
}

// X509KeyPair parses a certificate chain (PEM with the leaf first, or one
// certificate in DER) and the private key of its leaf (PEM or DER; PKCS #8,
// PKCS #1 or SEC 1). A key that does not belong to the leaf is an error.
func X509KeyPair(certData, keyData []byte) (Certificate, error) {
	return X509KeyPairPassword(certData, keyData, "")
}

// X509KeyPairPassword is X509KeyPair for a private key that may be encrypted:
// PKCS #8 in PEM or DER, or OpenSSL's older encrypted PEM. A wrong password is
// an error with CodeDecryptionFailed.
func X509KeyPairPassword(certData, keyData []byte, password string) (Certificate, error) {
	cert, err := parseKeyPair(certData, keyData, password)
	if err != nil {
		return Certificate{}, fmt.Errorf("gnutls: %w", err)
	}
	return cert, nil
}

// ParsePKCS12 parses a PKCS #12 file that holds a private key and its
// certificate chain (gnutls_pkcs12_simple_parse). A wrong password is an error
// with CodeDecryptionFailed.
func ParsePKCS12(data []byte, password string) (Certificate, error) {
	key, chain, code := cgnutls.DecodePKCS12(data, password)
	switch {
	case code == cgnutls.MACVerifyFailed:
		err := fmt.Errorf("the password is wrong, or the data are damaged: %w", CodeDecryptionFailed)
		return Certificate{},
			&Error{Op: "reading the PKCS #12 file", Code: CodeDecryptionFailed, Err: err}
	case code < 0:
		return Certificate{}, &Error{Op: "reading the PKCS #12 file", Code: ErrorCode(code)}
	}
	defer clear(key)
	cert, err := keyPair(chain, key)
	if err != nil {
		return Certificate{}, fmt.Errorf("gnutls: %w", err)
	}
	return cert, nil
}

func parseKeyPair(certData, keyData []byte, password string) (Certificate, error) {
	chain, err := parseChain(certData)
	if err != nil {
		return Certificate{}, err
	}
	pkcs8, code := cgnutls.DecodePrivateKey(keyData, isPEM(keyData), password)
	if code < 0 {
		return Certificate{}, fmt.Errorf("private key: %w", privateKeyError(keyData, password, code))
	}
	defer clear(pkcs8)
	return keyPair(chain, pkcs8)
}

func isPEM(data []byte) bool { return bytes.Contains(data, []byte("-----BEGIN ")) }

// privateKeyError adds to GnuTLS's code what is known of the reason.
func privateKeyError(data []byte, password string, code cgnutls.Code) error {
	err := ErrorCode(code)
	switch {
	case code == cgnutls.DecryptionFailed && password == "":
		return fmt.Errorf("it is encrypted and no password was given: %w", err)
	case code == cgnutls.DecryptionFailed:
		return fmt.Errorf("the password is wrong, or the data are damaged: %w", err)
	case !isPEM(data):
		return fmt.Errorf("neither PEM nor DER: %w", err)
	case !bytes.Contains(data, []byte("PRIVATE KEY-----")):
		return fmt.Errorf("no PRIVATE KEY block in the PEM data: %w", err)
	}
	return fmt.Errorf("damaged: %w", err)
}

// parseChain returns the certificates in PEM or DER data.
func parseChain(data []byte) ([][]byte, error) {
	if !isPEM(data) {
		if _, err := readCertificate(data); err != nil {
			return nil, fmt.Errorf("certificate is neither PEM nor DER: %w", err)
		}
		return [][]byte{bytes.Clone(data)}, nil
	}
	var chain [][]byte
	rest := data
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := readCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(chain)+1, err)
		}
		chain = append(chain, block.Bytes)
	}
	if isPEM(rest) {
		return nil, fmt.Errorf("certificate %d: damaged PEM", len(chain)+1)
	}
	if len(chain) == 0 {
		return nil, errors.New("no CERTIFICATE block in the PEM data")
	}
	return chain, nil
}

// An opaqueKey is a private key of a kind that GnuTLS supports and the standard
// library does not.
type opaqueKey struct{ pkcs8 []byte }

func keyPair(chain [][]byte, pkcs8 []byte) (Certificate, error) {
	leaf, err := readCertificate(chain[0])
	if err != nil {
		return Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	cert := Certificate{Certificate: chain, Leaf: leaf}
	if key, err := x509.ParsePKCS8PrivateKey(pkcs8); err != nil {
		cert.PrivateKey = &opaqueKey{bytes.Clone(pkcs8)}
	} else if signer, ok := key.(crypto.Signer); ok {
		cert.PrivateKey = signer
	} else {
		return Certificate{}, fmt.Errorf("private key: a %T cannot sign", key)
	}
	if err := cert.match(leaf); err != nil {
		return Certificate{}, err
	}
	return cert, nil
}

// match returns an error where the key does not belong to the leaf.
func (c *Certificate) match(leaf *x509.Certificate) error {
	if signer, ok := c.PrivateKey.(crypto.Signer); ok && leaf.PublicKey != nil {
		pub, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
		if !ok || !pub.Equal(leaf.PublicKey) {
			return keyMismatch(leaf)
		}
		return nil
	}
	pkcs8, ok, err := c.pkcs8()
	if err != nil {
		return err
	}
	if !ok {
		return keyMismatch(leaf)
	}
	defer clear(pkcs8)
	switch code := cgnutls.CheckPair(c.Certificate, pkcs8); {
	case code == cgnutls.CertificateKeyMismatch:
		return keyMismatch(leaf)
	case code < 0:
		return fmt.Errorf("private key: %w", ErrorCode(code))
	}
	return nil
}

// pkcs8 encodes a key whose bytes are at hand; ok is false for a signer.
func (c *Certificate) pkcs8() (der []byte, ok bool, err error) {
	switch key := c.PrivateKey.(type) {
	case *opaqueKey:
		return bytes.Clone(key.pkcs8), true, nil
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		der, err = x509.MarshalPKCS8PrivateKey(key)
		return der, true, err
	}
	return nil, false, nil
}

func keyMismatch(leaf *x509.Certificate) error {
	return fmt.Errorf("the private key does not belong to the certificate of %q: %w", leaf.Subject,
		CodeKeyMismatch)
}

// check returns what is wrong with the pair.
func (c *Certificate) check() error {
	if len(c.Certificate) == 0 {
		return errors.New("it holds no certificate")
	}
	switch c.PrivateKey.(type) {
	case crypto.Signer, *opaqueKey:
	default:
		return fmt.Errorf("its private key (a %T) is not a crypto.Signer", c.PrivateKey)
	}
	leaf, err := readCertificate(c.Certificate[0])
	if err != nil {
		return err
	}
	return c.match(leaf)
}

// addTo adds the pair to native credentials.
func (c *Certificate) addTo(creds *cgnutls.CertificateCredentials) error {
	if err := c.check(); err != nil {
		return err
	}
	pkcs8, ok, err := c.pkcs8()
	if err != nil {
		return err
	}
	var code cgnutls.Code
	if ok {
		code = creds.AddKey(c.Certificate, pkcs8)
		clear(pkcs8)
	} else {
		code = creds.AddSigner(c.Certificate, c.PrivateKey.(crypto.Signer))
	}
	if code < 0 {
		return ErrorCode(code)
	}
	if c.OCSPStaple != nil {
		code := creds.StapleOCSP(int(code), c.OCSPStaple)
		if code == cgnutls.Expired {
			return fmt.Errorf("OCSP response: it is too old, or the certificate is revoked: %w",
				ErrorCode(code))
		} else if code < 0 {
			return fmt.Errorf("OCSP response: %w", ErrorCode(code))
		}
	}
	return nil
}
