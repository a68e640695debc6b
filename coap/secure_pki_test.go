package coap

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// pair loads a certificate of the test data.
func pair(t testing.TB, name string) gnutls.Certificate {
	t.Helper()
	cert, err := gnutls.LoadX509KeyPair(testenv.File(name+".pem"), testenv.File(name+".key"))
	require.NoError(t, err)
	return cert
}

func pairs(t testing.TB, names ...string) (certs []gnutls.Certificate) {
	t.Helper()
	for _, name := range names {
		certs = append(certs, pair(t, name))
	}
	return certs
}

func pool(t testing.TB, names ...string) *gnutls.CertPool {
	t.Helper()
	p := gnutls.NewCertPool()
	for _, name := range names {
		data, err := os.ReadFile(testenv.File(name + ".pem"))
		require.NoError(t, err)
		require.NoError(t, p.AppendCertsFromPEM(data))
	}
	return p
}

// without returns a pool with the authority ca, which has revoked a certificate.
func without(t testing.TB, revoked string) *gnutls.CertPool {
	t.Helper()
	ca := pair(t, "ca")
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour),
		NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: pair(t,
			revoked).Leaf.SerialNumber, RevocationTime: time.Now()}},
	}, ca.Leaf, ca.PrivateKey.(crypto.Signer))
	require.NoError(t, err)
	p := pool(t, "ca")
	require.NoError(t,
		p.AppendRevocationsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})))
	return p
}

// A revocation list that ends while it is in use does not stay in force in silence.
func TestRevocationListThatEndsInUse(t *testing.T) {
	t.Parallel()
	ca := pair(t, "ca")
	ends := time.Now().Add(2 * time.Second).Truncate(time.Second)
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: ends,
	}, ca.Leaf, ca.PrivateKey.(crypto.Signer))
	require.NoError(t, err)
	trusted := pool(t, "ca")
	require.NoError(t,
		trusted.AppendRevocationsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})))
	logger, lines := logs()
	server := &Config{Logger: logger, PKI: PKI{
		Certificates: pairs(t, "server"), ClientAuth: gnutls.RequireAndVerifyClientCert,
		ClientCAs: trusted,
	}}
	addr := listen(t, server, TLS, hello)
	client := &Config{PKI: PKI{RootCAs: pool(t, "ca"), Certificates: pairs(t, "client")}}
	await(t, func() bool { return !time.Now().Before(ends) })
	refused(t, connect(t, client, addr, TLS))
	for line := receive(t, lines); !strings.Contains(line,
		"a revocation list is past its next update"); {
		line = receive(t, lines)
	}
}

