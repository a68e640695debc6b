package gnutls

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, func() (any, int64) {
		counts := LiveObjects()
		return counts, counts.Total()
	})
}

// wait bounds what a test waits for; nothing takes this long.
const wait = 20 * time.Second

func waitContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	t.Cleanup(cancel)
	return ctx
}

// testCertificate loads NAME.pem and NAME.key.
func testCertificate(t testing.TB, name string) Certificate {
	t.Helper()
	cert, err := LoadX509KeyPair(testenv.File(name+".pem"), testenv.File(name+".key"))
	require.NoError(t, err)
	return cert
}

// testPool trusts the certificates of PEM files.
func testPool(t testing.TB, files ...string) *CertPool {
	t.Helper()
	pool := NewCertPool()
	for _, file := range files {
		require.NoError(t, pool.AppendCertsFromPEM(testenv.Read(t, file)))
	}
	return pool
}

func serverConfig(t testing.TB) *Config {
	return &Config{Certificates: []Certificate{testCertificate(t, "server")}}
}

func clientConfig(t testing.TB) *Config {
	return &Config{RootCAs: testPool(t, "ca.pem"), ServerName: "localhost"}
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
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// shake runs the handshake of a client and a server over a TCP connection and
// returns both with their errors.
func shake(t testing.TB, client, server *Config) (c, s *Conn, clientErr, serverErr error) {
	t.Helper()
	cc, sc := tcpPipe(t)
	c, s = Client(cc, client), Server(sc, server)
	t.Cleanup(func() { c.Close(); s.Close() })
	clientErr, serverErr = shakeConns(t, c, s)
	return c, s, clientErr, serverErr
}

func shakeConns(t testing.TB, c, s *Conn) (clientErr, serverErr error) {
	ctx := waitContext(t)
	done := make(chan error, 1)
	go func() { done <- s.HandshakeContext(ctx) }()
	clientErr = c.HandshakeContext(ctx)
	return clientErr, <-done
}

// connect is shake where both must succeed.
func connect(t testing.TB, client, server *Config) (c, s *Conn) {
	t.Helper()
	c, s, clientErr, serverErr := shake(t, client, server)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	return c, s
}

// echo sends a line from a to b and back.
func echo(t testing.TB, a, b net.Conn) {
	t.Helper()
	const line = "the quick brown fox\n"
	for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		require.NoError(t, pair[1].SetReadDeadline(time.Now().Add(wait)))
		_, err := pair[0].Write([]byte(line))
		require.NoError(t, err)
		buf := make([]byte, len(line))
		_, err = io.ReadFull(pair[1], buf)
		require.NoError(t, err)
		require.Equal(t, line, string(buf))
		require.NoError(t, pair[1].SetReadDeadline(time.Time{}))
	}
}

// logBuffer is what a Logger writes to.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
