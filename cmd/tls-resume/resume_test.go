package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestAgainstOtherServers(t *testing.T) {
	const tls12 = "NORMAL:-VERS-TLS1.3"
	const noTicket = "Nothing was resumed: the server sent no ticket within 500ms. "
	const nothing = "Nothing was resumed: the server gave neither a session ticket nor a session ID."
	const refused = "Nothing was resumed: the server refused to resume and made a full handshake. "
	tests := []struct {
		name    string
		addr    func(t testing.TB, args ...string) string
		server  []string
		version string
		tickets int // on the first connection
		why     string
	}{
		{"OpenSSL", startOpenSSL, nil, "TLS 1.3", 2, ""},
		{"OpenSSL, four tickets", startOpenSSL, []string{"-num_tickets", "4"}, "TLS 1.3", 4, ""},
		{"OpenSSL, one ticket", startOpenSSL, []string{"-num_tickets", "1"}, "TLS 1.3", 1, ""},
		{"OpenSSL, no ticket", startOpenSSL, []string{"-num_tickets", "0"}, "TLS 1.3", 0, noTicket},
		// There -no_ticket makes tickets that name a stored session.
		{"OpenSSL, stateful tickets", startOpenSSL, []string{"-no_ticket"}, "TLS 1.3", 2, ""},
		{"OpenSSL, stateful tickets without a store", startOpenSSL, []string{"-no_ticket", "-no_cache"},
			"TLS 1.3", 2, refused},
		{"OpenSSL, TLS 1.2", startOpenSSL, []string{"-tls1_2"}, "TLS 1.2", 1, ""},
		{"OpenSSL, TLS 1.2, session IDs", startOpenSSL, []string{"-tls1_2", "-no_ticket"}, "TLS 1.2", 1,
			""},
		{"OpenSSL, TLS 1.2, neither", startOpenSSL, []string{"-tls1_2", "-no_ticket", "-no_cache"},
			"TLS 1.2", 0, nothing},
		{"GnuTLS", startGnuTLS, nil, "TLS 1.3", 2, ""},
		{"GnuTLS, no ticket", startGnuTLS, []string{"--noticket"}, "TLS 1.3", 0, noTicket},
		{"GnuTLS, TLS 1.2", startGnuTLS, []string{"--priority", tls12}, "TLS 1.2", 1, ""},
		{"GnuTLS, TLS 1.2, session IDs", startGnuTLS, []string{"--priority", tls12, "--noticket"},
			"TLS 1.2", 1, ""},
		{"GnuTLS, TLS 1.2, neither", startGnuTLS, []string{"--priority", tls12, "--noticket", "--nodb"},
			"TLS 1.2", 1, refused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := []string{"-n", "3", "-data", "hello\n", "-wait", "500ms", tt.addr(t, tt.server...)}
			got := try(t, append([]string{"-json"}, args...)...)
			results := got.results(t)
			require.Len(t, results, 4, got)
			for i, r := range results {
				assert.Equal(t, i+1, r.Connection)
				assert.Equal(t, tt.version, r.Version)
				assert.NotEmpty(t, r.Cipher)
				assert.Positive(t, r.HandshakeMs)
				assert.Equal(t, tt.why == "" && i > 0, r.Resumed)
				if i == 0 || tt.why == "" {
					assert.Empty(t, r.Error)
				}
			}
			assert.NotEmpty(t, results[0].Group)
			assert.Equal(t, tt.tickets, results[0].Tickets)
			assert.Equal(t, tt.tickets > 0, results[0].TicketLifetime > 0)
			if tt.why == "" {
				assert.Zero(t, got.status)
				assert.Equal(t, "3 of 3 further connections resumed.", try(t, args...).lastLine())
				return
			}
			assert.Equal(t, 1, got.status)
			got = try(t, args...)
			assert.Equal(t, 1, got.status)
			assert.True(t, strings.HasPrefix(got.lastLine(), tt.why), got.lastLine())
			assert.Contains(t, tt.why, results[1].Error)
		})
	}
}

func TestJSONHasAllKeys(t *testing.T) {
	got := try(t, "-json", startEcho(t, always(serverConfig(t))))
	assert.Zero(t, got.status, got)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Len(t, lines, 2)
	for _, line := range lines {
		var object map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &object))
		var keys []string
		for key := range object {
			keys = append(keys, key)
		}
		assert.ElementsMatch(t,
			strings.Fields(
				"connection version cipher group resumed tickets ticket_lifetime_s ticket_request expected_tickets early_data handshake_ms error"), keys)
	}
}

