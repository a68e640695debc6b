package gnutls

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

var bothVersions = []uint16{VersionTLS12, VersionTLS13}

// firstError returns what a client finds out with its handshake or, as under
// TLS 1.3 the server's verdict comes later, with its first Read.
func firstError(conn net.Conn, handshakeErr error) error {
	if handshakeErr != nil {
		return handshakeErr
	}
	conn.SetReadDeadline(time.Now().Add(wait))
	_, err := conn.Read(make([]byte, 1))
	return err
}

func TestClientAuthentication(t *testing.T) {
	const (
		refused  = "refused"  // no certificate and none accepted without
		accepted = "accepted" // and not verified
		verified = "verified"
		without  = "without" // accepted without a certificate
	)
	for _, c := range []struct {
		auth                          ClientAuthType
		none, good, other, forServers string // what happens, by the client's certificate
	}{
		// A client of this package does not present a certificate that none of
		// the authorities which the server names has signed.
		{NoClientCert, without, without, without, without},
		{RequestClientCert, without, accepted, accepted, accepted},
		{RequireAnyClientCert, refused, accepted, accepted, accepted},
		{VerifyClientCertIfGiven, without, verified, without, "wrong purpose"},
		{RequireAndVerifyClientCert, refused, verified, refused, "wrong purpose"},
	} {
		for _, version := range bothVersions {
			for cert, want := range map[string]string{"": c.none, "client": c.good, "client-other": c.other,
				"server": c.forServers} {
				t.Run(fmt.Sprintf("%d/%s/%s", c.auth, VersionName(version), cert), func(t *testing.T) {
					client, server := clientConfig(t), serverConfig(t)
					client.MaxVersion = version
					if cert != "" {
						client.Certificates = []Certificate{testCertificate(t, cert)}
					}
					server.ClientAuth, server.ClientCAs = c.auth, testPool(t, "ca.pem")
					conn, s, clientErr, serverErr := shake(t, client, server)
					cs := s.ConnectionState()
					switch want {
					case refused:
						alert := AlertCertificateRequired
						if version == VersionTLS12 {
							alert = AlertHandshakeFailure
						}
						assert.EqualError(t, serverErr, "gnutls: handshake: Certificate is required.")
						assert.ErrorIs(t, serverErr, CodeCertificateRequired)
						assert.ErrorIs(t, firstError(conn, clientErr), alert)
						return
					case "wrong purpose":
						assert.ErrorIs(t, serverErr, CertificateWrongPurpose)
						assert.ErrorIs(t, firstError(conn, clientErr), AlertUnsupportedCert)
						return
					}
					require.NoError(t, clientErr)
					require.NoError(t, serverErr)
					echo(t, conn, s)
					if want == without {
						assert.Empty(t, cs.PeerCertificates)
						assert.Empty(t, cs.VerifiedChains)
						return
					}
					require.Len(t, cs.PeerCertificates, 1)
					assert.Equal(t, client.Certificates[0].Leaf.Raw, cs.PeerCertificates[0].Raw)
					if want == verified {
						require.Len(t, cs.VerifiedChains, 1)
						assert.Equal(t, "gnucoap test root CA", cs.VerifiedChains[0][1].Subject.CommonName)
					} else {
						assert.Nil(t, cs.VerifiedChains)
					}
				})
			}
		}
	}
}

// TestClientCertificateThatIsPresentedAnyway: a client that does not mind which
// authorities the server names.
func TestClientCertificateThatIsPresentedAnyway(t *testing.T) {
	for _, c := range []struct {
		name, cert string
		status     CertificateStatus
		alert      Alert
	}{
		{"another authority", "client-other", CertificateUnknownAuthority, AlertUnknownCA},
		{"for servers only", "server", CertificateWrongPurpose, AlertUnsupportedCert},
		{"expired", "expired", CertificateExpired, AlertCertificateExpired},
	} {
		for _, version := range bothVersions {
			for _, auth := range []ClientAuthType{VerifyClientCertIfGiven, RequireAndVerifyClientCert} {
				t.Run(fmt.Sprintf("%s/%s/%d", c.name, VersionName(version), auth), func(t *testing.T) {
					cert := cryptoCertificate(testCertificate(t, c.cert))
					server := serverConfig(t)
					server.ClientAuth, server.ClientCAs = auth, testPool(t, "ca.pem")
					conn, _, clientErr, serverErr := shakeCryptoClient(t, &tls.Config{
						InsecureSkipVerify: true,
						MaxVersion:         version,
						GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
							return &cert, nil
						},
					}, server)
					var e *CertificateError
					require.ErrorAs(t, serverErr, &e)
					assert.True(t, e.Status.Has(c.status), "%#x", uint32(e.Status))
					assert.Empty(t, e.Host)
					assert.Zero(t, e.Index)
					assert.ErrorContains(t, firstError(conn, clientErr), tls.AlertError(c.alert).Error())
				})
			}
		}
	}
}

func TestClientCertificateWithAnIntermediate(t *testing.T) {
	cert := chainOf(t, intermediate(t, func(*x509.Certificate) {}))
	for _, version := range bothVersions {
		t.Run(VersionName(version), func(t *testing.T) {
			client, server := clientConfig(t), serverConfig(t)
			client.MaxVersion, client.Certificates = version, []Certificate{cert}
			server.ClientAuth, server.ClientCAs = RequireAndVerifyClientCert, testPool(t, "ca.pem")
			_, s := connect(t, client, server)
			assert.Len(t, s.ConnectionState().PeerCertificates, 2)
			require.Len(t, s.ConnectionState().VerifiedChains, 1)
			assert.Len(t, s.ConnectionState().VerifiedChains[0], 3)
		})
	}
}

