package coap

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/tls13peer"
)

// needCredentials skips a test of what libcoap does not do by itself.
func needCredentials(t *testing.T) {
	t.Helper()
	if !Supports(FeatureCredentials) {
		t.Skip("libcoap has its way")
	}
}

// libcoap keeps credentials for each name, so that there was a bound on them.
func TestAnyNumberOfServerNames(t *testing.T) {
	needCredentials(t)
	for what, server := range map[string]*Config{
		"certificates": {PKI: PKI{Certificates: pairs(t, "alpha", "server")}},
		"hints": {ServerPSK: ServerPSK{GetKey: pskServer.GetKey, Hint: "any",
			Hints: map[string]string{"example.test": "own"}}},
	} {
		t.Run(what, func(t *testing.T) {
			if what == "hints" && !Supports(FeaturePSKHints) {
				t.Skip("libcoap has none")
			}
			eachSecure(t, func(t *testing.T, proto Protocol) {
				c := newTestNode(t, server)
				addr := listenOn(t, c, proto, hello)
				c.l.credentials.otherNames = maxServerNames // so many strangers have been there
				for _, name := range []string{"example.test", "x.wild.test", "of.a.stranger"} {
					client := newTestNode(t, nil)
					var s *Session
					var err error
					if what == "hints" {
						config := &Config{PSK: PSK{ServerName: name,
							ForHint: func(hint string) (string, []byte, error) {
								assert.Equal(t, map[bool]string{true: "own", false: "any"}[name == "example.test"], hint)
								return "client1", testKey, nil
							}}}
						s, err = newTestNode(t, config).NewClientSession(netip.AddrPort{}, addr, proto)
					} else {
						s, err = client.NewClientSessionPKI(netip.AddrPort{}, addr, proto, &PKI{
							RootCAs: pool(t, "ca"), ServerName: name, InsecureSkipVerify: name == "of.a.stranger",
						})
					}
					require.NoError(t, err)
					_, err = s.Do(prompt(t), get())
					assert.NoError(t, err, name)
				}
			})
		})
	}
}

// Both sides prove who they are with keys that do not show their bytes.
func TestKeysOfSigners(t *testing.T) {
	needCredentials(t)
	nothingLeft(t)
	eachSecure(t, func(t *testing.T, proto Protocol) {
		addr := listen(t, &Config{PKI: PKI{
			Certificates: []gnutls.Certificate{signerOf(t, "alpha"), signerOf(t, "server")},
			ClientAuth:   gnutls.RequireAndVerifyClientCert, ClientCAs: pool(t, "ca"),
		}}, proto, HandlerFunc(func(w ResponseWriter, r *Request) {
			fmt.Fprint(w, r.Session.PeerCertificates()[0].Subject.CommonName)
		}))
		for server, name := range map[string]string{"alpha": "alpha.test", "server": "example.test"} {
			s, err := newTestNode(t, nil).NewClientSessionPKI(netip.AddrPort{}, addr, proto, &PKI{
				RootCAs: pool(t, "ca"), ServerName: name,
				Certificates: []gnutls.Certificate{signerOf(t, "client-other"), signerOf(t, "client")},
			})
			require.NoError(t, err)
			r, err := s.Do(prompt(t), get())
			require.NoError(t, err)
			assert.Equal(t, "client one", string(r.Body))
			assert.Equal(t, pair(t, server).Leaf.Raw, s.PeerCertificates()[0].Raw)
		}
	})
}

func TestCertificatesChangeWhileTheServerListens(t *testing.T) {
	needCredentials(t)
	eachSecure(t, func(t *testing.T, proto Protocol) {
		server := &Server{Handler: hello, Config: &Config{PKI: PKI{Certificates: pairs(t, "server")}}}
		defer server.Close()
		endpoints, err := server.Listen(proto.Scheme()+"://127.0.0.1:0", "coap://127.0.0.1:0")
		require.NoError(t, err)
		open := func(name string) *Session {
			s, err := newTestNode(t, nil).NewClientSessionPKI(netip.AddrPort{}, endpoints[0].Addr, proto,
				&PKI{RootCAs: pool(t, "ca"), ServerName: name})
			require.NoError(t, err)
			return s
		}
		first := open("example.test")
		require.NoError(t, first.Ready(prompt(t)))
		require.Error(t, server.SetPKI(&PKI{}))
		require.NoError(t, server.SetPKI(&PKI{Certificates: pairs(t, "alpha")}))
		refused(t, open("example.test"))
		_, err = open("alpha.test").Do(prompt(t), get())
		assert.NoError(t, err)
		_, err = first.Do(prompt(t), get())
		assert.NoError(t, err)
	})
}

