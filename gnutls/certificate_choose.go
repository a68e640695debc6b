package gnutls

import (
	"crypto/x509"
	"fmt"
	"sync"
)

// serverCertificates are the key pairs of a server, to choose by the name that
// a client asks for. GnuTLS by itself knows neither wildcards nor case, and under TLS
// 1.2 it picks a cipher suite first, and with it the type of key.
type serverCertificates struct {
	certs  []Certificate
	leaves []*x509.Certificate
	trust  *CertPool // client CAs, or nil

	mu      sync.Mutex              // guards what follows
	subsets map[string]*credentials // by the indexes of their key pairs
}

func newServerCertificates(certs []Certificate, trust *CertPool) (*serverCertificates, error) {
	c := &serverCertificates{certs: certs, trust: trust, subsets: make(map[string]*credentials)}
	for i, cert := range certs {
		leaf, err := readCertificate(cert.Certificate[0])
		if err != nil {
			return nil, fmt.Errorf("gnutls: certificate %d of the configuration: %w", i+1, err)
		}
		c.leaves = append(c.leaves, leaf)
	}
	return c, nil
}

// forName returns credentials with the key pairs whose certificates are for a
// name, or nil where all or none are.
func (c *serverCertificates) forName(name string) *credentials {
	var fitting []Certificate
	var key string
	for i, cert := range c.certs {
		if c.leaves[i].VerifyHostname(name) == nil {
			fitting = append(fitting, cert)
			key += fmt.Sprintf("%d ", i)
		}
	}
	if len(fitting) == 0 || len(fitting) == len(c.certs) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if subset := c.subsets[key]; subset != nil {
		return subset
	}
	subset, err := newCredentials(c.trust, fitting, false)
	if err != nil {
		return nil // all of them loaded, so only memory can be short
	}
	c.subsets[key] = subset
	return subset
}
