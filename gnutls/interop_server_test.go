package gnutls_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// A clientPeer is somebody else's client, for our server.
type clientPeer struct {
	name string
	// run connects to an echoing server so many times, from the second on to
	// resume. On each connection it sends a line, waits for its echo and closes.
	run func(t *testing.T, addr string, s settings, times int) []seen
	// fails connects to a server that refuses the handshake, and returns why in
	// the peer's words.
	fails func(t *testing.T, addr string, s settings) string
}

var (
	clientPrograms = []clientPeer{
		{"gnutls-cli", runGnutlsCli, failGnutlsCli},
		{"openssl s_client", runSClient, failSClient},
	}
	// crypto/tls knows neither external pre-shared keys nor session IDs.
	clientPeers = append(clientPrograms[:2:2], clientPeer{"crypto/tls", runGoClient, failGoClient})
)

func eachClientPeer(t *testing.T, peers []clientPeer, f func(t *testing.T, peer clientPeer)) {
	for _, peer := range peers {
		t.Run(peer.name, func(t *testing.T) { f(t, peer) })
	}
}

func startGnutlsCli(t *testing.T, addr string, s settings, args ...string) *testenv.Process {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	args = append(args, host, "-p", port, "--sni-hostname", s.name(), "--verify-hostname", s.name(),
		"--x509cafile", testenv.File("ca.pem"))
	priority := s.gnutlsPriority()
	if s.psk {
		args = append(args, "--pskusername", testIdentity, "--pskkey", testKeyHex)
		if s.version == gnutls.VersionTLS12 {
			// gnutls-cli 3.7.9 crashes when it prints that it is connected with
			// ECDHE-PSK or DHE-PSK under TLS 1.2.
			priority += ":-ECDHE-PSK:-DHE-PSK"
		}
	}
	args = append(args, "--priority", priority)
	if s.clientCert != "" {
		args = append(args, "--x509certfile", testenv.File(s.clientCert+".pem"),
			"--x509keyfile", testenv.File(s.clientCert+".key"))
	}
	for _, p := range s.protocols {
		args = append(args, "--alpn", p)
	}
	return testenv.Start(t, "gnutls-cli", args...)
}

func runGnutlsCli(t *testing.T, addr string, s settings, times int) []seen {
	t.Helper()
	p := startGnutlsCli(t, addr, s, "--inline-commands", "--waitresumption")
	var all []seen
	for i := range times {
		var out string
		if i == 0 {
			out = p.Expect(t, "- Simple Client Mode:")
		} else {
			p.Send(t, "^resume^\n")
			out = p.Expect(t, "- Resume Handshake was completed")
		}
		p.Send(t, line)
		all = append(all, gnutlsSeen(out+p.Expect(t, line)))
	}
	p.CloseInput()
	p.Expect(t, "- Peer has closed the GnuTLS connection")
	require.Zero(t, p.Wait(t))
	return all
}

func failGnutlsCli(t *testing.T, addr string, s settings) string {
	t.Helper()
	p := startGnutlsCli(t, addr, s)
	require.Equal(t, 1, p.Wait(t))
	return p.Output()
}

func startSClient(t *testing.T, addr string, s settings, args ...string) *testenv.Process {
	t.Helper()
	args = append([]string{"s_client", "-connect", addr, "-servername", s.name()}, args...)
	args = append(args, s.opensslArgs()...)
	if !s.psk {
		args = append(args, "-verify", "3", "-verify_hostname", s.name())
	}
	if s.clientCert != "" {
		args = append(args, "-cert", testenv.File(s.clientCert+".pem"), "-key",
			testenv.File(s.clientCert+".key"))
	}
	return testenv.Start(t, "openssl", args...)
}

// opensslReady ends what s_client prints of a new connection.
const opensslReady = "Verify return code: "

