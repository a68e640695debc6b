package main

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/cmd/internal/toolstest"
	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// asProgram makes the test program be coap-probe.
const asProgram = "COAP_PROBE_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	testenv.Main(m, func() (any, int64) {
		sessions, connections := coap.LiveObjects(), gnutls.LiveObjects()
		return []any{sessions, connections}, sessions.Total() + connections.Total()
	})
}

// serve returns the URIs of a server, by scheme.
func serve(t testing.TB) map[string]string {
	t.Helper()
	cert, err := gnutls.LoadX509KeyPair(testenv.File("server.pem"), testenv.File("server.key"))
	require.NoError(t, err)
	c, err := coap.NewNode(&coap.Config{PKI: coap.PKI{Certificates: []gnutls.Certificate{cert}}})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	uris := make(map[string]string)
	for scheme, protocol := range map[string]coap.Protocol{
		"coap": coap.UDP, "coaps": coap.DTLS, "coap+tcp": coap.TCP, "coaps+tcp": coap.TLS,
	} {
		addr, err := c.Listen(netip.MustParseAddrPort("127.0.0.1:0"), protocol)
		require.NoError(t, err)
		uris[scheme] = scheme + "://" + addr.String()
	}
	uris["tls"] = strings.Replace(uris["coaps+tcp"], "coaps+tcp", "tls", 1)
	return uris
}

// call runs the command.
func call(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(context.Background(), args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestServersThatAreThere(t *testing.T) {
	uris := serve(t)
	for scheme, uri := range uris {
		t.Run(scheme, func(t *testing.T) {
			status, stdout, stderr := call(uri)
			assert.Zero(t, status)
			assert.Empty(t, stdout+stderr)
		})
	}
	t.Run("from the environment", func(t *testing.T) {
		t.Setenv(environment, uris["coap"]+" "+uris["tls"])
		status, _, stderr := call()
		assert.Zero(t, status, stderr)
	})
}

// silent is a listener that never accepts.
func silent(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

// mute is a UDP socket that is never read from.
func mute(t testing.TB) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String()
}

func TestServersThatAreNotThere(t *testing.T) {
	uris := serve(t)
	for name, uri := range map[string]string{
		"no answer over UDP": "coap://" + mute(t),
		"no handshake":       "tls://" + silent(t),
		"no TLS":             strings.Replace(uris["coap+tcp"], "coap+tcp", "tls", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, stdout, stderr := call(uris["coap"], uri)
			assert.Equal(t, 1, status)
			assert.Empty(t, stdout)
			assert.Regexp(t, `^coap-probe: .*\Q`+uri+`\E: .+\n$`, stderr)
		})
	}
}

func TestBadInputIsNamed(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "no URI is given, and COAP_PROBE is empty; " + "usage: " + usage},
		{"-x", "flag provided but not defined: -x"},
		{"http://example.org", `"http://example.org"`},
		{"coap://a/ coap://", `"coap://"`},
		{"tls://127.0.0.1", `"tls://127.0.0.1" is not tls://host:port`},
		{"tls://127.0.0.1:1/path", `"tls://127.0.0.1:1/path" is not tls://host:port`},
		{"tls://me@127.0.0.1:1", `"tls://me@127.0.0.1:1" is not tls://host:port`},
		{"tls://[::1:1", `"tls://[::1:1"`},
		{"tls:", `"tls:" is not tls://host:port`},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Setenv(environment, "")
			status, stdout, stderr := call(strings.Fields(c.args)...)
			assert.Equal(t, 2, status)
			assert.Empty(t, stdout)
			assert.True(t, strings.HasPrefix(stderr, "coap-probe: "), stderr)
			assert.Contains(t, stderr, c.want)
			assert.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
		})
	}
}

func TestHelp(t *testing.T) {
	status, stdout, stderr := call("--help")
	assert.Zero(t, status)
	assert.Empty(t, stderr)
	for _, said := range []string{"Usage: coap-probe [URI...]", "coaps+tcp://", "tls://host:port",
		"COAP_PROBE", "exit status", "-version"} {
		assert.Contains(t, stdout, said)
	}
}

// probeProcess returns coap-probe as a process of its own.
func probeProcess(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

func TestSignalsEndTheProbe(t *testing.T) {
	toolstest.Interrupted(t, "udp",
		func(addr string) *exec.Cmd { return probeProcess("coap://" + addr) })
}

func TestVersion(t *testing.T) {
	toolstest.Version(t, "coap-probe", probeProcess, "libcoap "+coap.Version())
}
