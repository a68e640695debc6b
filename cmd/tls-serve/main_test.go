package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/cmd/internal/toolstest"
	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// asProgram makes the test program be tls-serve.
const asProgram = "TLS_SERVE_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	testenv.Main(m, func() (any, int64) {
		counts := gnutls.LiveObjects()
		return counts, counts.Total()
	})
}

// wait bounds what a test waits for; nothing takes this long.
const wait = 20 * time.Second

// A server is tls-serve under test.
type server struct {
	addr string
	log  *toolstest.Printed
}

func (s *server) port() string {
	_, port, _ := net.SplitHostPort(s.addr)
	return port
}

func withPort(args []string) []string { return append([]string{"-listen", "127.0.0.1:0"}, args...) }

// start runs the server in this process until the end of the test.
func start(t testing.TB, args ...string) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := toolstest.NewPrinted()
	status := make(chan int, 1)
	go func() { status <- run(ctx, withPort(args), io.Discard, log) }()
	t.Cleanup(func() {
		cancel()
		assert.Zero(t, <-status, log)
	})
	return &server{addr: log.Await(t, `msg=listening addr=(\S+)`)[1], log: log}
}

// startProcess runs the server in a process of its own.
func startProcess(t testing.TB, args ...string) (*server, *exec.Cmd) {
	t.Helper()
	log := toolstest.NewPrinted()
	cmd := exec.Command(os.Args[0], withPort(args)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stderr = log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return &server{addr: log.Await(t, `msg=listening addr=(\S+)`)[1], log: log}, cmd
}

// pair returns the flags for NAME.pem and NAME.key.
func pair(name string) []string {
	return []string{"-cert", testenv.File(name + ".pem"), "-key", testenv.File(name + ".key")}
}

func clientConfig(t testing.TB) *gnutls.Config {
	t.Helper()
	pool := gnutls.NewCertPool()
	require.NoError(t, pool.AppendCertsFromPEM(testenv.Read(t, "ca.pem")))
	return &gnutls.Config{RootCAs: pool, ServerName: "localhost"}
}

// connect connects and closes the connection at the end of the test.
func connect(t testing.TB, s *server, config *gnutls.Config) *gnutls.Conn {
	t.Helper()
	c, err := gnutls.Dial("tcp", s.addr, config)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(wait)))
	return c
}

// dialRaw connects without TLS.
func dialRaw(t testing.TB, s *server) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(wait)))
	return c.(*net.TCPConn)
}

// echoes sends a line and reads it back.
func echoes(t testing.TB, c net.Conn) {
	t.Helper()
	const line = "the quick brown fox\n"
	_, err := io.WriteString(c, line)
	require.NoError(t, err)
	got := make([]byte, len(line))
	_, err = io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, line, string(got))
}

// sessionData waits for a ticket.
func sessionData(t testing.TB, c *gnutls.Conn) *gnutls.SessionData {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	d, err := c.SessionData(ctx)
	require.NoError(t, err)
	return d
}

// resume connects with session data and returns whether the server resumed.
func resume(t testing.TB, s *server, config *gnutls.Config, d *gnutls.SessionData) bool {
	t.Helper()
	c := gnutls.Client(dialRaw(t, s), config)
	defer c.Close()
	require.NoError(t, c.Resume(d))
	echoes(t, c)
	return c.ConnectionState().DidResume
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	assert.Zero(t, run(context.Background(), []string{"-help"}, &stdout, &stderr))
	assert.Empty(t, stderr.String())
	for _, name := range strings.Fields(
		"listen cert key mode tickets max-tickets no-ticket-request early-data ticket-key client-ca require-client-cert alpn priority psk") {
		assert.Regexp(t, `(?m)^  -`+name+`\b`, stdout.String())
	}
}

