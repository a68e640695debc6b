package tls13peer_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
	"github.com/gnucoap/gnucoap/internal/tls13peer"
)

func TestMain(m *testing.M) {
	testenv.Main(m, func() (any, int64) {
		counts := gnutls.LiveObjects()
		return counts, counts.Total()
	})
}

const wait = 20 * time.Second

// unknown is an extension that nobody knows.
var unknown = tls13peer.Extension{Type: 0xfafa, Body: []byte("unknown")}

func identity(t testing.TB) *tls13peer.Identity {
	t.Helper()
	id, err := tls13peer.ParseIdentity(testenv.Read(t, "server.pem"), testenv.Read(t, "server.key"))
	require.NoError(t, err)
	return id
}

// tcpPipe returns both ends of a TCP connection over loopback.
func tcpPipe(t testing.TB) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	client, err = net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	server, err = ln.Accept()
	require.NoError(t, err)
	for _, c := range []net.Conn{client, server} {
		require.NoError(t, c.SetDeadline(time.Now().Add(wait)))
		t.Cleanup(func() { c.Close() })
	}
	return client, server
}

type shaker interface{ Handshake() error }

// shake runs both handshakes and returns their errors.
func shake(client, server shaker) (clientErr, serverErr error) {
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	clientErr = client.Handshake()
	return clientErr, <-done
}

func requireShake(t testing.TB, client, server shaker) {
	t.Helper()
	clientErr, serverErr := shake(client, server)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
}

// echo sends a line from a to b and back.
func echo(t testing.TB, a, b io.ReadWriter) {
	t.Helper()
	const line = "the quick brown fox\n"
	for _, pair := range [][2]io.ReadWriter{{a, b}, {b, a}} {
		_, err := pair[0].Write([]byte(line))
		require.NoError(t, err)
		buf := make([]byte, len(line))
		_, err = io.ReadFull(pair[1], buf)
		require.NoError(t, err)
		require.Equal(t, line, string(buf))
	}
}

// conn is what all kinds of clients and servers have.
type conn interface {
	shaker
	io.ReadWriter
}

func goServer(t testing.TB, c net.Conn, config *tls.Config) *tls.Conn {
	cert, err := tls.X509KeyPair(testenv.Read(t, "server.pem"), testenv.Read(t, "server.key"))
	require.NoError(t, err)
	config.Certificates = []tls.Certificate{cert}
	return tls.Server(c, config)
}

func goClient(t testing.TB, c net.Conn, config *tls.Config) *tls.Conn {
	config.RootCAs = x509.NewCertPool()
	require.True(t, config.RootCAs.AppendCertsFromPEM(testenv.Read(t, "ca.pem")))
	config.ServerName = "localhost"
	return tls.Client(c, config)
}

func ourServer(t testing.TB, c net.Conn, config *gnutls.Config) *gnutls.Conn {
	cert, err := gnutls.LoadX509KeyPair(testenv.File("server.pem"), testenv.File("server.key"))
	require.NoError(t, err)
	config.Certificates = []gnutls.Certificate{cert}
	s := gnutls.Server(c, config)
	t.Cleanup(func() { s.Close() })
	return s
}

func ourConfig(t testing.TB) *gnutls.Config {
	pool := gnutls.NewCertPool()
	require.NoError(t, pool.AppendCertsFromPEM(testenv.Read(t, "ca.pem")))
	return &gnutls.Config{RootCAs: pool, ServerName: "localhost"}
}

func ourClient(t testing.TB, c net.Conn, config *gnutls.Config) *gnutls.Conn {
	client := gnutls.Client(c, config)
	t.Cleanup(func() { client.Close() })
	return client
}

