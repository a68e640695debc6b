package gnutls

import (
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

// retarget returns session data that a client of another configuration offers, as clients
// of other libraries do.
func retarget(t testing.TB, d *SessionData, client *Config) *SessionData {
	t.Helper()
	n, err := client.native(false)
	require.NoError(t, err)
	other := *d
	other.trust, other.identity = n.trust, n.certPresent
	return &other
}

func newTicketKey(t testing.TB) *TicketKey {
	t.Helper()
	key, err := NewTicketKey()
	require.NoError(t, err)
	return key
}

// A server makes a full handshake where the client of the session would not be accepted
// in one.
func TestServerDeclinesSessionsOfClientsThatItWouldRefuse(t *testing.T) {
	expired := issue(t, ecdsaKey(t, elliptic.P256()),
		func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	good := issue(t, ecdsaKey(t, elliptic.P256()), nil)
	revoked := testCertificate(t, "revoked")
	lists := testPool(t, "ca.pem")
	require.NoError(t, lists.AppendRevocationsFromPEM(testenv.Read(t, "ca.crl.pem")))
	for _, tc := range []struct {
		name    string
		had     []Certificate // the client's, in the session
		before  func(*Config) // the server that made the session
		after   func(*Config) // the one that it is offered to
		resumes bool
	}{
		{"nothing has changed", []Certificate{good}, requireFrom(testPool(t, "ca.pem")),
			requireFrom(testPool(t, "ca.pem")), true},
		{"the certificate has expired", []Certificate{expired}, requireAny,
			requireFrom(testPool(t, "ca.pem")), false},
		{"other authorities", []Certificate{good}, requireFrom(testPool(t, "ca.pem")),
			requireFrom(testPool(t, "other-ca.pem")), false},
		{"the certificate was revoked", []Certificate{revoked}, requireAny, requireFrom(lists), false},
		{"a certificate was not asked for", nil, requestNone, requireFrom(testPool(t, "ca.pem")), false},
		{"a certificate is not asked for", []Certificate{good}, requireAny, requestNone, false},
		{"a certificate that is not verified", []Certificate{expired}, requireAny, requireAny, true},
		{"no certificate is needed", nil, requestNone,
			func(c *Config) { c.ClientAuth = RequestClientCert }, true},
	} {
		for _, kind := range []struct {
			name    string
			version uint16
			ids     bool
			groups  string
		}{
			{"TLS 1.2", VersionTLS12, false, ""},
			{"TLS 1.2 by session ID", VersionTLS12, true, ""},
			{"TLS 1.3", VersionTLS13, false, ""},
			{"TLS 1.3 with two ClientHellos", VersionTLS13, false, "NORMAL:-GROUP-ALL:+GROUP-SECP521R1"},
		} {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				store, key := NewSessionStore(0), newTicketKey(t)
				server := func(change func(*Config)) *Config {
					c := withVersion(serverConfig(t), kind.version)
					c.TicketKey, c.SessionStore, c.SessionTicketsDisabled = key, store, kind.ids
					change(c)
					return c
				}
				client := withVersion(clientConfig(t), kind.version)
				client.Certificates = tc.had
				d := newSessionData(t, client, server(tc.before))

				after := server(tc.after)
				after.Priority = kind.groups
				renewed := withVersion(clientConfig(t), kind.version)
				renewed.Certificates = []Certificate{good}
				if tc.name == "other authorities" {
					renewed.Certificates = []Certificate{testCertificate(t, "client-other")}
				}
				cc, sc := tcpPipe(t)
				c, s := Client(cc, renewed), Server(sc, after)
				defer c.Close()
				defer s.Close()
				require.NoError(t, c.Resume(retarget(t, d, renewed)))
				clientErr, serverErr := shakeConns(t, c, s)
				require.NoError(t, clientErr)
				require.NoError(t, serverErr)
				echo(t, c, s)
				assert.Equal(t, tc.resumes, c.ConnectionState().DidResume)
				assert.Equal(t, tc.resumes, s.ConnectionState().DidResume)
				if tc.resumes {
					return
				}
				if after.ClientAuth.verifies() {
					assert.Len(t, s.ConnectionState().VerifiedChains, 1, "of the full handshake")
				}
				next, err := c.SessionData(waitContext(t))
				require.NoError(t, err)
				assert.True(t, resume(t, renewed, after, next), "the session that takes its place")
			})
		}
	}
}

