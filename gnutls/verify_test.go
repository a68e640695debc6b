package gnutls

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

// cryptoCertificate is cert for crypto/tls.
func cryptoCertificate(cert Certificate) tls.Certificate {
	return tls.Certificate{Certificate: cert.Certificate, PrivateKey: cert.PrivateKey,
		OCSPStaple: cert.OCSPStaple}
}

// shakeCryptoServer is shake with a server of crypto/tls.
func shakeCryptoServer(t testing.TB, client *Config, server *tls.Config) (c *Conn, s *tls.Conn,
	clientErr, serverErr error) {
	t.Helper()
	cc, sc := tcpPipe(t)
	c, s = Client(cc, client), tls.Server(sc, server)
	t.Cleanup(func() { c.Close(); s.Close() })
	clientErr, serverErr = shakeBoth(t, c, s)
	return c, s, clientErr, serverErr
}

// shakeCryptoClient is shake with a client of crypto/tls.
func shakeCryptoClient(t testing.TB, client *tls.Config, server *Config) (c *tls.Conn, s *Conn,
	clientErr, serverErr error) {
	t.Helper()
	cc, sc := tcpPipe(t)
	c, s = tls.Client(cc, client), Server(sc, server)
	t.Cleanup(func() { c.Close(); s.Close() })
	clientErr, serverErr = shakeBoth(t, c, s)
	return c, s, clientErr, serverErr
}

type handshaker interface {
	HandshakeContext(context.Context) error
}

func shakeBoth(t testing.TB, c, s handshaker) (clientErr, serverErr error) {
	ctx := waitContext(t)
	done := make(chan error, 1)
	go func() { done <- s.HandshakeContext(ctx) }()
	clientErr = c.HandshakeContext(ctx)
	return clientErr, <-done
}

// chainOf issues a certificate for localhost with a key of its own and the
// certificate of its issuer behind it.
func chainOf(t testing.TB, issuer Certificate) Certificate {
	t.Helper()
	key := ecdsaKey(t, elliptic.P256())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "leaf"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.Leaf, key.Public(),
		issuer.PrivateKey.(crypto.Signer))
	require.NoError(t, err)
	return Certificate{Certificate: [][]byte{der, issuer.Certificate[0]}, PrivateKey: key}
}

// intermediate issues a CA.
func intermediate(t testing.TB, change func(*x509.Certificate)) Certificate {
	t.Helper()
	return issue(t, ecdsaKey(t, elliptic.P256()), func(c *x509.Certificate) {
		c.Subject.CommonName = "intermediate"
		c.BasicConstraintsValid, c.IsCA = true, true
		c.KeyUsage = x509.KeyUsageCertSign
		c.ExtKeyUsage, c.DNSNames = nil, nil
		change(c)
	})
}

