package gnutls_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// A serverPeer is somebody else's server, for our client.
type serverPeer struct {
	name  string
	start func(t *testing.T, s settings) runningPeer
}

// runningPeer is a server that accepts connections.
type runningPeer struct {
	addr string
	// next returns what the server says of its next connection.
	next func(t *testing.T) seen
	// exchange sends data over c to the server and back. It comes after next.
	exchange func(t *testing.T, c net.Conn, data string)
	// process is nil for crypto/tls.
	process *testenv.Process
	// silent says that it closes without a close_notify.
	silent bool
}

var (
	serverPrograms = []serverPeer{
		{"gnutls-serv", startGnutlsServ},
		{"openssl s_server", func(t *testing.T, s settings) runningPeer { return startSServer(t, s) }},
	}
	// crypto/tls knows neither external pre-shared keys nor session IDs.
	serverPeers = append(serverPrograms[:2:2], serverPeer{"crypto/tls", startGoServer})
)

func eachServerPeer(t *testing.T, peers []serverPeer, f func(t *testing.T, peer serverPeer)) {
	for _, peer := range peers {
		t.Run(peer.name, func(t *testing.T) { f(t, peer) })
	}
}

func startGnutlsServ(t *testing.T, s settings) runningPeer {
	args := []string{"--echo", "-p", "{port}", "--priority", s.gnutlsPriority(), "--x509cafile",
		testenv.File("ca.pem")}
	if s.psk {
		args = append(args, "--pskpasswd", testenv.File("psk.txt"))
	}
	for _, name := range s.certificates() {
		args = append(args, "--x509certfile", testenv.File(name+".pem"), "--x509keyfile",
			testenv.File(name+".key"))
	}
	if s.clientCert != "" {
		args = append(args, "--require-client-cert", "--verify-client-cert")
	} else {
		args = append(args, "--disable-client-cert")
	}
	for i, p := range s.protocols {
		if i == 0 {
			args = append(args, "--alpn-fatal")
		}
		args = append(args, "--alpn", p)
	}
	p, addr := testenv.StartServer(t, "listening on IPv4 0.0.0.0 port {port}...done", "gnutls-serv",
		args...)
	return runningPeer{
		addr:     addr,
		next:     func(t *testing.T) seen { return gnutlsSeen(p.Expect(t, "'tls-unique': ")) },
		exchange: echoOver,
		process:  p,
	}
}

func startSServer(t *testing.T, s settings, extra ...string) runningPeer {
	args := append([]string{"s_server", "-accept", "127.0.0.1:{port}"}, s.opensslArgs()...)
	args = append(args, extra...)
	if s.psk {
		args = append(args, "-nocert")
	}
	for i, name := range s.certificates() {
		cert, key := testenv.File(name+".pem"), testenv.File(name+".key")
		if i == 0 {
			args = append(args, "-cert", cert, "-key", key)
		} else {
			args = append(args, "-cert2", cert, "-key2", key, "-servername", name+".test")
		}
		if name == "server-chain" {
			args = append(args, "-cert_chain", testenv.File("intermediate.pem"))
		}
	}
	if s.clientCert != "" {
		args = append(args, "-Verify", "3")
	}
	p, addr := testenv.StartServer(t, "ACCEPT\n", "openssl", args...)
	return runningPeer{
		addr: addr,
		next: func(t *testing.T) seen {
			// "Secure Renegotiation IS supported", or "This TLS version forbids
			// renegotiation".
			return opensslSeen(p.Expect(t, "enegotiation"), "Reused session-id")
		},
		exchange: func(t *testing.T, c net.Conn, data string) {
			t.Helper()
			_, err := io.WriteString(c, data)
			require.NoError(t, err)
			p.Expect(t, data)
			p.Send(t, data)
			requireRead(t, c, data)
		},
		process: p,
		silent:  oldOpenSSL(t),
	}
}

