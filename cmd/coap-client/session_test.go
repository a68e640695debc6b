package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/cmd/internal/toolstest"
	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// resumption reports whether sessions can resume, and otherwise checks that --session says so.
func resumption(t *testing.T) bool {
	if coap.Supports(coap.FeatureSessionResumption) {
		return true
	}
	got := call(t, "--session", filepath.Join(t.TempDir(), "session"), "coaps://127.0.0.1")
	assert.Equal(t, 2, got.status)
	assert.Contains(t, got.stderr, "do not resume")
	return false
}

// serveTickets runs servers over DTLS 1.2 and TLS 1.3 that answer whether the session has resumed.
func serveTickets(t testing.TB, config coap.Config) []string {
	t.Helper()
	config.SessionTickets = 1
	return serve(t, &config, showResumption, "coaps", "coaps+tcp")
}

func showResumption(w coap.ResponseWriter, r *coap.Request) {
	state, _ := r.Session.TLS()
	w.Write([]byte(map[bool]string{true: "resumed", false: "full"}[state.DidResume]))
}

var (
	full    = result{stdout: "full\n"}
	resumed = result{stdout: "resumed\n"}
)

func TestSessionIsKeptForTheNextRun(t *testing.T) {
	t.Parallel()
	if !resumption(t) {
		return
	}
	certificate := coap.PKI{Certificates: []gnutls.Certificate{keyPair(t, "server")}}
	requiring := certificate
	requiring.ClientAuth, requiring.ClientCAs = gnutls.RequireAndVerifyClientCert, pool(t)
	psk := coap.ServerPSK{GetKey: func(string, string) ([]byte, error) {
		return []byte("secret"), nil
	}}
	ca := testenv.File("ca.pem")
	for name, test := range map[string]struct {
		config coap.Config
		args   []string
	}{
		"certificate": {coap.Config{PKI: certificate}, []string{"-C", ca}},
		"client certificate": {coap.Config{PKI: requiring},
			[]string{"-C", ca, "-c", testenv.File("client.pem"), "-j", testenv.File("client.key")}},
		"pre-shared key": {coap.Config{ServerPSK: psk}, []string{"-u", "me", "-k", "secret"}},
	} {
		for _, uri := range serveTickets(t, test.config) {
			t.Run(uri[:9]+" "+name, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "session")
				args := append([]string{"--session", file, uri}, test.args...)
				assert.Equal(t, full, call(t, args...))
				for range 2 {
					info, err := os.Stat(file)
					require.NoError(t, err)
					assert.Equal(t, os.FileMode(0o600), info.Mode())
					assert.Equal(t, resumed, call(t, args...))
				}
				left, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".*"))
				require.NoError(t, err)
				assert.Empty(t, left)
			})
		}
	}
}

func TestSessionThatDoesNotResumeIsReplaced(t *testing.T) {
	t.Parallel()
	if !resumption(t) {
		return
	}
	config := coap.Config{PKI: coap.PKI{Certificates: []gnutls.Certificate{keyPair(t, "server")}}}
	first, second := serveTickets(t, config), serveTickets(t, config) // each has a key of its own
	ca := testenv.File("ca.pem")
	for i := range first {
		t.Run(first[i][:9], func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "session")
			assert.Equal(t, full, call(t, "--session", file, "-C", ca, first[i]))
			assert.Equal(t, full, call(t, "--session", file, "-C", ca, second[i]), "another key")
			assert.Equal(t, resumed, call(t, "--session", file, "-C", ca, second[i]))
			assert.Equal(t, full,
				call(t, "--session", file, "-C", ca, "--server-name", "localhost", second[i]))
			assert.Equal(t, full, call(t, "--session", file, "-n", second[i]))
			assert.Equal(t, resumed, call(t, "--session", file, "-n", second[i]))
			assert.Equal(t, full, call(t, "--session", file, "-n", first[1-i]), "the other transport")
		})
	}
}

// A ticket of TLS 1.3 is good for one connection, whatever becomes of it.
func TestUsedTicketsAreNotKept(t *testing.T) {
	t.Parallel()
	if !resumption(t) {
		return
	}
	key, err := gnutls.NewTicketKey()
	require.NoError(t, err)
	pki := coap.PKI{Certificates: []gnutls.Certificate{keyPair(t, "server")}}
	with := serve(t, &coap.Config{PKI: pki, TicketKey: key}, show, "coaps+tcp")[0]
	without := serve(t, &coap.Config{PKI: pki, TicketKey: key, SessionTickets: -1}, show,
		"coaps+tcp")[0]
	file := filepath.Join(t.TempDir(), "session")
	args := []string{"--session", file, "-C", testenv.File("ca.pem")}
	require.Zero(t, call(t, append(args, with)...).status)
	require.FileExists(t, file)
	require.Zero(t, call(t, append(args, without)...).status)
	assert.NoFileExists(t, file)
	require.Zero(t, call(t, append(args, without)...).status)
	assert.NoFileExists(t, file)
}

