package toolstest

import (
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// silent listens on a network, udp or tcp, and never answers. waits is closed when a client has
// come.
func silent(t testing.TB, network string) (addr string, waits <-chan struct{}) {
	t.Helper()
	came := make(chan struct{})
	if network == "udp" {
		conn, err := net.ListenPacket(network, "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		go func() {
			if _, _, err := conn.ReadFrom(make([]byte, 2000)); err == nil {
				close(came)
			}
		}()
		return conn.LocalAddr().String(), came
	}
	ln, err := net.Listen(network, "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		if c, err := ln.Accept(); err == nil {
			t.Cleanup(func() { c.Close() })
			close(came)
		}
	}()
	return ln.Addr().String(), came
}

// Interrupted sends SIGINT and SIGTERM to programs that wait for a server on a network, udp or tcp,
// and checks their exit statuses.
func Interrupted(t *testing.T, network string, program func(addr string) *exec.Cmd) {
	for signal, status := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			addr, waits := silent(t, network)
			cmd := program(addr)
			require.NoError(t, cmd.Start())
			kill := time.AfterFunc(Wait, func() { cmd.Process.Kill() })
			defer kill.Stop()
			select {
			case <-waits:
			case <-time.After(Wait):
				t.Error("the program does not come")
			}
			require.NoError(t, cmd.Process.Signal(signal))
			cmd.Wait()
			assert.Equal(t, status, cmd.ProcessState.ExitCode())
		})
	}
}

// Version checks what a program prints as its version.
func Version(t *testing.T, name string, program func(args ...string) *exec.Cmd,
	libraries ...string) {
	t.Helper()
	out, err := program("--version").Output()
	require.NoError(t, err)
	pattern := `^` + name + ` \S+\nGnuTLS 3\.\d+\.\d+\n`
	for _, library := range libraries {
		pattern += library + "\n"
	}
	assert.Regexp(t, pattern+"$", string(out))
}
