package gnutls_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// site is an HTTPS server of net/http. It echoes bodies, or else answers with
// line, and closes the connection after each request.
type site struct {
	addr   string
	states chan gnutls.ConnectionState // of the connection of each request
}

type connKey struct{}

func startSite(t *testing.T, ln net.Listener) *site {
	t.Helper()
	s := &site{ln.Addr().String(), make(chan gnutls.ConnectionState, 16)}
	server := httptest.NewUnstartedServer(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.states <- r.Context().Value(connKey{}).(*gnutls.Conn).ConnectionState()
			body, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			w.Header().Set("Connection", "close")
			if len(body) == 0 {
				body = []byte(line)
			}
			w.Write(body)
		}))
	server.Listener.Close()
	server.Listener = ln
	server.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, conn)
	}
	server.Start()
	t.Cleanup(server.Close)
	return s
}

// startCurl gets the front page of a site so many times, on a connection each.
func startCurl(t *testing.T, addr string, s settings, times int, args ...string) *testenv.Process {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	args = append([]string{"-q", "--noproxy", "*", "--silent", "--show-error", "--verbose",
		"--cacert", testenv.File("ca.pem"), "--resolve", s.name() + ":" + port + ":" + host}, args...)
	switch s.version {
	case gnutls.VersionTLS12:
		args = append(args, "--tlsv1.2", "--tls-max", "1.2")
	case gnutls.VersionTLS13:
		args = append(args, "--tlsv1.3", "--tls-max", "1.3")
	}
	if s.clientCert != "" {
		args = append(args, "--cert", testenv.File(s.clientCert+".pem"), "--key",
			testenv.File(s.clientCert+".key"))
	}
	for range times {
		args = append(args, "https://"+s.name()+":"+port+"/")
	}
	return testenv.Start(t, "curl", args...)
}

// get is startCurl where all must go well.
func get(t *testing.T, addr string, s settings, times int) string {
	t.Helper()
	p := startCurl(t, addr, s, times)
	require.Zero(t, p.Wait(t))
	require.Equal(t, times, strings.Count(p.Output(), line))
	return p.Output()
}

// TestInteropCurlFullAndResumed gets two pages. Both sides must say that the
// second connection resumed the first.
func TestInteropCurlFullAndResumed(t *testing.T) {
	cases := []struct {
		name     string
		version  uint16
		disabled bool // Config.SessionTicketsDisabled
	}{
		{"TLS 1.3", gnutls.VersionTLS13, false},
		{"TLS 1.2 ticket", gnutls.VersionTLS12, false},
		{"TLS 1.2 session ID", gnutls.VersionTLS12, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			set := settings{version: c.version}
			config := set.serverConfig(t)
			config.SessionTicketsDisabled = c.disabled
			s := startSite(t, listen(t, config))
			out := get(t, s.addr, set, 2)
			first, second := receive(t, s.states), receive(t, s.states)
			assert.False(t, first.DidResume)
			assert.True(t, second.DidResume)
			assert.Equal(t, c.version, first.Version)
			assert.Equal(t, c.version, second.Version)
			assert.Equal(t, "localhost", first.ServerName)
			assert.Len(t, regexp.MustCompile("SSL re-?using session").FindAllString(out, -1), 1)
		})
	}
}

// TestInteropCurlClientCertificate resumes with one, and is refused without.
func TestInteropCurlClientCertificate(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		set := settings{version: version, clientCert: "client"}
		s := startSite(t, listen(t, set.serverConfig(t)))
		get(t, s.addr, set, 2)
		for _, resumed := range []bool{false, true} {
			state := receive(t, s.states)
			assert.Equal(t, resumed, state.DidResume)
			assert.Equal(t, "client one", commonName(state))
			assert.Len(t, state.VerifiedChains, 1)
		}

		p := startCurl(t, s.addr, settings{version: version}, 1)
		assert.NotZero(t, p.Wait(t))
		assert.Regexp(t, "alert handshake failure|alert certificate required", p.Output())
		get(t, s.addr, set, 1)
	})
}

func TestInteropCurlNegotiatesProtocol(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		set := settings{version: version, protocols: []string{"http/1.1"}}
		s := startSite(t, listen(t, set.serverConfig(t)))
		out := get(t, s.addr, set, 1) // curl offers h2 and http/1.1 by itself
		assert.Equal(t, "http/1.1", receive(t, s.states).NegotiatedProtocol)
		assert.Regexp(t, "ALPN[:,] server accepted (to use )?http/1.1", out)
	})
}

func TestInteropCurlPicksCertificateByName(t *testing.T) {
	s := startSite(t, listen(t, settings{certs: []string{"server", "alpha", "beta"}}.serverConfig(t)))
	eachVersion(t, func(t *testing.T, version uint16) {
		for _, name := range []string{"alpha", "beta"} {
			out := get(t, s.addr, settings{version: version, serverName: name + ".test"}, 1)
			assert.Contains(t, out, "subject: CN=gnucoap test "+name)
			assert.Equal(t, name+".test", receive(t, s.states).ServerName)
		}
	})
}

func TestInteropCurlCertificateKinds(t *testing.T) {
	for _, name := range []string{"server-rsa", "server-ed25519", "server-chain"} {
		t.Run(name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, version uint16) {
				set := settings{version: version, certs: []string{name}}
				s := startSite(t, listen(t, set.serverConfig(t)))
				out := get(t, s.addr, set, 1)
				assert.Contains(t, out, "subject: "+testCertificate(t, name).Leaf.Subject.String())
			})
		})
	}
}

func TestInteropCurlGetsHelloRetryRequest(t *testing.T) {
	set := settings{version: gnutls.VersionTLS13, onlyP521: true}
	ln, taps := listenTapped(t, set.serverConfig(t))
	s := startSite(t, ln)
	get(t, s.addr, set, 2)
	for _, resumed := range []bool{false, true} {
		assert.Equal(t, resumed, receive(t, s.states).DidResume)
		assert.Equal(t, 1, receive(t, taps).helloRetryRequests())
	}
}

// TestInteropCurlOneMiBEachWay posts 1 MiB and gets it back.
func TestInteropCurlOneMiBEachWay(t *testing.T) {
	data := oneMiB()
	dir := t.TempDir()
	sent, got := filepath.Join(dir, "sent"), filepath.Join(dir, "got")
	require.NoError(t, os.WriteFile(sent, []byte(data), 0o600))
	eachVersion(t, func(t *testing.T, version uint16) {
		set := settings{version: version}
		s := startSite(t, listen(t, set.serverConfig(t)))
		p := startCurl(t, s.addr, set, 1, "--data-binary", "@"+sent, "--output", got)
		require.Zero(t, p.Wait(t))
		b, err := os.ReadFile(got)
		require.NoError(t, err)
		require.True(t, string(b) == data, "other data came back")
	})
}

// TestInteropCurlSeesCleanClose sends a page that ends with the connection.
func TestInteropCurlSeesCleanClose(t *testing.T) {
	page := func(c *gnutls.Conn) error {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return err
		}
		if _, err := io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\n"+line); err != nil {
			return err
		}
		return c.Close()
	}
	eachVersion(t, func(t *testing.T, version uint16) {
		set := settings{version: version}
		s := serve(t, listen(t, set.serverConfig(t)), page)
		out := get(t, s.addr, set, 1)
		assert.Contains(t, out, "(IN), TLS alert, close notify")
		assert.NoError(t, s.next(t).err)
	})
}