// What is freed early shows with the address sanitizer.
func TestCertificatesChangeDuringHandshakes(t *testing.T) {
	needCredentials(t)
	server := newTestNode(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}})
	relay := coappeer.NewRelay(t, listenOn(t, server, DTLS, hello))
	relay.Rule(func(d coappeer.Datagram) coappeer.Verdict {
		if d.Direction == coappeer.ToServer && d.N == lastFlight() {
			return coappeer.Hold
		}
		return coappeer.Forward
	})
	s, err := newTestNode(t,
		&Config{PKI: PKI{RootCAs: pool(t, "ca")}}).NewClientSession(netip.AddrPort{}, relay.Addr(), DTLS)
	require.NoError(t, err)
	relay.AwaitHeld(t, 1)
	for range 3 {
		require.NoError(t, server.SetPKI(&PKI{Certificates: pairs(t, "server", "alpha")}))
		collect(t, func() bool { return true })
	}
	relay.Deliver()
	_, err = s.Do(prompt(t), get())
	assert.NoError(t, err)
}

func TestVersionsOfSessions(t *testing.T) {
	needCredentials(t)
	old := Config{MinVersion: gnutls.VersionTLS10, MaxVersion: gnutls.VersionTLS11}
	of := func(config Config, pki PKI) *Config {
		config.PKI, config.MaxRetransmit = pki, 1
		return &config
	}
	eachSecure(t, func(t *testing.T, proto Protocol) {
		for name, tc := range map[string]struct {
			server, client Config
			want           map[Protocol]uint16 // 0: there is no session
		}{
			"by default": {want: map[Protocol]uint16{DTLS: gnutls.VersionDTLS12,
				TLS: gnutls.VersionTLS13}},
			"old client": {client: old, want: map[Protocol]uint16{}},
			"old server": {server: old, want: map[Protocol]uint16{}},
			"old client, where it may": {server: Config{MinVersion: gnutls.VersionTLS10}, client: old,
				want: map[Protocol]uint16{DTLS: gnutls.VersionDTLS10, TLS: gnutls.VersionTLS11}},
			"no later than": {server: Config{MaxVersion: gnutls.VersionTLS12},
				want: map[Protocol]uint16{DTLS: gnutls.VersionDTLS12, TLS: gnutls.VersionTLS12}},
			"no earlier than": {server: Config{MinVersion: gnutls.VersionTLS13},
				want: map[Protocol]uint16{TLS: gnutls.VersionTLS13}},
			"priorities": {client: Config{Priority: "NORMAL:-VERS-ALL:+VERS-TLS1.2:+VERS-DTLS1.2"},
				want: map[Protocol]uint16{DTLS: gnutls.VersionDTLS12, TLS: gnutls.VersionTLS12}},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				addr := listen(t, of(tc.server, PKI{Certificates: pairs(t, "server")}), proto, hello)
				s, err := newTestNode(t,
					of(tc.client, PKI{RootCAs: pool(t, "ca")})).NewClientSession(netip.AddrPort{}, addr, proto)
				if tc.want[proto] == 0 {
					if err == nil {
						assert.ErrorIs(t, s.Ready(prompt(t)), ErrHandshake)
					}
					return
				}
				require.NoError(t, err)
				require.NoError(t, s.Ready(prompt(t)))
				state, _ := s.TLS()
				assert.Equal(t, gnutls.VersionName(tc.want[proto]), gnutls.VersionName(state.Version))
			})
		}
	})
}