func TestClientPicksTheCertificateThatTheServerWants(t *testing.T) {
	for _, authority := range []string{"ca.pem", "other-ca.pem"} {
		t.Run(authority, func(t *testing.T) {
			client, server := clientConfig(t), serverConfig(t)
			client.Certificates = []Certificate{testCertificate(t, "client"),
				testCertificate(t, "client-other")}
			server.ClientAuth, server.ClientCAs = RequireAndVerifyClientCert, testPool(t, authority)
			_, s := connect(t, client, server)
			want := map[string]string{"ca.pem": "client one", "other-ca.pem": "client other"}[authority]
			assert.Equal(t, want, s.ConnectionState().PeerCertificates[0].Subject.CommonName)
		})
	}
}

func TestServerConfigurationsThatCannotWork(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		says   string
	}{
		{"nothing to show", func(c *Config) { c.Certificates = nil },
			"gnutls: a server needs Config.Certificates or Config.GetPSK"},
		{"verifies without authorities", func(c *Config) { c.ClientAuth = RequireAndVerifyClientCert },
			"gnutls: Config.ClientAuth verifies clients and ClientCAs is nil"},
		{"verifies some without authorities", func(c *Config) { c.ClientAuth = VerifyClientCertIfGiven },
			"gnutls: Config.ClientAuth verifies clients and ClientCAs is nil"},
		{"version that is none", func(c *Config) { c.MinVersion = 0x0300 },
			"gnutls: Config.MinVersion is 0x0300, which is not a version of TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := serverConfig(t)
			c.change(config)
			_, err := Listen("tcp", "127.0.0.1:0", config)
			require.EqualError(t, err, c.says)
			_, sc := tcpPipe(t)
			s := Server(sc, config)
			defer s.Close()
			assert.EqualError(t, s.HandshakeContext(waitContext(t)), c.says)
		})
	}
	_, err := Listen("tcp", "127.0.0.1:0", nil)
	assert.EqualError(t, err, "gnutls: Listen needs a Config")
	_, sc := tcpPipe(t)
	s := Server(sc, nil)
	defer s.Close()
	assert.EqualError(t, s.Handshake(), "gnutls: a server needs Config.Certificates or Config.GetPSK")
}

var testPSK = []byte("0123456789abcdef")

// pskConfigs returns a client and a server that share testPSK as "client1".
func pskConfigs(version uint16) (client, server *Config) {
	client = &Config{PSKIdentity: "client1", PSKKey: testPSK, MaxVersion: version}
	server = &Config{GetPSK: func(_ context.Context, identity string) ([]byte, error) {
		if identity == "client1" {
			return testPSK, nil
		}
		return nil, nil
	}}
	return client, server
}

func TestPreSharedKey(t *testing.T) {
	withCertificate := func(_, s *Config) {
		s.Certificates = []Certificate{testCertificate(t, "server")}
	}
	for _, c := range []struct {
		name     string
		change   func(c, s *Config)
		versions []uint16
	}{
		{"server with nothing else", func(_, _ *Config) {}, bothVersions},
		{"server with a certificate as well", withCertificate, []uint16{VersionTLS13}},
		{"server that wants client certificates of others", func(c, s *Config) {
			withCertificate(c, s)
			s.ClientAuth, s.ClientCAs = RequireAndVerifyClientCert, testPool(t, "ca.pem")
		}, []uint16{VersionTLS13}},
		{"client that could do with a certificate", func(c, s *Config) {
			c.ServerName, c.RootCAs = "localhost", testPool(t, "ca.pem")
		}, bothVersions},
		{"without Diffie-Hellman", func(c, s *Config) {
			c.Priority = "NORMAL:-KX-ALL:+PSK"
			s.Priority = "NORMAL:+PSK"
		}, bothVersions},
		{"priorities without certificates", func(c, s *Config) {
			c.Priority = "NORMAL:-KX-ALL:+ECDHE-PSK"
			s.Priority = "NORMAL:-KX-ALL:+ECDHE-PSK"
		}, bothVersions},
	} {
		for _, version := range c.versions {
			t.Run(c.name+"/"+VersionName(version), func(t *testing.T) {
				client, server := pskConfigs(version)
				c.change(client, server)
				conn, s := connect(t, client, server)
				echo(t, conn, s)
				for _, cs := range []ConnectionState{conn.ConnectionState(), s.ConnectionState()} {
					assert.Equal(t, version, cs.Version)
					assert.True(t, cs.PSK)
					assert.Equal(t, "client1", cs.PSKIdentity)
					assert.Empty(t, cs.PeerCertificates)
					assert.False(t, cs.DidResume)
					assert.NotZero(t, cs.CipherSuite)
				}
			})
		}
	}
}

