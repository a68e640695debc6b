package main

import (
	"bufio"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// The test program is also the example, where this variable is set.
const asExample = "RESUME_FILE_EXAMPLE"

func TestMain(m *testing.M) {
	if os.Getenv(asExample) != "" {
		main()
		return
	}
	testenv.Main(m, func() (any, int64) {
		counts := gnutls.LiveObjects()
		return counts, counts.Total()
	})
}

// example returns the example as a process that ends with the test.
func example(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), asExample+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// startServer runs the example with -serve and returns its address.
func startServer(t *testing.T) string {
	t.Helper()
	cmd := example(t, "-serve", "127.0.0.1:0", "-cert", testenv.File("server.pem"), "-key",
		testenv.File("server.key"))
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	require.True(t, ok, line)
	return addr
}

func TestLaterProcessesResume(t *testing.T) {
	addr := startServer(t)
	file := filepath.Join(t.TempDir(), "session.bin")
	connect := func() string {
		out, err := example(t, "-addr", addr, "-ca", testenv.File("ca.pem"), "-servername", "localhost",
			"-file", file).CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}

	out := connect()
	assert.Contains(t, out, "no session to resume: this is the first run\n")
	assert.Contains(t, out, ": full handshake\n")
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode())
	first, err := os.ReadFile(file)
	require.NoError(t, err)

	for range 2 {
		out = connect()
		assert.Regexp(t, `^TLS 1\.3, \S+: resumed\n$`, out)
	}
	last, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.NotEqual(t, first, last, "a ticket is used once")

	last[len(last)/2] ^= 1
	require.NoError(t, os.WriteFile(file, last, 0o600))
	out = connect()
	assert.Contains(t, out, "no session to resume: gnutls: session data are damaged\n")
	assert.Contains(t, out, ": full handshake\n")
	assert.Contains(t, connect(), ": resumed\n")

	entries, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing is left beside the file")
}

func TestSessionOfAnotherServerNameIsNotOffered(t *testing.T) {
	addr := startServer(t)
	file := filepath.Join(t.TempDir(), "session.bin")
	args := []string{"-addr", addr, "-ca", testenv.File("ca.pem"), "-file", file, "-servername"}
	out, err := example(t, append(args, "localhost")...).CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = example(t, append(args, "example.test")...).CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), "not resuming: gnutls: session data are for another server name")
	assert.Contains(t, string(out), ": full handshake\n")
}

func TestBadUsageFails(t *testing.T) {
	out, err := example(t).CombinedOutput()
	assert.Error(t, err)
	assert.Equal(t, "either -addr or -serve is needed\n", string(out))
}