func TestTable(t *testing.T) {
	got := try(t, "-n", "2", startEcho(t, always(serverConfig(t))))
	assert.Zero(t, got.status)
	assert.Empty(t, got.stderr)
	assert.Regexp(t, `^#  version  cipher +group +resumed +tickets +lifetime +handshake +note
1  TLS 1\.3  TLS_\w+ +\w+ +no +2 +6h0m0s +\d+\.\d ms +
2  TLS 1\.3  TLS_\w+ +\w+ +yes +2 +\w+ +\d+\.\d ms +
3  TLS 1\.3  TLS_\w+ +\w+ +yes +2 +\w+ +\d+\.\d ms +

2 of 2 further connections resumed\.
$`, got.stdout)
}

func TestTicketsAreUsedOnce(t *testing.T) {
	t.Parallel()
	first := serverConfig(t)
	key, err := gnutls.NewTicketKey()
	require.NoError(t, err)
	first.TicketKey = key
	later := first.Clone()
	later.SessionTickets = -1
	addr := startEcho(t, func(number int) *gnutls.Config {
		if number%4 == 1 {
			return first
		}
		return later
	})
	got := try(t, "-json", "-n", "3", "-wait", "500ms", addr)
	assert.Equal(t, 1, got.status)
	results := got.results(t)
	require.Len(t, results, 4)
	assert.Equal(t, 2, results[0].Tickets)
	assert.True(t, results[1].Resumed)
	assert.True(t, results[2].Resumed)
	assert.False(t, results[3].Resumed, "the first connection got two tickets")
	assert.Equal(t, "the server sent no ticket within 500ms", results[3].Error)

	got = try(t, "-n", "3", "-wait", "500ms", addr)
	assert.Equal(t, "2 of 3 further connections resumed.", got.lastLine())
}

func TestReasons(t *testing.T) {
	tests := []struct {
		name string
		addr string
		why  string
	}{
		{"another ticket key each time",
			startEcho(t, func(int) *gnutls.Config { return serverConfig(t) }),
			"the server refused to resume and made a full handshake. It may have lost the key"},
		{"another version", startEcho(t, func(number int) *gnutls.Config {
			config := serverConfig(t)
			if number > 1 {
				config.MaxVersion = gnutls.VersionTLS12
			}
			return config
		}), "the server chose another version than that of the session: TLS 1.2, not TLS 1.3."},
		{"the server hangs up", startServer(t, func(_ int, c net.Conn) {
			config := serverConfig(t)
			config.SessionTickets = -1
			tls := gnutls.Server(c, config)
			tls.Handshake()
			tls.Close()
		}), "the server closed the connection before it sent a ticket."},
		{"the server is gone", startServer(t, func(number int, c net.Conn) {
			if number > 1 {
				return
			}
			tls := gnutls.Server(c, serverConfig(t))
			defer tls.Close()
			io.Copy(tls, tls)
		}), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := try(t, tt.addr)
			assert.Equal(t, 1, got.status)
			assert.True(t, strings.HasPrefix(got.lastLine(), "Nothing was resumed: "+tt.why), got.stdout)
		})
	}
}

func TestClientCertificate(t *testing.T) {
	config := serverConfig(t)
	config.ClientAuth = gnutls.RequireAndVerifyClientCert
	config.ClientCAs = gnutls.NewCertPool()
	require.NoError(t, config.ClientCAs.AppendCertsFromPEM(testenv.Read(t, "ca.pem")))
	addr := startEcho(t, always(config))

	assert.Zero(t,
		try(t, "-cert", testenv.File("client.pem"), "-key", testenv.File("client.key"), addr).status)

	both := t.TempDir() + "/both.pem"
	require.NoError(t, os.WriteFile(both,
		append(testenv.Read(t, "client.pem"), testenv.Read(t, "client.key")...), 0o600))
	assert.Zero(t, try(t, "-cert", both, addr).status)

	// A TLS 1.3 client learns of the refusal after its handshake.
	got := try(t, "-json", addr)
	assert.Equal(t, 1, got.status)
	results := got.results(t)
	require.Len(t, results, 2)
	assert.Contains(t, results[0].Error, gnutls.AlertCertificateRequired.Error())
}

