package gnutls

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
	"github.com/gnucoap/gnucoap/internal/tls13peer"
)

// keyKinds makes a key of each kind that crypto/tls knows.
func keyKinds(t testing.TB) map[string]crypto.Signer {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return map[string]crypto.Signer{
		"RSA":     rsaKey,
		"P-256":   ecdsaKey(t, elliptic.P256()),
		"P-384":   ecdsaKey(t, elliptic.P384()),
		"P-521":   ecdsaKey(t, elliptic.P521()),
		"Ed25519": edKey,
	}
}

func TestClientCertificateOfEveryKindOfKey(t *testing.T) {
	ca, _ := authority(t, "ca")
	cas := x509.NewCertPool()
	cas.AddCert(ca)
	for kind, key := range keyKinds(t) {
		cert := issue(t, key, nil)
		signed := cert
		signed.PrivateKey = &testSigner{Signer: key}
		for _, version := range []uint16{VersionTLS12, VersionTLS13} {
			for authorities, auth := range map[string]tls.ClientAuthType{
				"authorities named": tls.RequireAndVerifyClientCert, "none named": tls.RequireAnyClientCert,
			} {
				server := &tls.Config{
					Certificates: []tls.Certificate{cryptoCertificate(testCertificate(t, "server"))},
					MaxVersion:   version, ClientAuth: auth,
				}
				if auth == tls.RequireAndVerifyClientCert {
					server.ClientCAs = cas
				}
				for form, cert := range map[string]Certificate{"key": cert, "signer": signed} {
					t.Run(kind+", "+VersionName(version)+", "+authorities+", "+form, func(t *testing.T) {
						client := clientConfig(t)
						client.Certificates = []Certificate{cert}
						_, s, clientErr, serverErr := shakeCryptoServer(t, client, server)
						require.NoError(t, serverErr)
						require.NoError(t, clientErr)
						require.NotEmpty(t, s.ConnectionState().PeerCertificates)
						assert.Equal(t, cert.Certificate[0], s.ConnectionState().PeerCertificates[0].Raw)
					})
				}
			}
		}
	}
}

func TestClientChoosesAmongItsCertificates(t *testing.T) {
	ours, other := testCertificate(t, "client"), testCertificate(t, "client-other")
	noSignature := issue(t, ecdsaKey(t, elliptic.P256()),
		func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement })
	chain := testCertificate(t, "server-chain")
	pool := func(files ...string) *x509.CertPool {
		pool := x509.NewCertPool()
		for _, file := range files {
			require.True(t, pool.AppendCertsFromPEM(testenv.Read(t, file)))
		}
		return pool
	}
	for name, c := range map[string]struct {
		has         []Certificate
		authorities *x509.CertPool
		sends       *Certificate
	}{
		"no authorities: the first":   {[]Certificate{other, ours}, nil, &other},
		"that of the named authority": {[]Certificate{other, ours}, pool("ca.pem"), &ours},
		"that of one of two": {[]Certificate{ours, other},
			pool("other-ca.pem", "intermediate.pem"), &other},
		"one whose chain names it":          {[]Certificate{other, chain}, pool("ca.pem"), &chain},
		"one that may sign":                 {[]Certificate{noSignature, ours}, pool("ca.pem"), &ours},
		"of an authority that is not named": {[]Certificate{ours}, pool("other-ca.pem"), nil},
		"none that may sign":                {[]Certificate{noSignature}, pool("ca.pem"), nil},
		"none":                              {nil, pool("ca.pem"), nil},
	} {
		for _, version := range []uint16{VersionTLS12, VersionTLS13} {
			t.Run(name+", "+VersionName(version), func(t *testing.T) {
				client := clientConfig(t)
				client.Certificates = c.has
				_, s, clientErr, serverErr := shakeCryptoServer(t, client, &tls.Config{
					Certificates: []tls.Certificate{cryptoCertificate(testCertificate(t, "server"))},
					MaxVersion:   version, ClientAuth: tls.RequestClientCert, ClientCAs: c.authorities,
				})
				require.NoError(t, serverErr)
				require.NoError(t, clientErr)
				var sent [][]byte
				for _, cert := range s.ConnectionState().PeerCertificates {
					sent = append(sent, cert.Raw)
				}
				if c.sends == nil {
					assert.Empty(t, sent)
				} else {
					assert.Equal(t, c.sends.Certificate, sent)
				}
			})
		}
	}
}