// So it is where the session comes with early data.
func TestServerDeclinesEarlyDataOfClientsThatItWouldRefuse(t *testing.T) {
	if !serversTakeEarlyData(t) {
		return
	}
	expired := issue(t, ecdsaKey(t, elliptic.P256()),
		func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	good := issue(t, ecdsaKey(t, elliptic.P256()), nil)
	for _, tc := range []struct {
		name    string
		had     Certificate
		accepts bool
	}{{"good", good, true}, {"expired", expired, false}} {
		t.Run(tc.name, func(t *testing.T) {
			server := func(change func(*Config)) *Config {
				c := earlyServerConfig(t)
				change(c)
				_, err := c.native(true) // from when on it takes early data
				require.NoError(t, err)
				return c
			}
			key := newTicketKey(t)
			before := server(func(c *Config) { c.TicketKey = key; requireAny(c) })
			after := server(func(c *Config) { c.TicketKey = key; requireFrom(testPool(t, "ca.pem"))(c) })
			client, renewed := clientConfig(t), clientConfig(t)
			client.Certificates, renewed.Certificates = []Certificate{tc.had}, []Certificate{good}
			d := newSessionData(t, client, before)
			c, s := earlyShake(t, renewed, after, retarget(t, d, renewed), "early")
			requireRead(t, s, "early")
			assert.Equal(t, tc.accepts, c.ConnectionState().DidResume)
			assert.Equal(t, tc.accepts, s.ConnectionState().EarlyDataAccepted)
			assert.Len(t, s.ConnectionState().VerifiedChains, 1)
		})
	}
}

func requireAny(c *Config)  { c.ClientAuth = RequireAnyClientCert }
func requestNone(c *Config) {}

func requireFrom(pool *CertPool) func(*Config) {
	return func(c *Config) { c.ClientAuth, c.ClientCAs = RequireAndVerifyClientCert, pool }
}

// A ticket of TLS 1.2 has no place in a handshake of TLS 1.3.
func TestServerDeclinesSessionsOfAnEarlierVersion(t *testing.T) {
	server := serverConfig(t)
	server.TicketKey = newTicketKey(t)
	old := withVersion(server.Clone(), VersionTLS12)
	d := newSessionData(t, clientConfig(t), old)
	require.Equal(t, uint16(VersionTLS12), d.Version())
	c, s, clientErr, serverErr := resumeConns(t, clientConfig(t), server, d)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	echo(t, c, s)
	assert.Equal(t, uint16(VersionTLS13), c.ConnectionState().Version)
	assert.False(t, c.ConnectionState().DidResume)
	assert.ErrorIs(t, c.ConnectionState().ResumeError, ErrSessionVersion)
	next, err := c.SessionData(waitContext(t))
	require.NoError(t, err)
	assert.True(t, resume(t, clientConfig(t), server, next))
}

// resumeConns is shake for a client that offers d.
func resumeConns(t testing.TB, client, server *Config, d *SessionData) (c, s *Conn, clientErr,
	serverErr error) {
	t.Helper()
	cc, sc := tcpPipe(t)
	c, s = Client(cc, client), Server(sc, server)
	t.Cleanup(func() { c.Close(); s.Close() })
	require.NoError(t, c.Resume(d))
	clientErr, serverErr = shakeConns(t, c, s)
	return c, s, clientErr, serverErr
}

// Who has a session made with a pre-shared key needs it still.
func TestServerAsksForThePreSharedKeyOfASessionAgain(t *testing.T) {
	for _, version := range bothVersions {
		t.Run(VersionName(version), func(t *testing.T) {
			client, server := pskConfigs(version)
			server.TicketKey = newTicketKey(t)
			d := newSessionData(t, client, server)
			c, s, clientErr, serverErr := resumeConns(t, client, server, d)
			require.NoError(t, clientErr)
			require.NoError(t, serverErr)
			echo(t, c, s)
			assert.True(t, s.ConnectionState().DidResume)
			assert.True(t, s.ConnectionState().PSK)
			assert.Equal(t, "client1", s.ConnectionState().PSKIdentity)
			if next, err := c.SessionData(waitContext(t)); assert.NoError(t, err) {
				d = next
			}

			revoked := server.Clone()
			revoked.GetPSK = func(context.Context, string) ([]byte, error) { return nil, nil }
			_, _, clientErr, serverErr = resumeConns(t, client, revoked, d)
			assert.ErrorContains(t, serverErr, `unknown identity "client1"`)
			assert.Error(t, clientErr)

			withCertificate := serverConfig(t)
			withCertificate.TicketKey, withCertificate.MaxVersion = server.TicketKey, version
			both := client.Clone()
			both.ServerName, both.RootCAs = "localhost", testPool(t, "ca.pem")
			other := retarget(t, d, both)
			other.serverName = "localhost"
			c, s, clientErr, serverErr = resumeConns(t, both, withCertificate, other)
			require.NoError(t, clientErr, "a server without pre-shared keys declines")
			require.NoError(t, serverErr)
			echo(t, c, s)
			assert.False(t, s.ConnectionState().DidResume)
			assert.False(t, s.ConnectionState().PSK)
		})
	}
}