func TestPKI(t *testing.T) {
	ca, otherCA, revoked := pool(t, "ca"), pool(t, "other-ca"), without(t, "revoked")
	for _, tc := range []struct {
		name   string
		server string
		client PKI
		is     error        // of the client; nil: the handshake succeeds
		alert  gnutls.Alert // that the client sends
	}{
		{"address", "server", PKI{RootCAs: ca}, nil, 0},
		{"name", "server", PKI{RootCAs: ca, ServerName: "example.test"}, nil, 0},
		{"name in upper case", "server", PKI{RootCAs: ca, ServerName: "EXAMPLE.test"}, nil, 0},
		{"wildcard", "server", PKI{RootCAs: ca, ServerName: "a.wild.test"}, nil, 0},
		{"IPv6 address", "server", PKI{RootCAs: ca, ServerName: "::1"}, nil, 0},
		{"RSA", "server-rsa", PKI{RootCAs: ca}, nil, 0},
		{"Ed25519", "server-ed25519", PKI{RootCAs: ca}, nil, 0},
		{"intermediate authority", "server-chain", PKI{RootCAs: ca}, nil, 0},
		{"wrong name", "server", PKI{RootCAs: ca, ServerName: "elsewhere.test"},
			gnutls.CertificateWrongName, gnutls.AlertBadCertificate},
		{"wrong address", "server", PKI{RootCAs: ca, ServerName: "127.0.0.2"},
			gnutls.CertificateWrongName, gnutls.AlertBadCertificate},
		{"address, certificate has a name", "alpha", PKI{RootCAs: ca}, gnutls.CertificateWrongName,
			gnutls.AlertBadCertificate},
		{"expired", "expired", PKI{RootCAs: ca}, gnutls.CertificateExpired,
			gnutls.AlertCertificateExpired},
		{"not yet valid", "notyet", PKI{RootCAs: ca}, gnutls.CertificateNotYetValid,
			gnutls.AlertCertificateExpired},
		{"self-signed", "selfsigned", PKI{RootCAs: ca}, gnutls.CertificateUnknownAuthority,
			gnutls.AlertUnknownCA},
		{"untrusted", "server", PKI{RootCAs: otherCA}, gnutls.CertificateUnknownAuthority,
			gnutls.AlertUnknownCA},
		{"untrusted by the system", "server", PKI{}, gnutls.CertificateUnknownAuthority,
			gnutls.AlertUnknownCA},
		{"for clients only", "clientonly", PKI{RootCAs: ca}, gnutls.CertificateWrongPurpose,
			gnutls.AlertUnsupportedCert},
		{"revoked", "revoked", PKI{RootCAs: revoked}, gnutls.CertificateRevoked,
			gnutls.AlertCertificateRevoked},
		{"self-signed and trusted", "selfsigned", PKI{RootCAs: pool(t, "selfsigned")}, nil, 0},
		{"wrong name, skipped", "server",
			PKI{RootCAs: ca, ServerName: "elsewhere.test", InsecureSkipVerify: true}, nil, 0},
		{"expired, skipped", "expired", PKI{RootCAs: ca, InsecureSkipVerify: true}, nil, 0},
		{"untrusted, skipped", "server", PKI{RootCAs: otherCA, InsecureSkipVerify: true}, nil, 0},
		{"for clients only, skipped", "clientonly", PKI{RootCAs: ca, InsecureSkipVerify: true}, nil, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			eachSecure(t, func(t *testing.T, proto Protocol) {
				addr := listen(t, &Config{PKI: PKI{Certificates: pairs(t, tc.server)}}, proto, hello)
				s, err := newTestNode(t, nil).NewClientSessionPKI(netip.AddrPort{}, addr, proto, &tc.client)
				require.NoError(t, err)
				if tc.is != nil {
					failed := refused(t, s)
					assert.ErrorIs(t, failed, tc.is)
					assert.ErrorIs(t, failed, tc.alert)
					assert.True(t, failed.Sent)
					var cert *gnutls.CertificateError
					assert.ErrorAs(t, failed, &cert)
					return
				}
				r, err := s.Do(waitContext(t), get())
				require.NoError(t, err)
				assert.Equal(t, "hello", string(r.Body))
				assert.Equal(t, pair(t, tc.server).Leaf.Raw, s.PeerCertificates()[0].Raw)
				state, ok := s.TLS()
				require.True(t, ok)
				assert.False(t, state.PSK)
				assert.Empty(t, s.PeerIdentity())
				want := tc.client.ServerName
				if want == "" {
					want = "127.0.0.1"
				}
				assert.Equal(t, want, state.ServerName)
			})
		})
	}
}

func TestDialVerifiesHost(t *testing.T) {
	eachSecure(t, func(t *testing.T, proto Protocol) {
		dial := func(host string, addr netip.AddrPort, config *Config) error {
			s, err := Dial(prompt(t),
				fmt.Sprintf("%s://%s", proto.Scheme(), net.JoinHostPort(host, fmt.Sprint(addr.Port()))), config)
			if err == nil {
				s.Close()
			}
			return err
		}
		good := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}}, proto, hello)
		elsewhere := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "wronghost")}}, proto, hello)
		config := &Config{PKI: PKI{RootCAs: pool(t, "ca")}}
		require.NoError(t, dial("127.0.0.1", good, config))
		require.ErrorIs(t, dial("127.0.0.1", elsewhere, config), gnutls.CertificateWrongName)
		require.NoError(t, dial("127.0.0.1", elsewhere,
			&Config{PKI: PKI{RootCAs: pool(t, "ca"), ServerName: "elsewhere.test"}}))
	})
}

