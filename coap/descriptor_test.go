package coap

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// alone runs the calling test once more, in a process of its own, and reports whether this
// is that process.
func alone(t *testing.T, env ...string) bool {
	t.Helper()
	const mark = "GNUCOAP_TEST_ALONE"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(waitContext(t), exe, "-test.run=^"+t.Name()+"$", "-test.count=1")
	cmd.Env = append(append(os.Environ(), mark+"="+t.Name()), env...)
	out, err := cmd.CombinedOutput()
	assert.NoError(t, err, "%s", out)
	return false
}

// inherited returns what a child process has open.
func inherited(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, line := range strings.Split(output(t, "ls", "-l", "/proc/self/fd"), "\n") {
		_, target, _ := strings.Cut(line, " -> ")
		if strings.HasPrefix(target, "socket:") || strings.HasPrefix(target, "anon_inode:") {
			found = append(found, target)
		}
	}
	return found
}

func TestChildrenInheritNothing(t *testing.T) {
	before := inherited(t)
	for _, proto := range []Protocol{UDP, TCP} {
		addr := listen(t, nil, proto, hello)
		s := connect(t, nil, addr, proto)
		_, err := s.Do(waitContext(t), get())
		require.NoError(t, err)
		defer runtime.KeepAlive(s)
	}
	assert.ElementsMatch(t, before, inherited(t))
}

// A stream that is taken for datagrams ends with the first message of more than 1,472 bytes.
func TestSystemThatTellsNothingOfSockets(t *testing.T) {
	library := filepath.Join(t.TempDir(), "nogetsockopt.so")
	if os.Getenv("LD_PRELOAD") == "" {
		output(t, "cc", "-shared", "-fPIC", "-o", library, "testdata/program/nogetsockopt.c")
	}
	if !alone(t, "LD_PRELOAD="+library, "ASAN_OPTIONS=verify_asan_link_order=0") {
		return
	}
	_, err := syscall.GetsockoptInt(0, syscall.SOL_SOCKET, syscall.SO_TYPE)
	require.Error(t, err)
	addr := listen(t, nil, TCP, echo)
	s := connect(t, nil, addr, TCP)
	for range 2 { // a descriptor serves twice
		r := &Request{Method: MethodPut, Body: make([]byte, 100_000)}
		response, err := s.Do(prompt(t), r)
		require.NoError(t, err)
		assert.Len(t, response.Body, len(r.Body))
		require.NoError(t, s.Close())
		s = connect(t, nil, addr, TCP)
	}
}

func TestManyConnectionsWaitToBeAccepted(t *testing.T) {
	c := newTestNode(t, nil)
	addr := listenOn(t, c, TCP, hello)
	require.NoError(t, c.l.enter()) // nothing is accepted
	defer c.l.leave()
	var dialer net.Dialer
	for range 32 {
		conn, err := dialer.DialContext(prompt(t), "tcp", addr.String())
		require.NoError(t, err)
		defer conn.Close()
	}
}

// Without a pause libcoap's loop turns without end, and without a line in a log.
func TestServerWithoutDescriptors(t *testing.T) {
	if !alone(t) {
		return
	}
	logger, lines := logs()
	addr := listen(t, &Config{Logger: logger}, TCP, hello)
	var clients [2]int
	for i := range clients {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		require.NoError(t, err)
		require.NoError(t, syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO,
			&syscall.Timeval{Sec: int64(wait.Seconds())}))
		clients[i] = fd
	}
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 128, Max: 128}))
	var files []int
	for {
		fd, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0)
		if err != nil {
			require.ErrorIs(t, err, syscall.EMFILE)
			break
		}
		files = append(files, fd)
	}
	server := &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	for _, fd := range clients {
		require.NoError(t, syscall.Connect(fd, server))
	}
	assert.Contains(t, <-lines, "connections cannot be accepted")
	for _, fd := range files {
		require.NoError(t, syscall.Close(fd))
	}
	for _, fd := range clients {
		n, err := syscall.Read(fd, make([]byte, 100)) // the server's capabilities
		assert.NoError(t, err)
		assert.Positive(t, n)
	}
	select {
	case line := <-lines:
		t.Error("logged again:", line)
	default:
	}
}
