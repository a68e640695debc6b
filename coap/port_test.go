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
	c := newTestContext(t, nil)
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

func TestPortsAreReservedUntilTheyAreReleased(t *testing.T) {
	addr, release, err := reserve(loopback, UDP)
	require.NoError(t, err)
	_, _, err = reserve(addr, UDP)
	assert.ErrorIs(t, err, syscall.EADDRINUSE)
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	assert.ErrorIs(t, err, syscall.EADDRINUSE)
	assert.Nil(t, conn)
	bound, err := newTestContext(t, nil).Listen(netip.AddrPortFrom(addr.Addr(), 0), UDP)
	require.NoError(t, err)
	assert.NotEqual(t, addr, bound)
	release()
}

func TestProtocolsThatDoNotExist(t *testing.T) {
	c := newTestContext(t, nil)
	for _, proto := range []Protocol{-1, 4, 99} {
		_, err := c.NewClientSession(netip.AddrPort{}, coappeer.NewUDP(t).Addr(), proto)
		assert.ErrorContains(t, err, "no such protocol")
		_, err = c.Listen(loopback, proto)
		assert.ErrorContains(t, err, "no such protocol")
	}
}