func TestCertificatesThatAreRefused(t *testing.T) {
	server := testCertificate(t, "server")
	stapled := func(cert Certificate, file string) Certificate {
		cert.OCSPStaple = testenv.Read(t, file)
		return cert
	}
	leafOnly := testCertificate(t, "server-chain")
	leafOnly.Certificate = leafOnly.Certificate[:1]
	forged := server
	forged.Certificate = [][]byte{slices.Clone(server.Certificate[0])}
	forged.Certificate[0][len(forged.Certificate[0])-1] ^= 1
	key := ecdsaKey(t, elliptic.P256())
	anHourAgo := time.Now().Add(-time.Hour)
	withCRL := func(c *Config) {
		require.NoError(t, c.RootCAs.AppendRevocationsFromPEM(testenv.Read(t, "ca.crl.pem")))
	}

	for _, c := range []struct {
		name   string
		cert   Certificate
		change func(*Config)
		status CertificateStatus
		index  int
		host   string // localhost where it is empty
		says   string
		alert  Alert
	}{
		{
			name: "private authority and the system's trust", cert: server,
			change: func(c *Config) { c.RootCAs = nil },
			status: CertificateUnknownAuthority, alert: AlertUnknownCA,
			says: `gnutls: certificate of "CN=gnucoap test server" for "localhost" refused: ` +
				`The certificate is NOT trusted. The certificate issuer is unknown.`,
		},
		{
			name: "empty pool", cert: server,
			change: func(c *Config) { c.RootCAs = NewCertPool() },
			status: CertificateUnknownAuthority, alert: AlertUnknownCA,
		},
		{
			name: "another authority", cert: server,
			change: func(c *Config) { c.RootCAs = testPool(t, "other-ca.pem") },
			status: CertificateUnknownAuthority, alert: AlertUnknownCA,
		},
		{
			name: "root sent that nobody trusts", cert: chainOf(t, testCertificate(t, "other-ca")),
			status: CertificateUnknownAuthority, alert: AlertUnknownCA,
		},
		{
			name: "intermediate not sent", cert: leafOnly,
			status: CertificateUnknownAuthority, alert: AlertUnknownCA,
		},
		{
			name: "self-signed", cert: testCertificate(t, "selfsigned"),
			status: CertificateUnknownAuthority, alert: AlertUnknownCA,
		},
		{
			name: "wrong host", cert: testCertificate(t, "wronghost"),
			status: CertificateWrongName, alert: AlertBadCertificate,
			says: "does not match the expected. (it is for elsewhere.test)",
		},
		{
			name: "expired", cert: testCertificate(t, "expired"),
			status: CertificateExpired, alert: AlertCertificateExpired,
			says: "(on 2021-01-01)",
		},
		{
			name: "not yet valid", cert: testCertificate(t, "notyet"),
			status: CertificateNotYetValid, alert: AlertCertificateExpired,
			says: "(before 2110-01-01)",
		},
		{
			name: "for clients only", cert: testCertificate(t, "clientonly"),
			status: CertificateWrongPurpose, alert: AlertUnsupportedCert,
		},
		{
			name: "revoked by the authority's list", cert: testCertificate(t, "revoked"), change: withCRL,
			status: CertificateRevoked, alert: AlertCertificateRevoked,
		},
		{
			name: "weak key and a strict profile", cert: testCertificate(t, "weak"),
			change: func(c *Config) { c.Priority = "NORMAL:%PROFILE_MEDIUM" },
			status: CertificateInsecureAlgorithm, alert: AlertBadCertificate,
		},
		{
			name: "stapled response that says revoked", cert: stapled(server, "ocsp-revoked.der"),
			status: CertificateRevoked, alert: AlertCertificateRevoked,
		},
		{
			name:   "stapled response about another",
			cert:   stapled(testCertificate(t, "alpha"), "ocsp-good.der"),
			change: func(c *Config) { c.ServerName = "alpha.test" }, host: "alpha.test",
			status: CertificateBadOCSPResponse, alert: AlertBadCertificate,
		},
		{
			name: "stapled garbage", cert: stapled(server, "README.md"),
			status: CertificateBadOCSPResponse, alert: AlertBadCertificate,
		},
		{
			name: "stapled response that is missing",
			cert: issue(t, key, func(c *x509.Certificate) {
				mustStaple := []byte{0x30, 3, 2, 1, 5} // RFC 7633
				c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24},
					Value: mustStaple}}
			}),
			status: CertificateNoOCSPResponse, alert: AlertBadCertificate,
		},
		{
			name: "forged signature", cert: forged,
			status: CertificateBadSignature, alert: AlertBadCertificate,
		},
		{
			name: "unknown critical extension",
			cert: issue(t, key, func(c *x509.Certificate) {
				c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true,
					Value: []byte{5, 0}}}
			}),
			status: CertificateCriticalExtension, alert: AlertBadCertificate,
		},
		{
			name: "expired and for another host",
			cert: issue(t, key, func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = anHourAgo.Add(-time.Hour), anHourAgo
			}),
			change: func(c *Config) { c.ServerName = "other.test" }, host: "other.test",
			status: CertificateExpired | CertificateWrongName, alert: AlertCertificateExpired,
		},
		{
			name: "expired intermediate",
			cert: chainOf(t, intermediate(t, func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = anHourAgo.Add(-time.Hour), anHourAgo
			})),
			// The one that failed is the second.
			status: CertificateExpired, index: 1, alert: AlertCertificateExpired,
			says: `certificate of "CN=intermediate"`,
		},
		{
			name: "intermediate that is no authority", cert: chainOf(t, issue(t, key, nil)),
			status: CertificateSignerNotAuthority, alert: AlertBadCertificate,
		},
		{
			name: "intermediate for other names",
			cert: chainOf(t, intermediate(t, func(c *x509.Certificate) {
				c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"other.test"}
			})),
			status: CertificateConstraint, alert: AlertBadCertificate,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := clientConfig(t)
			if c.change != nil {
				c.change(client)
			}
			// A server of crypto/tls presents what ours would not load.
			conn, _, clientErr, serverErr := shakeCryptoServer(t, client,
				&tls.Config{Certificates: []tls.Certificate{cryptoCertificate(c.cert)}})
			var e *CertificateError
			require.ErrorAs(t, clientErr, &e)
			assert.True(t, e.Status.Has(c.status), "%#x", uint32(e.Status))
			assert.ErrorIs(t, clientErr, c.status)
			assert.ErrorIs(t, clientErr, CodeCertificateVerification)
			assert.NotErrorIs(t, clientErr, CodeCertificateError)
			assert.Equal(t, c.index, e.Index)
			require.NotNil(t, e.Certificate)
			assert.Equal(t, c.cert.Certificate[c.index], e.Certificate.Raw)
			if c.host == "" {
				c.host = "localhost"
			}
			assert.Equal(t, c.host, e.Host)
			assert.ErrorContains(t, clientErr, c.says)
			assert.NotContains(t, clientErr.Error(), "\n")
			assert.NotContains(t, clientErr.Error(), "  ")
			var alert *net.OpError
			require.ErrorAs(t, serverErr, &alert)
			assert.Equal(t, "remote error", alert.Op)
			assert.Equal(t, tls.AlertError(c.alert).Error(), alert.Err.Error())
			assert.Zero(t, conn.ConnectionState())

			client = client.Clone()
			client.InsecureSkipVerify = true
			conn, s, clientErr, serverErr := shakeCryptoServer(t, client,
				&tls.Config{Certificates: []tls.Certificate{cryptoCertificate(c.cert)}})
			require.NoError(t, clientErr)
			require.NoError(t, serverErr)
			echo(t, conn, s)
			cs := conn.ConnectionState()
			assert.Nil(t, cs.VerifiedChains)
			assert.Equal(t, error(e), cs.VerifyError)
		})
	}
}

