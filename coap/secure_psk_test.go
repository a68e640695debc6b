package coap

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

var testKey = []byte("a key of 16 byte")

// pskServer knows client1.
var pskServer = ServerPSK{GetKey: func(identity, _ string) ([]byte, error) {
	if identity == "client1" {
		return testKey, nil
	}
	return nil, nil
}}

// lacks reports whether this libcoap has no feature, and makes sure that use, which
// needs it, says so then.
func lacks(t *testing.T, f Feature, use func() error) bool {
	t.Helper()
	if Supports(f) {
		return false
	}
	err := use()
	assert.ErrorIs(t, err, ErrNotSupported)
	assert.ErrorContains(t, err, "with libcoap "+Version())
	return true
}

// logs returns a logger, and what it has logged.
func logs() (*slog.Logger, <-chan string) {
	lines := make(chan string, 100)
	return slog.New(slog.NewTextHandler(lineWriter(lines), nil)), lines
}

type lineWriter chan<- string

func (w lineWriter) Write(line []byte) (int, error) {
	w <- string(line)
	return len(line), nil
}

// refused returns why a session's handshake failed: Ready, a request that was made before it,
// and Err all say it.
func refused(t *testing.T, s *Session) *HandshakeError {
	t.Helper()
	ctx := prompt(t)
	_, err := s.Do(ctx, get())
	var failed *HandshakeError
	require.ErrorAs(t, err, &failed)
	require.ErrorIs(t, err, ErrHandshake)
	require.ErrorIs(t, s.Ready(ctx), ErrHandshake)
	require.ErrorIs(t, s.Err(), ErrHandshake)
	_, ok := s.TLS()
	assert.False(t, ok)
	return failed
}

// refusedBy returns why a server refuses a session.
func refusedBy(t *testing.T, s *Session) *HandshakeError {
	t.Helper()
	failed := refused(t, s)
	assert.False(t, failed.Sent)
	assert.NoError(t, failed.Err)
	assert.NotZero(t, failed.Alert)
	return failed
}

func TestPSK(t *testing.T) {
	eachSecure(t, func(t *testing.T, proto Protocol) {
		type peer struct {
			identity string
			state    gnutls.ConnectionState
		}
		peers := make(chan peer, 1)
		addr := listen(t, &Config{ServerPSK: pskServer}, proto,
			HandlerFunc(func(w ResponseWriter, r *Request) {
				state, _ := r.Session.TLS()
				peers <- peer{r.Session.PeerIdentity(), state}
			}))
		s, err := newTestNode(t, nil).NewClientSessionPSK(netip.AddrPort{}, addr, proto, "client1",
			testKey)
		require.NoError(t, err)
		r, err := s.Do(waitContext(t), get())
		require.NoError(t, err)
		assert.Equal(t, CodeContent, r.Code)
		seen := receive(t, peers)
		assert.Equal(t, "client1", seen.identity)
		version := gnutls.VersionTLS13
		if proto == DTLS {
			version = gnutls.VersionDTLS12
		}
		for _, state := range []func() (gnutls.ConnectionState, bool){
			s.TLS,
			func() (gnutls.ConnectionState, bool) { return seen.state, true },
		} {
			state, ok := state()
			require.True(t, ok)
			assert.True(t, state.HandshakeComplete)
			assert.True(t, state.PSK)
			assert.Equal(t, "client1", state.PSKIdentity)
			assert.Equal(t, version, state.Version)
			assert.NotEmpty(t, state.CipherSuiteName)
			assert.Empty(t, state.PeerCertificates)
		}
	})
}

func TestPSKOfConfig(t *testing.T) {
	eachSecure(t, func(t *testing.T, proto Protocol) {
		addr := listen(t, &Config{ServerPSK: pskServer}, proto, hello)
		s, err := Dial(waitContext(t), proto.Scheme()+"://"+addr.String(),
			&Config{PSK: PSK{Identity: "client1", Key: testKey}})
		require.NoError(t, err)
		defer s.Close()
		r, err := s.Do(waitContext(t), get())
		require.NoError(t, err)
		assert.Equal(t, "hello", string(r.Body))
	})
}