func TestFlagsOfTheHandshake(t *testing.T) {
	var mu sync.Mutex // guards last
	var last gnutls.ConnectionState
	config := serverConfig(t)
	config.NextProtos = []string{"first", "second"}
	config.VerifyConnection = func(st gnutls.ConnectionState) error {
		mu.Lock()
		defer mu.Unlock()
		last = st
		return nil
	}
	addr := startEcho(t, always(config))
	state := func() gnutls.ConnectionState {
		mu.Lock()
		defer mu.Unlock()
		return last
	}

	assert.Zero(t, try(t, "-alpn", "third,second", addr).status)
	assert.Equal(t, "second", state().NegotiatedProtocol)
	assert.Equal(t, "localhost", state().ServerName)

	assert.Zero(t, try(t, "-servername", "example.test", addr).status)
	assert.Equal(t, "example.test", state().ServerName)

	got := try(t, "-servername", "elsewhere.test", addr)
	assert.Equal(t, 2, got.status)
	assert.Contains(t, got.stderr, "elsewhere.test")
	assert.Zero(t, try(t, "-servername", "elsewhere.test", "-insecure", addr).status)

	got = try(t, "-json", "-priority", "NORMAL:-VERS-TLS1.3", addr)
	assert.Zero(t, got.status)
	assert.Equal(t, "TLS 1.2", got.results(t)[1].Version)
}

func TestSaveAndLoadInTwoProcesses(t *testing.T) {
	for _, priority := range []string{"NORMAL", "NORMAL:-VERS-TLS1.3"} {
		t.Run(priority, func(t *testing.T) {
			addr := startEcho(t, always(serverConfig(t)))
			file := filepath.Join(t.TempDir(), "session")
			require.NoError(t, os.WriteFile(file, []byte("old"), 0o644))
			got := tryProcess(t, "-priority", priority, "-save", file, addr)
			require.Zero(t, got.status, got)
			info, err := os.Stat(file)
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), info.Mode())
			entries, err := os.ReadDir(filepath.Dir(file))
			require.NoError(t, err)
			assert.Len(t, entries, 1, "no temporary file is left")

			got = tryProcess(t, "-json", "-priority", priority, "-load", file, addr)
			assert.Zero(t, got.status, got)
			results := got.results(t)
			require.Len(t, results, 2)
			assert.True(t, results[0].Resumed)
			assert.True(t, results[1].Resumed)

			got = tryProcess(t, "-load", file, addr)
			assert.Equal(t, 1, got.status, "the trust is another one")
			assert.Contains(t, got.stdout, "another trust or identity")
		})
	}
}

// envelope is the encoding of gnutls.SessionData.
type envelope struct {
	Magic        string `asn1:"utf8"`
	Format       int
	Library      string `asn1:"utf8"`
	Version      int
	CipherSuite  int
	Family       []byte
	ServerName   string `asn1:"utf8"`
	Protocol     []byte
	LifetimeMs   int64
	ArrivedMs    int64
	MaxEarlyData int64
	Trust        []byte
	Identity     []byte
	Verified     [][]byte
	Data         []byte
	Sum          []byte
}

// forge returns session data with a change.
func forge(t *testing.T, data []byte, change func(*envelope)) []byte {
	t.Helper()
	var e envelope
	_, err := asn1.Unmarshal(data, &e)
	require.NoError(t, err)
	change(&e)
	e.Sum = nil
	der, err := asn1.Marshal(e)
	require.NoError(t, err)
	sum := sha256.Sum256(der)
	e.Sum = sum[:]
	der, err = asn1.Marshal(e)
	require.NoError(t, err)
	return der
}

func TestLoadedDataThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	addr := startEcho(t, always(serverConfig(t)))
	file := filepath.Join(t.TempDir(), "session")
	require.Zero(t, try(t, "-save", file, addr).status)
	saved, err := os.ReadFile(file)
	require.NoError(t, err)
	write := func(b []byte) { require.NoError(t, os.WriteFile(file, b, 0o600)) }

	tests := []struct {
		name   string
		data   []byte
		args   []string
		reason error
		advice string
	}{
		{"expired", forge(t, saved, func(e *envelope) {
			e.ArrivedMs -= 2 * e.LifetimeMs
		}), nil, gnutls.ErrSessionExpired, ""},
		{"from another GnuTLS", forge(t, saved, func(e *envelope) { e.Library = "3.0.0" }), nil,
			gnutls.ErrSessionLibrary, ""},
		{"for another name", saved, []string{"-servername", "example.test"}, gnutls.ErrSessionServerName,
			""},
		{"with another trust", saved, []string{"-insecure"}, gnutls.ErrSessionConfig,
			"Use the flags of the run that saved them."},
		{"damaged inside", forge(t, saved, func(e *envelope) { e.Data = []byte("nonsense") }), nil,
			gnutls.ErrSessionDamaged, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			write(tt.data)
			args := append(tt.args, "-json", "-load", file, addr)
			got := try(t, args...)
			assert.Equal(t, 1, got.status)
			results := got.results(t)
			require.Len(t, results, 2)
			assert.False(t, results[0].Resumed)
			assert.Contains(t, results[0].Error, tt.reason.Error())
			assert.True(t, results[1].Resumed, "with a new ticket")
		})
		t.Run(tt.name+", told in a sentence", func(t *testing.T) {
			none := serverConfig(t)
			none.SessionTickets = -1
			write(tt.data)
			got := try(t, append(tt.args, "-wait", "50ms", "-load", file, startEcho(t, always(none)))...)
			assert.Equal(t, 1, got.status)
			assert.True(t, strings.HasPrefix(got.lastLine(), "Nothing was resumed: "+tt.reason.Error()),
				got.lastLine())
			assert.True(t, strings.HasSuffix(got.lastLine(), tt.advice), got.lastLine())
		})
	}

	for name, data := range map[string][]byte{
		"truncated": saved[:len(saved)/2],
		"changed":   append(bytes.Clone(saved[:len(saved)-1]), saved[len(saved)-1]^1),
		"empty":     {},
	} {
		t.Run(name, func(t *testing.T) {
			write(data)
			got := try(t, "-load", file, addr)
			assert.Equal(t, 2, got.status)
			assert.Contains(t, got.stderr, "-load")
			assert.Contains(t, got.stderr, file)
			assert.Contains(t, got.stderr, "session data")
		})
	}
}

