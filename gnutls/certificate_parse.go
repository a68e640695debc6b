package gnutls

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"
	"weak"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// parsed holds the certificates of peers that something still refers to, by the
// hash of their DER: connections to one server share them.
var parsed sync.Map // [sha256.Size]byte to weak.Pointer[x509.Certificate]

// parseCertificate parses a certificate of a peer, unless it is there already. One
// that only GnuTLS can read gives what readCertificate makes of it.
func parseCertificate(der []byte) (*x509.Certificate, error) {
	key := sha256.Sum256(der)
	if p, ok := parsed.Load(key); ok {
		if cert := p.(weak.Pointer[x509.Certificate]).Value(); cert != nil {
			return cert, nil
		}
	}
	cert, err := readCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("gnutls: parsing a certificate of the peer: %w", err)
	}
	p := weak.Make(cert)
	parsed.Store(key, p)
	runtime.AddCleanup(cert, func(key [sha256.Size]byte) { parsed.CompareAndDelete(key, p) }, key)
	return cert, nil
}

// readCertificate parses a certificate. One that GnuTLS can read, and crypto/x509
// cannot, has its Raw fields, and of the others what can be made out: the serial
// number, the names, the time, and the public key where crypto/x509 knows its kind.
func readCertificate(der []byte) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err == nil {
		return cert, nil
	}
	if cgnutls.CheckCertificate(der) < 0 {
		return nil, err
	}
	return oddCertificate(der), nil
}

func oddCertificate(der []byte) *x509.Certificate {
	cert := &x509.Certificate{Raw: der}
	var outer struct {
		TBS struct {
			Raw          asn1.RawContent
			Version      int `asn1:"optional,explicit,default:0,tag:0"`
			SerialNumber asn1.RawValue
			Algorithm    asn1.RawValue
			Issuer       asn1.RawValue
			Validity     struct{ NotBefore, NotAfter asn1.RawValue }
			Subject      asn1.RawValue
			PublicKey    asn1.RawValue
			IssuerID     asn1.BitString   `asn1:"optional,tag:1"`
			SubjectID    asn1.BitString   `asn1:"optional,tag:2"`
			Extensions   []pkix.Extension `asn1:"omitempty,optional,explicit,tag:3"`
		}
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return cert
	}
	tbs := &outer.TBS
	cert.Version = tbs.Version + 1
	cert.RawTBSCertificate = tbs.Raw
	cert.RawIssuer, cert.RawSubject = tbs.Issuer.FullBytes, tbs.Subject.FullBytes
	cert.RawSubjectPublicKeyInfo = tbs.PublicKey.FullBytes
	cert.Signature = outer.Signature.RightAlign()
	cert.Extensions = tbs.Extensions
	asn1.Unmarshal(tbs.SerialNumber.FullBytes, &cert.SerialNumber)
	cert.NotBefore, cert.NotAfter = readTime(tbs.Validity.NotBefore), readTime(tbs.Validity.NotAfter)
	readName(tbs.Issuer, &cert.Issuer)
	readName(tbs.Subject, &cert.Subject)
	cert.PublicKey, _ = x509.ParsePKIXPublicKey(cert.RawSubjectPublicKeyInfo)
	for _, e := range tbs.Extensions {
		if e.Id.Equal(oidSubjectAltName) {
			readNames(cert, e.Value)
		}
	}
	return cert
}

func readTime(v asn1.RawValue) (t time.Time) {
	asn1.Unmarshal(v.FullBytes, &t)
	return t
}

func readName(v asn1.RawValue, name *pkix.Name) {
	var rdns pkix.RDNSequence
	if _, err := asn1.Unmarshal(v.FullBytes, &rdns); err == nil {
		name.FillFromRDNSequence(&rdns)
	}
}

// readNames reads a subjectAltName.
func readNames(cert *x509.Certificate, der []byte) {
	const email, dns, ip = 1, 2, 7
	var names []asn1.RawValue
	if _, err := asn1.Unmarshal(der, &names); err != nil {
		return
	}
	for _, name := range names {
		if name.Class != asn1.ClassContextSpecific {
			continue
		}
		switch name.Tag {
		case email:
			cert.EmailAddresses = append(cert.EmailAddresses, string(name.Bytes))
		case dns:
			cert.DNSNames = append(cert.DNSNames, string(name.Bytes))
		case ip:
			if len(name.Bytes) == net.IPv4len || len(name.Bytes) == net.IPv6len {
				cert.IPAddresses = append(cert.IPAddresses, name.Bytes)
			}
		}
	}
}