func TestPSKRefused(t *testing.T) {
	boom := errors.New("the key store is down")
	failing := func(f func() ([]byte, error)) ServerPSK {
		return ServerPSK{GetKey: func(string, string) ([]byte, error) { return f() }}
	}
	for _, tc := range []struct {
		name     string
		server   ServerPSK
		identity string
		alert    gnutls.Alert
		log      string
	}{
		{"unknown identity", pskServer, "nobody", gnutls.AlertUnknownPSKIdentity, "unknown identity"},
		{"error", failing(func() ([]byte, error) { return nil, boom }), "client1",
			gnutls.AlertInternalError, boom.Error()},
		{"panic", failing(func() ([]byte, error) { panic("ouch") }), "client1", gnutls.AlertInternalError,
			"ouch"},
		{"Goexit", failing(func() ([]byte, error) { runtime.Goexit(); return nil, nil }), "client1",
			gnutls.AlertInternalError, "Goexit"},
		{"key too long", failing(func() ([]byte, error) { return make([]byte, maxPSK+1), nil }),
			"client1", gnutls.AlertUnknownPSKIdentity, "65536 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			eachSecure(t, func(t *testing.T, proto Protocol) {
				logger, lines := logs()
				addr := listen(t, &Config{ServerPSK: tc.server, Logger: logger}, proto, hello)
				failed := refusedBy(t,
					connect(t, &Config{PSK: PSK{Identity: tc.identity, Key: testKey}}, addr, proto))
				assert.NoError(t, failed.Err)
				assert.Equal(t, tc.alert, failed.Alert)
				assert.ErrorIs(t, failed, tc.alert)
				line := receive(t, lines)
				assert.Contains(t, line, tc.log)
				assert.NotContains(t, line, string(testKey))
			})
		})
	}
}

// Over DTLS what cannot be decrypted is dropped, so that only silence tells a client that its
// key is wrong. Over TLS the server ends the connection; an alert comes where the ClientHello was
// there at once.
func TestPSKWrongKey(t *testing.T) {
	eachSecure(t, func(t *testing.T, proto Protocol) {
		t.Parallel()
		logger, lines := logs()
		addr := listen(t, &Config{ServerPSK: pskServer, MaxRetransmit: 1, Logger: logger}, proto, hello)
		for range 5 {
			c := newTestNode(t, &Config{MaxRetransmit: 1})
			s, err := c.NewClientSessionPSK(netip.AddrPort{}, addr, proto, "client1", []byte("wrong"))
			require.NoError(t, err)
			local := s.LocalAddr()
			failed := refused(t, s)
			if Version() == "4.3.1" { // others do not tell it from a session that ends
				line := receive(t, lines)
				assert.Contains(t, line, "handshake not completed")
				assert.Contains(t, line, "peer="+proto.Scheme()+"://127.0.0.1:")
				if proto == DTLS {
					assert.Contains(t, line, local.String())
				}
			}
			switch {
			case proto == DTLS:
				assert.ErrorIs(t, failed, ErrRetriesExhausted)
				assert.Zero(t, failed.Alert)
				return
			case failed.Alert != 0:
				assert.Equal(t, gnutls.AlertHandshakeFailure, failed.Alert)
			default:
				assert.ErrorIs(t, failed, io.ErrUnexpectedEOF)
			}
		}
	})
}

func TestClientThatLeavesAfterItsHandshakeIsNotLogged(t *testing.T) {
	eachSecure(t, func(t *testing.T, proto Protocol) {
		logger, lines := logs()
		c := newTestNode(t, &Config{ServerPSK: pskServer, Logger: logger})
		addr := listenOn(t, c, proto, hello)
		s, err := newTestNode(t, nil).NewClientSessionPSK(netip.AddrPort{}, addr, proto, "client1",
			testKey)
		require.NoError(t, err)
		require.NoError(t, s.Ready(waitContext(t)))
		require.NoError(t, s.Close())
		// When another one is answered the first is dealt with.
		s, err = newTestNode(t, nil).NewClientSessionPSK(netip.AddrPort{}, addr, proto, "client1",
			testKey)
		require.NoError(t, err)
		_, err = s.Do(waitContext(t), get())
		require.NoError(t, err)
		require.NoError(t, c.Close())
		assert.Empty(t, lines)
	})
}