// TestPreSharedKeyOrCertificate: both sides know which of the two it was.
func TestPreSharedKeyOrCertificate(t *testing.T) {
	for _, version := range bothVersions {
		t.Run("client without a key/"+VersionName(version), func(t *testing.T) {
			_, server := pskConfigs(version)
			server.Certificates = []Certificate{testCertificate(t, "server")}
			client := clientConfig(t)
			client.MaxVersion = version
			c, s := connect(t, client, server)
			for _, cs := range []ConnectionState{c.ConnectionState(), s.ConnectionState()} {
				assert.False(t, cs.PSK)
				assert.Empty(t, cs.PSKIdentity)
			}
			assert.Len(t, c.ConnectionState().VerifiedChains, 1)
		})
		t.Run("server that knows no keys/"+VersionName(version), func(t *testing.T) {
			client, _ := pskConfigs(version)
			client.ServerName, client.RootCAs = "localhost", testPool(t, "ca.pem")
			c, s := connect(t, client, serverConfig(t))
			for _, cs := range []ConnectionState{c.ConnectionState(), s.ConnectionState()} {
				assert.False(t, cs.PSK)
				assert.Empty(t, cs.PSKIdentity)
			}
			assert.Len(t, c.ConnectionState().VerifiedChains, 1)
		})
		t.Run("certificate that is not trusted/"+VersionName(version), func(t *testing.T) {
			client, _ := pskConfigs(version)
			client.ServerName = "localhost"
			_, _, clientErr, serverErr := shake(t, client, serverConfig(t))
			assert.ErrorIs(t, clientErr, CertificateUnknownAuthority)
			assert.ErrorIs(t, serverErr, AlertUnknownCA)
		})
		t.Run("certificate and no name to verify/"+VersionName(version), func(t *testing.T) {
			client, _ := pskConfigs(version)
			client.RootCAs = testPool(t, "ca.pem")
			_, _, clientErr, serverErr := shake(t, client, serverConfig(t))
			assert.EqualError(t, clientErr,
				"gnutls: the server presents a certificate and Config.ServerName is empty")
			assert.ErrorIs(t, serverErr, AlertBadCertificate)
		})
	}
}

func TestPreSharedKeysThatFail(t *testing.T) {
	noDatabase := errors.New("the database is down")
	for _, c := range []struct {
		name   string
		change func(c, s *Config)
		says   string // the server's error
		is     error
		alert  map[uint16]Alert // that the client gets, by version
	}{
		{
			"unknown identity", func(c, _ *Config) { c.PSKIdentity = "stranger" },
			`gnutls: handshake: looking up the pre-shared key: unknown identity "stranger"`, nil,
			map[uint16]Alert{VersionTLS12: AlertUnknownPSKIdentity, VersionTLS13: AlertUnknownPSKIdentity},
		},
		{
			"wrong key", func(c, _ *Config) { c.PSKKey = []byte("0123456789abcdee") },
			"gnutls: handshake: ", nil,
			map[uint16]Alert{VersionTLS12: AlertBadRecordMAC, VersionTLS13: AlertIllegalParameter},
		},
		{
			"wrong length of key", func(c, _ *Config) { c.PSKKey = testPSK[:15] },
			"gnutls: handshake: ", nil,
			map[uint16]Alert{VersionTLS12: AlertBadRecordMAC, VersionTLS13: AlertIllegalParameter},
		},
		{
			"error", func(_, s *Config) {
				s.GetPSK = func(context.Context, string) ([]byte, error) { return nil, noDatabase }
			},
			"gnutls: handshake: looking up the pre-shared key: the database is down", noDatabase,
			map[uint16]Alert{VersionTLS12: AlertInternalError, VersionTLS13: AlertInternalError},
		},
		{
			"panic", func(_, s *Config) {
				s.GetPSK = func(context.Context, string) ([]byte, error) { panic("no table") }
			},
			"gnutls: handshake: looking up the pre-shared key: panic in a callback: no table", nil,
			map[uint16]Alert{VersionTLS12: AlertInternalError, VersionTLS13: AlertInternalError},
		},
	} {
		for _, version := range bothVersions {
			t.Run(c.name+"/"+VersionName(version), func(t *testing.T) {
				client, server := pskConfigs(version)
				c.change(client, server)
				_, s, clientErr, serverErr := shake(t, client, server)
				require.ErrorContains(t, serverErr, c.says)
				if c.is != nil {
					assert.ErrorIs(t, serverErr, c.is)
				}
				var panicked *PanicError
				assert.Equal(t, c.name == "panic", errors.As(serverErr, &panicked))
				assert.ErrorIs(t, clientErr, c.alert[version])
				assert.Zero(t, s.ConnectionState())
			})
		}
	}
}

func TestPreSharedKeySettingsThatCannotWork(t *testing.T) {
	for _, c := range []struct{ name, identity, key, says string }{
		{"no key", "client1", "", "gnutls: Config.PSKIdentity is set and PSKKey is empty"},
		{"no identity", "", "key", "gnutls: Config.PSKKey is set and PSKIdentity is empty"},
		{"identity with a NUL byte", "client1\x00admin", "key",
			"gnutls: Config.PSKIdentity holds a NUL byte"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := clientConfig(t)
			client.PSKIdentity, client.PSKKey = c.identity, []byte(c.key)
			cc, _ := tcpPipe(t)
			conn := Client(cc, client)
			defer conn.Close()
			assert.EqualError(t, conn.HandshakeContext(waitContext(t)), c.says)
		})
	}
}

func TestGetPSKHasTheContextOfTheHandshake(t *testing.T) {
	type key struct{}
	for _, version := range bothVersions {
		t.Run(VersionName(version), func(t *testing.T) {
			client, server := pskConfigs(version)
			var got any
			var identities []string
			server.GetPSK = func(ctx context.Context, identity string) ([]byte, error) {
				got = ctx.Value(key{})
				identities = append(identities, identity)
				return testPSK, nil
			}
			client.PSKIdentity = "zoë of the long name " + strings.Repeat("x", 80)
			cc, sc := tcpPipe(t)
			c, s := Client(cc, client), Server(sc, server)
			defer c.Close()
			defer s.Close()
			done := make(chan error, 1)
			go func() { done <- s.HandshakeContext(context.WithValue(waitContext(t), key{}, "value")) }()
			require.NoError(t, c.HandshakeContext(waitContext(t)))
			require.NoError(t, <-done)
			assert.Equal(t, "value", got)
			assert.Equal(t, []string{client.PSKIdentity}, identities)
			assert.Equal(t, client.PSKIdentity, s.ConnectionState().PSKIdentity)
		})
	}
}