func TestClientCertificate(t *testing.T) {
	requiring := PKI{Certificates: pairs(t, "server"), ClientAuth: gnutls.RequireAndVerifyClientCert,
		ClientCAs: pool(t, "ca")}
	ca := pool(t, "ca")
	for _, tc := range []struct {
		name   string
		server PKI
		certs  []gnutls.Certificate
		alert  gnutls.Alert // that the server sends; 0: none
	}{
		{"required", requiring, pairs(t, "client"), 0},
		{"not asked for", PKI{Certificates: pairs(t, "server")}, pairs(t, "client"), 0},
		{"missing", requiring, nil, gnutls.AlertBadCertificate},
		{"of another authority, so not sent", requiring, pairs(t, "client-other"),
			gnutls.AlertBadCertificate},
		{"expired", requiring,
			[]gnutls.Certificate{issue(t, func(c *x509.Certificate) {
				c.NotAfter = time.Now().Add(-time.Minute)
			})}, gnutls.AlertCertificateExpired},
		{"for servers only", requiring, pairs(t, "server"), gnutls.AlertUnsupportedCert},
	} {
		t.Run(tc.name, func(t *testing.T) {
			eachSecure(t, func(t *testing.T, proto Protocol) {
				certs := make(chan []*x509.Certificate, 1)
				addr := listen(t, &Config{PKI: tc.server}, proto,
					HandlerFunc(func(w ResponseWriter, r *Request) {
						certs <- r.Session.PeerCertificates()
					}))
				s := connect(t, &Config{PKI: PKI{RootCAs: ca, Certificates: tc.certs}}, addr, proto)
				if tc.server.ClientAuth != gnutls.NoClientCert && tc.alert == gnutls.AlertBadCertificate &&
					oldTools && proto == TLS {
					assert.ErrorIs(t, refused(t, s), io.ErrUnexpectedEOF) // libcoap 4.2.1 sends none
					return
				}
				if tc.alert != 0 {
					assert.Equal(t, tc.alert, refusedBy(t, s).Alert)
					return
				}
				_, err := s.Do(waitContext(t), get())
				require.NoError(t, err)
				seen := receive(t, certs)
				if tc.server.ClientAuth == gnutls.NoClientCert {
					assert.Empty(t, seen)
					return
				}
				assert.Equal(t, "client one", seen[0].Subject.CommonName)
			})
		})
	}
}

// A signer hides the key that it is.
type signer struct{ crypto.Signer }

func signerOf(t testing.TB, name string) gnutls.Certificate {
	cert := pair(t, name)
	cert.PrivateKey = signer{cert.PrivateKey.(crypto.Signer)}
	return cert
}

// A client over DTLS needs no more of its key than signatures.
func TestClientCertificateOfSigner(t *testing.T) {
	nothingLeft(t)
	t.Cleanup(func() { nothingLeft(t) })
	addr := listen(t, &Config{PKI: PKI{
		Certificates: pairs(t, "server"), ClientAuth: gnutls.RequireAndVerifyClientCert,
		ClientCAs: pool(t, "ca"),
	}}, DTLS, hello)
	s := connect(t, &Config{PKI: PKI{
		RootCAs:      pool(t, "ca"),
		Certificates: []gnutls.Certificate{signerOf(t, "client-other"), signerOf(t, "client")},
	}}, addr, DTLS)
	_, err := s.Do(waitContext(t), get())
	require.NoError(t, err)
}