func TestHandshakeWithNobody(t *testing.T) {
	dial := func(addr netip.AddrPort) error {
		config := &Config{MaxRetransmit: 1, PSK: PSK{Identity: "client1", Key: testKey}}
		_, err := Dial(prompt(t), "coaps://"+addr.String(), config)
		return err
	}
	t.Run("nobody listens", func(t *testing.T) {
		// A connected socket keeps the port, and the system answers all but its peer with an error.
		conn, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(loopback),
			net.UDPAddrFromAddrPort(coappeer.NewUDP(t).Addr()))
		require.NoError(t, err)
		defer conn.Close()
		err = dial(conn.LocalAddr().(*net.UDPAddr).AddrPort())
		if !errors.Is(err, ErrRetriesExhausted) { // where libcoap tries on
			require.ErrorIs(t, err, ErrUnreachable)
		}
	})
	t.Run("nobody answers", func(t *testing.T) {
		err := dial(coappeer.NewUDP(t).Addr())
		require.ErrorIs(t, err, ErrRetriesExhausted)
		require.ErrorIs(t, err, ErrHandshake)
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		assert.True(t, timeout.Timeout())
	})
}

// A server goes on after clients that it refused.
func TestPSKServerGoesOn(t *testing.T) {
	eachSecure(t, func(t *testing.T, proto Protocol) {
		addr := listen(t, &Config{ServerPSK: pskServer}, proto, hello)
		c := newTestNode(t, nil)
		for range 3 {
			s, err := c.NewClientSessionPSK(netip.AddrPort{}, addr, proto, "nobody", testKey)
			require.NoError(t, err)
			refused(t, s)
		}
		s, err := c.NewClientSessionPSK(netip.AddrPort{}, addr, proto, "client1", testKey)
		require.NoError(t, err)
		_, err = s.Do(waitContext(t), get())
		require.NoError(t, err)
	})
}

func TestPSKHint(t *testing.T) {
	session := func(psk PSK) func() error {
		return func() error {
			_, err := newTestNode(t, &Config{PSK: psk}).NewClientSession(netip.AddrPort{},
				coappeer.NewUDP(t).Addr(), DTLS)
			return err
		}
	}
	server := func(psk ServerPSK) func() error {
		return func() error { return newTestNode(t, nil).SetPSK(&psk) }
	}
	forHint := func(string) (string, []byte, error) { return "client1", testKey, nil }
	if lacks(t, FeaturePSKHints, session(PSK{ForHint: forHint})) {
		lacks(t, FeaturePSKHints,
			session(PSK{Identity: "client1", Key: testKey, ServerName: "alpha.test"}))
		lacks(t, FeaturePSKHints, server(ServerPSK{GetKey: pskServer.GetKey, Hint: "anybody"}))
		lacks(t, FeaturePSKHints,
			server(ServerPSK{GetKey: pskServer.GetKey, Hints: map[string]string{"a": "b"}}))
		return
	}
	eachSecure(t, func(t *testing.T, proto Protocol) {
		server := ServerPSK{
			Hint:  "anybody",
			Hints: map[string]string{"alpha.test": "alphabet"},
			GetKey: func(identity, name string) ([]byte, error) {
				return []byte(identity + " at " + name), nil
			},
		}
		addr := listen(t, &Config{ServerPSK: server}, proto, hello)
		for name, hint := range map[string]string{"": "anybody", "alpha.test": "alphabet",
			"ALPHA.test": "alphabet", "other.test": "anybody"} {
			t.Run(name, func(t *testing.T) {
				psk := PSK{ServerName: name, ForHint: func(hint string) (string, []byte, error) {
					return "for " + hint, []byte("for " + hint + " at " + name), nil
				}}
				s := connect(t, &Config{PSK: psk}, addr, proto)
				_, err := s.Do(waitContext(t), get())
				require.NoError(t, err)
				assert.Equal(t, hint, s.PeerIdentity())
				state, _ := s.TLS()
				assert.Equal(t, "for "+hint, state.PSKIdentity)
				assert.NotEqual(t, gnutls.VersionTLS13, state.Version)
			})
		}
	})
}

func TestPSKHintRefused(t *testing.T) {
	if !Supports(FeaturePSKHints) { // see TestPSKHint
		return
	}
	boom := errors.New("no key for that")
	for _, tc := range []struct {
		name    string
		forHint func(string) (string, []byte, error)
		want    string
		is      error
	}{
		{"error", func(string) (string, []byte, error) { return "", nil, boom }, "no key for that", boom},
		{"empty identity", func(string) (string, []byte, error) { return "", testKey, nil },
			"the identity is empty", nil},
		{"empty key", func(string) (string, []byte, error) { return "client1", nil, nil },
			"the key is empty", nil},
		{"NUL", func(string) (string, []byte, error) { return "client\x001", testKey, nil },
			"the identity holds a NUL byte", nil},
		{"panic", func(string) (string, []byte, error) { panic("ouch") }, "panic in a callback: ouch",
			nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			eachSecure(t, func(t *testing.T, proto Protocol) {
				addr := listen(t, &Config{ServerPSK: pskServer}, proto, hello)
				s := connect(t, &Config{PSK: PSK{ForHint: tc.forHint}}, addr, proto)
				failed := refused(t, s)
				assert.ErrorContains(t, failed, tc.want)
				if tc.is != nil {
					assert.ErrorIs(t, failed, tc.is)
				}
			})
		})
	}
}