// oldOpenSSL reports whether the program is of OpenSSL 1.1.1.
func oldOpenSSL(t *testing.T) bool {
	p := testenv.Start(t, "openssl", "version")
	require.Zero(t, p.Wait(t))
	return strings.HasPrefix(p.Output(), "OpenSSL 1.1.1")
}

func startGoServer(t *testing.T, s settings) runningPeer {
	config := s.goConfig()
	for _, name := range s.certificates() {
		config.Certificates = append(config.Certificates, goCertificates(t, name)...)
	}
	if s.clientCert != "" {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, goPool(t)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	states := make(chan tls.ConnectionState, 16)
	var running sync.WaitGroup
	running.Add(1)
	go func() {
		defer running.Done()
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			running.Add(1)
			go func() {
				defer running.Done()
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(wait))
				c := conn.(*tls.Conn)
				if c.Handshake() != nil {
					return
				}
				states <- c.ConnectionState()
				io.Copy(c, c)
			}()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		running.Wait()
	})
	return runningPeer{
		addr: ln.Addr().String(),
		next: func(t *testing.T) seen {
			t.Helper()
			return goSeen(receive(t, states))
		},
		exchange: echoOver,
	}
}

// dial connects our client.
func dial(t *testing.T, addr string, config *gnutls.Config) *gnutls.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	conn, err := (&gnutls.Dialer{Config: config}).DialContext(ctx, "tcp", addr)
	require.NoError(t, err)
	c := conn.(*gnutls.Conn)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(wait)))
	return c
}

// dialRaw is dial up to the handshake.
func dialRaw(t *testing.T, addr string, config *gnutls.Config) (*gnutls.Conn, *tap) {
	t.Helper()
	raw, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	tapped := &tap{Conn: raw}
	c := gnutls.Client(tapped, config)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(wait)))
	return c, tapped
}

// check compares what both sides say of the connection c that p has accepted
// last, and exchanges data.
func check(t *testing.T, p runningPeer, c *gnutls.Conn, set settings, resumed bool) seen {
	t.Helper()
	view, state := p.next(t), c.ConnectionState()
	assert.Equal(t, resumed, state.DidResume)
	assert.Equal(t, set.version, state.Version)
	if resumed || !set.psk { // openssl takes the key for a session too
		assert.Equal(t, resumed, view.resumed)
	}
	p.exchange(t, c, line)
	return view
}

// closeCleanly closes the writing side of c and checks that the server answers
// with the close of its own.
func (p runningPeer) closeCleanly(t *testing.T, c *gnutls.Conn) {
	t.Helper()
	require.NoError(t, c.CloseWrite())
	if p.silent {
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	} else {
		requireEOF(t, c)
	}
	require.NoError(t, c.Close())
}

// TestInteropClientFullAndResumed connects to each server twice, exchanges data
// and closes. Both sides must say that the second connection resumed the first,
// and the server must answer the close with a close_notify.
func TestInteropClientFullAndResumed(t *testing.T) {
	cases := []struct {
		name     string
		settings settings
		disabled bool // Config.SessionTicketsDisabled
	}{
		{"TLS 1.3", settings{version: gnutls.VersionTLS13}, false},
		{"TLS 1.2 ticket", settings{version: gnutls.VersionTLS12}, false},
		{"TLS 1.2 session ID, client without tickets", settings{version: gnutls.VersionTLS12}, true},
		{"TLS 1.2 session ID, server without tickets",
			settings{version: gnutls.VersionTLS12, noTickets: true}, false},
	}
	eachServerPeer(t, serverPeers, func(t *testing.T, peer serverPeer) {
		for _, c := range cases {
			if (c.disabled || c.settings.noTickets) && peer.name == "crypto/tls" {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				p := peer.start(t, c.settings)
				t.Run("session data", func(t *testing.T) {
					config := c.settings.clientConfig(t)
					config.SessionTicketsDisabled = c.disabled
					first := dial(t, p.addr, config)
					check(t, p, first, c.settings, false)
					d := marshalled(t, sessionData(t, first))
					p.closeCleanly(t, first)

					second, _ := dialRaw(t, p.addr, config)
					require.NoError(t, second.Resume(d))
					require.NoError(t, second.Handshake())
					check(t, p, second, c.settings, true)
					p.closeCleanly(t, second)
				})
				t.Run("cache", func(t *testing.T) {
					config := c.settings.clientConfig(t)
					config.SessionTicketsDisabled = c.disabled
					config.ClientSessionCache = gnutls.NewClientSessionCache(0)
					for _, resumed := range []bool{false, true, true} {
						conn := dial(t, p.addr, config)
						check(t, p, conn, c.settings, resumed)
						p.closeCleanly(t, conn)
					}
				})
			})
		}
	})
}