func TestServerPicksTheCertificateForTheName(t *testing.T) {
	server := &Config{}
	for _, name := range []string{"wronghost", "server", "alpha", "beta", "server-rsa",
		"server-ed25519"} {
		server.Certificates = append(server.Certificates, testCertificate(t, name))
	}
	for _, version := range bothVersions {
		for _, c := range []struct{ name, sni, want string }{
			{"alpha.test", "alpha.test", "alpha"},
			{"beta.test", "beta.test", "beta"},
			{"beta.test.", "beta.test", "beta"},
			{"localhost", "localhost", "server"},
			{"BETA.test", "BETA.test", "beta"},
			{"any.wild.test", "any.wild.test", "server"},
			{"rsa.test", "rsa.test", "server-rsa"},
			{"ed25519.test", "ed25519.test", "server-ed25519"},
			{"unknown.test", "unknown.test", "wronghost"},
			{"127.0.0.1", "", "wronghost"},
		} {
			t.Run(VersionName(version)+"/"+c.name, func(t *testing.T) {
				client := clientConfig(t)
				client.MaxVersion, client.ServerName, client.InsecureSkipVerify = version, c.name, true
				conn, s := connect(t, client, server)
				cs := conn.ConnectionState()
				assert.Equal(t, "gnucoap test "+c.want, cs.PeerCertificates[0].Subject.CommonName)
				assert.Equal(t, strings.TrimSuffix(c.name, "."), cs.ServerName)
				assert.Equal(t, c.sni, s.ConnectionState().ServerName)
				if c.want == "wronghost" {
					assert.ErrorIs(t, cs.VerifyError, CertificateWrongName)
				} else {
					assert.NoError(t, cs.VerifyError)
				}
			})
		}
	}
}

// TestServerWithNamesDoesTheRest: client authentication, stapling and
// resumption are what they are with one certificate.
func TestServerWithNamesDoesTheRest(t *testing.T) {
	stapled := testCertificate(t, "server")
	stapled.OCSPStaple = testenv.Read(t, "ocsp-good.der")
	for _, version := range bothVersions {
		t.Run(VersionName(version), func(t *testing.T) {
			client := clientConfig(t)
			client.MaxVersion, client.ServerName = version, "any.wild.test"
			client.Certificates = []Certificate{testCertificate(t, "client")}
			server := &Config{
				Certificates: []Certificate{testCertificate(t, "alpha"), stapled},
				ClientAuth:   RequireAndVerifyClientCert,
				ClientCAs:    testPool(t, "ca.pem"),
			}
			c, s := connect(t, client, server)
			assert.Equal(t, stapled.OCSPStaple, c.ConnectionState().OCSPResponse)
			assert.Len(t, s.ConnectionState().VerifiedChains, 1)
			data, err := c.SessionData(waitContext(t))
			require.NoError(t, err)

			cc, sc := tcpPipe(t)
			again, sAgain := Client(cc, client), Server(sc, server)
			defer again.Close()
			defer sAgain.Close()
			require.NoError(t, again.Resume(data))
			clientErr, serverErr := shakeConns(t, again, sAgain)
			require.NoError(t, clientErr)
			require.NoError(t, serverErr)
			assert.True(t, again.ConnectionState().DidResume)
			assert.Len(t, sAgain.ConnectionState().VerifiedChains, 1)

			stranger := client.Clone()
			stranger.Certificates = []Certificate{testCertificate(t, "client-other")}
			_, _, _, serverErr = shake(t, stranger, server)
			assert.ErrorIs(t, serverErr, CodeCertificateRequired)
		})
	}
}

// TestServerPicksTheCertificateThatTheClientKnows: of several with one name.
func TestServerPicksTheCertificateThatTheClientKnows(t *testing.T) {
	for _, version := range bothVersions {
		for signatures, want := range map[string]string{"RSA-PSS-RSAE-SHA256": "RSA",
			"ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SHA256": "ECDSA", "EDDSA-ED25519": "Ed25519"} {
			t.Run(VersionName(version)+"/"+want, func(t *testing.T) {
				server := &Config{}
				for _, name := range []string{"server", "server-rsa", "server-ed25519"} {
					server.Certificates = append(server.Certificates, testCertificate(t, name))
				}
				client := clientConfig(t)
				client.MaxVersion, client.Priority = version, "NORMAL:-SIGN-ALL:+SIGN-"+signatures
				client.InsecureSkipVerify = true // the signatures of the CA are not among them
				c, _ := connect(t, client, server)
				assert.Equal(t, want, c.ConnectionState().PeerCertificates[0].PublicKeyAlgorithm.String())
			})
		}
	}
}