// TestAlertOfARefusedCertificate: a server of this package learns why, under
// both versions and with or without client authentication.
func TestAlertOfARefusedCertificate(t *testing.T) {
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		for _, auth := range []ClientAuthType{NoClientCert, RequireAndVerifyClientCert} {
			for name, alert := range map[string]Alert{"expired": AlertCertificateExpired,
				"selfsigned": AlertUnknownCA, "clientonly": AlertUnsupportedCert} {
				t.Run(fmt.Sprintf("%s/%d/%s", VersionName(version), auth, name), func(t *testing.T) {
					client := clientConfig(t)
					client.MaxVersion = version
					client.Certificates = []Certificate{testCertificate(t, "client")}
					server := &Config{Certificates: []Certificate{testCertificate(t, name)}, ClientAuth: auth,
						ClientCAs: testPool(t, "ca.pem")}
					_, s, clientErr, serverErr := shake(t, client, server)
					require.Error(t, clientErr)
					var e *Error
					require.ErrorAs(t, serverErr, &e)
					assert.Equal(t, alert, e.Alert)
					assert.Equal(t, CodeFatalAlertReceived, e.Code)
					assert.Equal(t, "handshake", e.Op)
					_, err := s.Read(make([]byte, 1))
					assert.Equal(t, serverErr, err, "the error stays")
				})
			}
		}
	}
}