// The callback of the page of coap_session(3), for names.
func TestVerifyConnection(t *testing.T) {
	boom := errors.New("not on the list")
	for _, tc := range []struct {
		name   string
		verify func(gnutls.ConnectionState) error
		want   string
		is     error
		alert  gnutls.Alert
	}{
		{"accepts", func(gnutls.ConnectionState) error { return nil }, "", nil, 0},
		{"refuses", func(state gnutls.ConnectionState) error {
			return fmt.Errorf("%q is %w", state.PeerCertificates[0].Subject.CommonName, boom)
		}, "not on the list", boom, gnutls.AlertBadCertificate},
		{"refuses with an alert", func(gnutls.ConnectionState) error {
			return fmt.Errorf("%w: %w", boom, gnutls.AlertAccessDenied)
		}, "not on the list", boom, gnutls.AlertAccessDenied},
		{"panics", func(gnutls.ConnectionState) error { panic("ouch") }, "panic in a callback: ouch", nil,
			gnutls.AlertBadCertificate},
	} {
		t.Run("of a client "+tc.name, func(t *testing.T) {
			eachSecure(t, func(t *testing.T, proto Protocol) {
				addr := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}}, proto, hello)
				called := make(chan gnutls.ConnectionState, 1)
				s := connect(t,
					&Config{PKI: PKI{RootCAs: pool(t, "ca"),
						VerifyConnection: func(state gnutls.ConnectionState) error {
							called <- state
							return tc.verify(state)
						}}}, addr, proto)
				if tc.want != "" {
					failed := refused(t, s)
					assert.ErrorContains(t, failed, tc.want)
					assert.Equal(t, tc.alert, failed.Alert)
					if tc.is != nil {
						assert.ErrorIs(t, failed, tc.is)
					} else {
						var panicked *PanicError
						require.ErrorAs(t, failed, &panicked)
						assert.Equal(t, "ouch", panicked.Value)
						assert.Contains(t, string(panicked.Stack), "secure_pki_test.go")
					}
				} else {
					_, err := s.Do(waitContext(t), get())
					require.NoError(t, err)
				}
				state := receive(t, called)
				assert.Equal(t, "127.0.0.1", state.ServerName)
				assert.Len(t, state.VerifiedChains, 1)
				assert.NoError(t, state.VerifyError)
			})
		})
		t.Run("of a server "+tc.name, func(t *testing.T) {
			eachSecure(t, func(t *testing.T, proto Protocol) {
				logger, lines := logs()
				addr := listen(t, &Config{Logger: logger, PKI: PKI{
					Certificates: pairs(t, "server"), ClientCAs: pool(t, "ca"),
					ClientAuth:       gnutls.RequireAndVerifyClientCert,
					VerifyConnection: tc.verify,
				}}, proto, hello)
				s := connect(t, &Config{PKI: PKI{RootCAs: pool(t, "ca"), Certificates: pairs(t, "client")}},
					addr, proto)
				if tc.want != "" {
					assert.Equal(t, tc.alert, refusedBy(t, s).Alert)
					assert.Contains(t, receive(t, lines), strings.ReplaceAll(tc.want, `"`, `\"`))
					return
				}
				_, err := s.Do(waitContext(t), get())
				require.NoError(t, err)
			})
		})
	}
	t.Run("after a verification that is skipped", func(t *testing.T) {
		eachSecure(t, func(t *testing.T, proto Protocol) {
			addr := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "expired")}}, proto, hello)
			called := make(chan gnutls.ConnectionState, 1)
			s := connect(t,
				&Config{PKI: PKI{RootCAs: pool(t, "ca"), InsecureSkipVerify: true,
					VerifyConnection: func(state gnutls.ConnectionState) error {
						called <- state
						return nil
					}}}, addr, proto)
			require.NoError(t, s.Ready(waitContext(t)))
			assert.ErrorIs(t, receive(t, called).VerifyError, gnutls.CertificateExpired)
		})
	})
}

func TestServerName(t *testing.T) {
	eachSecure(t, func(t *testing.T, proto Protocol) {
		addr := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server", "alpha", "beta")}}, proto,
			hello)
		c := newTestNode(t, nil)
		for name, want := range map[string]string{
			"alpha.test": "alpha", "BETA.test": "beta", "example.test": "server", "x.wild.test": "server",
			"127.0.0.1": "server",
		} {
			s, err := c.NewClientSessionPKI(netip.AddrPort{}, addr, proto,
				&PKI{RootCAs: pool(t, "ca"), ServerName: name})
			require.NoError(t, err)
			require.NoError(t, s.Ready(waitContext(t)), name)
			assert.Equal(t, pair(t, want).Leaf.Raw, s.PeerCertificates()[0].Raw, name)
		}
	})
}