func TestApplicationProtocols(t *testing.T) {
	for _, version := range bothVersions {
		for _, c := range []struct {
			name           string
			client, server []string
			want           string
		}{
			{"the same", []string{"h2"}, []string{"h2"}, "h2"},
			{"the server's preference", []string{"a", "b", "c"}, []string{"c", "b"}, "c"},
			{"one in common", []string{"h2", "http/1.1"}, []string{"http/1.1"}, "http/1.1"},
			{"client has none", nil, []string{"h2"}, ""},
			{"server has none", []string{"h2"}, nil, ""},
			{"the longest and the most", strings.Split("a b c d e f g "+strings.Repeat("x", 31), " "),
				[]string{strings.Repeat("x", 31)}, strings.Repeat("x", 31)},
		} {
			t.Run(VersionName(version)+"/"+c.name, func(t *testing.T) {
				client, server := clientConfig(t), serverConfig(t)
				client.MaxVersion, client.NextProtos, server.NextProtos = version, c.client, c.server
				conn, s := connect(t, client, server)
				assert.Equal(t, c.want, conn.ConnectionState().NegotiatedProtocol)
				assert.Equal(t, c.want, s.ConnectionState().NegotiatedProtocol)
			})
		}
		t.Run(VersionName(version)+"/nothing in common", func(t *testing.T) {
			client, server := clientConfig(t), serverConfig(t)
			client.MaxVersion, client.NextProtos, server.NextProtos = version, []string{"h2"}, []string{"h3",
				"h2c"}
			_, _, clientErr, serverErr := shake(t, client, server)
			assert.ErrorIs(t, serverErr, CodeNoApplicationProtocol)
			assert.ErrorIs(t, clientErr, AlertNoApplicationProtocol)
		})
	}
}

func TestApplicationProtocolsThatCannotWork(t *testing.T) {
	for _, c := range []struct {
		name      string
		protocols []string
		says      string
	}{
		{"empty", []string{"h2", ""}, `gnutls: Config.NextProtos holds "", whose length is not 1 to 31`},
		{"too long", []string{"h2", strings.Repeat("x", 32)},
			`gnutls: Config.NextProtos holds "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", whose length is not 1 to 31`},
		{"too many", strings.Split("1 2 3 4 5 6 7 8 9", " "),
			"gnutls: Config.NextProtos has 9 entries; GnuTLS takes 8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := serverConfig(t)
			server.NextProtos = c.protocols
			_, err := Listen("tcp", "127.0.0.1:0", server)
			require.EqualError(t, err, c.says)
			_, err = (&Config{NextProtos: c.protocols}).native(false)
			assert.EqualError(t, err, c.says)
		})
	}
}

func TestVersions(t *testing.T) {
	const (
		every = "NORMAL" // TLS 1.0 and later
		none  = 0
	)
	for _, c := range []struct {
		name     string
		priority string
		min, max uint16
		want     uint16
	}{
		{"default", "", 0, 0, VersionTLS13},
		{"highest", "", 0, VersionTLS12, VersionTLS12},
		{"lowest", "", VersionTLS13, 0, VersionTLS13},
		{"one", "", VersionTLS12, VersionTLS12, VersionTLS12},
		{"old one asked for", every, VersionTLS11, VersionTLS11, VersionTLS11},
		{"oldest asked for", every, 0, VersionTLS10, VersionTLS10},
		{"priority without the highest", "NORMAL:-VERS-TLS1.3", 0, VersionTLS13, VersionTLS12},
		{"old one by default", "", 0, VersionTLS11, none},
		{"nothing between", "", VersionTLS13, VersionTLS12, none},
		{"nothing left of the priority", "NORMAL:-VERS-TLS1.3", VersionTLS13, 0, none},
		{"priority without a version", "NORMAL:-VERS-ALL", 0, 0, none},
		{"priority for datagrams", "NORMAL:-VERS-ALL:+VERS-DTLS1.2", 0, 0, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := clientConfig(t), serverConfig(t)
			server.Priority = every
			client.Priority, client.MinVersion, client.MaxVersion = c.priority, c.min, c.max
			if c.want == none {
				cc, _ := tcpPipe(t)
				conn := Client(cc, client)
				defer conn.Close()
				err := conn.HandshakeContext(waitContext(t))
				require.ErrorIs(t, err, CodeNoProtocols)
				assert.ErrorContains(t, err,
					"gnutls: setting the priorities: Config.Priority, MinVersion and MaxVersion leave nothing to negotiate")
				return
			}
			conn, s := connect(t, client, server)
			echo(t, conn, s)
			assert.Equal(t, c.want, conn.ConnectionState().Version)
			assert.Equal(t, c.want, s.ConnectionState().Version)
		})
	}
	for _, version := range []uint16{1, 0x0300, 0x0305, 0xfefd} {
		t.Run(fmt.Sprintf("%#04x", version), func(t *testing.T) {
			_, err := (&Config{MinVersion: version}).native(false)
			assert.EqualError(t, err,
				fmt.Sprintf("gnutls: Config.MinVersion is 0x%04x, which is not a version of TLS", version))
			_, err = (&Config{MaxVersion: version}).native(false)
			assert.EqualError(t, err,
				fmt.Sprintf("gnutls: Config.MaxVersion is 0x%04x, which is not a version of TLS", version))
		})
	}
}