func TestVerificationOfNames(t *testing.T) {
	server := testCertificate(t, "server") // localhost, example.test, *.wild.test, 127.0.0.1, ::1
	key := ecdsaKey(t, elliptic.P256())
	for _, c := range []struct {
		name string
		cert Certificate
		good bool
	}{
		{"localhost", server, true},
		{"example.test", server, true},
		{"example.test.", server, true},
		{"EXAMPLE.Test", server, true},
		{"any.wild.test", server, true},
		{"ANY.WILD.TEST.", server, true},
		{"two.labels.wild.test", server, false},
		{"wild.test", server, false},
		{"other.test", server, false},
		{"notexample.test", server, false},
		{"sub.example.test", server, false},
		{"example", server, false},
		{"127.0.0.1", server, true},
		{"::ffff:127.0.0.1", server, true},
		{"127.0.0.2", server, false},
		{"::1", server, true},
		{"[::1]", server, true},
		{"0:0:0:0:0:0:0:1", server, true},
		{"::1%lo", server, true},
		{"::2", server, false},
		{"10.0.0.1", issue(t, key, func(c *x509.Certificate) {
			c.IPAddresses = []net.IP{net.ParseIP("10.0.0.1")}
		}), true},
		{"10.0.0.1", issue(t, key, func(c *x509.Certificate) { c.DNSNames = []string{"10.0.0.1"} }),
			false},
		{"10.0.0.1", issue(t, key, func(c *x509.Certificate) {
			c.DNSNames, c.Subject.CommonName = nil, "10.0.0.1"
		}), false},
		{"common-name.test",
			issue(t, key, func(c *x509.Certificate) { c.Subject.CommonName = "common-name.test" }), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := clientConfig(t)
			client.ServerName = c.name
			conn, _, clientErr, serverErr := shake(t, client, &Config{Certificates: []Certificate{c.cert}})
			if c.good {
				require.NoError(t, clientErr)
				require.NoError(t, serverErr)
				assert.Len(t, conn.ConnectionState().VerifiedChains, 1)
				return
			}
			require.ErrorIs(t, clientErr, CertificateWrongName)
			assert.ErrorContains(t, clientErr, fmt.Sprintf("for %q refused", c.name))
			assert.ErrorIs(t, serverErr, AlertBadCertificate)
		})
	}
}

func TestServerNameMustBeSet(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		says   string
	}{
		{"none", func(c *Config) { c.ServerName = "" },
			"gnutls: either Config.ServerName or InsecureSkipVerify must be set"},
		{"a dot", func(c *Config) { c.ServerName = "." },
			"gnutls: either Config.ServerName or InsecureSkipVerify must be set"},
		{"a NUL byte", func(c *Config) { c.ServerName = "localhost\x00.other.test" },
			`gnutls: the server name "localhost\x00.other.test" holds a NUL byte`},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := clientConfig(t)
			c.change(client)
			cc, _ := tcpPipe(t)
			conn := Client(cc, client)
			defer conn.Close()
			assert.EqualError(t, conn.HandshakeContext(waitContext(t)), c.says)
		})
	}
	t.Run("not needed where nothing is verified", func(t *testing.T) {
		c, s := connect(t, &Config{InsecureSkipVerify: true}, serverConfig(t))
		echo(t, c, s)
		var e *CertificateError
		require.ErrorAs(t, c.ConnectionState().VerifyError, &e)
		assert.Equal(t, CertificateUnknownAuthority, e.Status&CertificateUnknownAuthority)
		assert.False(t, e.Status.Has(CertificateWrongName))
		assert.NotContains(t, e.Error(), " for ")
	})
}

func TestDialVerifiesTheHostOfTheAddress(t *testing.T) {
	for _, c := range []struct {
		host, cert string
		is         error
	}{
		{"localhost", "server", nil},
		{"127.0.0.1", "server", nil},
		{"localhost", "wronghost", CertificateWrongName},
		{"127.0.0.1", "wronghost", CertificateWrongName},
	} {
		t.Run(c.host+"/"+c.cert, func(t *testing.T) {
			ln, err := Listen("tcp4", "127.0.0.1:0",
				&Config{Certificates: []Certificate{testCertificate(t, c.cert)}})
			require.NoError(t, err)
			defer ln.Close()
			served := make(chan *Conn, 1)
			go func() {
				conn, err := ln.Accept()
				if !assert.NoError(t, err) {
					close(served)
					return
				}
				defer conn.Close()
				conn.(*Conn).HandshakeContext(waitContext(t))
				served <- conn.(*Conn)
			}()
			_, port, err := net.SplitHostPort(ln.Addr().String())
			require.NoError(t, err)
			conn, err := Dial("tcp4", net.JoinHostPort(c.host, port),
				&Config{RootCAs: testPool(t, "ca.pem")})
			ln.Close() // it may never have been reached
			s := <-served
			require.NotNil(t, s)
			if c.is != nil {
				assert.ErrorIs(t, err, c.is)
				assert.ErrorContains(t, err, fmt.Sprintf("for %q refused", c.host))
				return
			}
			require.NoError(t, err)
			defer conn.Close()
			assert.Equal(t, c.host, conn.ConnectionState().ServerName)
			assert.Equal(t, map[string]string{"localhost": "localhost"}[c.host],
				s.ConnectionState().ServerName, "no SNI for an address")
		})
	}
}

