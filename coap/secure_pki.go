package coap

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/bridge"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
	"github.com/gnucoap/gnucoap/internal/cshim/handle"
	"github.com/gnucoap/gnucoap/internal/cshim/tlsref"
)

// PKI is how sides prove who they are with certificates or raw public keys. Its zero
// value is a safe client: it trusts the system's certificate authorities and
// verifies the server's name or address. Fields have the names and meanings of package
// gnutls where that has them. It wraps coap_dtls_pki_t.
type PKI struct {
	// Certificates are the key pairs to present. A server picks the first whose names
	// match what the client asks for, and otherwise the first of all. Its keys may be any
	// crypto.Signer that package gnutls takes. Without FeatureCredentials those of servers, and
	// of clients over TLS, are RSA, ECDSA or Ed25519 keys of the standard library, and a
	// client over TLS has one certificate.
	Certificates []gnutls.Certificate

	// RootCAs are the authorities that a client trusts; nil means those of
	// Node.SetRootCAs, or the system's.
	RootCAs *gnutls.CertPool
	// ServerName is what a client verifies the server's certificate against: a name, or an
	// IP address. Empty means the host of the URI with Dial, and otherwise the IP address
	// that the session goes to. A name is sent to the server (SNI).
	ServerName string
	// InsecureSkipVerify makes a client accept any certificate. What the verification would
	// have said is in the VerifyError that VerifyConnection gets. For tests and diagnosis only.
	InsecureSkipVerify bool

	// ClientAuth says what a server asks of its clients' certificates. libcoap knows
	// gnutls.NoClientCert and gnutls.RequireAndVerifyClientCert; others are
	// ErrNotSupported.
	ClientAuth gnutls.ClientAuthType
	// ClientCAs are the authorities that a server verifies its clients with. It must
	// name them: those of the system are not enough.
	ClientCAs *gnutls.CertPool

	// VerifyConnection, if set, is called with the peer's certificates when all other
	// checks are passed. Its error fails the handshake; the peer gets the gnutls.Alert that
	// the error wraps, and otherwise bad_certificate. It is called as Node says of
	// callbacks.
	VerifyConnection func(gnutls.ConnectionState) error

	// RawPublicKey, if set, is a key to present in place of a certificate (RFC 7250): an
	// RSA, ECDSA or Ed25519 key of the standard library.
	RawPublicKey crypto.Signer
	// VerifyRawPublicKey, if set, makes a side take a raw public key of its peer, and
	// no certificate, if it returns nil. A server then requires one. It is called as
	// Node says of callbacks.
	VerifyRawPublicKey func(crypto.PublicKey) error
}

// NewClientSessionPKI opens a session to a server over DTLS or TLS that proves with
// a certificate, or a raw public key, who it is. A nil pki means the zero PKI. See
// NewClientSession for the rest. Sessions of a Node may have different
// names, authorities and certificates; there are none with pre-shared keys in the
// Node.
//
// It wraps coap_new_client_session_pki.
func (n *Node) NewClientSessionPKI(local, server netip.AddrPort, proto Protocol,
	pki *PKI) (*Session, error) {
	if pki == nil {
		pki = &PKI{}
	}
	return n.newSession(local, server, proto, &security{pki: pki})
}

// SetPKI gives the Node's servers certificates or a raw public key, in place of
// Config.PKI. Sessions that begin later have what was set last; others go on as
// they are. Without FeatureCredentials, and with raw public keys, it comes once, before the first
// Listen. It wraps coap_context_set_pki.
func (n *Node) SetPKI(pki *PKI) error {
	return n.secureServer(func() error { return n.l.setPKI(pki) })
}

// SetRootCAs sets the authorities that client sessions trust that are opened from now
// on with a PKI that names none. Nil means the system's. It wraps
// coap_context_set_pki_root_cas.
func (n *Node) SetRootCAs(pool *gnutls.CertPool) {
	n.l.look()
	n.l.credentials.roots = pool
	n.l.endLook()
}

// roots returns what SetRootCAs has set last.
func (n *Node) roots() *gnutls.CertPool {
	n.l.look()
	defer n.l.endLook()
	return n.l.credentials.roots
}

// presents reports whether there is something to present.
func (p *PKI) presents() bool { return len(p.Certificates) > 0 || p.RawPublicKey != nil }

func (p *PKI) checkRaw() error {
	return need(FeatureRawPublicKeys, "PKI.RawPublicKey or PKI.VerifyRawPublicKey",
		p.RawPublicKey != nil || p.VerifyRawPublicKey != nil)
}