// libcoap keeps credentials for each name that it is asked for.
func TestServerNamesAreBounded(t *testing.T) {
	if Supports(FeatureCredentials) {
		return // nothing is kept for each
	}
	l := &loop{}
	l.credentials.pki = &PKI{}
	l.credentials.leaves = []*x509.Certificate{pair(t, "alpha").Leaf, pair(t, "server").Leaf}
	for i := range maxServerNames {
		require.Equal(t, 1, l.onServerName(fmt.Sprintf("x%d.wild.test", i)))
	}
	assert.Equal(t, -1, l.onServerName("other.test"))
	assert.Equal(t, -1, l.onServerName("y.wild.test"))
	assert.Equal(t, 0, l.onServerName("alpha.test"))
	assert.Equal(t, 1, l.onServerName("Example.Test"))
}

// Sessions of one context that differ in all that they can differ in, opened before any handshake
// is over.
func TestSessionsDoNotMix(t *testing.T) {
	eachSecure(t, func(t *testing.T, proto Protocol) {
		subjects := make(chan string, 1)
		addr := listen(t, &Config{PKI: PKI{
			Certificates: pairs(t, "server", "alpha", "beta"), ClientAuth: gnutls.RequireAndVerifyClientCert,
			ClientCAs: pool(t, "ca", "other-ca"),
		}}, proto, HandlerFunc(func(w ResponseWriter, r *Request) {
			subjects <- r.Session.PeerCertificates()[0].Subject.CommonName
		}))
		c := newTestNode(t, nil)
		type want struct {
			pki     PKI
			server  string
			subject string
			is      error
		}
		var wants []want
		for range 3 {
			wants = append(wants,
				want{PKI{RootCAs: pool(t, "ca"), ServerName: "alpha.test", Certificates: pairs(t, "client")},
					"alpha", "client one", nil},
				want{PKI{RootCAs: pool(t, "ca"), ServerName: "beta.test",
					Certificates: pairs(t, "client-other")}, "beta", "client other", nil},
				want{PKI{RootCAs: pool(t, "other-ca"), ServerName: "alpha.test",
					Certificates: pairs(t, "client")}, "", "", gnutls.CertificateUnknownAuthority},
				want{PKI{RootCAs: pool(t, "ca"), ServerName: "elsewhere.test",
					Certificates: pairs(t, "client")}, "", "", gnutls.CertificateWrongName},
				want{PKI{RootCAs: pool(t, "other-ca"), InsecureSkipVerify: true,
					Certificates: pairs(t, "client")}, "server", "client one", nil},
			)
		}
		var sessions []*Session
		for i := range wants {
			s, err := c.NewClientSessionPKI(netip.AddrPort{}, addr, proto, &wants[i].pki)
			require.NoError(t, err)
			sessions = append(sessions, s)
		}
		for i, want := range wants {
			if want.is != nil {
				assert.ErrorIs(t, refused(t, sessions[i]), want.is)
				continue
			}
			_, err := sessions[i].Do(waitContext(t), get())
			require.NoError(t, err)
			assert.Equal(t, want.subject, receive(t, subjects))
			assert.Equal(t, pair(t, want.server).Leaf.Raw, sessions[i].PeerCertificates()[0].Raw)
		}
	})
}

// A context may be a server and a client with certificates at once.
func TestServerAndClientInOneNode(t *testing.T) {
	if lacks(t, FeatureBothRoles, func() error {
		c := newTestNode(t, nil)
		require.NoError(t, c.SetPKI(&PKI{Certificates: pairs(t, "server")}))
		_, err := c.NewClientSessionPKI(netip.AddrPort{}, coappeer.NewUDP(t).Addr(), DTLS, nil)
		return err
	}) {
		return
	}
	eachSecure(t, func(t *testing.T, proto Protocol) {
		other := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "alpha")}}, proto, hello)
		c := newTestNode(t, &Config{PKI: PKI{
			Certificates: pairs(t, "server"), ClientAuth: gnutls.RequireAndVerifyClientCert,
			ClientCAs: pool(t, "ca"),
		}})
		addr := listenOn(t, c, proto, hello)
		for range 2 {
			s, err := c.NewClientSessionPKI(netip.AddrPort{}, other, proto,
				&PKI{RootCAs: pool(t, "ca"), ServerName: "alpha.test"})
			require.NoError(t, err)
			_, err = s.Do(waitContext(t), get())
			require.NoError(t, err)
			client := connect(t, &Config{PKI: PKI{RootCAs: pool(t, "ca"), Certificates: pairs(t, "client")}},
				addr, proto)
			_, err = client.Do(waitContext(t), get())
			require.NoError(t, err)
			stranger := connect(t,
				&Config{PKI: PKI{RootCAs: pool(t, "ca"), Certificates: pairs(t, "client-other")}}, addr, proto)
			refused(t, stranger)
		}
	})
}