func runSClient(t *testing.T, addr string, s settings, times int) []seen {
	t.Helper()
	session := filepath.Join(t.TempDir(), "session.pem")
	args := []string{"-sess_out", session}
	var all []seen
	for range times {
		p := startSClient(t, addr, s, args...)
		all = append(all, opensslSeen(p.Expect(t, opensslReady), "Reused, TLSv1."))
		p.Send(t, line)
		p.Expect(t, line)
		p.CloseInput()
		require.Zero(t, p.Wait(t))
		args = []string{"-sess_in", session, "-sess_out", session}
	}
	return all
}

func failSClient(t *testing.T, addr string, s settings) string {
	t.Helper()
	p := startSClient(t, addr, s)
	require.Equal(t, 1, p.Wait(t))
	return p.Output()
}

func goClientConfig(t *testing.T, s settings) *tls.Config {
	c := s.goConfig()
	c.RootCAs, c.ServerName = goPool(t), s.name()
	if s.clientCert != "" {
		// Unlike Certificates this sends it whatever authorities the server names.
		certs := goCertificates(t, s.clientCert)
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &certs[0], nil
		}
	}
	return c
}

func runGoClient(t *testing.T, addr string, s settings, times int) []seen {
	t.Helper()
	config := goClientConfig(t, s)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	var all []seen
	for range times {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: wait}, "tcp", addr, config)
		require.NoError(t, err)
		defer conn.Close()
		echoOver(t, conn, line)
		view := goSeen(conn.ConnectionState())
		view.serverName = "" // it is what the client asked for
		all = append(all, view)
		require.NoError(t, conn.CloseWrite())
		requireEOF(t, conn)
	}
	return all
}

func failGoClient(t *testing.T, addr string, s settings) string {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: wait}, "tcp", addr, goClientConfig(t, s))
	if err == nil {
		// Under TLS 1.3 a client is done before its server.
		defer conn.Close()
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(wait)))
		_, err = conn.Read(make([]byte, 1))
	}
	require.Error(t, err)
	return err.Error()
}

// TestInteropServerFullAndResumed has each client connect twice, exchange data
// and close. Both sides must say that the second connection resumed the first,
// and each must end with a close_notify.
func TestInteropServerFullAndResumed(t *testing.T) {
	cases := []struct {
		name     string
		settings settings
		disabled bool  // Config.SessionTicketsDisabled
		lookups  int64 // of the session store, that found a session
	}{
		{"TLS 1.3", settings{version: gnutls.VersionTLS13}, false, 0},
		{"TLS 1.2 ticket", settings{version: gnutls.VersionTLS12}, false, 0},
		{"TLS 1.2 session ID, client without tickets",
			settings{version: gnutls.VersionTLS12, noTickets: true}, false, 1},
		{"TLS 1.2 session ID, server without tickets", settings{version: gnutls.VersionTLS12}, true, 1},
	}
	eachClientPeer(t, clientPeers, func(t *testing.T, peer clientPeer) {
		for _, c := range cases {
			if c.lookups > 0 && peer.name == "crypto/tls" {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				store := &countingStore{SessionStore: gnutls.NewSessionStore(0)}
				config := c.settings.serverConfig(t)
				config.SessionTicketsDisabled = c.disabled
				config.SessionStore = store
				s := serve(t, listen(t, config), echoBack)
				views := peer.run(t, s.addr, c.settings, 2)
				for i, resumed := range []bool{false, true} {
					conn := s.next(t)
					require.NoError(t, conn.err)
					assert.Equal(t, resumed, conn.state.DidResume)
					assert.Equal(t, c.settings.version, conn.state.Version)
					assert.Equal(t, "localhost", conn.state.ServerName)
					assert.Equal(t, resumed, views[i].resumed)
				}
				assert.Equal(t, "gnucoap test server", views[0].peer)
				assert.Equal(t, c.lookups, store.found.Load())
			})
		}
	})
}

