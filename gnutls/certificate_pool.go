package gnutls

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"weak"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// A CertPool is a set of trusted certificate authorities, with the revocation
// lists that they issued. Unlike x509.CertPool it can pass them to GnuTLS, which
// verifies with them. Its methods may be called from any goroutine, but it must
// not be changed once a connection has used it.
type CertPool struct {
	system bool

	mu    sync.Mutex // guards what follows
	certs [][]byte
	crls  []*revocationList
	// acceptOld: lists stay in use after their end.
	acceptOld bool
	// trustOnly are credentials with this trust and no key, for the
	// connections that share them. They live as long as anything uses them.
	trustOnly weak.Pointer[credentials]
}

// A revocationList is one of a CertPool.
type revocationList struct {
	der    []byte
	issuer []byte    // the raw name
	ends   time.Time // zero for never
	warned bool
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

// AppendCertsFromPEM adds every certificate in PEM data. If GnuTLS can read only some
// of them, it adds those, and the error is a *SkippedCertsError, which names the
// others: a program may log it and continue. With any other error nothing was added.
func (p *CertPool) AppendCertsFromPEM(data []byte) error {
	certs, skipped, err := bundle(data)
	if err != nil {
		return fmt.Errorf("gnutls: adding to the certificate pool: %w", err)
	}
	p.mu.Lock()
	p.certs = append(p.certs, certs...)
	p.mu.Unlock()
	if skipped != nil {
		return skipped
	}
	return nil
}

// A SkippedCertsError lists the certificates of a bundle that were not added to a
// CertPool because GnuTLS cannot read them.
type SkippedCertsError struct {
	Added   int           // number of certificates that were added
	Skipped map[int]error // reasons, by position in the bundle, from 1
}

// Error names the certificates in one line.
func (e *SkippedCertsError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "gnutls: %d certificates were added to the pool, and left out", e.Added)
	for i, place := range slices.Sorted(maps.Keys(e.Skipped)) {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, " number %d (%v)", place, e.Skipped[place])
	}
	return b.String()
}

// bundle returns the certificates in PEM or DER data that GnuTLS can read.
func bundle(data []byte) (certs [][]byte, skipped *SkippedCertsError, err error) {
	if !isPEM(data) {
		certs, err = parseChain(data)
		return certs, nil, err
	}
	e := &SkippedCertsError{Skipped: make(map[int]error)}
	place := 0
	for rest := data; isPEM(rest); {
		// A block at a time: pem.Decode passes over one that it cannot read.
		one := rest[bytes.Index(rest, []byte("-----BEGIN ")):]
		next := bytes.Index(one[1:], []byte("-----BEGIN "))
		if next < 0 {
			rest = nil
		} else {
			rest = one[1+next:]
			one = one[:1+next]
		}
		if !bytes.HasPrefix(one, []byte("-----BEGIN CERTIFICATE-----")) {
			continue
		}
		place++
		block, _ := pem.Decode(one)
		if block == nil {
			e.Skipped[place] = errors.New("damaged PEM")
		} else if _, err := readCertificate(block.Bytes); err != nil {
			e.Skipped[place] = err
		} else if code := cgnutls.CheckCertificate(block.Bytes); code < 0 {
			e.Skipped[place] = ErrorCode(code)
		} else {
			certs = append(certs, block.Bytes)
		}
	}
	e.Added = len(certs)
	switch {
	case place == 0:
		return nil, nil, errors.New("no CERTIFICATE block in the PEM data")
	case len(certs) == 0:
		return nil, nil, fmt.Errorf("certificate 1: %w", e.Skipped[1])
	case len(e.Skipped) == 0:
		return certs, nil, nil
	}
	return certs, e, nil
}

// AppendRevocationsFromPEM adds every certificate revocation list in PEM data.
// The lists must have been issued by authorities of the pool and must not be
// past their next update; otherwise the first connection that uses the pool
// fails. When the next update of a list passes while it is in use, certificates of its
// issuer are refused from then on, with CertificateOldRevocationData, until a Config
// with a pool that has a newer list is used; see AcceptOldRevocations. Config.Logger
// gets one warning for each list.
func (p *CertPool) AppendRevocationsFromPEM(data []byte) error {
	var crls []*revocationList
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return fmt.Errorf("gnutls: revocation list %d: %w", len(crls)+1, err)
		}
		crls = append(crls,
			&revocationList{der: block.Bytes, issuer: list.RawIssuer, ends: list.NextUpdate})
	}
	if len(crls) == 0 {
		return errors.New("gnutls: no X509 CRL block in the PEM data")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.crls = append(p.crls, crls...)
	return nil
}

// AcceptOldRevocations makes the pool use its revocation lists even after their next
// update, instead of refusing what their issuers have signed. Certificates that have been
// revoked since are then accepted. It is for issuers whose lists sometimes come late, and
// must be called before the first connection.
func (p *CertPool) AcceptOldRevocations() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acceptOld = true
}

// oldList returns a certificate of a verified path whose issuer has revocation lists in
// the pool, all of them past their end, and that of the last.
func (p *CertPool) oldList(path []cgnutls.Link) (der []byte, ended time.Time) {
	if p == nil {
		return nil, time.Time{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.acceptOld || len(p.crls) == 0 {
		return nil, time.Time{}
	}
	now := time.Now()
	for _, link := range path {
		cert, err := parseCertificate(link.Certificate)
		if err != nil {
			continue
		}
		var last time.Time
		fresh, any := false, false
		for _, list := range p.crls {
			if bytes.Equal(list.issuer, cert.RawIssuer) && !bytes.Equal(cert.RawIssuer, cert.RawSubject) {
				any = true
				fresh = fresh || list.ends.IsZero() || now.Before(list.ends)
				if list.ends.After(last) {
					last = list.ends
				}
			}
		}
		if any && !fresh {
			return link.Certificate, last
		}
	}
	return nil, time.Time{}
}

// warnOfOldLists logs each list that is past its end, once.
func (p *CertPool) warnOfOldLists(warn func(string, ...any)) {
	if p == nil {
		return
	}
	p.mu.Lock()
	var old []*revocationList
	for _, list := range p.crls {
		if !list.warned && !list.ends.IsZero() && !time.Now().Before(list.ends) {
			list.warned = true
			old = append(old, list)
		}
	}
	accepted := p.acceptOld
	p.mu.Unlock()
	for _, list := range old {
		var name pkix.Name
		readName(asn1.RawValue{FullBytes: list.issuer}, &name)
		warn("a revocation list is past its next update", "issuer", name.String(), "ended", list.ends,
			"accepted", accepted)
	}
}

// fingerprint identifies what the pool trusts.
func (p *CertPool) fingerprint() [sha256.Size]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := sha256.New()
	fmt.Fprintf(h, "system %t\n", p.system)
	var crls [][]byte
	for _, list := range p.crls {
		crls = append(crls, list.der)
	}
	for _, list := range [][][]byte{p.certs, crls} {
		for _, der := range list {
			fmt.Fprintf(h, "%d:", len(der))
			h.Write(der)
		}
		fmt.Fprintln(h)
	}
	if p.acceptOld {
		fmt.Fprintln(h, "accept old")
	}
	return [sha256.Size]byte(h.Sum(nil))
}
