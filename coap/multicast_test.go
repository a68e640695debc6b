package coap

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

// testGroup is a group of no meaning (RFC 5771, section 10). Messages for it stay on
// loopback.
var testGroup = netip.MustParseAddr("239.255.71.83")

const loopbackName = "lo"

func loopbackInterface(t *testing.T) *net.Interface {
	t.Helper()
	lo, err := net.InterfaceByName(loopbackName)
	require.NoError(t, err)
	return lo
}

// groupPeer answers requests for the test group from a loopback address of its own.
// It listens on a port of the group, or on any that is free, and returns it.
func groupPeer(t *testing.T, port uint16, from netip.Addr,
	answer func(coappeer.Message) []coappeer.Message) (group netip.AddrPort) {
	t.Helper()
	in, err := net.ListenMulticastUDP("udp4", loopbackInterface(t),
		net.UDPAddrFromAddrPort(netip.AddrPortFrom(testGroup, port)))
	require.NoError(t, err)
	out, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)))
	require.NoError(t, err)
	ended := make(chan struct{})
	t.Cleanup(func() {
		in.Close()
		<-ended
		out.Close()
	})
	go func() {
		defer close(ended)
		buf := make([]byte, 1500)
		for {
			n, from, err := in.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			m, err := coappeer.ParseUDP(buf[:n])
			if !assert.NoError(t, err) {
				return
			}
			for _, r := range answer(m) {
				_, err := out.WriteToUDPAddrPort(r.AppendUDP(nil), from)
				assert.NoError(t, err)
			}
		}
	}()
	return netip.AddrPortFrom(testGroup, in.LocalAddr().(*net.UDPAddr).AddrPort().Port())
}

// once answers a request with a text.
func once(text string) func(coappeer.Message) []coappeer.Message {
	return func(m coappeer.Message) []coappeer.Message {
		return []coappeer.Message{m.Separate(coappeer.NON, 1, coappeer.Content, []byte(text))}
	}
}

func TestMulticastCollectsTheResponsesOfAllPeers(t *testing.T) {
	respond := func(text string) func(coappeer.Message) []coappeer.Message {
		return func(m coappeer.Message) []coappeer.Message {
			assert.Equal(t, coappeer.NON, m.Type)
			assert.Equal(t, "a", m.Path())
			wrong := m.Separate(coappeer.NON, 8, coappeer.Content, []byte("not asked for"))
			wrong.Token = []byte("who?")
			return []coappeer.Message{
				wrong,
				m.Separate(coappeer.NON, 9, coappeer.Content, []byte(text)),
				m.Separate(coappeer.NON, 10, coappeer.Content, []byte("again")),
			}
		}
	}
	group := groupPeer(t, 0, netip.MustParseAddr("127.0.0.2"), respond("peer 2"))
	groupPeer(t, group.Port(), netip.MustParseAddr("127.0.0.3"), respond("peer 3"))

	ctx, cancel := context.WithCancel(waitContext(t))
	defer cancel()
	got := make(map[string]string)
	request, err := NewRequest(MethodGet, "/a")
	require.NoError(t, err)
	for r, err := range newTestNode(t, nil).Multicast(ctx, loopback, group, request) {
		require.NoError(t, err)
		assert.Equal(t, CodeContent, r.Code)
		got[r.From.Addr().String()] = string(r.Body)
		if len(got) == 2 {
			cancel()
		}
	}
	assert.Equal(t, map[string]string{"127.0.0.2": "peer 2", "127.0.0.3": "peer 3"}, got)
}

func TestRequestsForGroupsTakeTheHopsThatAreAllowed(t *testing.T) {
	in, err := net.ListenMulticastUDP("udp4", loopbackInterface(t),
		net.UDPAddrFromAddrPort(netip.AddrPortFrom(testGroup, 0)))
	require.NoError(t, err)
	defer in.Close()
	raw, err := in.SyscallConn()
	require.NoError(t, err)
	var failed error
	require.NoError(t, raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_RECVTTL, 1)
	}))
	require.NoError(t, failed)
	group := netip.AddrPortFrom(testGroup, in.LocalAddr().(*net.UDPAddr).AddrPort().Port())
	for config, want := range map[*Config]uint32{
		{}: 1, {MulticastHops: 1}: 1, {MulticastHops: 7}: 7, {MulticastHops: 255}: 255,
	} {
		c := newTestNode(t, config)
		ctx, cancel := context.WithCancel(waitContext(t))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for _, err := range c.Multicast(ctx, loopback, group, get()) {
				assert.NoError(t, err)
			}
		}()
		require.NoError(t, in.SetReadDeadline(time.Now().Add(10*time.Second)))
		oob := make([]byte, 100)
		_, n, _, _, err := in.ReadMsgUDPAddrPort(make([]byte, 1500), oob)
		cancel()
		receive(t, ended)
		require.NoError(t, err)
		messages, err := syscall.ParseSocketControlMessage(oob[:n])
		require.NoError(t, err)
		require.Len(t, messages, 1)
		assert.Equal(t, want, binary.NativeEndian.Uint32(messages[0].Data))
	}
}

func TestMulticastEndsWhenTheContextIsClosed(t *testing.T) {
	c := newTestNode(t, nil)
	ended := make(chan error, 1)
	started := make(chan struct{})
	group := groupPeer(t, 0, loopback.Addr(), once("hello"))
	go func() {
		var last error
		for r, err := range c.Multicast(waitContext(t), loopback, group, get()) {
			if last = err; err == nil {
				assert.Equal(t, "hello", string(r.Body))
				close(started)
			}
		}
		ended <- last
	}()
	receive(t, started)
	require.NoError(t, c.Close())
	assert.ErrorIs(t, receive(t, ended), net.ErrClosed)
}

func TestMulticastRefusesWhatItCannotSend(t *testing.T) {
	group := netip.AddrPortFrom(testGroup, 5683)
	for name, test := range map[string]struct {
		group netip.AddrPort
		r     *Request
		want  string
	}{
		"to an address that is no group": {loopback, get(),
			"coap: GET coap://127.0.0.1:0: not a multicast address"},
		"with a source": {group, &Request{Method: MethodPut, Source: strings.NewReader("x")},
			"coap: PUT coap://239.255.71.83:5683: " + errGroupBody.Error()},
		"with a sink": {group, &Request{Method: MethodGet, Sink: io.Discard},
			"coap: GET coap://239.255.71.83:5683: " + errGroupBody.Error()},
		"of more than one message": {group, &Request{Method: MethodPut, Body: randomBytes(2000)},
			"coap: PUT coap://239.255.71.83:5683: " + ErrTooLarge.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			var got []error
			for r, err := range newTestNode(t, nil).Multicast(waitContext(t), loopback, test.group, test.r) {
				assert.Nil(t, r)
				got = append(got, err)
			}
			require.Len(t, got, 1)
			assert.EqualError(t, got[0], test.want)
		})
	}
}

func TestMulticastEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for r, err := range newTestNode(t, nil).Multicast(ctx, loopback, netip.AddrPortFrom(testGroup, 1),
		get()) {
		assert.Fail(t, "something came", "%v %v", r, err)
	}
}