// A session is resumed with a key exchange, unless Priority asks for something else. A client with
// a pre-shared key has the cipher suite that RFC 8323 requires, which has none.
func TestClientsOfferToResumeWithAKeyExchange(t *testing.T) {
	needCredentials(t)
	raw := PKI{RawPublicKey: rawKeyPair(t),
		VerifyRawPublicKey: func(crypto.PublicKey) error { return nil }}
	for name, tc := range map[string]struct {
		config Config
		modes  []byte
	}{
		"certificates":     {Config{}, []byte{tls13peer.PSKDHE}},
		"a raw public key": {Config{PKI: raw}, []byte{tls13peer.PSKDHE}},
		"a Priority":       {Config{Priority: "NORMAL"}, []byte{tls13peer.PSKDHE}},
		"TLS 1.3 alone":    {Config{MinVersion: gnutls.VersionTLS13}, []byte{tls13peer.PSKDHE}},
		"asked for":        {Config{Priority: "NORMAL:+PSK"}, []byte{tls13peer.PSKOnly}},
		"a pre-shared key": {Config{PSK: PSK{Identity: "client1", Key: testKey}},
			[]byte{tls13peer.PSKDHE, tls13peer.PSKOnly}},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.config.PKI.RawPublicKey != nil && !Supports(FeatureRawPublicKeys) {
				t.Skip("libcoap has none")
			}
			ln := coappeer.ListenTCP(t)
			s, err := newTestNode(t, &tc.config).NewClientSession(netip.AddrPort{}, ln.Addr(), TLS)
			require.NoError(t, err)
			defer s.Close()
			require.NoError(t, ln.SetDeadline(time.Now().Add(wait)))
			conn, err := ln.TCPListener.Accept()
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(wait)))
			server := tls13peer.NewServer(conn, tls13peer.ServerScript{
				// and then it ends
				Extra: map[tls13peer.Message]tls13peer.Extensions{tls13peer.ServerHello12: {}},
			})
			require.NoError(t, server.Handshake())
			require.NotEmpty(t, server.Hellos)
			const pskKeyExchangeModes = 45
			modes := server.Hellos[0].Extensions.Bodies(pskKeyExchangeModes)
			assert.Equal(t, [][]byte{append([]byte{byte(len(tc.modes))}, tc.modes...)}, modes)
		})
	}
}

func TestBadPrioritiesAreNamed(t *testing.T) {
	for want, config := range map[string]Config{
		"Config.MinVersion is 0x0200":        {MinVersion: 0x0200},
		"Config.MaxVersion is 0xfefd":        {MaxVersion: gnutls.VersionDTLS12},
		"Config.Priority holds a NUL byte":   {Priority: "NORMAL\x00"},
		"Config.Priority is wrong at byte 7": {Priority: "NORMAL:+NONSENSE"},
		"leave nothing to negotiate": {MinVersion: gnutls.VersionTLS13,
			MaxVersion: gnutls.VersionTLS12},
	} {
		_, err := NewNode(&config)
		if !Supports(FeatureCredentials) {
			require.Error(t, err)
			continue
		}
		require.ErrorContains(t, err, want)
	}
}

// What is lost in one part of a handshake does not count against another.
func TestHandshakeGoesOnWhileTheServerAnswers(t *testing.T) {
	needCredentials(t)
	t.Parallel()
	relay := coappeer.NewRelay(t,
		listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}}, DTLS, hello))
	relay.Rule(func(d coappeer.Datagram) coappeer.Verdict {
		if d.Direction == coappeer.ToServer && (d.N == 0 || d.N == 2) {
			return coappeer.Drop
		}
		return coappeer.Forward
	})
	s, err := Dial(waitContext(t), uri(DTLS, relay.Addr(), ""),
		&Config{PKI: PKI{RootCAs: pool(t, "ca")}, MaxRetransmit: 1})
	require.NoError(t, err)
	assert.NoError(t, s.Close())
}

// When the server does not know a session any more, one request finds that out for all
// observations that a client has in it.
func TestObservationsOfAClientMoveTogether(t *testing.T) {
	for name, lost := range map[string]func(dead, moved bool, direction coappeer.Direction) bool{
		"the server hears nothing": func(dead, _ bool, direction coappeer.Direction) bool {
			return dead && direction == coappeer.ToServer
		},
		"nobody hears anything": func(dead, moved bool, direction coappeer.Direction) bool {
			return dead || direction == coappeer.ToClient && !moved
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			observationsMoveTogether(t, lost)
		})
	}
}

