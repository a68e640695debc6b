package gnutls

import (
	"fmt"
	"runtime"
	"weak"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// credentials are native ones, owned by this object: when nothing refers to it
// any more they are freed. Sessions that use them must keep it reachable.
type credentials struct {
	c    *cgnutls.CertificateCredentials
	pool *CertPool // that they trust, or nil
}

// newCredentials returns credentials that trust pool (nil: none) and hold
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
	cr := &credentials{c, pool}
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
		code := c.Revoke(crl.der)
		if code == cgnutls.CRLVerificationError {
			return fmt.Errorf(
				"gnutls: revocation list %d of the pool is too old, or not signed by an authority of the pool: %w", i+1, ErrorCode(code))
		} else if code < 0 {
			return check("loading a revocation list", code)
		}
	}
	return nil
}