func (p *PKI) checkServer() error {
	switch {
	case !p.presents():
		return errors.New("a server needs PKI.Certificates or PKI.RawPublicKey")
	case len(p.Certificates) > 0 && p.RawPublicKey != nil:
		return errors.New("PKI.Certificates and PKI.RawPublicKey are both set")
	case p.ClientAuth != gnutls.NoClientCert && p.ClientAuth != gnutls.RequireAndVerifyClientCert:
		return fmt.Errorf("PKI.ClientAuth is %d, neither NoClientCert nor RequireAndVerifyClientCert: %w",
			p.ClientAuth, ErrNotSupported)
	case p.ClientAuth != gnutls.NoClientCert && p.VerifyRawPublicKey != nil:
		return errors.New("PKI.ClientAuth and PKI.VerifyRawPublicKey are both set")
	case p.ClientAuth != gnutls.NoClientCert &&
		(p.ClientCAs == nil || len(bridge.Lent.CertPEM(p.ClientCAs)) == 0):
		return errors.New("PKI.ClientAuth verifies clients and PKI.ClientCAs names no authority")
	}
	return nil
}

// requests reports whether a server asks its clients who they are.
func (p *PKI) requests() bool {
	return p.ClientAuth != gnutls.NoClientCert || p.VerifyRawPublicKey != nil
}

func (l *loop) setPKI(pki *PKI) error {
	if err := pki.checkServer(); err != nil {
		return err
	}
	if pki.RawPublicKey == nil && Supports(FeatureCredentials) &&
		(l.credentials.pki == nil || l.credentials.presented != nil) {
		return l.present(pki)
	}
	if l.credentials.pki != nil {
		return errors.New("the certificates are already set")
	}
	var err error
	var creds bridge.Credentials
	var ca []byte
	if pki.ClientAuth != gnutls.NoClientCert {
		ca = bridge.Lent.CertPEM(pki.ClientCAs)
		if creds, err = bridge.Lent.ServerCredentials(pki.ClientCAs, nil); err != nil {
			return err
		}
	}
	keys, leaves, err := pki.keys(ca)
	defer wipe(keys)
	if err == nil {
		err = pki.checkRaw()
	}
	if err != nil {
		return err
	}
	for _, key := range keys[1:] {
		if !l.native.AddKey(key) {
			return errRefused
		}
	}
	if !l.native.SetPKI(keys[0], pki.RawPublicKey != nil, pki.requests(), len(keys) > 1) {
		return errRefused
	}
	l.credentials.pki, l.credentials.leaves = pki, leaves
	l.credentials.clientCAs = creds
	return nil
}

// A presented is what a server has for its sessions. Each keeps that which it began with.
type presented struct {
	pki   *PKI
	creds bridge.Credentials
}

// present gives the servers certificates, at any time.
func (l *loop) present(pki *PKI) error {
	for i := range pki.Certificates {
		if err := bridge.Lent.CheckCertificate(&pki.Certificates[i]); err != nil {
			return fmt.Errorf("PKI.Certificates[%d]: %w", i, err)
		}
	}
	if err := pki.checkRaw(); err != nil {
		return err
	}
	p := &presented{pki: pki}
	trusted := gnutls.NewCertPool()
	if pki.ClientAuth != gnutls.NoClientCert {
		trusted = pki.ClientCAs
	}
	var err error
	if p.creds, err = bridge.Lent.ServerCredentials(trusted, bounded(pki.Certificates)); err != nil {
		return err
	}
	key, err := placeholder()
	if err != nil {
		return err
	}
	if pki.ClientAuth == gnutls.NoClientCert {
		key.CA = nil
	}
	if !l.native.SetPKI(key, false, pki.requests(), false) {
		return errRefused
	}
	l.native.SetServerCredentials(p.creds.Native().Ref())
	l.credentials.pki, l.credentials.presented = pki, p
	return nil
}

// placeholder is what libcoap has in place of certificates and keys: it wants some.
var placeholder = sync.OnceValues(func() (key ccoap.Key, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return key, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return key, err
	}
	key.Chain = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key.CA = key.Chain
	key.Key, err = privatePEM(private)
	return key, err
})

// bounded returns key pairs whose signers keep the loop locked for callbackLimit at most.
func bounded(pairs []gnutls.Certificate) []gnutls.Certificate {
	pairs = slices.Clone(pairs)
	for i := range pairs {
		switch key := pairs[i].PrivateKey.(type) {
		case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		case crypto.Signer:
			pairs[i].PrivateKey = boundedSigner{key}
		}
	}
	return pairs
}

type boundedSigner struct{ crypto.Signer }

func (s boundedSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return handle.GuardFor(callbackLimit,
		func() ([]byte, error) { return s.Signer.Sign(rand, digest, opts) })
}