// servers are what a scripted client talks to. retrying asks for P-256.
func servers(t testing.TB) map[string]func(c net.Conn, retrying bool) conn {
	return map[string]func(c net.Conn, retrying bool) conn{
		"scripted": func(c net.Conn, retrying bool) conn {
			script := tls13peer.ServerScript{Identity: identity(t)}
			if retrying {
				script.RetryGroup = tls13peer.P256
			}
			return tls13peer.NewServer(c, script)
		},
		"crypto/tls": func(c net.Conn, retrying bool) conn {
			config := &tls.Config{}
			if retrying {
				config.CurvePreferences = []tls.CurveID{tls.CurveP256}
			}
			return goServer(t, c, config)
		},
		"GnuTLS": func(c net.Conn, retrying bool) conn {
			config := new(gnutls.Config)
			if retrying {
				config.Priority = "NORMAL:-GROUP-ALL:+GROUP-SECP256R1"
			}
			return ourServer(t, c, config)
		},
	}
}

func TestClient(t *testing.T) {
	for name, server := range servers(t) {
		for retried, retrying := range map[string]bool{"": false, " with HelloRetryRequest": true} {
			t.Run(name+retried, func(t *testing.T) {
				cc, sc := tcpPipe(t)
				c := tls13peer.NewClient(cc,
					tls13peer.ClientScript{ServerName: "localhost", Extra: tls13peer.Extensions{unknown}})
				s := server(sc, retrying)
				requireShake(t, c, s)
				assert.Equal(t, retrying, c.HelloRetryRequest != nil)
				assert.False(t, c.Resumed)
				echo(t, c, s)
			})
		}
	}
}

func TestServer(t *testing.T) {
	clients := map[string]func(net.Conn) conn{
		"scripted":   func(c net.Conn) conn { return tls13peer.NewClient(c, tls13peer.ClientScript{}) },
		"crypto/tls": func(c net.Conn) conn { return goClient(t, c, &tls.Config{}) },
		"GnuTLS":     func(c net.Conn) conn { return ourClient(t, c, ourConfig(t)) },
	}
	scripts := map[string]func(*tls13peer.ServerScript){
		"full": func(*tls13peer.ServerScript) {},
		"HelloRetryRequest for a group": func(s *tls13peer.ServerScript) {
			s.RetryGroup = tls13peer.P256
		},
		"client certificate": func(s *tls13peer.ServerScript) {
			s.Extra = map[tls13peer.Message]tls13peer.Extensions{tls13peer.CertificateRequest: {unknown}}
		},
	}
	for name, client := range clients {
		for what, change := range scripts {
			t.Run(name+" "+what, func(t *testing.T) {
				script := tls13peer.ServerScript{Identity: identity(t)}
				change(&script)
				if name == "GnuTLS" && script.RetryGroup != 0 {
					script.RetryGroup = tls13peer.P384 // it has sent a key for P-256
				}
				cc, sc := tcpPipe(t)
				c, s := client(cc), tls13peer.NewServer(sc, script)
				requireShake(t, c, s)
				if script.RetryGroup != 0 {
					require.Len(t, s.Hellos, 2)
					assert.Equal(t, s.Hellos[0].Random, s.Hellos[1].Random)
				}
				echo(t, c, s)
			})
		}
	}
}