// countingStore counts the lookups that found a session.
type countingStore struct {
	gnutls.SessionStore
	found atomic.Int64
}

func (s *countingStore) Get(ctx context.Context, id []byte) ([]byte, error) {
	data, err := s.SessionStore.Get(ctx, id)
	if data != nil {
		s.found.Add(1)
	}
	return data, err
}

// TestInteropServerResumesSClientReconnect is openssl's own test of resumption:
// five connections more, all with the session of the first.
func TestInteropServerResumesSClientReconnect(t *testing.T) {
	for name, noTickets := range map[string]bool{"ticket": false, "session ID": true} {
		t.Run(name, func(t *testing.T) {
			set := settings{version: gnutls.VersionTLS12, noTickets: noTickets}
			s := serve(t, listen(t, set.serverConfig(t)), echoBack)
			p := startSClient(t, s.addr, set, "-reconnect")
			p.Expect(t, "New, TLSv1.2")
			for range 5 {
				p.Expect(t, "Reused, TLSv1.2")
			}
			p.CloseInput()
			require.Zero(t, p.Wait(t))
			for i := range 6 {
				conn := s.next(t)
				assert.NoError(t, conn.err)
				assert.Equal(t, i > 0, conn.state.DidResume)
			}
		})
	}
}

// TestInteropServerResumesGnutlsCliResume is the same with gnutls-cli.
func TestInteropServerResumesGnutlsCliResume(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		set := settings{version: version}
		s := serve(t, listen(t, set.serverConfig(t)), echoBack)
		p := startGnutlsCli(t, s.addr, set, "--resume", "--waitresumption")
		p.Expect(t, "*** This is a resumed session")
		p.Send(t, line)
		p.Expect(t, line)
		p.CloseInput()
		require.Zero(t, p.Wait(t))
		assert.False(t, s.next(t).state.DidResume)
		second := s.next(t)
		assert.NoError(t, second.err)
		assert.True(t, second.state.DidResume)
	})
}

// TestInteropServerClosesFirst checks that each client takes the end of the
// connection for a clean one.
func TestInteropServerClosesFirst(t *testing.T) {
	sendAndClose := func(c *gnutls.Conn) error {
		if _, err := io.WriteString(c, line); err != nil {
			return err
		}
		return c.Close()
	}
	eachVersion(t, func(t *testing.T, version uint16) {
		set := settings{version: version}
		s := serve(t, listen(t, set.serverConfig(t)), sendAndClose)
		t.Run("gnutls-cli", func(t *testing.T) {
			p := startGnutlsCli(t, s.addr, set)
			p.Expect(t, line)
			p.Expect(t, "- Peer has closed the GnuTLS connection")
			assert.Zero(t, p.Wait(t))
			assert.NoError(t, s.next(t).err)
		})
		t.Run("openssl s_client", func(t *testing.T) {
			p := startSClient(t, s.addr, set)
			p.Expect(t, line)
			p.Expect(t, "closed\n")
			assert.Zero(t, p.Wait(t))
			assert.NoError(t, s.next(t).err)
		})
		t.Run("crypto/tls", func(t *testing.T) {
			conn, err := tls.DialWithDialer(&net.Dialer{Timeout: wait}, "tcp", s.addr,
				goClientConfig(t, set))
			require.NoError(t, err)
			defer conn.Close()
			requireRead(t, conn, line)
			requireEOF(t, conn)
			assert.NoError(t, s.next(t).err)
		})
	})
}

