package coap

import (
	"bytes"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A header that comes in pieces makes libcoap lose its place, see
// internal/cshim/ccoap/receive.h.
func TestTCPMessagesThatComeInPieces(t *testing.T) {
	addr := listen(t, nil, TCP,
		HandlerFunc(func(w ResponseWriter, r *Request) { w.Write(r.Body[:1]) }))
	peer := coappeer.DialTCP(t, addr)
	peer.ExchangeCSM(t)
	for cut := 1; cut < 8; cut++ {
		token, payload := []byte{byte(cut)}, make([]byte, 399)
		payload[0] = 'a' + byte(cut)
		// a header of 4 bytes
		m := coappeer.Message{Code: coappeer.PUT, Token: token, Payload: payload}.AppendTCP(nil)
		before := ccoap.StreamCalls()
		require.NoError(t, peer.SendRaw(m[:cut]))
		await(t, func() bool { return ccoap.StreamCalls() != before }, "libcoap reads without us")
		require.NoError(t, peer.SendRaw(m[cut:]))
		assert.Equal(t, coappeer.Message{Code: coappeer.Changed, Token: token, Payload: payload[:1]},
			peer.Receive(t).Message, "cut at %d", cut)
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

// While a client connects over TLS, other sockets are not read ahead: their events would be
// taken for its own.
func TestConnectWhileDatagramsCome(t *testing.T) {
	tlsAddr := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}}, TLS, hello)
	entered, leave := make(chan struct{}), make(chan struct{})
	c := newTestNode(t, &Config{PKI: PKI{RootCAs: pool(t, "ca")}})
	c.Handle(Inline(HandlerFunc(func(w ResponseWriter, r *Request) {
		if r.Options.Path() == "/slow" {
			entered <- struct{}{}
			<-leave
		}
	})))
	addr, err := c.Listen(loopback, UDP)
	require.NoError(t, err)
	client := coappeer.NewUDP(t)
	client.Send(addr,
		coappeer.Message{Type: coappeer.NON, Code: coappeer.GET, ID: 1, Options: coappeer.Path("slow")})
	receive(t, entered)
	client.Send(addr, coappeer.Message{Type: coappeer.RST, ID: 2})
	s, err := c.NewClientSession(netip.AddrPort{}, tlsAddr, TLS)
	require.NoError(t, err)
	close(leave)
	require.NoError(t, s.Ready(waitContext(t)))
}

// A message that is larger than the buffers of a connection goes out in parts, and
// those that were sent after it wait for its end.
func TestMessagesThatGoOutInParts(t *testing.T) {
	large, small := randomBytes(7<<20), []byte("small")
	bodies := make(chan []byte, 2)
	addr := listen(t, nil, TCP, HandlerFunc(func(w ResponseWriter, r *Request) {
		bodies <- r.Body
		w.Write(r.Body)
	}))
	s := connect(t, nil, addr, TCP)
	require.NoError(t, s.Ready(waitContext(t)))
	ctx := waitContext(t)
	first := start(ctx, s, &Request{Method: MethodPost, Body: large})
	second := start(ctx, s, &Request{Method: MethodPost, Body: small})
	sizes := map[int][]byte{len(large): large, len(small): small}
	for range 2 {
		body := receive(t, bodies)
		assert.True(t, bytes.Equal(sizes[len(body)], body), "%d bytes", len(body))
	}
	for want, outcome := range map[*[]byte]<-chan outcome{&large: first, &small: second} {
		got := receive(t, outcome)
		require.NoError(t, got.err)
		assert.True(t, bytes.Equal(*want, got.Body), "%d bytes", len(got.Body))
	}
}