func TestVerifiedChains(t *testing.T) {
	subjects := func(chains [][]*x509.Certificate) (names []string) {
		require.Len(t, chains, 1)
		for _, cert := range chains[0] {
			names = append(names, cert.Subject.CommonName)
		}
		return names
	}
	withRoot := testCertificate(t, "server-chain")
	withRoot.Certificate = append(withRoot.Certificate, testCertificate(t, "ca").Certificate[0])
	leafOnly := testCertificate(t, "server-chain")
	leafOnly.Certificate = leafOnly.Certificate[:1]
	for _, c := range []struct {
		name  string
		cert  Certificate
		roots []string
		chain []string
	}{
		{"root alone", testCertificate(t, "server"), []string{"ca.pem"},
			[]string{"gnucoap test server", "gnucoap test root CA"}},
		{"intermediate sent", testCertificate(t, "server-chain"), []string{"ca.pem"},
			[]string{"gnucoap test server-chain", "gnucoap test intermediate CA", "gnucoap test root CA"}},
		{"root sent as well", withRoot, []string{"ca.pem"},
			[]string{"gnucoap test server-chain", "gnucoap test intermediate CA", "gnucoap test root CA"}},
		{"intermediate in the pool", leafOnly, []string{"ca.pem", "intermediate.pem"},
			[]string{"gnucoap test server-chain", "gnucoap test intermediate CA"}},
		{"intermediate trusted, the root not", testCertificate(t, "server-chain"),
			[]string{"intermediate.pem"},
			[]string{"gnucoap test server-chain", "gnucoap test intermediate CA"}},
		{"leaf trusted by itself", testCertificate(t, "server"), []string{"server.pem"},
			[]string{"gnucoap test server"}},
		{"self-signed and trusted", testCertificate(t, "selfsigned"), []string{"selfsigned.pem"},
			[]string{"gnucoap test selfsigned"}},
	} {
		for _, version := range []uint16{VersionTLS12, VersionTLS13} {
			t.Run(c.name+"/"+VersionName(version), func(t *testing.T) {
				client := clientConfig(t)
				client.RootCAs, client.MaxVersion = testPool(t, c.roots...), version
				conn, _ := connect(t, client, &Config{Certificates: []Certificate{c.cert}})
				cs := conn.ConnectionState()
				assert.Equal(t, c.chain, subjects(cs.VerifiedChains))
				assert.NoError(t, cs.VerifyError)
				var sent [][]byte
				for _, cert := range cs.PeerCertificates {
					sent = append(sent, cert.Raw)
				}
				assert.Equal(t, c.cert.Certificate, sent)
			})
		}
	}
}

func TestOCSPStapleOfAServer(t *testing.T) {
	stapled := func(name, file string) *Config {
		cert := testCertificate(t, name)
		cert.OCSPStaple = testenv.Read(t, file)
		return &Config{Certificates: []Certificate{cert}}
	}
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		t.Run("good/"+VersionName(version), func(t *testing.T) {
			client := clientConfig(t)
			client.MaxVersion = version
			c, s := connect(t, client, stapled("server", "ocsp-good.der"))
			assert.Equal(t, testenv.Read(t, "ocsp-good.der"), c.ConnectionState().OCSPResponse)
			assert.Nil(t, s.ConnectionState().OCSPResponse)
		})
	}
	for _, c := range []struct{ name, cert, file, says string }{
		{"revoked", "server", "ocsp-revoked.der", "it is too old, or the certificate is revoked"},
		{"of another certificate", "alpha", "ocsp-good.der", "doesn't match the available certificates"},
		{"garbage", "server", "README.md", "ASN1"},
		{"empty", "server", "", "ASN1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := serverConfig(t)
			if c.file != "" {
				config = stapled(c.cert, c.file)
			} else {
				config.Certificates[0].OCSPStaple = []byte{}
			}
			_, err := Listen("tcp", "127.0.0.1:0", config)
			require.ErrorContains(t, err, "gnutls: certificate 1 of the configuration: OCSP response: ")
			assert.ErrorContains(t, err, c.says)
		})
	}
}