func TestExtraExtensionsArriveUnchanged(t *testing.T) {
	cc, sc := tcpPipe(t)
	two := tls13peer.Extensions{unknown, {Type: 0xfafb, Body: []byte{}}}
	cookie := tls13peer.Extension{Type: tls13peer.ExtCookie, Body: []byte("\x00\x03abc")}
	c := tls13peer.NewClient(cc, tls13peer.ClientScript{Extra: two, RetryExtra: two[1:]})
	s := tls13peer.NewServer(sc, tls13peer.ServerScript{
		Identity: identity(t),
		Extra: map[tls13peer.Message]tls13peer.Extensions{
			tls13peer.HelloRetryRequest:   {cookie},
			tls13peer.ServerHello:         two,
			tls13peer.EncryptedExtensions: two,
			tls13peer.CertificateRequest:  two,
			tls13peer.Certificate:         two,
		},
	})
	requireShake(t, c, s)
	for _, e := range two {
		want := [][]byte{e.Body}
		assert.Equal(t, want, s.Hellos[0].Extensions.Bodies(e.Type))
		assert.Equal(t, want, c.ServerHello.Bodies(e.Type))
		assert.Equal(t, want, c.EncryptedExtensions.Bodies(e.Type))
		assert.Equal(t, want, c.CertificateRequest.Bodies(e.Type))
		assert.Equal(t, want, c.Certificate[0].Bodies(e.Type))
	}
	assert.Empty(t, s.Hellos[1].Extensions.Bodies(unknown.Type))
	assert.Equal(t, [][]byte{{}}, s.Hellos[1].Extensions.Bodies(0xfafb))
	assert.Equal(t, [][]byte{cookie.Body}, s.Hellos[1].Extensions.Bodies(tls13peer.ExtCookie))
}

func TestAlertsAreTold(t *testing.T) {
	t.Run("of a client, in the handshake", func(t *testing.T) {
		for _, place := range []tls13peer.Message{tls13peer.ServerHello, tls13peer.HelloRetryRequest,
			tls13peer.EncryptedExtensions} {
			t.Run(string(place), func(t *testing.T) {
				cc, sc := tcpPipe(t)
				s := tls13peer.NewServer(sc, tls13peer.ServerScript{
					Identity:   identity(t),
					RetryGroup: tls13peer.P256,
					Extra: map[tls13peer.Message]tls13peer.Extensions{place: {{Type: 16,
						Body: []byte("\x00\x03\x02h2")}}},
				})
				clientErr, serverErr := shake(goClient(t, cc, &tls.Config{}), s)
				require.Error(t, clientErr)
				var alert tls13peer.Alert
				assert.ErrorAs(t, serverErr, &alert)
			})
		}
	})
	t.Run("of a client, after its Finished", func(t *testing.T) {
		cc, sc := tcpPipe(t)
		c, s := goClient(t, cc, &tls.Config{}), tls13peer.NewServer(sc,
			tls13peer.ServerScript{Identity: identity(t)})
		requireShake(t, c, s)
		require.NoError(t, c.CloseWrite())
		alert, err := s.ReadAlert()
		require.NoError(t, err)
		assert.Equal(t, tls13peer.Alert(0), alert)
	})
	t.Run("of a server", func(t *testing.T) {
		cc, sc := tcpPipe(t)
		c := tls13peer.NewClient(cc, tls13peer.ClientScript{CipherSuites: []uint16{0xfafa}})
		clientErr, serverErr := shake(c, goServer(t, sc, &tls.Config{}))
		require.Error(t, serverErr)
		assert.Equal(t, tls13peer.Alert(gnutls.AlertHandshakeFailure), clientErr)
	})
}

// earlyCases are what becomes of early data.
var earlyCases = map[string]struct {
	early  string
	accept bool
}{
	"without early data":     {},
	"early data accepted":    {early: "early", accept: true},
	"early data are refused": {early: "early"},
}

func TestResumptionBetweenScripts(t *testing.T) {
	for name, tc := range earlyCases {
		for _, group := range []uint16{0, tls13peer.P256} {
			t.Run(name, func(t *testing.T) {
				ticket := issue(t)
				cc, sc := tcpPipe(t)
				c := tls13peer.NewClient(cc,
					tls13peer.ClientScript{Ticket: ticket, EarlyData: []byte(tc.early)})
				s := tls13peer.NewServer(sc, tls13peer.ServerScript{
					Identity: identity(t), Accept: []*tls13peer.Ticket{ticket}, AcceptEarlyData: tc.accept,
					RetryGroup: group,
				})
				requireShake(t, c, s)
				assert.True(t, c.Resumed)
				assert.Same(t, ticket, s.Resumed)
				accepted := tc.accept && group == 0
				assert.Equal(t, accepted, c.EarlyDataAccepted)
				if accepted {
					assert.Equal(t, tc.early, string(s.EarlyDataTaken))
				} else {
					assert.Empty(t, s.EarlyDataTaken)
				}
				echo(t, c, s)
			})
		}
	}
}