// keys returns what a side presents, as libcoap takes it.
func (p *PKI) keys(ca []byte) (keys []ccoap.Key, leaves []*x509.Certificate, err error) {
	if p.RawPublicKey != nil {
		key, err := rawKey(p.RawPublicKey)
		return []ccoap.Key{key}, nil, err
	}
	for i := range p.Certificates {
		cert := &p.Certificates[i]
		if err := bridge.Lent.CheckCertificate(cert); err != nil {
			return keys, nil, fmt.Errorf("PKI.Certificates[%d]: %w", i, err)
		}
		private, err := privatePEM(cert.PrivateKey)
		if err != nil {
			return keys, nil, fmt.Errorf("PKI.Certificates[%d]: %w", i, err)
		}
		var chain []byte
		for _, der := range cert.Certificate {
			chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
		}
		leaf, err := x509.ParseCertificate(cert.Certificate[0])
		if err != nil {
			return keys, nil, fmt.Errorf("PKI.Certificates[%d]: %w", i, err)
		}
		keys = append(keys, ccoap.Key{Chain: chain, Key: private, CA: ca})
		leaves = append(leaves, leaf)
	}
	return keys, leaves, nil
}

// privatePEM encodes a key whose bytes are in memory.
func privatePEM(key crypto.PrivateKey) ([]byte, error) {
	switch key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
	default:
		return nil,
			fmt.Errorf("libcoap needs the bytes of the private key, and a %T does not give them: %w", key,
				ErrNotSupported)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func rawKey(key crypto.Signer) (ccoap.Key, error) {
	private, err := privatePEM(key)
	if err != nil {
		return ccoap.Key{}, fmt.Errorf("PKI.RawPublicKey: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return ccoap.Key{}, fmt.Errorf("PKI.RawPublicKey: %w", err)
	}
	return ccoap.Key{Chain: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		Key: private}, nil
}

// newPKI makes a client session. Its certificates are those of s.creds: without
// FeatureCredentials over DTLS alone, see watch, because over TLS the native session must have
// them from the start.
func (s *security) newPKI(l *loop, local, server netip.AddrPort,
	proto ccoap.Protocol) (ccoap.Session, ccoap.SessionID, error) {
	failed := func(err error) (ccoap.Session, ccoap.SessionID, error) {
		return ccoap.Session{}, 0, err
	}
	if len(s.pki.Certificates) > 0 && s.pki.RawPublicKey != nil {
		return failed(errors.New("PKI.Certificates and PKI.RawPublicKey are both set"))
	}
	if err := checkServerName("PKI.ServerName", s.name); err != nil {
		return failed(err)
	}
	var err error
	if s.creds, err = bridge.Lent.ClientCredentials(s.roots, bounded(s.pki.Certificates)); err != nil {
		return failed(err)
	}
	set := s.creds.Native().Ref()
	if s.pki.RawPublicKey != nil {
		set = tlsref.Credentials{}
	}
	bytes := proto == ccoap.TLS && !Supports(FeatureCredentials)
	if bytes && len(s.pki.Certificates) > 1 {
		return failed(fmt.Errorf("%d PKI.Certificates of a client over TLS, more than one: %w",
			len(s.pki.Certificates), ErrNotSupported))
	}
	keys := []ccoap.Key{{}}
	if s.pki.presents() && (bytes || s.pki.RawPublicKey != nil) {
		keys, _, err = s.pki.keys(nil)
		defer wipe(keys)
		if err != nil {
			return failed(err)
		}
	}
	if err := s.pki.checkRaw(); err != nil {
		return failed(err)
	}
	return l.native.NewSessionPKI(local, server, proto, sni(s.name), keys[0],
		s.pki.RawPublicKey != nil, set)
}

// wipe clears private keys.
func wipe(keys []ccoap.Key) {
	for _, key := range keys {
		clear(key.Key)
	}
}

// maxServerNames is how many names a server knows at a time that its credentials are not
// expressly for: libcoap keeps credentials for each.
const maxServerNames = 1000

// onServerName chooses among a server's certificates, or hints.
func (l *loop) onServerName(name string) int {
	name = strings.ToLower(name)
	s := &l.credentials
	if s.pki == nil {
		if i, ok := slices.BinarySearch(s.hintNames, name); ok {
			return i + 1
		}
		return l.otherName(0)
	}
	for i, leaf := range s.leaves {
		if slices.Contains(leaf.DNSNames, name) {
			return i
		}
	}
	for i, leaf := range s.leaves {
		if name != "" && leaf.VerifyHostname(name) == nil {
			return l.otherName(i)
		}
	}
	return l.otherName(0)
}

func (l *loop) otherName(i int) int {
	if Supports(FeatureCredentials) {
		return i // it keeps none
	}
	if l.credentials.otherNames >= maxServerNames {
		return -1
	}
	l.credentials.otherNames++
	return i
}