func TestVersionsThatPeersDoNotShare(t *testing.T) {
	for _, c := range []struct {
		name           string
		client, server uint16 // the only version of each
	}{
		{"new client", VersionTLS13, VersionTLS12}, // who finds out from the server's hello
		{"new server", VersionTLS12, VersionTLS13},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := clientConfig(t), serverConfig(t)
			client.MinVersion, client.MaxVersion = c.client, c.client
			server.MinVersion, server.MaxVersion = c.server, c.server
			_, _, clientErr, serverErr := shake(t, client, server)
			finder, told := serverErr, clientErr
			if c.client > c.server {
				finder, told = clientErr, serverErr
			}
			assert.ErrorIs(t, finder, CodeUnsupportedVersion)
			assert.ErrorIs(t, told, AlertProtocolVersion)
		})
	}
	for _, version := range []uint16{VersionTLS10, VersionTLS11} {
		t.Run(VersionName(version)+" client and a server with defaults", func(t *testing.T) {
			client := clientConfig(t)
			client.Priority, client.MaxVersion = "NORMAL", version
			_, _, clientErr, serverErr := shake(t, client, serverConfig(t))
			assert.ErrorIs(t, serverErr, CodeUnsupportedVersion)
			assert.ErrorIs(t, clientErr, AlertProtocolVersion)
		})
		t.Run(VersionName(version)+" server and a client with defaults", func(t *testing.T) {
			server := serverConfig(t)
			server.Priority, server.MaxVersion = "NORMAL", version
			_, _, clientErr, serverErr := shake(t, clientConfig(t), server)
			assert.Error(t, clientErr)
			assert.Error(t, serverErr)
		})
	}
}

func TestPriorities(t *testing.T) {
	p384 := issue(t, ecdsaKey(t, elliptic.P384()), nil)
	for _, c := range []struct {
		name, client, server string
		version              uint16
		cipher               uint16
		group                string
	}{
		{"SECURE192", "SECURE192", "NORMAL", VersionTLS13, tls.TLS_AES_256_GCM_SHA384, "SECP384R1"},
		{"SECURE192 on the server", "NORMAL", "SECURE192", VersionTLS13, tls.TLS_AES_256_GCM_SHA384,
			"SECP384R1"},
		{"one cipher", "NORMAL:-CIPHER-ALL:+AES-128-GCM", "NORMAL", VersionTLS13,
			tls.TLS_AES_128_GCM_SHA256, ""},
		{"one cipher and TLS 1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+CHACHA20-POLY1305",
			"NORMAL", VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, ""},
		{"one group", "NORMAL:-GROUP-ALL:+GROUP-X25519", "NORMAL", VersionTLS13, 0, "X25519"},
		{"finite field", "NORMAL:-GROUP-ALL:+GROUP-FFDHE2048", "NORMAL", VersionTLS13, 0, "FFDHE2048"},
		{"the server's order", "NORMAL:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM",
			"NORMAL:-CIPHER-ALL:+AES-256-GCM:+AES-128-GCM:%SERVER_PRECEDENCE", VersionTLS13,
			tls.TLS_AES_256_GCM_SHA384, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := clientConfig(t)
			client.Priority = c.client
			if c.client == "SECURE192" || c.server == "SECURE192" {
				client.InsecureSkipVerify = true // the CA has a P-256 key
			}
			conn, s := connect(t, client, &Config{Certificates: []Certificate{p384}, Priority: c.server})
			echo(t, conn, s)
			for _, cs := range []ConnectionState{conn.ConnectionState(), s.ConnectionState()} {
				assert.Equal(t, c.version, cs.Version)
				if c.cipher != 0 {
					assert.Equal(t, c.cipher, cs.CipherSuite)
				}
				if c.group != "" {
					assert.Equal(t, c.group, cs.Group)
				}
			}
		})
	}
}

func TestPrioritiesThatCannotBeParsed(t *testing.T) {
	for _, c := range []struct{ priority, says string }{
		{"NONSENSE", `gnutls: setting the priorities: Config.Priority is wrong at byte 0, "NONSENSE": `},
		{"NORMAL:+NONSENSE:-VERS-TLS1.3",
			`gnutls: setting the priorities: Config.Priority is wrong at byte 7, "+NONSENSE:-VERS-TLS1.3": `},
		{"NORMAL:-VERS-TLS1.3:bogus",
			`gnutls: setting the priorities: Config.Priority is wrong at byte 20, "bogus": `},
		{"NORMAL:%BOGUS",
			`gnutls: setting the priorities: Config.Priority is wrong at byte 7, "%BOGUS": `},
		{"NORMAL:", `gnutls: setting the priorities: Config.Priority is wrong at byte 7, "": `},
		{"NORMAL:-CIPHER-ALL",
			"gnutls: setting the priorities: Config.Priority, MinVersion and MaxVersion leave nothing to negotiate: "},
		{"NORMAL\x00:-VERS-TLS1.2", "gnutls: Config.Priority holds a NUL byte at byte 6"},
	} {
		for _, lowest := range []uint16{0, VersionTLS13} {
			t.Run(fmt.Sprintf("%q/%#04x", c.priority, lowest), func(t *testing.T) {
				server := serverConfig(t)
				server.Priority, server.MinVersion = c.priority, lowest
				_, err := Listen("tcp", "127.0.0.1:0", server)
				require.ErrorContains(t, err, c.says)
				if strings.Contains(c.says, "at byte") && !strings.Contains(c.says, "NUL") {
					assert.ErrorIs(t, err, CodeInvalidRequest)
				}
			})
		}
	}
}

func TestPeersWithNoCipherInCommon(t *testing.T) {
	for _, version := range bothVersions {
		t.Run(VersionName(version), func(t *testing.T) {
			client, server := clientConfig(t), serverConfig(t)
			client.MinVersion, client.MaxVersion = version, version
			client.Priority = "NORMAL:-CIPHER-ALL:+AES-128-GCM"
			server.Priority = "NORMAL:-CIPHER-ALL:+AES-256-GCM"
			_, _, clientErr, serverErr := shake(t, client, server)
			assert.ErrorIs(t, serverErr, CodeNoCipherSuites)
			assert.ErrorIs(t, clientErr, AlertHandshakeFailure)
		})
	}
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// recordedConn keeps what is read from it and written to it.
type recordedConn struct {
	net.Conn
	read, written lockedBuffer
}

func (r *recordedConn) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.read.Write(p[:n])
	return n, err
}

