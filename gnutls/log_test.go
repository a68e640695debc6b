package gnutls

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFailedHandshakesAreLogged has a server of net/http, which drops the errors
// of handshakes.
func TestFailedHandshakesAreLogged(t *testing.T) {
	for name, c := range map[string]struct {
		client func(t *testing.T, addr string)
		want   []string
	}{
		"a client that does not trust": {func(t *testing.T, addr string) {
			_, err := tls.Dial("tcp", addr, &tls.Config{})
			require.Error(t, err)
		}, []string{"level=WARN", "Certificate is bad"}},
		"an older version": {func(t *testing.T, addr string) {
			_, err := tls.Dial("tcp", addr,
				&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
			require.Error(t, err)
		}, []string{"level=WARN", "unsupported version"}},
		"no TLS": {func(t *testing.T, addr string) {
			conn, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
			require.NoError(t, err)
			io.Copy(io.Discard, conn)
		}, []string{"level=WARN"}},
		"silence": {func(t *testing.T, addr string) {
			conn, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			defer conn.Close()
			io.Copy(io.Discard, conn)
		}, []string{"level=WARN", "i/o timeout"}},
		"nothing at all": {func(t *testing.T, addr string) {
			conn, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			require.NoError(t, conn.Close())
		}, []string{"level=DEBUG"}},
	} {
		t.Run(name, func(t *testing.T) {
			var logged logBuffer
			config := serverConfig(t)
			config.MinVersion, config.Logger = VersionTLS13, logged.logger()
			ln, err := Listen("tcp", "127.0.0.1:0", config)
			require.NoError(t, err)
			server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.NotFoundHandler(),
				ReadHeaderTimeout: 100 * time.Millisecond}
			if name != "silence" {
				server.ReadHeaderTimeout = wait
			}
			go server.Serve(ln)
			defer server.Close()
			c.client(t, ln.Addr().String())
			require.Eventually(t, func() bool {
				return strings.Contains(logged.String(), "handshake failed")
			}, wait, time.Millisecond)
			for _, want := range append(c.want, "peer=127.0.0.1:", "error=") {
				assert.Contains(t, logged.String(), want)
			}
			require.NoError(t, server.Close())
			assert.Equal(t, 1, strings.Count(logged.String(), "handshake failed"))
		})
	}
}

func TestHandshakesThatSucceedOrAreAClientsAreNotLoggedAsFailed(t *testing.T) {
	var logged logBuffer
	server, client := serverConfig(t), clientConfig(t)
	server.Logger, client.Logger = logged.logger(), logged.logger()
	c, s := connect(t, client, server)
	require.NoError(t, c.Close())
	require.NoError(t, s.Close())
	cc, _ := tcpPipe(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	lost := Client(cc, client)
	defer lost.Close()
	require.Error(t, lost.HandshakeContext(ctx))
	assert.NotContains(t, logged.String(), "handshake failed")
}