func TestVerifyConnectionIsCalledOnce(t *testing.T) {
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		for _, tickets := range []bool{true, false} {
			for _, auth := range []ClientAuthType{NoClientCert, RequireAndVerifyClientCert} {
				if !tickets && version == VersionTLS13 {
					continue // nothing to resume with
				}
				t.Run(fmt.Sprintf("%s/tickets %t/client certificates %d", VersionName(version), tickets, auth),
					func(t *testing.T) {
						var onClient, onServer []ConnectionState
						client, server := clientConfig(t), serverConfig(t)
						client.MaxVersion = version
						client.ClientSessionCache = NewClientSessionCache(0)
						client.Certificates = []Certificate{testCertificate(t, "client")}
						server.SessionTicketsDisabled = !tickets
						server.ClientAuth, server.ClientCAs = auth, testPool(t, "ca.pem")
						ln, err := net.Listen("tcp", "127.0.0.1:0")
						require.NoError(t, err)
						defer ln.Close()
						client.VerifyConnection = func(cs ConnectionState) error {
							onClient = append(onClient, cs)
							return nil
						}
						server.VerifyConnection = func(cs ConnectionState) error {
							onServer = append(onServer, cs)
							return nil
						}
						for i := range 2 {
							served := make(chan *Conn, 1)
							go func() {
								raw, err := ln.Accept()
								if !assert.NoError(t, err) {
									close(served)
									return
								}
								s := Server(raw, server)
								assert.NoError(t, s.HandshakeContext(waitContext(t)))
								served <- s
							}()
							raw, err := Dial("tcp", ln.Addr().String(), client)
							require.NoError(t, err)
							s := <-served
							require.NotNil(t, s)
							echo(t, s, raw)
							require.Len(t, onClient, i+1)
							require.Len(t, onServer, i+1)
							for _, cs := range []ConnectionState{onClient[i], onServer[i]} {
								assert.Equal(t, version, cs.Version)
								assert.Equal(t, i > 0, cs.DidResume)
								assert.False(t, cs.HandshakeComplete)
							}
							assert.Equal(t, "localhost", onClient[i].ServerName)
							assert.Len(t, onClient[i].PeerCertificates, 1)
							assert.Len(t, onClient[i].VerifiedChains, 1)
							if auth == NoClientCert {
								assert.Empty(t, onServer[i].PeerCertificates)
								assert.Empty(t, onServer[i].VerifiedChains)
							} else {
								assert.Len(t, onServer[i].PeerCertificates, 1)
								assert.Len(t, onServer[i].VerifiedChains, 1)
							}
							for conn, cs := range map[*Conn]ConnectionState{raw: onClient[i], s: onServer[i]} {
								final := conn.ConnectionState()
								cs.HandshakeComplete = true
								if version == VersionTLS12 { // these come later
									cs.CipherSuite, cs.CipherSuiteName, cs.Group = final.CipherSuite, final.CipherSuiteName,
										final.Group
								}
								assert.Equal(t, final, cs)
							}
							raw.Close()
							s.Close()
						}
					})
			}
		}
	}
}

