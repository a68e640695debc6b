package gnutls

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// A CertificateStatus is the set of checks that a certificate failed
// (gnutls_certificate_status_t). It can be used with errors.Is, as in
// errors.Is(err, gnutls.CertificateExpired).
type CertificateStatus uint32

// The checks.
const (
	CertificateRevoked            = CertificateStatus(cgnutls.StatusRevoked)
	CertificateUnknownAuthority   = CertificateStatus(cgnutls.StatusSignerNotFound)
	CertificateSignerNotAuthority = CertificateStatus(cgnutls.StatusSignerNotCA)
	CertificateInsecureAlgorithm  = CertificateStatus(cgnutls.StatusInsecureAlgorithm)
	CertificateNotYetValid        = CertificateStatus(cgnutls.StatusNotActivated)
	CertificateExpired            = CertificateStatus(cgnutls.StatusExpired)
	CertificateBadSignature       = CertificateStatus(cgnutls.StatusSignatureFailure)
	CertificateOldRevocationData  = CertificateStatus(cgnutls.StatusRevocationOld)
	CertificateWrongName          = CertificateStatus(cgnutls.StatusUnexpectedOwner)
	CertificateConstraint         = CertificateStatus(cgnutls.StatusConstraints)
	CertificateWrongPurpose       = CertificateStatus(cgnutls.StatusPurposeMismatch)
	CertificateNoOCSPResponse     = CertificateStatus(cgnutls.StatusMissingOCSP)
	CertificateBadOCSPResponse    = CertificateStatus(cgnutls.StatusInvalidOCSP)
	CertificateCriticalExtension  = CertificateStatus(cgnutls.StatusUnknownCriticalExts)
)

// Error returns GnuTLS's English text for the failed checks
// (gnutls_certificate_verification_status_print).
func (s CertificateStatus) Error() string {
	return strings.TrimSpace(cgnutls.StatusText(uint32(s)))
}

// Has reports whether all checks of the set other failed.
func (s CertificateStatus) Has(other CertificateStatus) bool { return s&other == other }

// A CertificateError says that the peer's certificate was not accepted: which
// checks failed, and on which certificate of the chain.
type CertificateError struct {
	// Status are all checks that failed, anywhere in the chain.
	Status CertificateStatus
	// Certificate is the certificate that failed, and Index its position in the
	// chain that the peer sent: 0 for the peer's own, -1 for one that the peer did
	// not send. If Status has CertificateExpired or CertificateNotYetValid, it is
	// the certificate that is not valid now, possibly an authority's.
	Certificate *x509.Certificate
	Index       int
	// Host is the name that was verified, or empty for a client's certificate.
	Host string

	ended time.Time // of the revocation list that is too old
}

// Error describes the failure in one line.
func (e *CertificateError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "gnutls: certificate of %q", e.Certificate.Subject)
	if e.Host != "" {
		fmt.Fprintf(&b, " for %q", e.Host)
	}
	b.WriteString(" refused: ")
	b.WriteString(e.Status.Error())
	if e.Status.Has(CertificateExpired) {
		fmt.Fprintf(&b, " (on %s)", e.Certificate.NotAfter.UTC().Format("2006-01-02"))
	}
	if !e.ended.IsZero() {
		fmt.Fprintf(&b, " (the revocation list of its issuer ended on %s)",
			e.ended.UTC().Format("2006-01-02"))
	}
	if e.Status.Has(CertificateNotYetValid) {
		fmt.Fprintf(&b, " (before %s)", e.Certificate.NotBefore.UTC().Format("2006-01-02"))
	}
	if e.Status.Has(CertificateWrongName) {
		if names := certificateNames(e.Certificate); len(names) > 0 {
			fmt.Fprintf(&b, " (it is for %s)", strings.Join(names, ", "))
		}
	}
	return b.String()
}

// Is reports whether target is among the failed checks, or is the code of
// every failed verification, CodeCertificateVerification.
func (e *CertificateError) Is(target error) bool {
	if s, ok := target.(CertificateStatus); ok {
		return s != 0 && e.Status.Has(s)
	}
	return target == CodeCertificateVerification
}

func certificateNames(cert *x509.Certificate) []string {
	names := append([]string(nil), cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// alert returns the alert that tells the peer.
func (e *CertificateError) alert() Alert {
	switch {
	case e.Status.Has(CertificateRevoked):
		return AlertCertificateRevoked
	case e.Status.Has(CertificateExpired), e.Status.Has(CertificateNotYetValid):
		return AlertCertificateExpired
	case e.Status.Has(CertificateUnknownAuthority):
		return AlertUnknownCA
	case e.Status.Has(CertificateWrongPurpose):
		return AlertUnsupportedCert
	}
	return AlertBadCertificate
}