func (r *recordedConn) Write(p []byte) (int, error) {
	n, err := r.Conn.Write(p)
	r.written.Write(p[:n])
	return n, err
}

// keyLog parses a key log into secrets by label and client random.
func keyLog(t *testing.T, log string) map[string]string {
	t.Helper()
	require.True(t, strings.HasSuffix(log, "\n"), "%q", log)
	secrets := map[string]string{}
	for line := range strings.Lines(log) {
		fields := strings.Fields(line)
		require.Len(t, fields, 3, line)
		for _, field := range fields[1:] {
			_, err := hex.DecodeString(field)
			require.NoError(t, err)
		}
		require.Len(t, fields[1], 64)
		secrets[fields[0]+" "+fields[1]] = fields[2]
	}
	return secrets
}

func TestKeyLog(t *testing.T) {
	for _, version := range bothVersions {
		labels := []string{"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET",
			"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"}
		if version == VersionTLS12 {
			labels = []string{"CLIENT_RANDOM"}
		}
		check := func(t *testing.T, wire *recordedConn, ours, theirs string) {
			t.Helper()
			// A handshake record, a handshake header, a version, the random.
			hello := []byte(wire.written.String())
			if wire.read.String()[5] == 1 {
				hello = []byte(wire.read.String())
			}
			random := hex.EncodeToString(hello[11:43])
			our, their := keyLog(t, ours), keyLog(t, theirs)
			for _, label := range labels {
				require.NotEmpty(t, their[label+" "+random], label)
				assert.Equal(t, their[label+" "+random], our[label+" "+random], label)
			}
		}
		t.Run("client/"+VersionName(version), func(t *testing.T) {
			var ours, theirs lockedBuffer
			client := clientConfig(t)
			client.MaxVersion, client.KeyLogWriter = version, &ours
			cc, sc := tcpPipe(t)
			wire := &recordedConn{Conn: cc}
			c := Client(wire, client)
			defer c.Close()
			s := tls.Server(sc,
				&tls.Config{Certificates: []tls.Certificate{cryptoCertificate(testCertificate(t, "server"))},
					KeyLogWriter: &theirs})
			clientErr, serverErr := shakeBoth(t, c, s)
			require.NoError(t, clientErr)
			require.NoError(t, serverErr)
			echo(t, c, s)
			check(t, wire, ours.String(), theirs.String())
		})
		t.Run("server/"+VersionName(version), func(t *testing.T) {
			var ours, theirs lockedBuffer
			server := serverConfig(t)
			server.KeyLogWriter = &ours
			cc, sc := tcpPipe(t)
			wire := &recordedConn{Conn: sc}
			c := tls.Client(cc,
				&tls.Config{InsecureSkipVerify: true, MaxVersion: version, KeyLogWriter: &theirs})
			s := Server(wire, server)
			defer s.Close()
			clientErr, serverErr := shakeBoth(t, c, s)
			require.NoError(t, clientErr)
			require.NoError(t, serverErr)
			echo(t, c, s)
			check(t, wire, ours.String(), theirs.String())
		})
	}
}

type failingWriter struct{ calls int }

func (w *failingWriter) Write([]byte) (int, error) {
	w.calls++
	return 0, errors.New("the disk is full")
}

func TestKeyLogThatCannotBeWritten(t *testing.T) {
	var log lockedBuffer
	keys := &failingWriter{}
	client := clientConfig(t)
	client.KeyLogWriter = keys
	client.Logger = slog.New(slog.NewTextHandler(&log, nil))
	c, s := connect(t, client, serverConfig(t))
	echo(t, c, s)
	assert.NotZero(t, keys.calls)
	assert.Contains(t, log.String(), "the disk is full")
}