func sessionData(t *testing.T, c *gnutls.Conn) *gnutls.SessionData {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	d, err := c.SessionData(ctx)
	require.NoError(t, err)
	return d
}

// marshalled returns d as another process would get it.
func marshalled(t *testing.T, d *gnutls.SessionData) *gnutls.SessionData {
	t.Helper()
	b, err := d.MarshalBinary()
	require.NoError(t, err)
	d = new(gnutls.SessionData)
	require.NoError(t, d.UnmarshalBinary(b))
	return d
}

// TestInteropClientResumesStatefulTicket resumes with a TLS 1.3 ticket that is
// no more than the name of a session which s_server keeps.
func TestInteropClientResumesStatefulTicket(t *testing.T) {
	set := settings{version: gnutls.VersionTLS13, noTickets: true}
	p := startSServer(t, set)
	config := set.clientConfig(t)
	first := dial(t, p.addr, config)
	check(t, p, first, set, false)
	d := sessionData(t, first)
	p.closeCleanly(t, first)
	second, _ := dialRaw(t, p.addr, config)
	require.NoError(t, second.Resume(d))
	require.NoError(t, second.Handshake())
	check(t, p, second, set, true)
	p.closeCleanly(t, second)
}

// TestInteropClientWithoutTicket asks servers for session data that give none.
func TestInteropClientWithoutTicket(t *testing.T) {
	for _, peer := range serverPeers {
		if peer.name == "openssl s_server" {
			continue // it gives tickets in any case
		}
		t.Run(peer.name, func(t *testing.T) {
			set := settings{version: gnutls.VersionTLS13, noTickets: true}
			p := peer.start(t, set)
			c := dial(t, p.addr, set.clientConfig(t))
			check(t, p, c, set, false)
			require.NoError(t, c.CloseWrite())
			_, err := c.SessionData(context.Background())
			require.ErrorIs(t, err, gnutls.ErrNoTicket)
			assert.ErrorIs(t, err, io.EOF)
		})
	}
}

// TestInteropClientSeesCleanClose has servers that close first.
func TestInteropClientSeesCleanClose(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		set := settings{version: version}
		t.Run("gnutls-serv", func(t *testing.T) {
			_, addr := testenv.StartServer(t, "listening on IPv4 0.0.0.0 port {port}...done", "gnutls-serv",
				"--http",
				"-p", "{port}", "--priority", set.gnutlsPriority(), "--disable-client-cert",
				"--x509certfile", testenv.File("server.pem"), "--x509keyfile", testenv.File("server.key"))
			c := dial(t, addr, set.clientConfig(t))
			_, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
			require.NoError(t, err)
			page, err := io.ReadAll(c)
			require.NoError(t, err)
			assert.Contains(t, string(page), "Server Name: localhost")
		})
		t.Run("openssl s_server", func(t *testing.T) {
			p := startSServer(t, set, "-www")
			c := dial(t, p.addr, set.clientConfig(t))
			_, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
			require.NoError(t, err)
			page, err := io.ReadAll(c)
			if p.silent {
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			} else {
				require.NoError(t, err)
			}
			assert.Contains(t, string(page), "New, TLSv1.")
		})
		t.Run("crypto/tls", func(t *testing.T) {
			config := set.goConfig()
			config.Certificates = goCertificates(t, "server")
			ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
			require.NoError(t, err)
			defer ln.Close()
			done := make(chan error, 1)
			go func() {
				conn, err := ln.Accept()
				if err == nil {
					_, err = io.WriteString(conn, line)
					err = errors.Join(err, conn.Close())
				}
				done <- err
			}()
			c := dial(t, ln.Addr().String(), set.clientConfig(t))
			requireRead(t, c, line)
			requireEOF(t, c)
			require.NoError(t, receive(t, done))
		})
	})
}