func TestBadUsage(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	dir := t.TempDir()
	write := func(name string, data string) string {
		file := dir + "/" + name
		require.NoError(t, os.WriteFile(file, []byte(data), 0o600))
		return file
	}
	good := func(more ...string) []string { return append(pair("server"), more...) }
	tests := []struct {
		name string
		args []string
		want []string // parts of the message
	}{
		{"nothing to authenticate with", nil, []string{"-cert", "-psk"}},
		{"unknown flag", good("-nonsense"), []string{"-nonsense"}},
		{"argument", good("extra"), []string{`"extra"`}},
		{"unknown mode", good("-mode", "ftp"), []string{"-mode", `"ftp"`, "echo", "http"}},
		{"tickets not a number", good("-tickets", "few"), []string{"-tickets", `"few"`}},
		{"negative tickets", good("-tickets", "-1"), []string{"-tickets", `"-1"`, "0 to 255"}},
		{"no tickets at most", good("-max-tickets", "0"), []string{"-max-tickets", `"0"`, "1 to 255"}},
		{"too many tickets at most", good("-max-tickets", "256"),
			[]string{"-max-tickets", `"256"`, "1 to 255"}},
		{"fewer tickets than the number", good("-tickets", "5", "-max-tickets", "4"),
			[]string{"-max-tickets", `"4"`, "-tickets", "5"}},
		{"negative early data", good("-early-data", "-1"), []string{"-early-data", `"-1"`, "65536"}},
		{"too much early data", good("-early-data", "65537"),
			[]string{"-early-data", `"65537"`, "65536"}},
		{"early data for two protocols", good("-early-data", "1", "-alpn", "a,b"),
			[]string{"-alpn", `"a,b"`, "-early-data"}},
		{"too many tickets", good("-tickets", "256"), []string{"-tickets", `"256"`, "0 to 255"}},
		{"missing certificate", []string{"-cert", "/no/such.pem"},
			[]string{"-cert", `"/no/such.pem"`, "no such file"}},
		{"missing key", []string{"-cert", testenv.File("server.pem"), "-key", "/no/such.key"},
			[]string{"-key", `"/no/such.key"`, "no such file"}},
		{"certificate file without key", []string{"-cert", testenv.File("server.pem")},
			[]string{"-cert", "server.pem", "private key"}},
		{"key without certificate", []string{"-key", "a.key"}, []string{"-key", `"a.key"`, "-cert"}},
		{"two keys for one certificate", good("-key", "b.key"), []string{"-key", `"b.key"`, "-cert"}},
		{"broken certificate", []string{"-cert", testenv.File("broken.pem"), "-key",
			testenv.File("server.key")}, []string{"-cert", "broken.pem", "certificate 1"}},
		{"no certificate in the file", []string{"-cert", testenv.File("notacert.pem"), "-key",
			testenv.File("server.key")}, []string{"-cert", "notacert.pem", "no CERTIFICATE"}},
		{"key that does not match", []string{"-cert", testenv.File("server.pem"), "-key",
			testenv.File("alpha.key")}, []string{"-key", "alpha.key", "does not belong"}},
		{"encrypted key", []string{"-cert", testenv.File("server.pem"), "-key",
			testenv.File("server.enc.key")}, []string{"-key", "server.enc.key", "encrypted"}},
		{"missing client CA", good("-client-ca", "/no/ca.pem"),
			[]string{"-client-ca", `"/no/ca.pem"`, "no such file"}},
		{"broken client CA", good("-client-ca", testenv.File("broken.pem")),
			[]string{"-client-ca", "broken.pem"}},
		{"client certificate required from nobody", good("-require-client-cert"),
			[]string{"-require-client-cert", "-client-ca"}},
		{"empty protocol", good("-alpn", "a,,b"), []string{"-alpn", `"a,,b"`}},
		{"HTTP/2", good("-mode", "http", "-alpn", "h2,http/1.1"),
			[]string{"-alpn", `"h2,http/1.1"`, "HTTP/2"}},
		{"bad priority string", good("-priority", "NORMAL:+NOSUCH"),
			[]string{"-priority", `"NORMAL:+NOSUCH"`, "byte 7"}},
		{"priority without a version", good("-priority", "NORMAL:-VERS-ALL"),
			[]string{"-priority", `"NORMAL:-VERS-ALL"`}},
		{"missing PSK file", []string{"-psk", "/no/psk.txt"},
			[]string{"-psk", `"/no/psk.txt"`, "no such file"}},
		{"empty PSK file", []string{"-psk", write("empty.txt", "\n")},
			[]string{"-psk", "empty.txt", "no key"}},
		{"PSK line without colon", []string{"-psk", write("colon.txt", "a:00\nsecret00\n")},
			[]string{"-psk", "colon.txt", "line 2"}},
		{"PSK line without identity", []string{"-psk", write("identity.txt", ":00\n")},
			[]string{"-psk", "identity.txt", "line 1"}},
		{"PSK that is not hexadecimal", []string{"-psk", write("hex.txt", "\na:secret\n")},
			[]string{"-psk", "hex.txt", "line 2", "hexadecimal"}},
		{"two PSKs for one identity", []string{"-psk", write("twice.txt", "a:00\na:01\n")},
			[]string{"-psk", "twice.txt", "line 2", `"a"`}},
		{"ticket key too short", good("-ticket-key", write("short.key", strings.Repeat("k", 63))),
			[]string{"-ticket-key", "short.key", "63"}},
		{"ticket key too long", good("-ticket-key", write("long.key", strings.Repeat("k", 65))),
			[]string{"-ticket-key", "long.key", "65"}},
		{"ticket key in a missing directory", good("-ticket-key", "/no/such/dir/k"),
			[]string{"-ticket-key", `"/no/such/dir/k"`, "no such file"}},
		{"empty address", good("-listen", ""), []string{"-listen", `""`}},
		{"bad address", good("-listen", "nonsense"), []string{"-listen", `"nonsense"`, "missing port"}},
		{"port in use", good("-listen", taken.Addr().String()),
			[]string{"-listen", taken.Addr().String(), "in use"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			assert.Equal(t, 2, run(context.Background(), tt.args, &stdout, &stderr))
			assert.Empty(t, stdout.String())
			msg := stderr.String()
			assert.Equal(t, 1, strings.Count(msg, "\n"), "one line, not %q", msg)
			for _, part := range tt.want {
				assert.Contains(t, msg, part)
			}
			assert.NotContains(t, msg, "secret")
		})
	}
}

