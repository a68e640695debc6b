package coap

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	peer "github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A header that comes in pieces makes libcoap lose its place, see
// internal/cshim/ccoap/stream.h.
func TestTCPMessagesThatComeInPieces(t *testing.T) {
	addr := listen(t, nil, TCP, HandlerFunc(func(w ResponseWriter, r *Request) { w.Write(r.Body[:1]) }))
	conn, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(addr))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(wait)))
	_, err = conn.Write([]byte{0x00, 0xe1}) // capabilities
	require.NoError(t, err)
	capabilities := make([]byte, 2)
	_, err = io.ReadFull(conn, capabilities)
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, capabilities[0]>>4))
	require.NoError(t, err)
	require.Equal(t, byte(0xe1), capabilities[1])

	const size = 400 // of options and payload: a header of 4 bytes
	for cut := 1; cut < 8; cut++ {
		m := append([]byte{14<<4 | 1, 0, size - 269, byte(MethodPut), byte(cut), 0xff}, make([]byte, size-1)...)
		m[6] = 'a' + byte(cut)
		before := ccoap.StreamCalls()
		_, err := conn.Write(m[:cut])
		require.NoError(t, err)
		for deadline := time.Now().Add(wait); ccoap.StreamCalls() == before; runtime.Gosched() {
			require.True(t, time.Now().Before(deadline), "libcoap reads without us")
		}
		_, err = conn.Write(m[cut:])
		require.NoError(t, err)
		answer := make([]byte, 5)
		_, err = io.ReadFull(conn, answer)
		require.NoError(t, err, "cut at %d", cut)
		assert.Equal(t, []byte{2<<4 | 1, byte(CodeChanged), byte(cut), 0xff, 'a' + byte(cut)}, answer)
	}
}

func TestMessagesDoNotWaitForOneAnother(t *testing.T) {
	addr := listen(t, nil, TCP, hello)
	s := connect(t, nil, addr, TCP)
	_, err := s.Do(waitContext(t), get())
	require.NoError(t, err)
	descriptors, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	found := 0
	for _, d := range descriptors {
		fd, err := strconv.Atoi(d.Name())
		require.NoError(t, err)
		local, remote := port(syscall.Getsockname(fd)), port(syscall.Getpeername(fd))
		kind, _ := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE)
		if kind != syscall.SOCK_STREAM || remote == 0 || local != addr.Port() && remote != addr.Port() {
			continue
		}
		found++
		on, err := syscall.GetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY)
		require.NoError(t, err)
		assert.Equal(t, 1, on)
	}
	assert.Equal(t, 2, found, "both ends")
}

// port returns the port of a socket's address, or 0.
func port(addr syscall.Sockaddr, err error) uint16 {
	if in, ok := addr.(*syscall.SockaddrInet4); ok && err == nil {
		return uint16(in.Port)
	}
	return 0
}

func TestConnectWhileDatagramsCome(t *testing.T) {
	tlsAddr := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}}, TLS, hello)
	entered, leave := make(chan struct{}), make(chan struct{})
	c := newTestContext(t, &Config{PKI: PKI{RootCAs: pool(t, "ca")}})
	c.Handle(Inline(HandlerFunc(func(w ResponseWriter, r *Request) {
		if r.Options.Path() == "/slow" {
			entered <- struct{}{}
			<-leave
		}
	})))
	addr, err := c.Listen(loopback, UDP)
	require.NoError(t, err)
	client := peer.NewUDP(t)
	client.Send(addr, peer.Message{Type: peer.NON, Code: peer.GET, ID: 1, Options: peer.Path("slow")})
	receive(t, entered)
	client.Send(addr, peer.Message{Type: peer.NON, Code: peer.GET, ID: 2})
	time.Sleep(20 * time.Millisecond)
	s, err := c.NewClientSession(netip.AddrPort{}, tlsAddr, TLS)
	require.NoError(t, err)
	time.Sleep(50 * time.Millisecond)
	close(leave)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	require.NoError(t, s.Ready(ctx))
}
