package gnutls

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"time"

	"github.com/gnucoap/gnucoap/internal/bridge/registry"
	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

func init() { registry.Lent = lender{} }

// A lender lends package coap what this package does not export. It is a bridge.GnuTLS, where
// its methods are documented.
type lender struct{}

// Native and trust are for package bridge.
func (cr *credentials) Native() *cgnutls.CertificateCredentials { return cr.c }

// ForName returns nil: there is no choice.
func (cr *credentials) ForName(string) *cgnutls.CertificateCredentials { return nil }

func (cr *credentials) trust() *CertPool { return cr.pool }

// serverCredentials are those of a server of package coap.
type serverCredentials struct {
	*credentials
	choice *serverCertificates
}

func (cr *serverCredentials) ForName(name string) *cgnutls.CertificateCredentials {
	if fitting := cr.choice.forName(name); fitting != nil {
		return fitting.c
	}
	return nil
}

func (lender) ClientCredentials(pool *CertPool, certs []Certificate) (registry.Credentials, error) {
	if pool == nil {
		pool = systemRoots
	}
	return lend(newCredentials(pool, certs, true))
}

// lend keeps a nil pointer from becoming an interface that is not nil.
func lend(cr *credentials, err error) (registry.Credentials, error) {
	if err != nil {
		return nil, err
	}
	return cr, nil
}

func (lender) ServerCredentials(pool *CertPool, certs []Certificate) (registry.Credentials, error) {
	all, err := newCredentials(pool, certs, false)
	if err != nil {
		return nil, err
	}
	choice, err := newServerCertificates(certs, pool)
	if err != nil {
		return nil, err
	}
	return &serverCredentials{all, choice}, nil
}

// Native is for package bridge.
func (p *priority) Native() *cgnutls.Priority { return p.p }

func (lender) Priority(config registry.PriorityConfig) (registry.Priority, error) {
	c := &Config{MinVersion: config.MinVersion, MaxVersion: config.MaxVersion,
		Priority: config.Priority}
	p, err := c.newPriority(config.Added, config.Client, true)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (lender) CertPEM(pool *CertPool) []byte {
	pool.mu.Lock()
	defer pool.mu.Unlock()
	var b bytes.Buffer
	for _, der := range pool.certs {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	return b.Bytes()
}

func (lender) CheckCertificate(cert *Certificate) error { return cert.check() }

func (lender) Trust(pool *CertPool) [32]byte {
	if pool == nil {
		pool = systemRoots
	}
	return pool.fingerprint()
}

func (lender) VerifyPeer(b cgnutls.Borrowed, c registry.Credentials, host string, client bool,
	warn func(string, ...any)) (chain []*x509.Certificate, err error) {
	pool := c.(interface{ trust() *CertPool }).trust()
	code := b.WithCertificateCredentials(c.Native(), func() {
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

func (lender) RejectionAlert(err error) Alert { return rejectionAlert(err) }

func (lender) ConnectionState(st cgnutls.State) (ConnectionState, error) {
	return connectionState(st)
}

func (lender) TicketLimits(sessionTickets, maxSessionTickets int) (unasked, most int, err error) {
	return ticketLimits(sessionTickets, maxSessionTickets)
}

func (lender) TicketKeys(key *TicketKey, file *TicketKeyFile) ([]cgnutls.TicketKey, error) {
	err := checkTicketKeys(key, file)
	if err != nil || file != nil {
		return nil, err
	}
	if key == nil {
		if key, err = NewTicketKey(); err != nil {
			return nil, err
		}
	}
	return []cgnutls.TicketKey{cgnutls.NewNamedTicketKey(key.key, time.Now())}, nil
}

func (lender) TicketKeysIn(file *TicketKeyFile, logger *slog.Logger) []cgnutls.TicketKey {
	return file.current(logTo(logger))
}

func logTo(logger *slog.Logger) func(slog.Level, string, ...any) {
	return func(level slog.Level, what string, args ...any) {
		if logger != nil {
			logger.Log(context.Background(), level, "gnutls: "+what, args...)
		}
	}
}