// TestInteropClientSeesBrokenConnection has s_server close its socket without a
// close_notify.
func TestInteropClientSeesBrokenConnection(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		set := settings{version: version}
		p := startSServer(t, set)
		c := dial(t, p.addr, set.clientConfig(t))
		check(t, p, c, set, false)
		p.process.Send(t, "q\n")
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.ErrorIs(t, err, gnutls.CodePrematureTermination)
	})
}

// TestInteropClientOneMiBEachWay sends 1 MiB and gets 1 MiB.
func TestInteropClientOneMiBEachWay(t *testing.T) {
	data := oneMiB()
	eachServerPeer(t, serverPeers, func(t *testing.T, peer serverPeer) {
		eachVersion(t, func(t *testing.T, version uint16) {
			set := settings{version: version}
			p := peer.start(t, set)
			c := dial(t, p.addr, set.clientConfig(t))
			p.next(t)
			p.exchange(t, c, data)
			p.closeCleanly(t, c)
		})
	})
}

// TestInteropClientPresentsCertificate has servers that ask for a certificate,
// also of a client that resumes.
func TestInteropClientPresentsCertificate(t *testing.T) {
	eachServerPeer(t, serverPeers, func(t *testing.T, peer serverPeer) {
		eachVersion(t, func(t *testing.T, version uint16) {
			set := settings{version: version, clientCert: "client"}
			p := peer.start(t, set)
			config := set.clientConfig(t)
			config.ClientSessionCache = gnutls.NewClientSessionCache(0)
			for _, resumed := range []bool{false, true} {
				c := dial(t, p.addr, config)
				view := check(t, p, c, set, resumed)
				assert.Equal(t, "client one", view.peer)
				p.closeCleanly(t, c)
			}
		})
	})
}

// TestInteropClientIsRefused has servers that need a certificate, and clients
// with none or one of another authority.
func TestInteropClientIsRefused(t *testing.T) {
	eachServerPeer(t, serverPeers, func(t *testing.T, peer serverPeer) {
		eachVersion(t, func(t *testing.T, version uint16) {
			p := peer.start(t, settings{version: version, clientCert: "client"})
			err := dialError(t, p.addr, settings{}.clientConfig(t))
			require.ErrorIs(t, err, gnutls.CodeFatalAlertReceived)
			if version == gnutls.VersionTLS13 {
				assert.ErrorIs(t, err, gnutls.AlertCertificateRequired)
			}
		})
	})
	t.Run("of another authority", func(t *testing.T) {
		eachVersion(t, func(t *testing.T, version uint16) {
			// The client sends it only where the server names its authority.
			p := startSServer(t, settings{version: version, clientCert: "client"},
				"-CAfile", testenv.File("other-ca.pem"), "-verifyCAfile", testenv.File("ca.pem"))
			err := dialError(t, p.addr, settings{clientCert: "client-other"}.clientConfig(t))
			assert.ErrorIs(t, err, gnutls.AlertUnknownCA)
		})
	})
}

// dialError connects to a server that refuses the client, and returns its
// error. Under TLS 1.3 the handshake of a client is over before the server's.
func dialError(t *testing.T, addr string, config *gnutls.Config) error {
	t.Helper()
	c, _ := dialRaw(t, addr, config)
	defer c.Close()
	if err := c.Handshake(); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	return err
}