// issue returns a ticket of a scripted server, as its client got it.
func issue(t testing.TB) *tls13peer.Ticket {
	t.Helper()
	cc, sc := tcpPipe(t)
	c, s := tls13peer.NewClient(cc, tls13peer.ClientScript{}), tls13peer.NewServer(sc,
		tls13peer.ServerScript{Identity: identity(t)})
	requireShake(t, c, s)
	sent := &tls13peer.Ticket{Lifetime: 60, Nonce: []byte{7},
		Extensions: tls13peer.Extensions{tls13peer.EarlyData(1000)}}
	require.NoError(t, s.SendTicket(sent))
	require.NoError(t, s.SendTicket(&tls13peer.Ticket{Lifetime: 1}))
	echo(t, c, s)
	require.Len(t, c.Tickets, 2)
	assert.EqualValues(t, 1000, c.Tickets[0].MaxEarlyData())
	assert.Equal(t, sent.Name, c.Tickets[0].Name)
	return c.Tickets[0]
}

func TestATicketThatIsNotAcceptedGivesAFullHandshake(t *testing.T) {
	ticket := issue(t)
	cc, sc := tcpPipe(t)
	c := tls13peer.NewClient(cc, tls13peer.ClientScript{Ticket: ticket, EarlyData: []byte("early")})
	s := tls13peer.NewServer(sc, tls13peer.ServerScript{Identity: identity(t), AcceptEarlyData: true})
	requireShake(t, c, s)
	assert.False(t, c.Resumed)
	assert.Nil(t, s.Resumed)
	assert.Empty(t, s.EarlyDataTaken)
	echo(t, c, s)
}

func TestClientResumes(t *testing.T) {
	t.Run("crypto/tls", func(t *testing.T) {
		config := new(tls.Config)
		ticket := fetch(t, func(c net.Conn) conn { return goServer(t, c, config) })
		cc, sc := tcpPipe(t)
		c, s := tls13peer.NewClient(cc, tls13peer.ClientScript{Ticket: ticket}), goServer(t, sc, config)
		requireShake(t, c, s)
		assert.True(t, c.Resumed)
		assert.True(t, s.ConnectionState().DidResume)
		echo(t, c, s)
	})
	t.Run("GnuTLS", func(t *testing.T) {
		for _, early := range []string{"", "early"} {
			taken := gnutls.LibraryVersion() != "3.7.1" // whose servers take no early data
			if early != "" && !taken {
				continue
			}
			key, err := gnutls.NewTicketKey()
			require.NoError(t, err)
			config := &gnutls.Config{TicketKey: key, MaxEarlyData: 1000}
			ticket := fetch(t, func(c net.Conn) conn { return ourServer(t, c, config) })
			assert.Equal(t, map[bool]int{true: 1000}[taken], int(ticket.MaxEarlyData()))
			cc, sc := tcpPipe(t)
			c := tls13peer.NewClient(cc, tls13peer.ClientScript{Ticket: ticket, EarlyData: []byte(early)})
			s := ourServer(t, sc, config)
			requireShake(t, c, s)
			assert.True(t, c.Resumed)
			assert.Equal(t, early != "", c.EarlyDataAccepted)
			assert.Equal(t, len(early), s.ConnectionState().EarlyData)
			buf := make([]byte, len(early))
			_, err = io.ReadFull(s, buf)
			require.NoError(t, err)
			assert.Equal(t, early, string(buf))
			echo(t, c, s)
		}
	})
}