func observationsMoveTogether(t *testing.T,
	lost func(dead, moved bool, direction coappeer.Direction) bool) {
	const n = 8
	mux := &Mux{}
	for i := range n {
		mux.Handle(fmt.Sprintf("GET /%d", i), NewResource(hello))
	}
	relay := coappeer.NewRelay(t,
		listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}}, DTLS, mux))
	c := newTestClient(t, uri(DTLS, relay.Addr(), ""), &Config{
		PKI: PKI{RootCAs: pool(t, "ca")}, AckTimeout: minAckTimeout, AckRandomFactor: 1, MaxRetransmit: 1,
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	states, done := make(chan int, 100), make(chan struct{}, n)
	for i := range n {
		go func() {
			defer func() { done <- struct{}{} }()
			request := get()
			request.Options.AddString(OptionURIPath, fmt.Sprint(i))
			for _, err := range c.Observe(ctx, request) {
				if err == nil {
					states <- i
				}
			}
		}()
	}
	all := func() {
		t.Helper()
		seen := make(map[int]bool)
		for len(seen) < n {
			seen[receive(t, states)] = true
		}
	}
	all()
	first, err := c.Session(waitContext(t))
	require.NoError(t, err)
	defer first.Release()
	dead := first.LocalAddr()
	moved := false
	relay.Rule(func(d coappeer.Datagram) coappeer.Verdict {
		moved = moved || d.Direction == coappeer.ToServer && d.From != dead
		if lost(d.From == dead, moved, d.Direction) {
			return coappeer.Drop
		}
		return coappeer.Forward
	})
	_, err = c.Get(waitContext(t), "/0")
	require.ErrorIs(t, err, ErrRetriesExhausted)
	all()
	cancel()
	for range n {
		receive(t, done)
	}
	from := make(map[netip.AddrPort]bool)
	for _, d := range relay.Captured() {
		if d.Direction == coappeer.ToServer {
			from[d.From] = true
		}
	}
	assert.Len(t, from, 2)
}

// A session goes on where something came while a message was sent again, until one finds it
// silent: that need not be the first.
func TestSessionsThatAreNotSilentGoOn(t *testing.T) {
	config := &Config{PKI: PKI{RootCAs: pool(t, "ca")}, AckTimeout: minAckTimeout, MaxRetransmit: 1}
	c := newTestClient(t,
		uri(DTLS, listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}}, DTLS, hello),
			""), config)
	s, err := c.Session(waitContext(t))
	require.NoError(t, err)
	defer s.Close()
	judged := func(heard, alive time.Duration) error {
		s.c.l.look()
		s.c.usage.heard, s.c.usage.alive = time.Now().Add(-heard), time.Now().Add(-alive)
		s.c.l.endLook()
		c.judge(s, ErrRetriesExhausted)
		return s.Err()
	}
	require.NoError(t, judged(time.Second, time.Hour), "a response came")
	require.NoError(t, judged(time.Hour, time.Second), "a request came")
	next, err := c.Session(waitContext(t))
	require.NoError(t, err)
	defer next.Release()
	require.NotSame(t, s.c, next.c)
	// The timers of libcoap are early by a millisecond, and more where what came let the message go.
	require.ErrorIs(t, judged(2990*time.Millisecond, time.Hour), ErrRetriesExhausted)
	require.NoError(t, next.Err())
}

type hanging struct{ crypto.Signer }

func (hanging) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { select {} }

// The context waits for a signature: not for ever.
func TestSignerThatHangs(t *testing.T) {
	needCredentials(t)
	defer func(limit time.Duration) { callbackLimit = limit }(callbackLimit)
	callbackLimit = 100 * time.Millisecond
	cert := pair(t, "server")
	cert.PrivateKey = hanging{cert.PrivateKey.(crypto.Signer)}
	eachSecure(t, func(t *testing.T, proto Protocol) {
		c := newTestNode(t, &Config{PKI: PKI{Certificates: []gnutls.Certificate{cert}}})
		addr := listenOn(t, c, proto, hello)
		refused(t, connect(t, &Config{PKI: PKI{RootCAs: pool(t, "ca")}, MaxRetransmit: 1}, addr, proto))
		require.NoError(t, c.SetPKI(&PKI{Certificates: pairs(t, "server")}))
		_, err := connect(t, &Config{PKI: PKI{RootCAs: pool(t, "ca")}}, addr, proto).Do(waitContext(t),
			get())
		assert.NoError(t, err)
	})
}

// What a certificate's key is for does not count where nothing of it does.
func TestInsecureSkipVerifyTakesAnyKeyUsage(t *testing.T) {
	needCredentials(t)
	ca := pair(t, "ca")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(99), Subject: pkix.Name{CommonName: "odd"},
		DNSNames:  []string{"example.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Leaf, key.Public(), ca.PrivateKey)
	require.NoError(t, err)
	ln, err := tls.Listen("tcp", loopback.String(), &tls.Config{ // GnuTLS has no such server
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	})
	require.NoError(t, err)
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.Write(csmBytes)
				io.Copy(io.Discard, conn)
			}()
		}
	}()
	for _, version := range []uint16{gnutls.VersionTLS12, gnutls.VersionTLS13} {
		for _, skip := range []bool{true, false} {
			s := connect(t, &Config{MaxVersion: version, PKI: PKI{
				RootCAs: pool(t, "ca"), ServerName: "example.test", InsecureSkipVerify: skip,
			}}, ln.Addr().(*net.TCPAddr).AddrPort(), TLS)
			if err := s.Ready(prompt(t)); !skip {
				assert.ErrorIs(t, err, ErrHandshake)
			} else {
				assert.NoError(t, err, gnutls.VersionName(version))
			}
		}
	}
}