// TestInteropServerOneMiBEachWay echoes 1 MiB.
func TestInteropServerOneMiBEachWay(t *testing.T) {
	data := oneMiB()
	eachVersion(t, func(t *testing.T, version uint16) {
		set := settings{version: version}
		s := serve(t, listen(t, set.serverConfig(t)), echoBack)
		program := func(p *testenv.Process) {
			p.Send(t, data)
			p.Expect(t, data)
			p.CloseInput()
			require.Zero(t, p.Wait(t))
			assert.NoError(t, s.next(t).err)
		}
		t.Run("gnutls-cli", func(t *testing.T) { program(startGnutlsCli(t, s.addr, set)) })
		t.Run("openssl s_client", func(t *testing.T) {
			program(startSClient(t, s.addr, set, "-quiet", "-no_ign_eof"))
		})
		t.Run("crypto/tls", func(t *testing.T) {
			conn, err := tls.DialWithDialer(&net.Dialer{Timeout: wait}, "tcp", s.addr,
				goClientConfig(t, set))
			require.NoError(t, err)
			defer conn.Close()
			echoOver(t, conn, data)
			require.NoError(t, conn.CloseWrite())
			requireEOF(t, conn)
			assert.NoError(t, s.next(t).err)
		})
	})
}

// TestInteropServerTakesClientCertificates has clients with a certificate, also
// when they resume.
func TestInteropServerTakesClientCertificates(t *testing.T) {
	eachClientPeer(t, clientPeers, func(t *testing.T, peer clientPeer) {
		eachVersion(t, func(t *testing.T, version uint16) {
			set := settings{version: version, clientCert: "client"}
			s := serve(t, listen(t, set.serverConfig(t)), echoBack)
			views := peer.run(t, s.addr, set, 2)
			for i, resumed := range []bool{false, true} {
				conn := s.next(t)
				require.NoError(t, conn.err)
				assert.Equal(t, resumed, conn.state.DidResume)
				assert.Equal(t, resumed, views[i].resumed)
				assert.Equal(t, "client one", commonName(conn.state))
				assert.Len(t, conn.state.VerifiedChains, 1)
			}
		})
	})
}

// TestInteropServerRefusesClientsWithoutGoodCertificate checks what both sides
// say of a client that has none, or one of another authority.
func TestInteropServerRefusesClientsWithoutGoodCertificate(t *testing.T) {
	eachClientPeer(t, clientPeers, func(t *testing.T, peer clientPeer) {
		eachVersion(t, func(t *testing.T, version uint16) {
			config := settings{clientCert: "client"}.serverConfig(t)
			s := serve(t, listen(t, config), echoBack)
			// It may write on when the server has closed, and then reads no alert.
			deaf := ""
			if peer.name == "gnutls-cli" && !cgnutls.AtLeast("3.7.2") {
				deaf = "|Error in the push function"
			}

			t.Run("none", func(t *testing.T) {
				words := peer.fails(t, s.addr, settings{version: version})
				assert.ErrorIs(t, s.next(t).err, gnutls.CodeCertificateRequired)
				if version == gnutls.VersionTLS12 {
					assert.Regexp(t, `(?i)handshake.fail`+deaf, words)
				} else {
					assert.Regexp(t, `(?i)certificate (is )?required`+deaf, words)
				}
			})
			t.Run("of another authority", func(t *testing.T) {
				words := peer.fails(t, s.addr, settings{version: version, clientCert: "client-other"})
				err := s.next(t).err
				assert.Regexp(t, `(?i)CA is unknown|unknown ca|unknown certificate authority`+deaf, words)
				assert.ErrorIs(t, err, gnutls.CertificateUnknownAuthority)
			})
			s.requireServing(t, settings{clientCert: "client"})
		})
	})
}