// TestInteropClientRefusesServers has servers with bad certificates, and checks
// that they learn why.
func TestInteropClientRefusesServers(t *testing.T) {
	cases := []struct {
		name, cert string
		status     gnutls.CertificateStatus
		alert      string // in the words of s_server
	}{
		{"unknown authority", "selfsigned", gnutls.CertificateUnknownAuthority, "alert unknown ca"},
		{"other name", "wronghost", gnutls.CertificateWrongName, "alert bad certificate"},
		{"expired", "expired", gnutls.CertificateExpired, "alert certificate expired"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			eachServerPeer(t, serverPeers, func(t *testing.T, peer serverPeer) {
				eachVersion(t, func(t *testing.T, version uint16) {
					set := settings{version: version, certs: []string{c.cert}}
					p := peer.start(t, set)
					err := dialError(t, p.addr, set.clientConfig(t))
					require.ErrorIs(t, err, c.status)
					switch peer.name {
					case "gnutls-serv":
						p.process.Expect(t, "Error in handshake: A TLS fatal alert has been received.")
					case "openssl s_server":
						p.process.Expect(t, c.alert)
					}
				})
			})
		})
	}
}

// TestInteropClientUsesPreSharedKey has servers with nothing else. The second
// connection resumes.
func TestInteropClientUsesPreSharedKey(t *testing.T) {
	eachServerPeer(t, serverPrograms, func(t *testing.T, peer serverPeer) {
		eachVersion(t, func(t *testing.T, version uint16) {
			set := settings{version: version, psk: true}
			p := peer.start(t, set)
			config := set.clientConfig(t)
			config.ClientSessionCache = gnutls.NewClientSessionCache(0)
			for _, resumed := range []bool{false, true} {
				c := dial(t, p.addr, config)
				check(t, p, c, set, resumed)
				state := c.ConnectionState()
				assert.True(t, state.PSK)
				assert.Equal(t, testIdentity, state.PSKIdentity)
				assert.Empty(t, state.PeerCertificates)
				p.closeCleanly(t, c)
			}
		})
	})
}

// TestInteropClientNegotiatesProtocol checks ALPN, also when the client
// resumes.
func TestInteropClientNegotiatesProtocol(t *testing.T) {
	eachServerPeer(t, serverPeers, func(t *testing.T, peer serverPeer) {
		eachVersion(t, func(t *testing.T, version uint16) {
			p := peer.start(t, settings{version: version, protocols: []string{"h2", "http/1.1"}})
			set := settings{version: version, protocols: []string{"coap", "h2"}}
			config := set.clientConfig(t)
			config.ClientSessionCache = gnutls.NewClientSessionCache(0)
			for _, resumed := range []bool{false, true} {
				c := dial(t, p.addr, config)
				view := check(t, p, c, set, resumed)
				assert.Equal(t, "h2", view.protocol)
				assert.Equal(t, "h2", c.ConnectionState().NegotiatedProtocol)
				p.closeCleanly(t, c)
			}

			if p.silent { // OpenSSL 1.1.1 goes on without a protocol
				return
			}
			other := settings{protocols: []string{"coap"}}.clientConfig(t)
			assert.ErrorIs(t, dialError(t, p.addr, other), gnutls.AlertNoApplicationProtocol)
		})
	})
}

// TestInteropClientAsksForName checks SNI on servers with two certificates.
func TestInteropClientAsksForName(t *testing.T) {
	eachServerPeer(t, serverPeers, func(t *testing.T, peer serverPeer) {
		eachVersion(t, func(t *testing.T, version uint16) {
			set := settings{version: version, certs: []string{"alpha", "beta"}}
			p := peer.start(t, set)
			for _, name := range []string{"alpha", "beta"} {
				set.serverName = name + ".test"
				c := dial(t, p.addr, set.clientConfig(t))
				view := check(t, p, c, set, false)
				assert.Equal(t, set.serverName, view.serverName)
				assert.Equal(t, set.serverName, c.ConnectionState().ServerName)
				assert.Equal(t, "gnucoap test "+name, commonName(c.ConnectionState()))
				p.closeCleanly(t, c)
			}
		})
	})
}