func TestRunsAtTheSameTimeDoNotUseOneTicket(t *testing.T) {
	t.Parallel()
	if !resumption(t) {
		return
	}
	arrived, answer := make(chan struct{}), make(chan struct{})
	config := coap.Config{SessionTickets: 1,
		PKI: coap.PKI{Certificates: []gnutls.Certificate{keyPair(t, "server")}}}
	uri := serve(t, &config, func(w coap.ResponseWriter, r *coap.Request) {
		if r.Options.Path() == "/wait" {
			close(arrived)
			<-answer
		}
		showResumption(w, r)
	}, "coaps+tcp")[0]
	args := []string{"--session", filepath.Join(t.TempDir(), "session"), "-C", testenv.File("ca.pem")}
	assert.Equal(t, full, call(t, append(args, uri)...))
	first := make(chan result, 1)
	go func() { first <- call(t, append(slices.Clone(args), uri+"/wait")...) }()
	select {
	case <-arrived:
	case got := <-first:
		require.Fail(t, "the first run is over", "%v", got)
	}
	second := call(t, append(args, uri)...)
	close(answer)
	assert.Equal(t, full, second)
	assert.Equal(t, resumed, <-first)
}

func TestSessionWithLibcoapsServers(t *testing.T) {
	t.Parallel()
	if !resumption(t) {
		return
	}
	for _, flavour := range testenv.CoAPFlavours {
		for name, test := range map[string]struct{ server, client []string }{
			"pre-shared key": {testenv.CoAPServerPSK("secret"), []string{"-u", "me", "-k", "secret"}},
			"certificates": {
				testenv.CoAPPKI(t, "server"),
				[]string{"-c", testenv.File("client.pem"), "-j", testenv.File("client.key"), "-C",
					testenv.File("ca.pem")},
			},
		} {
			t.Run(flavour+" "+name, func(t *testing.T) {
				server := testenv.StartCoAPServer(t, flavour, test.server...)
				for _, scheme := range []string{"coaps", "coaps+tcp"} {
					file := filepath.Join(t.TempDir(), "session")
					for range 3 {
						got := call(t,
							append(test.client, "--session", file, scheme+"://"+server.SecureAddr.String())...)
						assert.Zero(t, got.status, got.stderr)
						assert.Contains(t, got.stdout, "This is a test server made with libcoap")
					}
				}
			})
		}
	}
}

func TestSessionFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	if !resumption(t) {
		return
	}
	uri := serveTickets(t,
		coap.Config{PKI: coap.PKI{Certificates: []gnutls.Certificate{keyPair(t, "server")}}})[0]
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		require.NoError(t, os.Chmod(path, mode))
		return path
	}
	link, hints := filepath.Join(dir, "link"), file("hints", "hint,me,key\n", 0o600)
	require.NoError(t, os.Symlink(file("target", "", 0o600), link))
	good := filepath.Join(dir, "good")
	require.Equal(t, full, call(t, "--session", good, "-C", testenv.File("ca.pem"), uri))
	data, err := os.ReadFile(good)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"no name":         {[]string{"--session", "", uri}, "no file"},
		"not secure":      {[]string{"--session", good, "coap://127.0.0.1"}, "coaps"},
		"not secure, TCP": {[]string{"--session", good, "coap+tcp://127.0.0.1"}, "coaps"},
		"proxy":           {[]string{"--session", good, "-P", "coap://127.0.0.1", uri}, "coaps"},
		"hints": {[]string{"--session", good, "-u", "me", "-k", "secret", "-h", hints, uri},
			"-h"},
		"others read it": {[]string{"--session", file("open", string(data), 0o644), uri}, "0644"},
		"symbolic link":  {[]string{"--session", link, uri}, "symbolic link"},
		"directory":      {[]string{"--session", dir, uri}, "regular file"},
		"no directory":   {[]string{"--session", dir + "/none/file", uri}, "no such file"},
		"something else": {[]string{"--session", file("text", "hello", 0o600), uri}, "not session data"},
		"damaged": {[]string{"--session", file("damaged", string(data[:len(data)-1]), 0o600), uri},
			"damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, test.args...)
			assert.Equal(t, 2, got.status)
			assert.Empty(t, got.stdout)
			assert.Regexp(t, `^coap-client: --session [^\n]+\n$`, got.stderr)
			assert.Contains(t, got.stderr, test.says)
		})
	}
	after, err := os.ReadFile(good)
	require.NoError(t, err)
	assert.Equal(t, data, after)
}

func TestSessionIsKeptByTheProgram(t *testing.T) {
	t.Parallel()
	if !resumption(t) {
		return
	}
	uri := serveTickets(t,
		coap.Config{PKI: coap.PKI{Certificates: []gnutls.Certificate{keyPair(t, "server")}}})[1]
	file := filepath.Join(t.TempDir(), "session")
	for _, want := range []string{"full\n", "resumed\n"} {
		stdout, stderr, status := toolstest.Output(t,
			client("--session", file, "-C", testenv.File("ca.pem"), uri))
		assert.Equal(t, []any{want, "", 0}, []any{stdout, stderr, status})
	}
}

func TestJSONTellsOfTheSession(t *testing.T) {
	t.Parallel()
	if !resumption(t) {
		return
	}
	psk := coap.ServerPSK{GetKey: func(string, string) ([]byte, error) {
		return []byte("secret"), nil
	}}
	for _, uri := range serveTickets(t, coap.Config{ServerPSK: psk}) {
		file := filepath.Join(t.TempDir(), "session")
		for _, again := range []bool{false, true} {
			got := call(t, "--json", "--session", file, "-u", "me", "-k", "secret", uri)
			require.Zero(t, got.status, got.stderr)
			var line struct {
				Version, Cipher string
				Resumed         *bool
			}
			require.NoError(t, json.Unmarshal([]byte(got.stdout), &line))
			assert.Regexp(t, `^D?TLS 1\.[23]$`, line.Version)
			assert.NotEmpty(t, line.Cipher)
			require.NotNil(t, line.Resumed)
			assert.Equal(t, again, *line.Resumed)
		}
	}
}
