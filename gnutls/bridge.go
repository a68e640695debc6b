package gnutls

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"

	"github.com/gnucoap/gnucoap/internal/bridge"
	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

func init() {
	bridge.Credentials = func(pool, certs any, client bool) (*cgnutls.CertificateCredentials, any, error) {
		trusted, _ := pool.(*CertPool)
		if trusted == nil {
			trusted = systemRoots
		}
		own, _ := certs.([]Certificate)
		cr, err := newCredentials(trusted, own, client)
		if err != nil {
			return nil, nil, err
		}
		return cr.c, cr, nil
	}
	bridge.ServerCredentials = func(pool, certs any) (*cgnutls.CertificateCredentials, func(string) *cgnutls.CertificateCredentials, any, error) {
		trusted, _ := pool.(*CertPool)
		own, _ := certs.([]Certificate)
		all, err := newCredentials(trusted, own, false)
		if err != nil {
			return nil, nil, nil, err
		}
		choice, err := newServerCertificates(own, trusted)
		if err != nil {
			return nil, nil, nil, err
		}
		byName := func(name string) *cgnutls.CertificateCredentials {
			if fitting := choice.forName(name); fitting != nil {
				return fitting.c
			}
			return nil
		}
		return all.c, byName, []any{all, choice}, nil
	}
	bridge.Priority = func(config bridge.PriorityConfig) (*cgnutls.Priority, any, error) {
		c := &Config{MinVersion: config.MinVersion, MaxVersion: config.MaxVersion, Priority: config.Priority}
		p, err := c.newPriority(config.Added, config.Client, true)
		if err != nil {
			return nil, nil, err
		}
		return p.p, p, nil
	}
	bridge.CertPEM = func(pool any) []byte { return pool.(*CertPool).pem() }
	bridge.CheckCertificate = func(cert any) error { return cert.(*Certificate).check() }
	bridge.VerifyPeer = func(b cgnutls.Borrowed, c *cgnutls.CertificateCredentials, host string, client bool, warn func(string, ...any)) (chain []*x509.Certificate, err error) {
		code := b.WithCertificateCredentials(c, func() {
			pool, _ := c.Pool.(*CertPool)
			if warn != nil {
				pool.warnOfOldLists(warn)
			}
			chain, err = verifyPeer(b, pool, host, client)
		})
		if code < 0 {
			return nil, check("verifying the certificate", code)
		}
		return chain, err
	}
	bridge.RejectionAlert = func(err error) uint8 { return uint8(rejectionAlert(err)) }
	bridge.ConnectionState = func(st cgnutls.State) (any, error) { return connectionState(st) }
}

func (p *CertPool) pem() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b bytes.Buffer
	for _, der := range p.certs {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	return b.Bytes()
}
