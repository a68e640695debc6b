package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// The test program is also the example, where this variable is set.
const asExample = "FLEET_EXAMPLE"

func TestMain(m *testing.M) {
	if os.Getenv(asExample) != "" || os.Getenv(asServer) != "" {
		main()
	}
	testenv.Main(m, func() (any, int64) {
		counts := gnutls.LiveObjects()
		return counts, counts.Total()
	})
}

// emptyTemp returns the directory for temporary files, which is empty.
func emptyTemp(t *testing.T) string {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	return dir
}

func assertEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries, "files are left")
}

var process = regexp.MustCompile(`(?m)^server \d: process (\d+) at `)

func assertEnded(t *testing.T, out string) {
	t.Helper()
	found := process.FindAllStringSubmatch(out, -1)
	require.Len(t, found, 3, out)
	for _, m := range found {
		pid, err := strconv.Atoi(m[1])
		require.NoError(t, err)
		assert.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, m[0])
	}
}

func TestNothingIsLost(t *testing.T) {
	dir := emptyTemp(t)
	var out bytes.Buffer
	err := run(context.Background(), &out, testenv.File("server.pem"), testenv.File("server.key"),
		testenv.File("ca.pem"))
	require.NoError(t, err, out.String())
	t.Log(out.String())
	const row = `(?m)^ *%s +\d+ +%d %% +(\d+) +(\d+) +(\d+) +\d+ +0$`
	for _, phase := range []struct {
		name    string
		share   int
		servers []int
	}{
		{"first connection", 0, nil},
		{"three servers", 100, []int{1, 2, 3}},
		{"server 2 killed", 100, []int{1, 3}},
		{"next key announced", 100, []int{1, 3}},
		{"next key first", 100, []int{1, 3}},
		{"old key removed", 100, []int{1, 3}},
		{"new client", 90, []int{1, 3}},
	} {
		found := regexp.MustCompile(fmt.Sprintf(row, phase.name, phase.share)).FindStringSubmatch(
			out.String())
		require.NotNil(t, found, phase.name)
		for _, server := range phase.servers {
			assert.NotEqual(t, "0", found[server], "%s: server %d", phase.name, server)
		}
	}
	assert.True(t, strings.HasSuffix(out.String(),
		"\nNothing was lost: all connections of clients that had a ticket resumed.\n"))
	assertEnded(t, out.String())
	assertEmpty(t, dir)
}

func TestInterruptCleansUp(t *testing.T) {
	dir := emptyTemp(t)
	exe, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, "-cert", testenv.File("server.pem"), "-key",
		testenv.File("server.key"), "-ca", testenv.File("ca.pem"))
	cmd.Env = append(os.Environ(), asExample+"=1")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	var out strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		fmt.Fprintln(&out, lines.Text())
		if strings.HasPrefix(lines.Text(), "balancer at ") {
			require.NoError(t, cmd.Process.Signal(os.Interrupt))
		}
	}
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	assert.Equal(t, 1, exit.ExitCode())
	assert.Equal(t, "fleet: stopped: context canceled\n", stderr.String())
	assertEnded(t, out.String())
	assertEmpty(t, dir)
}

func TestServerThatCannotStart(t *testing.T) {
	dir := emptyTemp(t)
	var out bytes.Buffer
	err := run(context.Background(), &out, testenv.File("none.pem"), testenv.File("server.key"),
		testenv.File("ca.pem"))
	assert.ErrorIs(t, err, errEnded)
	assert.ErrorContains(t, err, "server 1: ")
	assert.Empty(t, out.String())
	assertEmpty(t, dir)
}

// A connection that breaks is tried again, and counted.
func TestBrokenConnectionsAreTriedAgain(t *testing.T) {
	cert, err := gnutls.LoadX509KeyPair(testenv.File("server.pem"), testenv.File("server.key"))
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		for i := 0; ; i++ {
			conn, err := ln.Accept()
			switch {
			case err != nil:
				return
			case i == 0 || i > 1:
				conn.Close()
			default:
				answer(gnutls.Server(conn, &gnutls.Config{Certificates: []gnutls.Certificate{cert}}), "1")
			}
		}
	}()
	config, err := clientConfig(testenv.File("ca.pem"))
	require.NoError(t, err)
	l := newLoad(ln.Addr().String(), config)
	once := l.begin("breaks once")
	l.connect(context.Background())
	twice := l.begin("breaks twice")
	l.connect(context.Background())
	ln.Close()
	<-served
	assert.Equal(t, []int{1, 1, 0}, []int{once.connections, once.cut, once.failed})
	assert.Error(t, once.err)
	assert.Equal(t, []int{0, 1, 1}, []int{twice.connections, twice.cut, twice.failed})
}