func TestVerifyConnectionThatRefuses(t *testing.T) {
	refusal := errors.New("not today")
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		for _, resumed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/resumed %t", VersionName(version), resumed), func(t *testing.T) {
				client, server := clientConfig(t), serverConfig(t)
				client.MaxVersion = version
				verify := map[string]error{}
				server.TicketKey, _ = NewTicketKey()
				client.VerifyConnection = func(ConnectionState) error { return verify["client"] }
				server.VerifyConnection = func(ConnectionState) error { return verify["server"] }
				var data *SessionData
				if resumed {
					c, _ := connect(t, client, server)
					var err error
					data, err = c.SessionData(waitContext(t))
					require.NoError(t, err)
				}
				for _, side := range []string{"client", "server"} {
					verify["client"], verify["server"] = nil, nil
					verify[side] = refusal
					cc, sc := tcpPipe(t)
					c, s := Client(cc, client), Server(sc, server)
					defer c.Close()
					defer s.Close()
					if data != nil {
						require.NoError(t, c.Resume(data))
					}
					clientErr, serverErr := shakeConns(t, c, s)
					if side == "client" {
						assert.Equal(t, refusal, clientErr)
						if serverErr == nil { // the client came to the end first
							_, serverErr = s.Read(make([]byte, 1))
						}
						assert.ErrorIs(t, serverErr, AlertBadCertificate)
						_, err := c.Write([]byte("x"))
						assert.Equal(t, refusal, err)
					} else {
						assert.Equal(t, refusal, serverErr)
						if clientErr == nil {
							_, clientErr = c.Read(make([]byte, 1))
						}
						assert.ErrorIs(t, clientErr, AlertBadCertificate)
						_, err := s.Write([]byte("x"))
						assert.Equal(t, refusal, err)
					}
					assert.Equal(t, data != nil, resumed)
				}
			})
		}
	}
}

// TestRefusalIsFinal: a handshake that was refused cannot be gone on with,
// whatever the refusal looks like.
func TestRefusalIsFinal(t *testing.T) {
	for _, version := range bothVersions {
		for _, resumed := range []bool{false, true} {
			for _, side := range []string{"client", "server"} {
				for name, refuse := range map[string]func() error{
					"error":   func() error { return errors.New("no") },
					"timeout": func() error { return os.ErrDeadlineExceeded },
					"panic":   func() error { panic("no") },
				} {
					t.Run(fmt.Sprintf("%s/resumed %t/%s/%s", VersionName(version), resumed, side, name),
						func(t *testing.T) {
							client, server := clientConfig(t), serverConfig(t)
							client.MaxVersion = version
							var refusing bool
							verify := func(ConnectionState) error {
								if refusing {
									return refuse()
								}
								return nil
							}
							if side == "client" {
								client.VerifyConnection = verify
							} else {
								server.VerifyConnection = verify
							}
							first, _ := connect(t, client, server)
							data, err := first.SessionData(waitContext(t))
							require.NoError(t, err)

							refusing = true
							cc, sc := tcpPipe(t)
							c, s := Client(cc, client), Server(sc, server)
							defer c.Close()
							defer s.Close()
							if resumed {
								require.NoError(t, c.Resume(data))
							}
							judge, other, raw := c, s, cc
							if side == "server" {
								judge, other, raw = s, c, sc
							}
							done := make(chan error, 1)
							go func() { done <- other.HandshakeContext(waitContext(t)) }()
							for range 2 {
								func() {
									defer func() { assert.Equal(t, name == "panic", recover() != nil) }()
									assert.Error(t, judge.HandshakeContext(waitContext(t)))
								}()
								assert.False(t, judge.ConnectionState().HandshakeComplete)
							}
							raw.Close()
							<-done
						})
				}
			}
		}
	}
}

func TestCertificateErrorText(t *testing.T) {
	cert := testCertificate(t, "client").Leaf
	e := &CertificateError{Status: CertificateUnknownAuthority | CertificateExpired, Certificate: cert}
	assert.Equal(t,
		`gnutls: certificate of "CN=client one" refused: The certificate is NOT trusted. The certificate issuer is unknown. The certificate chain uses expired certificate. (on 2120-01-01)`, e.Error())
	assert.ErrorIs(t, e, CertificateExpired)
	assert.ErrorIs(t, e, CertificateUnknownAuthority|CertificateExpired)
	assert.NotErrorIs(t, e, CertificateExpired|CertificateRevoked)
	assert.NotErrorIs(t, e, CertificateStatus(0))
	assert.ErrorIs(t, fmt.Errorf("wrapped: %w", e), CodeCertificateVerification)
	assert.NotEmpty(t, CertificateRevoked.Error())
	assert.True(t, (CertificateRevoked | CertificateExpired).Has(CertificateExpired))
	assert.False(t, CertificateExpired.Has(CertificateRevoked|CertificateExpired))
}
