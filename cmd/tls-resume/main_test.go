package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/cmd/internal/toolstest"
	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// asProgram makes the test program be tls-resume.
const asProgram = "TLS_RESUME_TEST_MAIN"

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

// startOpenSSL runs openssl s_server and returns its address.
func startOpenSSL(t testing.TB, args ...string) string {
	t.Helper()
	args = append([]string{"s_server", "-accept", "127.0.0.1:{port}", "-rev",
		"-cert", testenv.File("server.pem"), "-key", testenv.File("server.key")}, args...)
	_, addr := testenv.StartServer(t, "ACCEPT", "openssl", args...)
	return byName(addr)
}

// startGnuTLS runs gnutls-serv and returns its address.
func startGnuTLS(t testing.TB, args ...string) string {
	t.Helper()
	args = append([]string{"--echo", "--disable-client-cert", "--port", "{port}",
		"--x509certfile", testenv.File("server.pem"), "--x509keyfile", testenv.File("server.key")},
		args...)
	_, addr := testenv.StartServer(t, "0.0.0.0 port {port}...done", "gnutls-serv", args...)
	return byName(addr)
}

// byName gives an address on loopback the name of the server's certificate.
func byName(addr string) string { return strings.Replace(addr, "127.0.0.1", "localhost", 1) }

func serverConfig(t testing.TB) *gnutls.Config {
	t.Helper()
	cert, err := gnutls.LoadX509KeyPair(testenv.File("server.pem"), testenv.File("server.key"))
	require.NoError(t, err)
	return &gnutls.Config{Certificates: []gnutls.Certificate{cert}}
}

// startServer calls serve for each connection until the end of the test, with
// its number from 1, and closes it then. It returns the address.
func startServer(t testing.TB, serve func(number int, c net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Add(1)
	go func() {
		defer all.Done()
		for number := 1; ; number++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Add(1)
			go func() {
				defer all.Done()
				defer c.Close()
				c.SetDeadline(time.Now().Add(wait))
				serve(number, c)
			}()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		all.Wait()
	})
	return byName(ln.Addr().String())
}

// startEcho is startServer for a TLS server that echoes, whose configuration
// may depend on the number of the connection.
func startEcho(t testing.TB, config func(number int) *gnutls.Config) string {
	t.Helper()
	return startServer(t, func(number int, c net.Conn) {
		tls := gnutls.Server(c, config(number))
		defer tls.Close()
		io.Copy(tls, tls)
	})
}

func always(config *gnutls.Config) func(int) *gnutls.Config {
	return func(int) *gnutls.Config { return config }
}

// An outcome is what a run of tls-resume gave.
type outcome struct {
	status         int
	stdout, stderr string
}

// try runs tls-resume, which trusts ca.pem.
func try(t testing.TB, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	args = append([]string{"-ca", testenv.File("ca.pem")}, args...)
	status := run(context.Background(), args, &stdout, &stderr)
	return outcome{status, stdout.String(), stderr.String()}
}