func TestRootCAsOfAContext(t *testing.T) {
	addr := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}}, DTLS, hello)
	c := newTestNode(t, nil)
	s, err := c.NewClientSessionPKI(netip.AddrPort{}, addr, DTLS, nil)
	require.NoError(t, err)
	assert.ErrorIs(t, refused(t, s), gnutls.CertificateUnknownAuthority)
	c.SetRootCAs(pool(t, "ca"))
	s, err = c.NewClientSessionPKI(netip.AddrPort{}, addr, DTLS, nil)
	require.NoError(t, err)
	_, err = s.Do(waitContext(t), get())
	require.NoError(t, err)
}

// libcoap by itself fails for certificates of more than 2048 bytes that a callback is to see.
func TestLargeCertificates(t *testing.T) {
	for _, side := range []string{"server", "client"} {
		t.Run(side, func(t *testing.T) {
			eachSecure(t, func(t *testing.T, proto Protocol) {
				large := largeCertificate(t)
				require.Greater(t, len(large.Certificate[0]), 4096)
				server, client := large, pair(t, "client")
				if side == "client" {
					server, client = pair(t, "server"), large
				}
				accept := func(gnutls.ConnectionState) error { return nil }
				addr := listen(t, &Config{PKI: PKI{
					Certificates: []gnutls.Certificate{server}, ClientAuth: gnutls.RequireAndVerifyClientCert,
					ClientCAs: pool(t, "ca"), VerifyConnection: accept,
				}}, proto, hello)
				s := connect(t,
					&Config{PKI: PKI{RootCAs: pool(t, "ca"), Certificates: []gnutls.Certificate{client},
						VerifyConnection: accept}}, addr, proto)
				_, err := s.Do(waitContext(t), get())
				require.NoError(t, err)
			})
		})
	}
}

func largeCertificate(t testing.TB) gnutls.Certificate {
	t.Helper()
	return issue(t, func(c *x509.Certificate) {
		for i := range 200 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("host-number-%03d.large.test", i))
		}
	})
}