// TestLogsHoldNoSecrets looks for every secret of a test, in the ways in which
// a log might show bytes.
func TestLogsHoldNoSecrets(t *testing.T) {
	for _, version := range bothVersions {
		t.Run(VersionName(version), func(t *testing.T) {
			var log, keys lockedBuffer
			logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			secrets := map[string][]byte{"pre-shared key": testPSK}
			key, err := NewTicketKey()
			require.NoError(t, err)
			secrets["ticket key"] = key.Bytes()

			client, server := clientConfig(t), serverConfig(t)
			client.MaxVersion = version
			client.Logger, server.Logger = logger, logger
			client.KeyLogWriter, server.KeyLogWriter = &keys, &keys
			server.TicketKey = key
			_, pskServer := pskConfigs(version)
			server.GetPSK = pskServer.GetPSK
			client.OnSessionTicket = func(_ *Conn, d *SessionData) {
				binary, err := d.MarshalBinary()
				require.NoError(t, err)
				secrets["session data"], secrets["ticket"] = binary, d.data
				logger.Info("ticket", "data", d, "key", key, "go", fmt.Sprintf("%v %+v %#v %#v", d, d, d, key))
			}
			c, s := connect(t, client, server)
			echo(t, s, c)
			data, err := c.SessionData(waitContext(t))
			require.NoError(t, err)

			// A resumed one, one with a pre-shared key and ones that fail.
			cc, sc := tcpPipe(t)
			again, sAgain := Client(cc, client), Server(sc, server)
			defer again.Close()
			defer sAgain.Close()
			require.NoError(t, again.Resume(data))
			clientErr, serverErr := shakeConns(t, again, sAgain)
			require.NoError(t, clientErr)
			require.NoError(t, serverErr)
			psk := &Config{PSKIdentity: "client1", PSKKey: testPSK, MaxVersion: version, Logger: logger,
				Priority: "NORMAL:-KX-ALL:+ECDHE-PSK"}
			_, _, clientErr, serverErr = shake(t, psk, &Config{GetPSK: server.GetPSK, Logger: logger})
			require.NoError(t, clientErr)
			require.NoError(t, serverErr)
			psk = psk.Clone()
			psk.PSKKey = []byte("another key of 16")
			_, _, clientErr, serverErr = shake(t, psk, &Config{GetPSK: server.GetPSK, Logger: logger})
			require.Error(t, clientErr)
			require.Error(t, serverErr)
			logger.Error("failed", "client", clientErr, "server", serverErr)

			for name, secret := range keyLog(t, keys.String()) {
				b, err := hex.DecodeString(secret)
				require.NoError(t, err)
				secrets[name] = b
			}
			require.Contains(t, log.String(), "handshake complete")
			require.Len(t, secrets, 4+len(keyLog(t, keys.String())))
			for name, secret := range secrets {
				for _, part := range [][]byte{secret[:12], secret[len(secret)-12:]} {
					for _, form := range []string{
						string(part), hex.EncodeToString(part), strings.ToUpper(hex.EncodeToString(part)),
						strings.Trim(fmt.Sprint(part), "[]"), strings.Trim(fmt.Sprintf("%#v", part), "[]byte{}"),
						base64.StdEncoding.EncodeToString(part),
					} {
						assert.NotContains(t, log.String(), form, name)
					}
				}
			}
		})
	}
}

func TestLoggerTellsOfHandshakes(t *testing.T) {
	var log lockedBuffer
	client := clientConfig(t)
	client.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, _ := connect(t, client, serverConfig(t))
	assert.Equal(t, 1, strings.Count(log.String(), "\n"))
	for _, part := range []string{`msg="handshake complete"`, `version="TLS 1.3"`, "resumed=false",
		"server_name=localhost", "peer=" + c.RemoteAddr().String(), "cipher=" +
			c.ConnectionState().CipherSuiteName} {
		assert.Contains(t, log.String(), part)
	}
}

func TestConfigClone(t *testing.T) {
	full := &Config{}
	v := reflect.ValueOf(full).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		f := v.Field(i)
		switch f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int, reflect.Int64:
			f.SetInt(3)
		case reflect.Uint16:
			f.SetUint(3)
		case reflect.String:
			f.SetString("x")
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		case reflect.Func:
			f.Set(reflect.MakeFunc(f.Type(), func([]reflect.Value) []reflect.Value { panic("not called") }))
		case reflect.Interface:
			switch field.Name {
			case "ClientSessionCache":
				full.ClientSessionCache = NewClientSessionCache(0)
			case "AntiReplay":
				full.AntiReplay = NewAntiReplay(0)
			case "SessionStore":
				full.SessionStore = NewSessionStore(0)
			case "KeyLogWriter":
				full.KeyLogWriter = io.Discard
			}
		}
		require.False(t, f.IsZero(), field.Name)
	}
	clone := reflect.ValueOf(full.Clone()).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		switch {
		case !field.IsExported():
			assert.True(t, clone.Field(i).IsZero(), field.Name)
		case field.Type.Kind() == reflect.Func:
			assert.Equal(t, v.Field(i).Pointer(), clone.Field(i).Pointer(), field.Name)
		default:
			assert.Equal(t, v.Field(i).Interface(), clone.Field(i).Interface(), field.Name)
		}
	}
	assert.Nil(t, (*Config)(nil).Clone())
}

// TestConfigOfManyConnections: one Config serves clients and servers at the
// same time from many goroutines.
func TestConfigOfManyConnections(t *testing.T) {
	config := clientConfig(t)
	config.Certificates = []Certificate{testCertificate(t, "server")}
	config.ClientSessionCache = NewClientSessionCache(0)
	var wg sync.WaitGroup
	for range 8 {
		cc, sc := tcpPipe(t)
		wg.Add(1)
		go func() {
			defer wg.Done()
			c, s := Client(cc, config), Server(sc, config)
			defer c.Close()
			defer s.Close()
			clientErr, serverErr := shakeConns(t, c, s)
			assert.NoError(t, clientErr)
			assert.NoError(t, serverErr)
		}()
	}
	wg.Wait()
}

func TestKeysOfTheStandardLibraryNeedNoSigner(t *testing.T) {
	for _, name := range []string{"server", "server-rsa", "server-ed25519"} {
		cert := testCertificate(t, name)
		switch cert.PrivateKey.(type) {
		case *ecdsa.PrivateKey, *rsa.PrivateKey, ed25519.PrivateKey:
		default:
			t.Errorf("%s: %T", name, cert.PrivateKey)
		}
		assert.Implements(t, (*crypto.Signer)(nil), cert.PrivateKey)
	}
}

func TestACallbackThatEndsItsGoroutine(t *testing.T) {
	client := clientConfig(t)
	client.PSKIdentity, client.PSKKey = "me", testPSK
	server := &Config{GetPSK: func(context.Context, string) ([]byte, error) {
		runtime.Goexit()
		return nil, nil
	}}
	_, s, clientErr, serverErr := shake(t, client, server)
	assert.Error(t, clientErr)
	assert.ErrorContains(t, serverErr, "runtime.Goexit")
	assert.Error(t, s.Handshake(), "and the connection can still be asked")
}
