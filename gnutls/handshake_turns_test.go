package gnutls

import (
	"context"
	"crypto"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A helloConn brings a ClientHello and then nothing, until it is closed.
type helloConn struct {
	net.Conn
	hello []byte
	close sync.Once
	done  chan struct{}
}

func (c *helloConn) Read(p []byte) (int, error) {
	if len(c.hello) > 0 {
		n := copy(p, c.hello)
		c.hello = c.hello[n:]
		return n, nil
	}
	<-c.done
	return 0, io.EOF
}

func (c *helloConn) Write(p []byte) (int, error) { return len(p), nil }
func (c *helloConn) Close() error {
	c.close.Do(func() { close(c.done) })
	return nil
}
func (c *helloConn) RemoteAddr() net.Addr             { return testAddr("192.0.2.1:1") }
func (c *helloConn) LocalAddr() net.Addr              { return testAddr("192.0.2.2:2") }
func (c *helloConn) SetReadDeadline(time.Time) error  { return nil }
func (c *helloConn) SetWriteDeadline(time.Time) error { return nil }

// clientHello returns the first message of a client.
func clientHello(t testing.TB, config *Config) []byte {
	t.Helper()
	cc, sc := tcpPipe(t)
	c := Client(cc, config)
	defer c.Close()
	go c.Handshake()
	require.NoError(t, sc.SetReadDeadline(time.Now().Add(wait)))
	header := make([]byte, 5)
	_, err := io.ReadFull(sc, header)
	require.NoError(t, err)
	body := make([]byte, int(header[3])<<8|int(header[4]))
	_, err = io.ReadFull(sc, body)
	require.NoError(t, err)
	return append(header, body...)
}

// threads returns how many threads the process has.
func threads(t testing.TB) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if n, ok := strings.CutPrefix(line, "Threads:"); ok {
			threads, err := strconv.Atoi(strings.TrimSpace(n))
			require.NoError(t, err)
			return threads
		}
	}
	t.Fatal("no Threads in /proc/self/status")
	return 0
}