// fetch returns a ticket of a server.
func fetch(t testing.TB, server func(net.Conn) conn) *tls13peer.Ticket {
	t.Helper()
	cc, sc := tcpPipe(t)
	c, s := tls13peer.NewClient(cc, tls13peer.ClientScript{}), server(sc)
	requireShake(t, c, s)
	echo(t, c, s)
	require.NotEmpty(t, c.Tickets)
	return c.Tickets[0]
}

func TestServerResumes(t *testing.T) {
	t.Run("crypto/tls", func(t *testing.T) {
		config := &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		cc, sc := tcpPipe(t)
		c, s := goClient(t, cc, config), tls13peer.NewServer(sc,
			tls13peer.ServerScript{Identity: identity(t)})
		requireShake(t, c, s)
		ticket := &tls13peer.Ticket{Lifetime: 60}
		require.NoError(t, s.SendTicket(ticket))
		echo(t, c, s)

		cc, sc = tcpPipe(t)
		c = goClient(t, cc, config)
		s = tls13peer.NewServer(sc,
			tls13peer.ServerScript{Identity: identity(t), Accept: []*tls13peer.Ticket{ticket}})
		requireShake(t, c, s)
		assert.True(t, c.ConnectionState().DidResume)
		echo(t, c, s)
	})
	t.Run("GnuTLS", func(t *testing.T) {
		for name, tc := range earlyCases {
			t.Run(name, func(t *testing.T) {
				config := ourConfig(t)
				cc, sc := tcpPipe(t)
				c, s := ourClient(t, cc, config), tls13peer.NewServer(sc,
					tls13peer.ServerScript{Identity: identity(t)})
				requireShake(t, c, s)
				ticket := &tls13peer.Ticket{Lifetime: 60,
					Extensions: tls13peer.Extensions{tls13peer.EarlyData(1000)}}
				require.NoError(t, s.SendTicket(ticket))
				echo(t, c, s)
				data, err := c.SessionData(t.Context())
				require.NoError(t, err)

				cc, sc = tcpPipe(t)
				c = ourClient(t, cc, config)
				require.NoError(t, c.Resume(data))
				_, err = c.WriteEarlyData([]byte(tc.early))
				require.NoError(t, err)
				s = tls13peer.NewServer(sc, tls13peer.ServerScript{Identity: identity(t),
					Accept: []*tls13peer.Ticket{ticket}, AcceptEarlyData: tc.accept})
				requireShake(t, c, s)
				assert.True(t, c.ConnectionState().DidResume)
				assert.Equal(t, tc.accept, c.ConnectionState().EarlyDataAccepted)
				if tc.accept {
					assert.Equal(t, tc.early, string(s.EarlyDataTaken))
				} else {
					assert.Empty(t, s.EarlyDataTaken)
					buf := make([]byte, len(tc.early))
					_, err := io.ReadFull(s, buf)
					require.NoError(t, err)
					assert.Equal(t, tc.early, string(buf), "sent again")
				}
				echo(t, c, s)
			})
		}
	})
}

func TestAReplayIsTheSameBytes(t *testing.T) {
	ticket := issue(t)
	script := tls13peer.ServerScript{Identity: identity(t), Accept: []*tls13peer.Ticket{ticket},
		AcceptEarlyData: true}
	cc, sc := tcpPipe(t)
	c := tls13peer.NewClient(cc, tls13peer.ClientScript{Ticket: ticket, EarlyData: []byte("early")})
	s := tls13peer.NewServer(sc, script)
	requireShake(t, c, s)
	first := s.Hellos[0].Raw

	cc, sc = tcpPipe(t)
	replayed := tls13peer.NewClient(cc, tls13peer.ClientScript{Replay: c})
	s = tls13peer.NewServer(sc, script)
	requireShake(t, replayed, s)
	assert.Equal(t, first, s.Hellos[0].Raw)
	assert.Equal(t, "early", string(s.EarlyDataTaken))
	n := len(first)
	assert.Equal(t, c.Sent()[:n], replayed.Sent()[:n])
	echo(t, replayed, s)
}
