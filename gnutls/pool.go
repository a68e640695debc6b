package gnutls

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"weak"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// A CertPool is a set of certificate authorities that are trusted, with the
// revocation lists that they issued. Unlike x509.CertPool it can hand them to
// GnuTLS, which verifies with them. Its methods may be called from any
// goroutine, but it must not change once a connection has used it.
type CertPool struct {
	system bool

	mu    sync.Mutex // guards what follows
	certs [][]byte
	crls  [][]byte
	// trustOnly are credentials with this trust and no key, for the
	// connections that share them. They live as long as anything uses them.
	trustOnly weak.Pointer[credentials]
}

// NewCertPool returns an empty pool.
func NewCertPool() *CertPool { return new(CertPool) }

// SystemCertPool returns a pool of the authorities that the system trusts, to
// which more may be added (gnutls_certificate_set_x509_system_trust).
func SystemCertPool() *CertPool { return &CertPool{system: true} }

var systemRoots = SystemCertPool()

// AddCert adds one authority.
func (p *CertPool) AddCert(cert *x509.Certificate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.certs = append(p.certs, slices.Clone(cert.Raw))
}

// AppendCertsFromPEM adds every certificate in PEM data. Unlike the method of
// x509.CertPool it says what is wrong with data that it cannot use, and then
// adds nothing.
func (p *CertPool) AppendCertsFromPEM(data []byte) error {
	certs, err := parseChain(data)
	if err != nil {
		return fmt.Errorf("gnutls: adding to the certificate pool: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.certs = append(p.certs, certs...)
	return nil
}

// AppendRevocationsFromPEM adds every certificate revocation list in PEM data.
// The lists must have been issued by authorities of the pool and must not be
// past their next update; otherwise the first connection that uses the pool
// fails.
func (p *CertPool) AppendRevocationsFromPEM(data []byte) error {
	var crls [][]byte
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		if _, err := x509.ParseRevocationList(block.Bytes); err != nil {
			return fmt.Errorf("gnutls: revocation list %d: %w", len(crls)+1, err)
		}
		crls = append(crls, block.Bytes)
	}
	if len(crls) == 0 {
		return errors.New("gnutls: no X509 CRL block in the PEM data")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.crls = append(p.crls, crls...)
	return nil
}

// fingerprint identifies what the pool trusts.
func (p *CertPool) fingerprint() [sha256.Size]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := sha256.New()
	fmt.Fprintf(h, "system %t\n", p.system)
	for _, list := range [][][]byte{p.certs, p.crls} {
		for _, der := range list {
			fmt.Fprintf(h, "%d:", len(der))
			h.Write(der)
		}
		fmt.Fprintln(h)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// credentials are native ones, owned by this object: when nothing refers to it
// any more they are freed. Sessions that use them must keep it reachable.
type credentials struct {
	c *cgnutls.CertificateCredentials
}

// newCredentials returns credentials that trust pool (nil: nobody) and hold
// the given key pairs, of which a client is to choose one.
func newCredentials(pool *CertPool, certs []Certificate, client bool) (*credentials, error) {
	if pool != nil {
		pool.mu.Lock()
		defer pool.mu.Unlock()
		if len(certs) == 0 {
			if cr := pool.trustOnly.Value(); cr != nil {
				return cr, nil
			}
		}
	}
	c, code := cgnutls.NewCertificateCredentials()
	if code < 0 {
		return nil, check("making credentials", code)
	}
	cr := &credentials{c}
	runtime.AddCleanup(cr, (*cgnutls.CertificateCredentials).Free, c)
	if pool != nil {
		if err := pool.trustIn(c); err != nil {
			return nil, err
		}
	}
	if client && len(certs) > 0 {
		if err := check("making credentials", c.ChooseForClient()); err != nil {
			return nil, err
		}
	}
	for i := range certs {
		if err := certs[i].addTo(c); err != nil {
			return nil, fmt.Errorf("gnutls: certificate %d of the configuration: %w", i+1, err)
		}
	}
	if pool != nil && len(certs) == 0 {
		pool.trustOnly = weak.Make(cr)
	}
	return cr, nil
}

// trustIn makes c trust the pool, whose mutex is held.
func (p *CertPool) trustIn(c *cgnutls.CertificateCredentials) error {
	if p.system {
		if err := check("loading the system's trusted certificates", c.TrustSystem()); err != nil {
			return err
		}
	}
	if err := check("loading trusted certificates", c.Trust(p.certs)); err != nil {
		return err
	}
	for i, crl := range p.crls {
		code := c.Revoke(crl)
		if code == cgnutls.CRLVerificationError {
			return fmt.Errorf("gnutls: revocation list %d of the pool is too old, or not signed by an authority of the pool: %w", i+1, ErrorCode(code))
		} else if code < 0 {
			return check("loading a revocation list", code)
		}
	}
	return nil
}