// issue returns a certificate of ca for servers and clients.
func issue(t testing.TB, change func(*x509.Certificate)) gnutls.Certificate {
	t.Helper()
	ca := pair(t, "ca")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1000),
		Subject:      pkix.Name{CommonName: "issued"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Leaf, key.Public(), ca.PrivateKey)
	require.NoError(t, err)
	return gnutls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestRawPublicKey(t *testing.T) {
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		return key
	}
	serverKey, clientKey := newKey(), newKey()
	expect := func(want *ecdsa.PrivateKey) func(crypto.PublicKey) error {
		return func(got crypto.PublicKey) error {
			if !want.PublicKey.Equal(got) {
				return errors.New("another key")
			}
			return nil
		}
	}
	if lacks(t, FeatureRawPublicKeys,
		func() error { return newTestNode(t, nil).SetPKI(&PKI{RawPublicKey: serverKey}) }) {
		lacks(t, FeatureRawPublicKeys, func() error {
			_, err := newTestNode(t, nil).NewClientSessionPKI(netip.AddrPort{}, coappeer.NewUDP(t).Addr(),
				DTLS, &PKI{VerifyRawPublicKey: expect(serverKey)})
			return err
		})
		return
	}
	certificate := PKI{Certificates: pairs(t, "server")}
	for _, tc := range []struct {
		name           string
		server, client PKI
		want           string // at the client; "alert" for one of the server
	}{
		{"of both", PKI{RawPublicKey: serverKey, VerifyRawPublicKey: expect(clientKey)},
			PKI{RawPublicKey: clientKey, VerifyRawPublicKey: expect(serverKey)}, ""},
		{"of the server", PKI{RawPublicKey: serverKey}, PKI{VerifyRawPublicKey: expect(serverKey)}, ""},
		{"another one of the server", PKI{RawPublicKey: serverKey},
			PKI{VerifyRawPublicKey: expect(clientKey)}, "another key"},
		{"another one of the client", PKI{RawPublicKey: serverKey, VerifyRawPublicKey: expect(serverKey)},
			PKI{RawPublicKey: clientKey, VerifyRawPublicKey: expect(serverKey)}, "alert"},
		{"not asked for", PKI{RawPublicKey: serverKey}, PKI{RootCAs: pool(t, "ca")},
			"raw public key in place of a certificate"},
		{"not asked for, and nothing verified", PKI{RawPublicKey: serverKey},
			PKI{InsecureSkipVerify: true}, "raw public key in place of a certificate"},
		{"a certificate instead", certificate, PKI{RootCAs: pool(t, "ca"),
			VerifyRawPublicKey: expect(serverKey)}, "certificate in place of a raw public key"},
		{"of the client, and a certificate is required", PKI{
			Certificates: pairs(t, "server"), ClientAuth: gnutls.RequireAndVerifyClientCert,
			ClientCAs: pool(t, "ca"),
		}, PKI{RootCAs: pool(t, "ca"), RawPublicKey: clientKey}, "lost"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			eachSecure(t, func(t *testing.T, proto Protocol) {
				keys := make(chan crypto.PublicKey, 1)
				addr := listen(t, &Config{PKI: tc.server}, proto,
					HandlerFunc(func(w ResponseWriter, r *Request) {
						keys <- r.Session.PeerPublicKey()
					}))
				s := connect(t, &Config{PKI: tc.client}, addr, proto)
				switch tc.want {
				case "alert":
					refusedBy(t, connect(t, &Config{PKI: tc.client}, addr, proto))
				case "lost":
					_, err := s.Do(prompt(t), get())
					require.Error(t, err)
					assert.Empty(t, keys)
				case "":
					_, err := s.Do(waitContext(t), get())
					require.NoError(t, err)
					assert.True(t, serverKey.PublicKey.Equal(s.PeerPublicKey()))
					key := receive(t, keys)
					if tc.server.VerifyRawPublicKey != nil {
						assert.True(t, clientKey.PublicKey.Equal(key))
					} else {
						assert.Nil(t, key)
					}
				default:
					assert.ErrorContains(t, refused(t, s), tc.want)
				}
			})
		})
	}
}

