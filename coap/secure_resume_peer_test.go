package coap

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// relayTCP takes connections and copies what comes over each to another, which to returns,
// and back. opened is called for each pair.
func relayTCP(t testing.TB, ln net.Listener, to func() (net.Conn, error),
	opened func(from, to net.Conn)) netip.AddrPort {
	t.Helper()
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			to, err := to()
			if !assert.NoError(t, err) {
				from.Close()
				continue
			}
			over := make(chan struct{})
			go func() { io.Copy(from, to); from.Close(); close(over) }()
			io.Copy(to, from)
			to.Close()
			<-over
			opened(from, to)
		}
	}()
	return netip.MustParseAddrPort(ln.Addr().String())
}

// libcoap leaves it to the peer to choose TLS 1.2: package gnutls is one that does.
func TestResumptionOverTLS12(t *testing.T) {
	if !resumption(t) {
		return
	}
	t.Run("client", func(t *testing.T) {
		plain := listen(t, nil, TCP, hello)
		states := make(chan gnutls.ConnectionState, 1)
		ln, err := gnutls.Listen("tcp", "127.0.0.1:0", &gnutls.Config{
			Certificates: pairs(t, "server"), MaxVersion: gnutls.VersionTLS12, NextProtos: []string{"coap"},
		})
		require.NoError(t, err)
		addr := relayTCP(t, ln, func() (net.Conn, error) { return net.Dial("tcp", plain.String()) },
			func(from, _ net.Conn) { states <- from.(*gnutls.Conn).ConnectionState() })
		config := &Config{PKI: PKI{RootCAs: pool(t, "ca")},
			ClientSessionCache: gnutls.NewClientSessionCache(0)}
		for i := range 3 {
			state := ask(t, config, addr, TLS)
			assert.Equal(t, gnutls.VersionTLS12, state.Version)
			assert.Equal(t, i > 0, state.DidResume)
			assert.Equal(t, i > 0, receive(t, states).DidResume)
		}
	})
	t.Run("server", func(t *testing.T) {
		handled := make(chan seen, 1)
		addr := listen(t, &Config{TicketKey: ticketKey(t), PKI: PKI{
			Certificates: pairs(t, "server"), ClientAuth: gnutls.RequireAndVerifyClientCert,
			ClientCAs: pool(t, "ca"),
		}}, TLS, watching(handled))
		dialer := gnutls.Dialer{Config: &gnutls.Config{
			RootCAs: pool(t, "ca"), Certificates: pairs(t, "client"), MaxVersion: gnutls.VersionTLS12,
			NextProtos:         []string{"coap"},
			ClientSessionCache: gnutls.NewClientSessionCache(0),
		}}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		states := make(chan gnutls.ConnectionState, 1)
		plain := relayTCP(t, ln, func() (net.Conn, error) { return dialer.Dial("tcp", addr.String()) },
			func(_, to net.Conn) { states <- to.(*gnutls.Conn).ConnectionState() })
		for i := range 3 {
			s, err := Dial(waitContext(t), uri(TCP, plain, ""), nil)
			require.NoError(t, err)
			_, err = s.Get(waitContext(t), "/")
			require.NoError(t, err)
			s.Close()
			client, server := receive(t, states), receive(t, handled)
			assert.Equal(t, gnutls.VersionTLS12, server.state.Version)
			assert.Equal(t, i > 0, server.state.DidResume)
			assert.Equal(t, i > 0, client.DidResume)
			assert.Equal(t, "client one", server.subject)
		}
	})
}

// A server that goes below TLS 1.3 cannot have the session that was offered, whatever session ID it
// sends.
func TestOldServerHelloWithTheSessionIDOfATLS13SessionIsRefused(t *testing.T) {
	if !resumption(t) {
		return
	}
	config := Config{PKI: PKI{RootCAs: pool(t, "ca")}}
	d := session(t, config, listen(t,
		&Config{PKI: PKI{Certificates: pairs(t, "server")}, SessionTickets: 1}, TLS, hello), TLS)
	require.Equal(t, gnutls.VersionTLS13, d.Version())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	config.ClientSessionCache = &fixedCache{session: d}
	s := connect(t, &config, netip.MustParseAddrPort(ln.Addr().String()), TLS)
	conn, err := ln.Accept()
	require.NoError(t, err)
	defer conn.Close()

	const idAt = 5 + 4 + 2 + 32 // record and message header, version, random
	clientHello := make([]byte, 4096)
	n, err := conn.Read(clientHello)
	require.NoError(t, err)
	require.Greater(t, n, idAt+1+32)
	id := clientHello[idAt : idAt+1+32]
	require.EqualValues(t, 32, id[0])

	// a suite of TLS 1.2, no extensions
	body := slices.Concat([]byte{3, 3}, make([]byte, 32), id, []byte{0xc0, 0x2c, 0, 0, 0})
	message := append([]byte{2, 0, 0, byte(len(body))}, body...)
	_, err = conn.Write(append([]byte{22, 3, 3, 0, byte(len(message))}, message...))
	require.NoError(t, err)
	select {
	case <-s.Done():
	case <-prompt(t).Done():
		require.Fail(t, "the client waits for more")
	}
	var failed *HandshakeError
	require.ErrorAs(t, s.Err(), &failed)
	assert.ErrorIs(t, failed, gnutls.AlertIllegalParameter)
	assert.True(t, failed.Sent)
	alert := make([]byte, 7)
	_, err = io.ReadFull(conn, alert)
	require.NoError(t, err)
	assert.Equal(t, []byte{21, 3, 3, 0, 2, 2, byte(gnutls.AlertIllegalParameter)}, alert)
}