// TestInteropServerTakesPreSharedKeys has clients with a pre-shared key, on a
// server that has nothing else.
func TestInteropServerTakesPreSharedKeys(t *testing.T) {
	eachClientPeer(t, clientPrograms, func(t *testing.T, peer clientPeer) {
		eachVersion(t, func(t *testing.T, version uint16) {
			set := settings{version: version, psk: true}
			config := set.serverConfig(t)
			if peer.name == "gnutls-cli" && version == gnutls.VersionTLS12 {
				config.Priority = "NORMAL:+PSK" // see startGnutlsCli
			}
			s := serve(t, listen(t, config), echoBack)
			views := peer.run(t, s.addr, set, 2)
			// The first time openssl takes the key for a session too.
			assert.True(t, views[1].resumed)
			for _, resumed := range []bool{false, true} {
				conn := s.next(t)
				require.NoError(t, conn.err)
				assert.Equal(t, resumed, conn.state.DidResume)
				assert.True(t, conn.state.PSK)
				assert.Equal(t, testIdentity, conn.state.PSKIdentity)
				assert.Equal(t, version, conn.state.Version)
				assert.Empty(t, conn.state.PeerCertificates)
			}
		})
	})
}

// TestInteropServerNegotiatesProtocol checks ALPN: the server's preference
// wins, also when the client resumes.
func TestInteropServerNegotiatesProtocol(t *testing.T) {
	eachClientPeer(t, clientPeers, func(t *testing.T, peer clientPeer) {
		eachVersion(t, func(t *testing.T, version uint16) {
			s := serve(t, listen(t, settings{protocols: []string{"h2", "http/1.1"}}.serverConfig(t)),
				echoBack)
			set := settings{version: version, protocols: []string{"http/1.1", "h2"}}
			for _, view := range peer.run(t, s.addr, set, 2) {
				assert.Equal(t, "h2", view.protocol)
				conn := s.next(t)
				assert.NoError(t, conn.err)
				assert.Equal(t, "h2", conn.state.NegotiatedProtocol)
			}
		})
	})
}

// TestInteropServerRefusesOtherProtocols has clients that share no protocol.
func TestInteropServerRefusesOtherProtocols(t *testing.T) {
	eachClientPeer(t, clientPeers, func(t *testing.T, peer clientPeer) {
		eachVersion(t, func(t *testing.T, version uint16) {
			s := serve(t, listen(t, settings{protocols: []string{"h2"}}.serverConfig(t)), echoBack)
			words := peer.fails(t, s.addr, settings{version: version, protocols: []string{"coap"}})
			assert.Regexp(t, `(?i)no (supported )?application protocol|alert number 120`, words)
			assert.ErrorIs(t, s.next(t).err, gnutls.CodeNoApplicationProtocol)
			s.requireServing(t, settings{})
		})
	})
}

// TestInteropServerPicksCertificateByName checks SNI.
func TestInteropServerPicksCertificateByName(t *testing.T) {
	s := serve(t, listen(t, settings{certs: []string{"server", "alpha", "beta"}}.serverConfig(t)),
		echoBack)
	eachClientPeer(t, clientPeers, func(t *testing.T, peer clientPeer) {
		eachVersion(t, func(t *testing.T, version uint16) {
			for _, name := range []string{"alpha", "beta"} {
				set := settings{version: version, serverName: name + ".test"}
				views := peer.run(t, s.addr, set, 1)
				assert.Equal(t, "gnucoap test "+name, views[0].peer)
				conn := s.next(t)
				assert.NoError(t, conn.err)
				assert.Equal(t, name+".test", conn.state.ServerName)
			}
		})
	})
}

// TestInteropServerCertificateKinds has certificates with other keys than ECDSA.
func TestInteropServerCertificateKinds(t *testing.T) {
	for _, name := range []string{"server-rsa", "server-ed25519", "server-chain"} {
		t.Run(name, func(t *testing.T) {
			set := settings{certs: []string{name}}
			s := serve(t, listen(t, set.serverConfig(t)), echoBack)
			eachClientPeer(t, clientPeers, func(t *testing.T, peer clientPeer) {
				eachVersion(t, func(t *testing.T, version uint16) {
					set.version = version
					views := peer.run(t, s.addr, set, 1)
					assert.Equal(t, testCertificate(t, name).Leaf.Subject.CommonName, views[0].peer)
					assert.NoError(t, s.next(t).err)
				})
			})
		})
	}
}