func TestPSKBadInput(t *testing.T) {
	c := newTestNode(t, nil)
	nowhere := netip.MustParseAddrPort("127.0.0.1:9")
	long := strings.Repeat("x", maxPSK+1)
	for _, tc := range []struct {
		identity, key, want string
	}{
		{"", "key", "PSK.Identity is empty"},
		{"me", "", "PSK.Key is empty"},
		{"m\x00e", "key", "PSK.Identity holds a NUL byte"},
		{long, "key", "PSK.Identity has 65536 bytes"},
		{"me", long, "PSK.Key has 65536 bytes"},
	} {
		t.Run(tc.want, func(t *testing.T) {
			_, err := c.NewClientSessionPSK(netip.AddrPort{}, nowhere, DTLS, tc.identity, []byte(tc.key))
			require.ErrorContains(t, err, tc.want)
			assert.True(t, strings.HasPrefix(err.Error(), "coap: "), err)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
	t.Run("server name", func(t *testing.T) {
		for name, want := range map[string]string{"a\x00b": "NUL byte",
			strings.Repeat("a", 256): "256 bytes"} {
			c := newTestNode(t, &Config{PSK: PSK{Identity: "me", Key: testKey, ServerName: name}})
			_, err := c.NewClientSession(netip.AddrPort{}, nowhere, TLS)
			require.ErrorContains(t, err, want)
		}
	})
	t.Run("transport without security", func(t *testing.T) {
		_, err := c.NewClientSessionPSK(netip.AddrPort{}, nowhere, UDP, "me", testKey)
		require.ErrorContains(t, err, "credentials are for DTLS and TLS")
	})
	getKey := func(string, string) ([]byte, error) { return nil, nil }
	for want, psk := range map[string]*ServerPSK{
		"GetKey is nil":                {},
		"ServerPSK.Hint holds a NUL":   {GetKey: getKey, Hint: "a\x00b"},
		"ServerPSK.Hint has 128 bytes": {GetKey: getKey, Hint: strings.Repeat("h", 128)},
		`ServerPSK.Hints["n"] has 128 b`: {GetKey: getKey,
			Hints: map[string]string{"n": strings.Repeat("h", 128)}},
	} {
		t.Run(want, func(t *testing.T) {
			require.ErrorContains(t, c.SetPSK(psk), want)
		})
	}
}

// As much as servers must take (RFC 4279, section 5.3), and more.
func TestPSKLong(t *testing.T) {
	for _, size := range []int{63, 128, 2000} {
		eachSecure(t, func(t *testing.T, proto Protocol) {
			identity := strings.Repeat("i", size)
			key := []byte(strings.Repeat("k", size))
			seen := make(chan string, 1)
			server := ServerPSK{GetKey: func(identity, _ string) ([]byte, error) {
				seen <- identity
				return key, nil
			}}
			if Supports(FeaturePSKHints) {
				server.Hint = strings.Repeat("h", maxHint)
			}
			addr := listen(t, &Config{ServerPSK: server}, proto, hello)
			open := func(identity string, key []byte) (*Session, error) {
				return newTestNode(t, nil).NewClientSessionPSK(netip.AddrPort{}, addr, proto, identity, key)
			}
			if size > ccoap.MaxPSKIdentity {
				_, err := open(identity, testKey)
				assert.ErrorIs(t, err, ErrNotSupported)
				_, err = open("client1", key)
				assert.ErrorIs(t, err, ErrNotSupported)
				s, err := open("client1", testKey)
				require.NoError(t, err)
				refusedBy(t, s) // the server's key is too long
				return
			}
			s, err := open(identity, key)
			require.NoError(t, err)
			_, err = s.Do(waitContext(t), get())
			require.NoError(t, err)
			assert.Equal(t, identity, receive(t, seen))
		})
	}
}

// A callback that uses its context waits for itself.
func TestCallbackUsesNode(t *testing.T) {
	defer func(limit time.Duration) { callbackLimit = limit }(callbackLimit)
	callbackLimit = 200 * time.Millisecond
	eachSecure(t, func(t *testing.T, proto Protocol) {
		logger, lines := logs()
		c := newTestNode(t, &Config{Logger: logger})
		stuck := make(chan struct{}, 20)
		require.NoError(t, c.SetPSK(&ServerPSK{GetKey: func(string, string) ([]byte, error) {
			c.SetRootCAs(nil)
			stuck <- struct{}{}
			return testKey, nil
		}}))
		addr := listenOn(t, c, proto, hello)
		failed := refusedBy(t,
			connect(t, &Config{PSK: PSK{Identity: "client1", Key: testKey}}, addr, proto))
		assert.Equal(t, gnutls.AlertInternalError, failed.Alert)
		assert.Contains(t, receive(t, lines), "did not return in time")
		receive(t, stuck)
	})
}

func TestCredentialsOfANode(t *testing.T) {
	nowhere := coappeer.NewUDP(t).Addr()
	psk := func(c *Node) error {
		_, err := c.NewClientSessionPSK(netip.AddrPort{}, nowhere, DTLS, "me", testKey)
		return err
	}
	pki := func(c *Node) error {
		_, err := c.NewClientSessionPKI(netip.AddrPort{}, nowhere, DTLS, nil)
		return err
	}
	listen := func(c *Node) error {
		_, err := c.Listen(loopback, DTLS)
		return err
	}
	setPSK := func(c *Node) error { return c.SetPSK(&pskServer) }
	setHints := func(c *Node) error {
		return c.SetPSK(&ServerPSK{GetKey: pskServer.GetKey, Hint: "other"})
	}
	bothRoles, tooLate, otherHints := "", "", "already set"
	if !Supports(FeatureCredentials) {
		tooLate = ErrNotSupported.Error()
	}
	if !Supports(FeaturePSKHints) {
		otherHints = ErrNotSupported.Error()
	}
	if !Supports(FeatureBothRoles) {
		bothRoles = ErrNotSupported.Error()
	}
	for _, tc := range []struct {
		name          string
		first, second func(*Node) error
		want          string // of the second
	}{
		{"sessions with keys", psk, psk, ""},
		{"sessions with certificates", pki, pki, ""},
		{"keys, then certificates", psk, pki, "the other kind"},
		{"certificates, then keys", pki, psk, "the other kind"},
		{"server with keys, session with certificates", setPSK, pki, "the other kind"},
		{"server and session with keys", setPSK, psk, bothRoles},
		{"keys twice", setPSK, setPSK, ""},
		{"other hints", setPSK, setHints, otherHints},
		{"too late for servers", psk, setPSK, "client sessions already"},
		{"no credentials of a client's context", psk, listen, "client sessions already"},
		{"no credentials", func(*Node) error { return nil }, listen,
			"neither certificates nor pre-shared keys"},
		{"too late", func(c *Node) error { return errors.Join(setPSK(c), listen(c)) }, setPSK, tooLate},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newTestNode(t, nil)
			require.NoError(t, tc.first(c))
			err := tc.second(c)
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.want)
			assert.True(t, strings.HasPrefix(err.Error(), "coap: "), err)
		})
	}
}

func TestLoggerUsesContext(t *testing.T) {
	var c *Node
	done := make(chan struct{})
	h := &reentrant{f: func() { c.Handle(hello); close(done) }}
	config := &Config{ServerPSK: pskServer, Logger: slog.New(h)}
	c = newTestNode(t, config)
	c.Handle(hello)
	addr, err := c.Listen(loopback, DTLS)
	require.NoError(t, err)
	s, err := newTestNode(t, nil).NewClientSessionPSK(netip.AddrPort{}, addr, DTLS, "nobody", testKey)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	assert.Error(t, s.Ready(ctx))
	select {
	case <-done:
	case <-time.After(3 * time.Second):
		t.Fatal("hangs")
	}
}

type reentrant struct {
	slog.Handler
	f    func()
	once bool
}

func (h *reentrant) Enabled(context.Context, slog.Level) bool { return true }

func (h *reentrant) Handle(context.Context, slog.Record) error {
	if !h.once {
		h.once = true
		h.f()
	}
	return nil
}