// TestInteropClientCertificateKinds has servers with other certificates than
// ECDSA.
func TestInteropClientCertificateKinds(t *testing.T) {
	for _, name := range []string{"server-rsa", "server-ed25519", "server-chain"} {
		t.Run(name, func(t *testing.T) {
			eachServerPeer(t, serverPeers, func(t *testing.T, peer serverPeer) {
				eachVersion(t, func(t *testing.T, version uint16) {
					set := settings{version: version, certs: []string{name}}
					p := peer.start(t, set)
					c := dial(t, p.addr, set.clientConfig(t))
					check(t, p, c, set, false)
					assert.Equal(t, testCertificate(t, name).Leaf.Raw, c.ConnectionState().PeerCertificates[0].Raw)
					assert.Len(t, c.ConnectionState().VerifiedChains, 1)
					p.closeCleanly(t, c)
				})
			})
		})
	}
}

// TestInteropClientGetsHelloRetryRequest has servers that allow only a group
// for which the client sends no key share at first.
func TestInteropClientGetsHelloRetryRequest(t *testing.T) {
	eachServerPeer(t, serverPeers, func(t *testing.T, peer serverPeer) {
		set := settings{version: gnutls.VersionTLS13, onlyP521: true}
		p := peer.start(t, set)
		config := set.clientConfig(t)
		config.ClientSessionCache = gnutls.NewClientSessionCache(0)
		for _, resumed := range []bool{false, true} {
			c, tapped := dialRaw(t, p.addr, config)
			require.NoError(t, c.Handshake())
			check(t, p, c, set, resumed)
			assert.Equal(t, "SECP521R1", c.ConnectionState().Group)
			assert.Equal(t, 1, tapped.helloRetryRequests())
			p.closeCleanly(t, c)
		}
	})
}

// TestInteropClientFollowsKeyUpdates has s_server change its keys, and ask the
// client to do so.
func TestInteropClientFollowsKeyUpdates(t *testing.T) {
	set := settings{version: gnutls.VersionTLS13}
	p := startSServer(t, set, "-msg")
	c := dial(t, p.addr, set.clientConfig(t))
	check(t, p, c, set, false)
	for _, command := range []string{"k", "K", "K"} {
		p.process.Send(t, command+"\n")
		p.process.Expect(t, ">>> TLS 1.3, Handshake [length 0005], KeyUpdate")
		p.process.Send(t, line)
		requireRead(t, c, line)
		_, err := io.WriteString(c, line)
		require.NoError(t, err)
		if command == "K" {
			p.process.Expect(t, "<<< TLS 1.3, Handshake [length 0005], KeyUpdate")
		}
		p.process.Expect(t, line)
	}
	p.closeCleanly(t, c)
}

// TestInteropClientRefusesRenegotiation has TLS 1.2 servers that ask for
// another handshake.
func TestInteropClientRefusesRenegotiation(t *testing.T) {
	set := settings{version: gnutls.VersionTLS12}
	refuse := func(t *testing.T, c *gnutls.Conn) {
		_, err := io.Copy(io.Discard, c)
		require.ErrorIs(t, err, gnutls.CodeRehandshake)
		assert.ErrorContains(t, err, "renegotiation is refused")
		require.NoError(t, c.Close())
	}
	t.Run("gnutls-serv", func(t *testing.T) {
		p := startGnutlsServ(t, set)
		c := dial(t, p.addr, set.clientConfig(t))
		check(t, p, c, set, false)
		_, err := io.WriteString(c, "**REHANDSHAKE**\n")
		require.NoError(t, err)
		refuse(t, c)
	})
	t.Run("openssl s_server", func(t *testing.T) {
		p := startSServer(t, set)
		c := dial(t, p.addr, set.clientConfig(t))
		check(t, p, c, set, false)
		p.process.Send(t, "r\n")
		refuse(t, c)
		p.process.Expect(t, "no renegotiation")
	})
}
