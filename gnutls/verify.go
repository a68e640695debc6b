package gnutls

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// verifyCertificate checks the certificates that the peer has sent. The error
// is a *CertificateError if a check failed.
func (c *Conn) verifyCertificate() (chain []*x509.Certificate, err error) {
	pool := c.native.certs.pool
	lost := c.withSession(func(s *cgnutls.Session) {
		chain, err = verifyPeer(s, pool, c.serverName, c.client)
	})
	if lost != nil {
		return nil, lost
	}
	if c.config.Logger != nil {
		pool.warnOfOldLists(func(what string, args ...any) { c.log(slog.LevelWarn, what, args...) })
	}
	return chain, err
}

// A peerSession is what verifyPeer needs of a native session.
type peerSession interface {
	VerifyPeer(host string, ip []byte, purpose string) (status uint32, path []cgnutls.Link,
		code cgnutls.Code)
	State() cgnutls.State
}

// verifyPeer verifies the peer for the name that a client expects, or, on a
// server, as a client. The session trusts pool.
func verifyPeer(s peerSession, pool *CertPool, serverName string, client bool) ([]*x509.Certificate,
	error) {
	host, purpose := "", cgnutls.PurposeClient
	var ip []byte
	if client {
		host, purpose = serverName, cgnutls.PurposeServer
		if addr, err := netip.ParseAddr(host); err == nil {
			host, ip = "", addr.Unmap().WithZone("").AsSlice()
		}
	}
	status, path, code := s.VerifyPeer(host, ip, purpose)
	if code < 0 {
		return nil, check("verifying the certificate", code)
	}
	peer := s.State().PeerChain
	var ended time.Time
	failed := peer[0]
	if status == 0 {
		chain, err := verifiedChain(peer[0], path)
		if err != nil {
			return nil, err
		}
		var old []byte
		if outside := outOfDirectory(chain); outside != nil {
			failed, status = outside.Raw, cgnutls.StatusConstraints|cgnutls.StatusInvalid
		} else if host != "" && onlyPartOfALabel(chain[0], host) {
			status = cgnutls.StatusUnexpectedOwner | cgnutls.StatusInvalid
		} else if old, ended = pool.oldList(path); old != nil {
			failed, status = old, cgnutls.StatusRevocationOld|cgnutls.StatusInvalid
		} else {
			return chain, nil
		}
	} else {
		failed = culprit(CertificateStatus(status), peer[0], path)
	}
	e := &CertificateError{Status: CertificateStatus(status), Index: -1, ended: ended}
	if client {
		e.Host = serverName
	}
	for i, der := range peer {
		if bytes.Equal(der, failed) {
			e.Index = i
		}
	}
	var err error
	if e.Certificate, err = parseCertificate(failed); err != nil {
		return nil, err
	}
	return nil, e
}

// onlyPartOfALabel reports whether a certificate matches a host only by a wildcard for
// part of a label, such as *oo.example.org, which GnuTLS accepts although RFC 9525
// section 6.3 does not.
func onlyPartOfALabel(leaf *x509.Certificate, host string) bool {
	names := leaf.DNSNames
	if len(names) == 0 {
		names = []string{leaf.Subject.CommonName}
	}
	_, rest, _ := strings.Cut(host, ".")
	found := false
	for _, name := range names {
		suffix, wildcard := strings.CutPrefix(name, "*")
		switch {
		case !wildcard && strings.EqualFold(name, host), wildcard && strings.EqualFold(suffix, "."+rest):
			return false
		case wildcard && !strings.HasPrefix(suffix, "."):
			found = true
		}
	}
	return found
}

// culprit returns the certificate that failed. GnuTLS reports an expired authority on the
// certificate below it.
func culprit(status CertificateStatus, leaf []byte, path []cgnutls.Link) []byte {
	if now := time.Now(); status&(CertificateExpired|CertificateNotYetValid) != 0 {
		candidates := [][]byte{leaf}
		for _, link := range path {
			candidates = append(candidates, link.Certificate, link.Issuer)
		}
		for _, der := range candidates {
			if cert, err := parseCertificate(der); err == nil &&
				(status.Has(CertificateExpired) && now.After(cert.NotAfter) ||
					status.Has(CertificateNotYetValid) && now.Before(cert.NotBefore)) {
				return der
			}
		}
	}
	for _, link := range path {
		if link.Status != 0 {
			return link.Certificate
		}
	}
	return leaf
}

// verifiedChain puts the links of a good path in order, from the leaf.
func verifiedChain(leaf []byte, path []cgnutls.Link) ([]*x509.Certificate, error) {
	issuers := make(map[string][]byte, len(path))
	for _, link := range path {
		if link.Issuer != nil && !bytes.Equal(link.Issuer, link.Certificate) {
			issuers[string(link.Certificate)] = link.Issuer
		}
	}
	var chain []*x509.Certificate
	for der := leaf; der != nil && len(chain) <= len(path); der = issuers[string(der)] {
		cert, err := parseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, cert)
	}
	return chain, nil
}