// tryProcess is try in a process of its own.
func tryProcess(t testing.TB, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := process(append([]string{"-ca", testenv.File("ca.pem")}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// results decodes the output of -json.
func (o outcome) results(t testing.TB) []result {
	t.Helper()
	var all []result
	for dec := json.NewDecoder(strings.NewReader(o.stdout)); ; {
		var r result
		err := dec.Decode(&r)
		if err == io.EOF {
			return all
		}
		require.NoError(t, err, o.stdout)
		all = append(all, r)
	}
}

// lastLine returns the conclusion below the table.
func (o outcome) lastLine() string {
	lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
	return lines[len(lines)-1]
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	assert.Zero(t, run(context.Background(), []string{"-h"}, &stdout, &stderr))
	assert.Empty(t, stderr.String())
	for _, name := range strings.Fields(
		"n data wait ca insecure servername priority cert key alpn save load request pool race early json") {
		assert.Regexp(t, `(?m)^  -`+name+`\b`, stdout.String())
	}
}

func TestBadUsage(t *testing.T) {
	dir := t.TempDir()
	foreign := dir + "/foreign"
	require.NoError(t, os.WriteFile(foreign, []byte("no session data"), 0o600))
	open := dir + "/open"
	require.NoError(t, os.WriteFile(open, []byte("secret"), 0o600))
	require.NoError(t, os.Chmod(open, 0o644))
	const addr = "localhost:1"
	tests := []struct {
		name string
		args []string
		want []string // parts of the message
	}{
		{"no server", nil, []string{"host:port"}},
		{"two servers", []string{addr, "b:1"}, []string{`"b:1"`}},
		{"flag after the server", []string{addr, "-json"}, []string{`"-json"`}},
		{"no port", []string{"localhost"}, []string{`"localhost"`, "host:port"}},
		{"empty port", []string{"localhost:"}, []string{`"localhost:"`, "host:port"}},
		{"no host", []string{":443"}, []string{`":443"`, "host:port"}},
		{"unknown flag", []string{"-nonsense", addr}, []string{"-nonsense"}},
		{"number", []string{"-n", "0", addr}, []string{"-n", `"0"`}},
		{"not a number", []string{"-n", "many", addr}, []string{"-n", `"many"`}},
		{"not a duration", []string{"-wait", "5", addr}, []string{"-wait", `"5"`}},
		{"negative duration", []string{"-wait", "-1s", addr}, []string{"-wait", `"-1s"`}},
		{"missing CA", []string{"-ca", "/no/ca.pem", addr},
			[]string{"-ca", `"/no/ca.pem"`, "no such file"}},
		{"broken CA", []string{"-ca", testenv.File("broken.pem"), addr},
			[]string{"-ca", "broken.pem", "certificate 1"}},
		{"missing certificate", []string{"-cert", "/no/c.pem", addr},
			[]string{"-cert", `"/no/c.pem"`, "no such file"}},
		{"missing key", []string{"-cert", testenv.File("client.pem"), "-key", "/no/c.key", addr},
			[]string{"-key", `"/no/c.key"`, "no such file"}},
		{"key without certificate", []string{"-key", "c.key", addr},
			[]string{"-key", `"c.key"`, "-cert"}},
		{"key that does not match", []string{"-cert", testenv.File("client.pem"), "-key",
			testenv.File("server.key"), addr}, []string{"-cert", "-key", "server.key", "does not belong"}},
		{"empty protocol", []string{"-alpn", "a,", addr}, []string{"-alpn", `"a,"`}},
		{"missing session data", []string{"-load", "/no/session", addr},
			[]string{"-load", `"/no/session"`, "no such file"}},
		{"foreign session data", []string{"-load", foreign, addr},
			[]string{"-load", foreign, "not session data"}},
		{"session data that others can read", []string{"-load", open, addr},
			[]string{"-load", open, "0644"}},
		{"too many tickets", []string{"-request", "256", addr}, []string{"-request", `"256"`}},
		{"too many resumed tickets", []string{"-request", "1,1000", addr},
			[]string{"-request", `"1000"`}},
		{"three numbers of tickets", []string{"-request", "1,2,3", addr}, []string{"-request", `"2,3"`}},
		{"no number of tickets", []string{"-request", "", addr}, []string{"-request", `""`}},
		{"pool and file", []string{"-pool", "p", "-save", "s", addr}, []string{"-pool", `"p"`, "-save"}},
		{"pool in no directory", []string{"-pool", "/no/such/dir/pool", addr},
			[]string{"-pool", "/no/such/dir/pool", "no such file"}},
		{"race and file", []string{"-race", "-load", "s", addr}, []string{"-race", "-load"}},
		{"race with early data", []string{"-race", "-early", "x", addr},
			[]string{"-race", "-early", `"x"`}},
		{"early data for two protocols", []string{"-early", "x", "-alpn", "a,b", addr},
			[]string{"-alpn", `"a,b"`, "-early"}},
		{"nowhere to save", []string{"-save", "/no/such/dir/session", addr},
			[]string{"-save", `"/no/such/dir/session"`, "no such file"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := try(t, tt.args...)
			assert.Equal(t, 2, got.status)
			assert.Empty(t, got.stdout)
			assert.Equal(t, 1, strings.Count(got.stderr, "\n"), "one line, not %q", got.stderr)
			for _, part := range tt.want {
				assert.Contains(t, got.stderr, part)
			}
		})
	}
}

func TestBadPriority(t *testing.T) {
	addr := startEcho(t, always(serverConfig(t)))
	got := try(t, "-priority", "NORMAL:+NOSUCH", addr)
	assert.Equal(t, 2, got.status)
	assert.Contains(t, got.stderr, `-priority "NORMAL:+NOSUCH"`)
	assert.Contains(t, got.stderr, "byte 7")

	got = try(t, "-priority", "NORMAL:-VERS-ALL", addr)
	assert.Equal(t, 2, got.status)
	assert.Contains(t, got.stderr, `-priority "NORMAL:-VERS-ALL"`)
}

func TestNoConnection(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	unused := free.Addr().String()
	free.Close()
	expired, err := gnutls.LoadX509KeyPair(testenv.File("expired.pem"), testenv.File("expired.key"))
	require.NoError(t, err)
	tests := []struct {
		name string
		addr string
		want string
	}{
		{"nobody listens", unused, "connection refused"},
		{"not TLS", startServer(t, func(_ int, c net.Conn) {
			io.WriteString(c, "220 mail.example.org ESMTP\r\n")
			io.Copy(io.Discard, c)
		}), "gnutls: handshake"},
		{"the server hangs up", startServer(t, func(int, net.Conn) {}), "no connection"},
		{"bad certificate",
			startEcho(t, always(&gnutls.Config{Certificates: []gnutls.Certificate{expired}})), "expired"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := try(t, tt.addr)
			assert.Equal(t, 2, got.status)
			assert.Empty(t, got.stdout)
			assert.Equal(t, 1, strings.Count(got.stderr, "\n"), "one line, not %q", got.stderr)
			assert.Contains(t, got.stderr, tt.want)

			got = try(t, "-json", tt.addr)
			assert.Equal(t, 2, got.status)
			results := got.results(t)
			require.Len(t, results, 1)
			assert.Equal(t, 1, results[0].Connection)
			assert.NotEmpty(t, results[0].Error)
			assert.Contains(t, got.stderr, tt.want)
		})
	}
}

// tryQuickly is try where a step has a short limit.
func tryQuickly(t testing.TB, args ...string) (ok bool, results []result, err error) {
	t.Helper()
	opts, err := parse(append([]string{"-json", "-ca", testenv.File("ca.pem")}, args...), io.Discard)
	require.NoError(t, err)
	opts.stepLimit = time.Second
	var stdout bytes.Buffer
	ok, err = probe(context.Background(), opts, &stdout, io.Discard)
	return ok, outcome{stdout: stdout.String()}.results(t), err
}

func TestServerThatStallsInTheHandshake(t *testing.T) {
	t.Parallel()
	addr := startServer(t, func(_ int, c net.Conn) { io.Copy(io.Discard, c) })
	_, results, err := tryQuickly(t, addr)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "no handshake within 1s")
	assert.Len(t, results, 1)
}

func TestReply(t *testing.T) {
	answering := func(f func(c *gnutls.Conn)) string {
		config := serverConfig(t)
		return startServer(t, func(_ int, c net.Conn) {
			tls := gnutls.Server(c, config)
			defer tls.Close()
			if _, err := io.ReadFull(tls, make([]byte, len("question"))); err == nil {
				f(tls)
			}
		})
	}
	tests := []struct {
		name string
		f    func(c *gnutls.Conn)
		want string
	}{
		{"one byte is one", func(c *gnutls.Conn) {
			io.WriteString(c, "a")
			io.Copy(io.Discard, c)
		}, ""},
		{"a long one", func(c *gnutls.Conn) { c.Write(make([]byte, 4<<20)) }, ""},
		{"none in time", func(c *gnutls.Conn) { io.Copy(io.Discard, c) }, "no reply to -data within 1s"},
		{"none before the end", func(c *gnutls.Conn) {}, "without a reply to -data"},
		{"none before the end without close_notify", func(c *gnutls.Conn) { c.NetConn().Close() },
			"without a reply to -data"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ok, results, err := tryQuickly(t, "-data", "question", answering(tt.f))
			require.NoError(t, err)
			assert.Equal(t, tt.want == "", ok)
			require.Len(t, results, 2)
			for _, r := range results {
				assert.Contains(t, r.Error, tt.want)
				assert.Equal(t, tt.want == "", r.Error == "", r.Error)
			}
			assert.True(t, results[1].Resumed)
		})
	}
}

// process returns tls-resume as a process of its own.
func process(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

func TestSignalsEndTheRun(t *testing.T) {
	toolstest.Interrupted(t, "tcp", func(addr string) *exec.Cmd { return process(addr) })
}

func TestVersion(t *testing.T) { toolstest.Version(t, "tls-resume", process) }
