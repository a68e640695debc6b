package gnutls

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestSystemTrustWithAnAuthorityMore(t *testing.T) {
	pool := SystemCertPool()
	pool.AddCert(testCertificate(t, "ca").Leaf)
	client := clientConfig(t)
	client.RootCAs = pool
	c, s := connect(t, client, serverConfig(t))
	echo(t, c, s)
	assert.Len(t, c.ConnectionState().VerifiedChains, 1)
}

func TestPoolsOfSeveralAuthorities(t *testing.T) {
	both := slices.Concat([]byte("some text\n"), testenv.Read(t, "other-ca.pem"),
		testenv.Read(t, "server.key"), testenv.Read(t, "ca.pem"))
	inOne := NewCertPool()
	require.NoError(t, inOne.AppendCertsFromPEM(both))
	inTwo := NewCertPool()
	inTwo.AddCert(testCertificate(t, "ca").Leaf)
	inTwo.AddCert(testCertificate(t, "other-ca").Leaf)
	for name, pool := range map[string]*CertPool{"one file": inOne, "one by one": inTwo} {
		for _, authority := range []string{"ca", "other-ca"} {
			t.Run(name+"/"+authority, func(t *testing.T) {
				client := clientConfig(t)
				client.RootCAs = pool
				connect(t, client,
					&Config{Certificates: []Certificate{chainOf(t, testCertificate(t, authority))}})
			})
		}
	}
}

func TestPoolDataThatCannotBeUsed(t *testing.T) {
	ca := testenv.Read(t, "ca.pem")
	damagedCRL := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte("none")})
	for _, c := range []struct {
		name string
		data []byte
		crl  bool
		says string
	}{
		{"nothing", nil, false,
			"gnutls: adding to the certificate pool: certificate is neither PEM nor DER: "},
		{"damaged base64", testenv.Read(t, "broken.pem"), false,
			"gnutls: adding to the certificate pool: certificate 1: damaged PEM"},
		{"a key", testenv.Read(t, "ca.key"), false,
			"gnutls: adding to the certificate pool: no CERTIFICATE block in the PEM data"},
		{"no list", ca, true, "gnutls: no X509 CRL block in the PEM data"},
		{"list that is nothing", nil, true, "gnutls: no X509 CRL block in the PEM data"},
		{"damaged list", slices.Concat(testenv.Read(t, "ca.crl.pem"), damagedCRL), true,
			"gnutls: revocation list 2: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			pool := NewCertPool()
			before := pool.fingerprint()
			add := pool.AppendCertsFromPEM
			if c.crl {
				add = pool.AppendRevocationsFromPEM
			}
			assert.ErrorContains(t, add(c.data), c.says)
			assert.Equal(t, before, pool.fingerprint(), "nothing was added")
		})
	}
}

func TestRevocationListsThatCannotBeTrusted(t *testing.T) {
	ca, key := authority(t, "ca")
	made := func(age time.Duration) []byte {
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number:     big.NewInt(2),
			ThisUpdate: time.Now().Add(-age),
			NextUpdate: time.Now().Add(time.Hour - age),
		}, ca, key)
		require.NoError(t, err)
		return der
	}
	recent := time.Minute // GnuTLS's clock may be a tick behind
	forged := made(recent)
	forged[len(forged)-1] ^= 1
	for _, c := range []struct {
		name, authority string
		list            []byte
		good            bool
	}{
		{"good", "ca.pem", made(recent), true},
		{"forged signature", "ca.pem", forged, false},
		{"past its next update", "ca.pem", made(2 * time.Hour), false},
		{"authority that is not trusted", "other-ca.pem", made(recent), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := clientConfig(t)
			client.RootCAs = testPool(t, c.authority)
			require.NoError(t,
				client.RootCAs.AppendRevocationsFromPEM(
					pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: c.list})))
			_, err := client.native(false)
			if c.good {
				require.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err,
				"gnutls: revocation list 1 of the pool is too old, or not signed by an authority of the pool: ")
		})
	}
}

func TestRevocationListLeavesOthersAlone(t *testing.T) {
	for _, list := range []string{"ca.pem", "ca.crl.pem"} {
		client := clientConfig(t)
		if list == "ca.crl.pem" {
			require.NoError(t, client.RootCAs.AppendRevocationsFromPEM(testenv.Read(t, list)))
		}
		for name, revoked := range map[string]bool{"server": false, "revoked": true} {
			t.Run(list+"/"+name, func(t *testing.T) {
				_, _, clientErr, _ := shake(t, client,
					&Config{Certificates: []Certificate{testCertificate(t, name)}})
				if revoked && list == "ca.crl.pem" {
					assert.ErrorIs(t, clientErr, CertificateRevoked)
				} else {
					assert.NoError(t, clientErr)
				}
			})
		}
	}
}

// TestPoolIsShared: clients without key pairs share one native set of trusted
// certificates a pool, and each of those with key pairs has its own.
func TestPoolIsShared(t *testing.T) {
	pool := testPool(t, "ca.pem")
	certs := func(c *Config) *credentials {
		n, err := c.native(false)
		require.NoError(t, err)
		return n.certs
	}
	one := certs(&Config{RootCAs: pool})
	assert.Same(t, one, certs(&Config{RootCAs: pool, ServerName: "localhost"}))
	assert.NotSame(t, one,
		certs(&Config{RootCAs: pool, Certificates: []Certificate{testCertificate(t, "client")}}))
	assert.NotSame(t, one, certs(&Config{RootCAs: testPool(t, "ca.pem")}))
	assert.Same(t, certs(&Config{}), certs(&Config{}), "the system's trust is loaded once")
}

func TestPoolFingerprint(t *testing.T) {
	pools := map[string]*CertPool{
		"empty":      NewCertPool(),
		"system":     SystemCertPool(),
		"one":        testPool(t, "ca.pem"),
		"another":    testPool(t, "other-ca.pem"),
		"both":       testPool(t, "ca.pem", "other-ca.pem"),
		"system too": SystemCertPool(),
		"with list":  testPool(t, "ca.pem"),
	}
	pools["system too"].AddCert(testCertificate(t, "ca").Leaf)
	require.NoError(t, pools["with list"].AppendRevocationsFromPEM(testenv.Read(t, "ca.crl.pem")))
	seen := map[string]string{}
	for name, pool := range pools {
		fingerprint := fmt.Sprintf("%x", pool.fingerprint())
		assert.Empty(t, seen[fingerprint], name)
		seen[fingerprint] = name
	}
	assert.Equal(t, pools["one"].fingerprint(), testPool(t, "ca.pem").fingerprint())
}

func TestPoolKeepsNoHoldOfCallersMemory(t *testing.T) {
	cert := issue(t, ecdsaKey(t, elliptic.P256()),
		func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })
	pool := NewCertPool()
	pool.AddCert(cert.Leaf)
	before := pool.fingerprint()
	clear(cert.Leaf.Raw)
	assert.Equal(t, before, pool.fingerprint())
}