// TestInteropServerSendsHelloRetryRequest has a server that allows only a
// group for which no client sends a key share at first.
func TestInteropServerSendsHelloRetryRequest(t *testing.T) {
	eachClientPeer(t, clientPeers, func(t *testing.T, peer clientPeer) {
		ln, taps := listenTapped(t, settings{onlyP521: true}.serverConfig(t))
		s := serve(t, ln, echoBack)
		views := peer.run(t, s.addr, settings{version: gnutls.VersionTLS13}, 2)
		for i, resumed := range []bool{false, true} {
			conn := s.next(t)
			require.NoError(t, conn.err)
			assert.Equal(t, "SECP521R1", conn.state.Group)
			assert.Equal(t, resumed, conn.state.DidResume)
			assert.Equal(t, resumed, views[i].resumed)
			assert.Equal(t, 1, receive(t, taps).helloRetryRequests())
		}
	})
}

// TestInteropServerFollowsKeyUpdates has clients that change their keys, and
// ask the server to do so.
func TestInteropServerFollowsKeyUpdates(t *testing.T) {
	set := settings{version: gnutls.VersionTLS13}
	s := serve(t, listen(t, set.serverConfig(t)), echoBack)
	t.Run("gnutls-cli", func(t *testing.T) {
		p := startGnutlsCli(t, s.addr, set, "--inline-commands")
		p.Expect(t, "- Simple Client Mode:")
		for _, command := range []string{"^rekey1^\n", "^rekey^\n", "^rekey^\n"} {
			p.Send(t, command)
			p.Expect(t, "- Rekey was completed")
			p.Send(t, line)
			p.Expect(t, line)
		}
		p.CloseInput()
		require.Zero(t, p.Wait(t))
		assert.NoError(t, s.next(t).err)
	})
	t.Run("openssl s_client", func(t *testing.T) {
		p := startSClient(t, s.addr, set, "-msg")
		p.Expect(t, opensslReady)
		for _, command := range []string{"k", "K", "K"} {
			p.Send(t, command+"\n")
			p.Expect(t, ">>> TLS 1.3, Handshake [length 0005], KeyUpdate")
			p.Send(t, line)
			if command == "K" {
				p.Expect(t, "<<< TLS 1.3, Handshake [length 0005], KeyUpdate")
			}
			p.Expect(t, line)
		}
		p.CloseInput()
		require.Zero(t, p.Wait(t))
		assert.NoError(t, s.next(t).err)
	})
}

// TestInteropServerRefusesRenegotiation has TLS 1.2 clients that ask for
// another handshake.
func TestInteropServerRefusesRenegotiation(t *testing.T) {
	set := settings{version: gnutls.VersionTLS12}
	s := serve(t, listen(t, set.serverConfig(t)), echoBack)
	refused := func(t *testing.T) {
		err := s.next(t).err
		assert.ErrorIs(t, err, gnutls.CodeRehandshake)
		assert.ErrorContains(t, err, "renegotiation is refused")
		s.requireServing(t, settings{})
	}
	t.Run("gnutls-cli", func(t *testing.T) {
		p := startGnutlsCli(t, s.addr, set, "--inline-commands")
		p.Expect(t, "- Simple Client Mode:")
		p.Send(t, line)
		p.Expect(t, line)
		p.Send(t, "^renegotiate^\n")
		p.Expect(t, "*** ReHandshake has failed")
		require.Equal(t, 1, p.Wait(t))
		refused(t)
	})
	t.Run("openssl s_client", func(t *testing.T) {
		p := startSClient(t, s.addr, set)
		p.Expect(t, opensslReady)
		p.Send(t, line)
		p.Expect(t, line)
		p.Send(t, "R\n")
		p.Expect(t, "RENEGOTIATING")
		p.Expect(t, "no renegotiation")
		require.Equal(t, 1, p.Wait(t))
		refused(t)
	})
}