// TestClientCertificateForAlgorithms has servers that name authorities and few
// signature algorithms.
func TestClientCertificateForAlgorithms(t *testing.T) {
	keys := keyKinds(t)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	keys["RSA 1024"] = small
	certs := make(map[string]Certificate)
	for kind, key := range keys {
		certs[kind] = issue(t, key, nil)
	}
	const (
		rsaSHA256, rsaSHA1             = 0x0401, 0x0201
		pssSHA256, pssSHA512           = 0x0804, 0x0806
		pssPSSSHA256                   = 0x0809
		p256, p384, p521, edd, unknown = 0x0403, 0x0503, 0x0603, 0x0807, 0x7f7f
	)
	ca, _ := authority(t, "ca")
	for _, c := range []struct {
		name       string
		algorithms []uint16
		has        []string
		sends      string
	}{
		{"RSA-PSS alone", []uint16{pssSHA256}, []string{"P-256", "RSA"}, "RSA"},
		{"RSA-PSS and ECDSA", []uint16{pssSHA256, p256}, []string{"RSA"}, "RSA"},
		{"ours is first", []uint16{pssSHA256, p256}, []string{"P-256", "RSA"}, "P-256"},
		{"PKCS #1 alone, which TLS 1.3 has not", []uint16{rsaSHA256, rsaSHA1}, []string{"RSA"}, ""},
		{"RSA-PSS for other keys", []uint16{pssPSSSHA256}, []string{"RSA"}, ""},
		{"RSA-PSS that the key is too short for", []uint16{pssSHA512}, []string{"RSA 1024", "RSA"},
			"RSA"},
		{"another curve", []uint16{p384}, []string{"P-256", "P-384"}, "P-384"},
		{"no curve of ours", []uint16{p521}, []string{"P-256", "P-384"}, ""},
		{"Ed25519", []uint16{unknown, edd}, []string{"P-256", "Ed25519"}, "Ed25519"},
		{"none that is known", []uint16{unknown}, []string{"P-256", "Ed25519"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := clientConfig(t)
			for _, kind := range c.has {
				config.Certificates = append(config.Certificates, certs[kind])
			}
			var want []byte
			if c.sends != "" {
				want = certs[c.sends].Certificate[0]
			}
			assert.Equal(t, want, certificateFor(t, config, c.algorithms, ca.RawSubject))
		})
	}
}

// certificateFor returns the certificate that a client sends to a server that
// asks for algorithms and names an authority.
func certificateFor(t *testing.T, config *Config, algorithms []uint16, authority []byte) []byte {
	t.Helper()
	const certificateAuthorities = 47
	name := append([]byte{byte(len(authority) >> 8), byte(len(authority))}, authority...)
	list := append([]byte{byte(len(name) >> 8), byte(len(name))}, name...)
	_, s, clientErr, serverErr := meetServer(t, config, tls13peer.ServerScript{
		RequestAlgorithms: algorithms,
		Extra: map[tls13peer.Message]tls13peer.Extensions{
			tls13peer.CertificateRequest: {{Type: certificateAuthorities, Body: list}},
		},
	})
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	return s.Leaf
}

// TestServerOfManyNamesKeepsToOfferedVersions has a client that offers TLS 1.1
// alone, in a hello whose legacy_version is that of TLS 1.2, and a server that
// chooses its certificate by name.
func TestServerOfManyNamesKeepsToOfferedVersions(t *testing.T) {
	const ecdheECDSAAES128CBC = 0xc009
	for _, name := range []string{"alpha.test", "beta.test", "unknown.test", ""} {
		cc, sc := tcpPipe(t)
		s := Server(sc, &Config{
			Certificates: []Certificate{testCertificate(t, "alpha"), testCertificate(t, "beta")},
			Priority:     "NORMAL:+VERS-TLS1.1",
		})
		defer s.Close()
		c := tls13peer.NewClient(cc, tls13peer.ClientScript{
			ServerName: name, Versions: []uint16{VersionTLS11}, CipherSuites: []uint16{ecdheECDSAAES128CBC},
		})
		require.NoError(t, cc.SetDeadline(time.Now().Add(wait)))
		done := make(chan error, 1)
		go func() { done <- s.HandshakeContext(waitContext(t)) }()
		require.Error(t, c.Handshake(), "it knows no more of TLS 1.1")
		assert.Equal(t, uint16(VersionTLS11), c.Version, name)
		require.NoError(t, cc.Close())
		require.Error(t, <-done)
	}
}

// TestServerOfManyNamesAndKeys has clients that ask by name and take one kind of
// key.
func TestServerOfManyNamesAndKeys(t *testing.T) {
	keys := keyKinds(t)
	var certs []Certificate
	for _, name := range []string{"a.test", "b.test"} {
		for _, kind := range []string{"RSA", "P-256", "P-384", "P-521", "Ed25519"} {
			certs = append(certs, issue(t, keys[kind], func(c *x509.Certificate) {
				c.DNSNames, c.Subject.CommonName = []string{name}, kind
			}))
		}
	}
	server := &Config{Certificates: certs}
	roots := x509.NewCertPool()
	ca, _ := authority(t, "ca")
	roots.AddCert(ca)
	for _, name := range []string{"a.test", "b.test"} {
		for suite, kind := range map[uint16]string{
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:   "RSA",
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "P-256",
		} {
			c, _, clientErr, serverErr := shakeCryptoClient(t, &tls.Config{
				RootCAs: roots, ServerName: name, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite},
			}, server)
			require.NoError(t, serverErr)
			require.NoError(t, clientErr)
			leaf := c.ConnectionState().PeerCertificates[0]
			assert.Equal(t, []string{name}, leaf.DNSNames)
			if kind == "RSA" {
				assert.Equal(t, kind, leaf.Subject.CommonName)
			} else {
				assert.NotEqual(t, "RSA", leaf.Subject.CommonName)
			}
		}
		c, _ := connect(t, &Config{RootCAs: testPool(t, "ca.pem"), ServerName: name,
			Priority: "NORMAL:-VERS-ALL:+VERS-TLS1.3:-SIGN-ALL:+SIGN-EDDSA-ED25519:" +
				"+SIGN-ECDSA-SECP256R1-SHA256"}, server)
		assert.Equal(t, []string{name}, c.ConnectionState().PeerCertificates[0].DNSNames)
	}
}