// A look-up that hangs holds MaxCallbacks threads, whatever comes.
func TestHandshakesInCallbacksAreBounded(t *testing.T) {
	const handshakes, bound = 500, 4
	client, server := pskConfigs(VersionTLS13)
	hello := clientHello(t, client)
	var waiting atomic.Int32
	release := make(chan struct{})
	server.Certificates = []Certificate{testCertificate(t, "server")}
	server.MaxCallbacks = bound
	server.GetPSK = func(context.Context, string) ([]byte, error) {
		waiting.Add(1)
		<-release
		return nil, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	before := threads(t)
	errs := make(chan error, handshakes)
	start := func(ctx context.Context) *Conn {
		s := Server(&helloConn{hello: hello, done: make(chan struct{})}, server)
		t.Cleanup(func() { s.Close() })
		go func() { errs <- s.HandshakeContext(ctx) }()
		return s
	}
	for range bound {
		start(context.Background())
	}
	require.Eventually(t, func() bool { return waiting.Load() == bound }, wait, time.Millisecond)
	for range handshakes {
		start(ctx)
	}
	closed, expired := start(context.Background()), start(context.Background())

	// Those who do not need a key do not wait.
	c, s := connect(t, clientConfig(t), server)
	echo(t, c, s)
	c, s = connect(t, withVersion(clientConfig(t), VersionTLS12), server)
	echo(t, c, s)
	assert.Less(t, threads(t), before+bound+handshakes/2,
		"short calls of many goroutines take some, too")

	cancel()
	for range handshakes {
		require.ErrorIs(t, <-errs, context.Canceled)
	}
	closed.Close()
	require.ErrorIs(t, <-errs, net.ErrClosed)
	require.NoError(t, expired.SetReadDeadline(time.Now().Add(-time.Second)))
	require.ErrorIs(t, <-errs, os.ErrDeadlineExceeded)
	assert.EqualValues(t, bound, waiting.Load())

	close(release)
	for range bound {
		require.ErrorContains(t, <-errs, "unknown identity")
	}
	require.NoError(t, expired.SetReadDeadline(time.Time{}))
	require.ErrorContains(t, expired.Handshake(), "unknown identity", "it can be gone on with")
	assert.EqualValues(t, bound+1, waiting.Load())
}

// Who has waited for a turn loses nothing.
func TestHandshakesThatWaitedForTheirTurnSucceed(t *testing.T) {
	const handshakes, bound = 12, 2
	for _, version := range bothVersions {
		for _, tc := range []struct {
			name   string
			change func(c, s *Config, hang func())
			called int // in each handshake
		}{
			{"look-up of a key", func(c, s *Config, hang func()) {
				psk, server := pskConfigs(version)
				c.PSKIdentity, c.PSKKey, s.Certificates = psk.PSKIdentity, psk.PSKKey, nil
				s.GetPSK = func(ctx context.Context, identity string) ([]byte, error) {
					hang()
					return server.GetPSK(ctx, identity)
				}
			}, 1},
			{"signature of the server",
				func(_, s *Config, hang func()) { s.Certificates = hangingSigner(t, "server", hang) }, 1},
			{"signature of the client", func(c, s *Config, hang func()) {
				c.Certificates = hangingSigner(t, "client", hang)
				c.MaxCallbacks = bound
				s.ClientAuth = RequireAnyClientCert
			}, 1},
			{"store", func(_, s *Config, hang func()) {
				s.SessionStore = hangingStore{hang, NewSessionStore(0)}
			}, 1},
		} {
			if version == VersionTLS13 && tc.name == "store" {
				continue // it has none
			}
			t.Run(VersionName(version)+"/"+tc.name, func(t *testing.T) {
				client, server := withVersion(clientConfig(t), version), serverConfig(t)
				server.MaxCallbacks = bound
				server.SessionTicketsDisabled = tc.name == "store"
				var calls, inside atomic.Int32
				release := make(chan struct{})
				tc.change(client, server, func() {
					calls.Add(1)
					assert.LessOrEqual(t, inside.Add(1), int32(bound))
					<-release
					inside.Add(-1)
				})
				type pair struct{ c, s *Conn }
				done := make(chan error, 2*handshakes)
				var pairs []pair
				for range handshakes {
					cc, sc := tcpPipe(t)
					p := pair{Client(cc, client), Server(sc, server)}
					defer p.c.Close()
					defer p.s.Close()
					pairs = append(pairs, p)
					go func() { done <- p.s.HandshakeContext(waitContext(t)) }()
					go func() { done <- p.c.HandshakeContext(waitContext(t)) }()
				}
				assert.Eventually(t, func() bool { return inside.Load() == bound }, wait, time.Millisecond)
				close(release)
				for range 2 * handshakes {
					require.NoError(t, <-done)
				}
				for _, p := range pairs {
					echo(t, p.c, p.s)
				}
				assert.EqualValues(t, handshakes*tc.called, calls.Load())
			})
		}
	}
}

func hangingSigner(t testing.TB, name string, hang func()) []Certificate {
	cert := testCertificate(t, name)
	key := cert.PrivateKey.(crypto.Signer)
	cert.PrivateKey = &testSigner{Signer: key,
		sign: func(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			hang()
			return key.Sign(nil, digest, opts)
		}}
	return []Certificate{cert}
}

type hangingStore struct {
	hang func()
	SessionStore
}

func (s hangingStore) Put(ctx context.Context, id, data []byte, expires time.Time) error {
	s.hang()
	return s.SessionStore.Put(ctx, id, data, expires)
}

func TestMaxCallbacksIsNotNegative(t *testing.T) {
	_, sc := tcpPipe(t)
	s := Server(sc,
		&Config{Certificates: []Certificate{testCertificate(t, "server")}, MaxCallbacks: -1})
	defer s.Close()
	assert.EqualError(t, s.Handshake(), "gnutls: Config.MaxCallbacks is negative")
}
