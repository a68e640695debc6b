package coap

import (
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

// The system gives sockets with SO_REUSEADDR ports of other such sockets.
func TestFreePortsAreNobodyElses(t *testing.T) {
	c := newTestNode(t, nil)
	seen := make(map[uint16]bool)
	for i := range 1000 {
		addr, err := c.Listen(loopback, UDP)
		require.NoError(t, err)
		require.NotZero(t, addr.Port())
		require.False(t, seen[addr.Port()], "endpoint %d", i)
		seen[addr.Port()] = true
	}
	peer := coappeer.NewUDP(t)
	var sessions []*Session // those that nobody has are closed
	for i := range 1000 {
		s, err := c.NewClientSession(loopback, peer.Addr(), UDP)
		require.NoError(t, err)
		require.False(t, seen[s.LocalAddr().Port()], "session %d", i)
		seen[s.LocalAddr().Port()] = true
		sessions = append(sessions, s)
	}
	runtime.KeepAlive(sessions)
}

// freePort returns an address on loopback whose UDP port was free a moment ago.
func freePort(t testing.TB) netip.AddrPort {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(loopback))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// share binds a UDP port as a program does that would have it together with another one.
func share(addr netip.AddrPort) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return err
	}
	return syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()})
}

// asNobody runs f as another user, where this one is root.
func asNobody(f func() error) error {
	const nobody = 65534
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		if syscall.Getuid() == 0 {
			if _, _, err := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody); err != 0 {
				failed <- err
				return
			}
		}
		failed <- f()
	}()
	return <-failed
}

// libcoap sets SO_REUSEADDR: every program could take a server's or a client's datagrams.
func TestNobodySharesAPort(t *testing.T) {
	c := newTestNode(t, nil)
	server, err := c.Listen(loopback, UDP)
	require.NoError(t, err)
	s, err := c.NewClientSession(loopback, server, UDP)
	require.NoError(t, err)
	for _, addr := range []netip.AddrPort{server, s.LocalAddr()} {
		assert.ErrorIs(t, share(addr), syscall.EADDRINUSE)
		assert.ErrorIs(t, asNobody(func() error { return share(addr) }), syscall.EADDRINUSE)
		_, err := c.Listen(addr, UDP)
		assert.ErrorIs(t, err, syscall.EADDRINUSE)
	}
	runtime.KeepAlive(s)
}

func TestServerThatStartsAgainHasItsPortAtOnce(t *testing.T) {
	for _, proto := range []Protocol{UDP, TCP} {
		addr := loopback
		for range 3 {
			c, err := NewNode(nil)
			require.NoError(t, err)
			c.Handle(hello)
			addr, err = c.Listen(addr, proto)
			require.NoError(t, err)
			s := connect(t, nil, addr, proto)
			_, err = s.Do(waitContext(t), get())
			require.NoError(t, err)
			require.NoError(t, c.Close()) // with a connection, which the server ends
		}
	}
}

func TestProtocolsThatDoNotExist(t *testing.T) {
	c := newTestNode(t, nil)
	for _, proto := range []Protocol{-1, 4, 99} {
		_, err := c.NewClientSession(netip.AddrPort{}, coappeer.NewUDP(t).Addr(), proto)
		assert.ErrorContains(t, err, "no such protocol")
		_, err = c.Listen(loopback, proto)
		assert.ErrorContains(t, err, "no such protocol")
	}
}