func TestPKIBadInput(t *testing.T) {
	key := pair(t, "alpha").PrivateKey
	mismatched := pair(t, "server")
	mismatched.PrivateKey = key
	type input struct {
		name string
		pki  PKI
		want string
		is   error
	}
	inputs := []input{
		{"nothing", PKI{}, "needs PKI.Certificates or PKI.RawPublicKey", nil},
		{"both", PKI{Certificates: pairs(t, "server"), RawPublicKey: key.(crypto.Signer)}, "both set",
			nil},
		{"no chain", PKI{Certificates: []gnutls.Certificate{{PrivateKey: key}}},
			"PKI.Certificates[0]: it holds no certificate", nil},
		{"wrong key", PKI{Certificates: []gnutls.Certificate{pair(t, "server"), mismatched}},
			"PKI.Certificates[1]: the private key does not belong", gnutls.CodeKeyMismatch},
		{"raw signer", PKI{RawPublicKey: signer{key.(crypto.Signer)}}, "PKI.RawPublicKey: ",
			ErrNotSupported},
		{"no authorities", PKI{Certificates: pairs(t, "server"),
			ClientAuth: gnutls.RequireAndVerifyClientCert}, "PKI.ClientCAs names no authority", nil},
		{"authorities of the system",
			PKI{Certificates: pairs(t, "server"), ClientAuth: gnutls.RequireAndVerifyClientCert,
				ClientCAs: gnutls.SystemCertPool()}, "PKI.ClientCAs names no authority", nil},
		{"asking", PKI{Certificates: pairs(t, "server"), ClientAuth: gnutls.RequestClientCert},
			"PKI.ClientAuth is 1", ErrNotSupported},
		{"any certificate", PKI{Certificates: pairs(t, "server"),
			ClientAuth: gnutls.RequireAnyClientCert}, "PKI.ClientAuth is 2", ErrNotSupported},
		{"verifying if there is one", PKI{Certificates: pairs(t, "server"),
			ClientAuth: gnutls.VerifyClientCertIfGiven}, "PKI.ClientAuth is 3", ErrNotSupported},
		{"unknown way of asking", PKI{Certificates: pairs(t, "server"), ClientAuth: -1},
			"PKI.ClientAuth is -1", ErrNotSupported},
		{"raw keys and certificates of clients", PKI{
			Certificates: pairs(t, "server"), ClientAuth: gnutls.RequireAndVerifyClientCert,
			ClientCAs:          pool(t, "ca"),
			VerifyRawPublicKey: func(crypto.PublicKey) error { return nil },
		}, "PKI.ClientAuth and PKI.VerifyRawPublicKey are both set", nil},
	}
	if !Supports(FeatureCredentials) {
		inputs = append(inputs,
			input{"signer", PKI{Certificates: []gnutls.Certificate{signerOf(t, "server")}},
				"a coap.signer does not give them", ErrNotSupported})
	}
	for _, tc := range inputs {
		t.Run(tc.name, func(t *testing.T) {
			c := newTestNode(t, nil)
			err := c.SetPKI(&tc.pki)
			require.ErrorContains(t, err, tc.want)
			assert.True(t, strings.HasPrefix(err.Error(), "coap: "), err)
			if tc.is != nil {
				assert.ErrorIs(t, err, tc.is)
			}
			require.NoError(t, c.SetPKI(&PKI{Certificates: pairs(t, "server")}), "the context is as before")
		})
	}
	for _, tc := range []struct {
		name  string
		proto Protocol
		pki   PKI
		want  string
		is    error
	}{
		{"certificate and raw public key", DTLS,
			PKI{Certificates: pairs(t, "client"), RawPublicKey: key.(crypto.Signer)}, "both set", nil},
		{"wrong key", DTLS, PKI{Certificates: []gnutls.Certificate{mismatched}}, "does not belong",
			gnutls.CodeKeyMismatch},
		{"signer over TLS", TLS, PKI{Certificates: []gnutls.Certificate{signerOf(t, "client")}},
			"a coap.signer does not give them", ErrNotSupported},
		{"two certificates over TLS", TLS, PKI{Certificates: pairs(t, "client", "client-other")},
			"more than one", ErrNotSupported},
		{"raw signer", DTLS, PKI{RawPublicKey: signer{key.(crypto.Signer)}}, "PKI.RawPublicKey: ",
			ErrNotSupported},
		{"name", DTLS, PKI{ServerName: "a\x00b"}, "PKI.ServerName \"a\\x00b\" holds a NUL byte", nil},
		{"UDP", UDP, PKI{}, "credentials are for DTLS and TLS", nil},
	} {
		if tc.proto == TLS && Supports(FeatureCredentials) {
			continue
		}
		t.Run("of a client, "+tc.name, func(t *testing.T) {
			_, err := newTestNode(t, nil).NewClientSessionPKI(netip.AddrPort{},
				netip.MustParseAddrPort("127.0.0.1:9"), tc.proto, &tc.pki)
			require.ErrorContains(t, err, tc.want)
			if tc.is != nil {
				assert.ErrorIs(t, err, tc.is)
			}
		})
	}
}

// A peer that goes away in the middle of the handshake.
func TestPeerClosesDuringHandshake(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	go func() {
		if conn, err := ln.Accept(); err == nil {
			io.ReadFull(conn, make([]byte, 100))
			conn.Close()
		}
	}()
	s := connect(t, nil, ln.Addr().(*net.TCPAddr).AddrPort(), TLS)
	refused(t, s)
}