func TestResumptionWithLibcoapServer(t *testing.T) {
	if !resumption(t) {
		return
	}
	for _, flavour := range testenv.CoAPFlavours {
		t.Run(flavour, func(t *testing.T) {
			for name, tc := range map[string]struct {
				args   []string
				client Config
			}{
				"certificates": {testenv.CoAPPKI(t, "server"),
					Config{PKI: PKI{RootCAs: pool(t, "ca"), Certificates: pairs(t, "client")}}},
				"pre-shared key": {testenv.CoAPServerPSK("secret"),
					Config{PSK: PSK{Identity: "client1", Key: []byte("secret")}}},
			} {
				t.Run(name, func(t *testing.T) {
					server := testenv.StartCoAPServer(t, flavour, tc.args...)
					eachSecure(t, func(t *testing.T, proto Protocol) {
						config := tc.client
						config.ClientSessionCache = gnutls.NewClientSessionCache(0)
						for i := range 3 {
							s, err := Dial(waitContext(t), uri(proto, server.SecureAddr, ""), &config)
							require.NoError(t, err)
							r, err := s.Get(waitContext(t), "/")
							require.NoError(t, err)
							assert.Contains(t, string(r.Body), "This is a test server made with libcoap")
							state, ok := s.TLS()
							require.True(t, ok)
							s.Close()
							// With GnuTLS it gives no tickets. With OpenSSL it takes none
							// from who must have a certificate: it sends an alert.
							if flavour == "gnutls" || name == "certificates" {
								assert.False(t, state.DidResume)
								assert.Error(t, state.ResumeError)
							} else if proto == DTLS { // over TLS 1.3 it sends none with a pre-shared key
								assert.Equal(t, i > 0, state.DidResume)
							}
						}
					})
				})
			}
		})
	}
}

func TestLibcoapClientOfServerWithTickets(t *testing.T) {
	if !resumption(t) {
		return
	}
	for _, flavour := range testenv.CoAPFlavours {
		t.Run(flavour, func(t *testing.T) {
			eachSecure(t, func(t *testing.T, proto Protocol) {
				if oldTools && flavour == "gnutls" && proto == TLS {
					return // it aborts where the server is fast
				}
				handled := make(chan seen, 10)
				addr := listen(t, &Config{TicketKey: ticketKey(t), PKI: PKI{
					Certificates: pairs(t, "server"), ClientAuth: gnutls.RequireAndVerifyClientCert,
					ClientCAs: pool(t, "ca"),
				}}, proto, HandlerFunc(func(w ResponseWriter, r *Request) {
					watching(handled).ServeCoAP(w, r)
					fmt.Fprint(w, "hello, ", r.Session.PeerCertificates()[0].Subject.CommonName)
				}))
				response := testenv.RunCoAPClient(t, flavour,
					testenv.CoAPRequest{URI: uri(proto, addr, "/"), Args: testenv.CoAPPKI(t, "client")})
				assert.Equal(t, "hello, client one", string(response.Body), response.Output)
				assert.False(t, receive(t, handled).state.DidResume)
			})
		})
	}
}

// What each of 1000 reconnects makes is freed: by libcoap at once, and Go's part shows in
// LiveObjects.
func TestManyResumptions(t *testing.T) {
	eachResuming(t, func(t *testing.T, proto Protocol) {
		n := 900
		if proto == TLS {
			n = 100
		}
		addr := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}, SessionTickets: 1,
			MaxSessions: 10}, proto, hello)
		config := &Config{PKI: PKI{RootCAs: pool(t, "ca")},
			ClientSessionCache: gnutls.NewClientSessionCache(0)}
		require.False(t, ask(t, config, addr, proto).DidResume)
		c := newTestNode(t, config)
		before := LiveObjects().Handles
		for range n {
			s, err := c.NewClientSession(netip.AddrPort{}, addr, proto)
			require.NoError(t, err)
			_, err = s.Do(waitContext(t), get())
			require.NoError(t, err)
			_, err = s.SessionData(waitContext(t))
			require.NoError(t, err)
			state, _ := s.TLS()
			require.True(t, state.DidResume)
			s.Close()
		}
		assert.Less(t, LiveObjects().Handles-before, int64(50), "the server keeps 10 sessions")
	})
}