func TestKeyInTheCertificateFile(t *testing.T) {
	file := t.TempDir() + "/both.pem"
	both := append(testenv.Read(t, "server.pem"), testenv.Read(t, "server.key")...)
	require.NoError(t, os.WriteFile(file, both, 0o600))
	echoes(t, connect(t, start(t, "-cert", file), clientConfig(t)))
}

func TestServerNameChoosesTheCertificate(t *testing.T) {
	args := append(pair("server"), pair("alpha")...)
	// The key may come first, too.
	args = append(args, "-key", testenv.File("beta.key"), "-cert", testenv.File("beta.pem"))
	s := start(t, args...)
	for _, name := range []string{"localhost", "alpha.test", "beta.test"} {
		config := clientConfig(t)
		config.ServerName = name
		c := connect(t, s, config)
		echoes(t, c)
		assert.Contains(t, c.ConnectionState().PeerCertificates[0].DNSNames, name)
	}
}

func TestApplicationProtocol(t *testing.T) {
	s := start(t, append(pair("server"), "-alpn", "first,second")...)
	config := clientConfig(t)
	config.NextProtos = []string{"second", "third"}
	c := connect(t, s, config)
	echoes(t, c)
	assert.Equal(t, "second", c.ConnectionState().NegotiatedProtocol)

	config = clientConfig(t)
	config.NextProtos = []string{"third"}
	_, err := gnutls.Dial("tcp", s.addr, config)
	assert.ErrorIs(t, err, gnutls.AlertNoApplicationProtocol)
}

func TestPriority(t *testing.T) {
	s := start(t, append(pair("server"), "-priority", "NORMAL:-VERS-TLS1.3")...)
	c := connect(t, s, clientConfig(t))
	echoes(t, c)
	assert.Equal(t, gnutls.VersionTLS12, c.ConnectionState().Version)
	s.log.Await(t,
		`msg=connection peer=127.0.0.1:\d+ version="TLS 1.2" cipher=TLS_ECDHE_\S+ resumed=false\n`)
}

func TestPreSharedKeys(t *testing.T) {
	s := start(t, "-psk", testenv.File("psk.txt"))
	key := []byte{0x9e, 0x32, 0xcf, 0x77, 0x86, 0x32, 0x1a, 0x82, 0x8e, 0xf7, 0x66, 0x8f, 0x09, 0xfb,
		0x35, 0xdb}
	c := connect(t, s, &gnutls.Config{PSKIdentity: "client1", PSKKey: key})
	echoes(t, c)
	assert.True(t, c.ConnectionState().PSK)

	for _, config := range []*gnutls.Config{
		{PSKIdentity: "client2", PSKKey: key},
		{PSKIdentity: "nobody", PSKKey: key},
	} {
		_, err := gnutls.Dial("tcp", s.addr, config)
		assert.Error(t, err, config.PSKIdentity)
	}
	s.log.Await(t, `level=WARN msg=connection peer=127.0.0.1:\d+ error=`)
}

func TestClientCertificates(t *testing.T) {
	withCert := func(name string) *gnutls.Config {
		config := clientConfig(t)
		cert, err := gnutls.LoadX509KeyPair(testenv.File(name+".pem"), testenv.File(name+".key"))
		require.NoError(t, err)
		config.Certificates = []gnutls.Certificate{cert}
		return config
	}
	// talk reports what the server does to a client.
	talk := func(t *testing.T, s *server, config *gnutls.Config) error {
		c, err := gnutls.Dial("tcp", s.addr, config)
		if err != nil {
			return err
		}
		defer c.Close()
		require.NoError(t, c.SetDeadline(time.Now().Add(wait)))
		if _, err := io.WriteString(c, "x"); err != nil {
			return err
		}
		_, err = c.Read(make([]byte, 1))
		return err
	}
	t.Run("asked for", func(t *testing.T) {
		s := start(t, append(pair("server"), "-client-ca", testenv.File("ca.pem"))...)
		assert.NoError(t, talk(t, s, clientConfig(t)))
		assert.NoError(t, talk(t, s, withCert("client")))
	})
	t.Run("required", func(t *testing.T) {
		s := start(t,
			append(pair("server"), "-client-ca", testenv.File("ca.pem"), "-require-client-cert")...)
		assert.NoError(t, talk(t, s, withCert("client")))
		assert.ErrorIs(t, talk(t, s, clientConfig(t)), gnutls.AlertCertificateRequired)
		s.log.Await(t, `level=WARN msg=connection peer=127.0.0.1:\d+ error=`)
		assert.NoError(t, talk(t, s, withCert("client")), "after a refused one")
	})
	t.Run("of other authorities", func(t *testing.T) {
		s := start(t,
			append(pair("server"), "-client-ca", testenv.File("other-ca.pem"), "-require-client-cert")...)
		assert.NoError(t, talk(t, s, withCert("client-other")))
		assert.Error(t, talk(t, s, withCert("client")))
	})
}

func TestVersion(t *testing.T) {
	toolstest.Version(t, "tls-serve", func(args ...string) *exec.Cmd {
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		return cmd
	})
}
