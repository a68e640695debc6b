package gnutls

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
)

var (
	oidNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}
	oidSubjectAltName  = asn1.ObjectIdentifier{2, 5, 29, 17}
)

const directoryName = 4 // tag of a GeneralName

// outOfDirectory returns the first certificate of a verified chain whose name an
// authority above it excludes by a constraint of the kind directoryName (RFC 5280
// section 4.2.1.10), or nil. GnuTLS ignores permitted subtrees of this kind, and refuses
// all chains with excluded ones.
func outOfDirectory(chain []*x509.Certificate) *x509.Certificate {
	for i, authority := range chain {
		if i == 0 {
			continue
		}
		permitted, excluded, ok := directoryConstraints(authority)
		if len(permitted) == 0 && len(excluded) == 0 && ok {
			continue
		}
		for j, cert := range chain[:i] {
			if j > 0 && bytes.Equal(cert.RawSubject, cert.RawIssuer) {
				continue // self-issued
			}
			if !ok {
				return cert
			}
			for _, name := range directoryNames(cert) {
				within := func(subtree asn1.RawValue) bool { return isWithin(name, subtree.FullBytes) }
				if anyOf(excluded, within) || len(permitted) > 0 && !anyOf(permitted, within) {
					return cert
				}
			}
		}
	}
	return nil
}

func anyOf(list []asn1.RawValue, f func(asn1.RawValue) bool) bool {
	for _, v := range list {
		if f(v) {
			return true
		}
	}
	return false
}

// directoryConstraints returns the names of the kind directoryName in an authority's
// constraints. ok is false where they cannot be read.
func directoryConstraints(authority *x509.Certificate) (permitted, excluded []asn1.RawValue,
	ok bool) {
	for _, e := range authority.Extensions {
		if !e.Id.Equal(oidNameConstraints) {
			continue
		}
		var constraints struct {
			Permitted []asn1.RawValue `asn1:"optional,tag:0"`
			Excluded  []asn1.RawValue `asn1:"optional,tag:1"`
		}
		if _, err := asn1.Unmarshal(e.Value, &constraints); err != nil {
			return nil, nil, false
		}
		for _, list := range []struct{ in, out *[]asn1.RawValue }{{&constraints.Permitted, &permitted},
			{&constraints.Excluded, &excluded}} {
			for _, subtree := range *list.in {
				var base, name asn1.RawValue
				if _, err := asn1.Unmarshal(subtree.Bytes, &base); err != nil {
					return nil, nil, false
				}
				if base.Class != asn1.ClassContextSpecific || base.Tag != directoryName {
					continue
				}
				if _, err := asn1.Unmarshal(base.Bytes, &name); err != nil {
					return nil, nil, false
				}
				*list.out = append(*list.out, name)
			}
		}
	}
	return permitted, excluded, true
}

// directoryNames returns a certificate's subject, unless it is empty, and the names of
// that kind in its subjectAltName, each in DER.
func directoryNames(cert *x509.Certificate) (names [][]byte) {
	var subject asn1.RawValue
	if _, err := asn1.Unmarshal(cert.RawSubject, &subject); err != nil || len(subject.Bytes) > 0 {
		names = append(names, cert.RawSubject)
	}
	for _, e := range cert.Extensions {
		var all []asn1.RawValue
		if !e.Id.Equal(oidSubjectAltName) {
			continue
		}
		if _, err := asn1.Unmarshal(e.Value, &all); err != nil {
			continue
		}
		for _, name := range all {
			if name.Class == asn1.ClassContextSpecific && name.Tag == directoryName {
				names = append(names, name.Bytes)
			}
		}
	}
	return names
}

// isWithin reports whether a name lies within a subtree.
func isWithin(name, subtree []byte) bool {
	n, ok := normalRDNs(name)
	s, also := normalRDNs(subtree)
	if !ok || !also || len(n) < len(s) {
		return false
	}
	for i := range s {
		if n[i] != s[i] {
			return false
		}
	}
	return true
}

// normalRDNs returns the parts of a name so that they can be compared (RFC 5280
// section 7.1): without regard to case, kind of string and space.
func normalRDNs(name []byte) (parts []string, ok bool) {
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(name, &rdns); err != nil || len(rest) > 0 {
		return nil, false
	}
	for _, rdn := range rdns {
		var b strings.Builder
		for _, attribute := range rdn {
			value := strings.ToLower(strings.Join(strings.Fields(fmt.Sprint(attribute.Value)), " "))
			fmt.Fprintf(&b, "%v=%q,", attribute.Type, value)
		}
		parts = append(parts, b.String())
	}
	return parts, true
}