func TestSaveFailures(t *testing.T) {
	config := serverConfig(t)
	addr := startEcho(t, always(config))
	none := config.Clone()
	none.SessionTickets = -1

	dir := t.TempDir()
	file := filepath.Join(dir, "session")
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
	got := try(t, "-wait", "50ms", "-save", file, startEcho(t, always(none)))
	assert.Equal(t, 1, got.status)
	assert.Contains(t, got.stderr, "-save")
	assert.Contains(t, got.stderr, "no unused session data")
	old, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "old", string(old))

	taken := filepath.Join(dir, "taken")
	require.NoError(t, os.Mkdir(taken, 0o700))
	got = try(t, "-save", taken, addr)
	assert.Equal(t, 2, got.status)
	assert.Contains(t, got.stderr, taken)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 2, "no temporary file is left")
}

func TestOwnServersWithOneTicketKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "tls-serve")
	build := exec.Command("go", "build", "-o", program, "../tls-serve")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	serve := func(key string) string {
		p := testenv.Start(t, program, "-listen", "127.0.0.1:0",
			"-cert", testenv.File("server.pem"), "-key", testenv.File("server.key"), "-ticket-key",
			filepath.Join(dir, key))
		p.Expect(t, "msg=listening addr=")
		return byName(strings.TrimSpace(p.Expect(t, "\n")))
	}
	a, b, other := serve("one.key"), serve("one.key"), serve("other.key")
	file := filepath.Join(dir, "session")
	for _, priority := range []string{"NORMAL", "NORMAL:-VERS-TLS1.3"} {
		got := tryProcess(t, "-data", "x", "-priority", priority, "-save", file, a)
		require.Zero(t, got.status, got)
		got = tryProcess(t, "-data", "x", "-priority", priority, "-load", file, b)
		assert.Zero(t, got.status, got)
		got = tryProcess(t, "-json", "-data", "x", "-priority", priority, "-load", file, other)
		assert.Equal(t, 1, got.status, got)
		assert.Equal(t, "the server refused to resume and made a full handshake", got.results(t)[0].Error)
	}
}

func TestProgressBarOnATerminal(t *testing.T) {
	t.Parallel()
	addr := startEcho(t, always(serverConfig(t)))
	script := testenv.Peer(t, "script")
	onTerminal := func(flags string) string {
		cmd := exec.Command(script, "--quiet", "--return", "--command",
			"'"+os.Args[0]+"' -ca '"+testenv.File("ca.pem")+"' "+flags+" "+addr, "/dev/null")
		cmd.Env = append(os.Environ(), asProgram+"=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	out := onTerminal("-n 10")
	assert.Contains(t, out, "connecting")
	assert.Contains(t, out, "10 of 10 further connections resumed.")
	assert.NotContains(t, onTerminal("-n 9"), "connecting", "a short run")
	assert.NotContains(t, onTerminal("-n 10 -json"), "connecting")
	assert.Empty(t, tryProcess(t, "-n", "10", addr).stderr, "no terminal")
}

func TestInterruption(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	config := serverConfig(t)
	addr := startEcho(t, func(number int) *gnutls.Config {
		if number == 2 {
			cancel()
		}
		return config
	})
	var stdout, stderr bytes.Buffer
	begin := time.Now()
	args := []string{"-json", "-ca", testenv.File("ca.pem"), "-n", "1000", addr}
	assert.Equal(t, 1, run(ctx, args, &stdout, &stderr))
	assert.Less(t, time.Since(begin), wait)
	results := outcome{stdout: stdout.String()}.results(t)
	assert.NotEmpty(t, results)
	assert.LessOrEqual(t, len(results), 3)
}
