package gnutls

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDirectoryNameConstraints has an authority that may issue for an organisation
// alone, or not for it. GnuTLS overlooks the first, and takes the second for everybody.
func TestDirectoryNameConstraints(t *testing.T) {
	rootKey, leafKey := ecdsaKey(t, elliptic.P256()), ecdsaKey(t, elliptic.P256())
	name := func(organization, commonName string) pkix.Name {
		return pkix.Name{Country: []string{"DE"}, Organization: []string{organization},
			CommonName: commonName}
	}
	// constraint is an extension that names C=DE, O=organization.
	constraint := func(tag int, organization string) pkix.Extension {
		der, err := asn1.Marshal(pkix.Name{Country: []string{"DE"},
			Organization: []string{organization}}.ToRDNSequence())
		require.NoError(t, err)
		wrap := func(class, tag int, der []byte) []byte {
			b, err := asn1.Marshal(asn1.RawValue{Class: class, Tag: tag, IsCompound: true, Bytes: der})
			require.NoError(t, err)
			return b
		}
		subtree := wrap(asn1.ClassUniversal, asn1.TagSequence,
			wrap(asn1.ClassContextSpecific, directoryName, der))
		return pkix.Extension{Id: oidNameConstraints, Critical: true,
			Value: wrap(asn1.ClassUniversal, asn1.TagSequence,
				wrap(asn1.ClassContextSpecific, tag, subtree))}
	}
	for _, c := range []struct {
		name, organization string
		constraint         pkix.Extension
		good               bool
	}{
		{"permitted", "Ours", constraint(0, "Ours"), true},
		{"permitted in other case", "OURS", constraint(0, "Ours"), true},
		{"not permitted", "Others", constraint(0, "Ours"), false},
		{"excluded", "Ours", constraint(1, "Ours"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			template := func(subject pkix.Name) *x509.Certificate {
				return &x509.Certificate{
					SerialNumber: big.NewInt(3), Subject: subject, BasicConstraintsValid: true,
					NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
					KeyUsage: x509.KeyUsageDigitalSignature,
				}
			}
			root := template(name("Ours", "authority"))
			root.IsCA, root.KeyUsage, root.ExtraExtensions = true, x509.KeyUsageCertSign,
				[]pkix.Extension{c.constraint}
			rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
			require.NoError(t, err)
			leaf := template(name(c.organization, "leaf"))
			leaf.DNSNames = []string{"localhost"}
			leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, leafKey.Public(), rootKey)
			require.NoError(t, err)
			pool := NewCertPool()
			require.NoError(t, pool.AppendCertsFromPEM(certPEM(rootDER)))
			_, _, clientErr, _ := shake(t, &Config{RootCAs: pool, ServerName: "localhost"},
				&Config{Certificates: []Certificate{{Certificate: [][]byte{leafDER}, PrivateKey: leafKey}}})
			if c.good {
				require.NoError(t, clientErr)
				return
			}
			var ce *CertificateError
			require.ErrorAs(t, clientErr, &ce)
			assert.True(t, ce.Status.Has(CertificateConstraint))
			assert.Equal(t, "leaf", ce.Certificate.Subject.CommonName)
		})
	}
}

// TestWildcardsAndCommonNames holds which names of a certificate count.
func TestWildcardsAndCommonNames(t *testing.T) {
	key := ecdsaKey(t, elliptic.P256())
	for _, c := range []struct {
		dns, commonName, host string
		good                  bool
	}{
		{"*.example.org", "", "foo.example.org", true},
		{"*.example.org", "", "example.org", false},
		{"*.example.org", "", "a.foo.example.org", false},
		{"*.org", "", "example.org", false},
		{"f*.example.org", "", "foo.example.org", false},
		{"*oo.example.org", "", "foo.example.org", false},
		{"foo.*.org", "", "foo.example.org", false},
		{"other.example.org", "foo.example.org", "foo.example.org", false},
		{"", "foo.example.org", "foo.example.org", true},
		{"", "*.example.org", "foo.example.org", true},
		{"", "*oo.example.org", "foo.example.org", false},
	} {
		cert := issue(t, key, func(cert *x509.Certificate) {
			cert.DNSNames, cert.Subject.CommonName = nil, c.commonName
			if c.dns != "" {
				cert.DNSNames = []string{c.dns}
			}
		})
		client := clientConfig(t)
		client.ServerName = c.host
		_, _, clientErr, _ := shake(t, client, &Config{Certificates: []Certificate{cert}})
		if c.good {
			assert.NoError(t, clientErr, "%+v", c)
		} else {
			assert.ErrorIs(t, clientErr, CertificateWrongName, "%+v", c)
		}
	}
}
