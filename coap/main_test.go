package coap

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, func() (any, int64) {
		counts := LiveObjects()
		return counts, counts.Total()
	})
}

// wait bounds what a test waits for; nothing takes this long.
const wait = 20 * time.Second

func waitContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	t.Cleanup(cancel)
	return ctx
}

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

func newTestContext(t testing.TB, config *Config) *Context {
	t.Helper()
	c, err := NewContext(config)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// listen serves h on a free port.
func listen(t testing.TB, config *Config, proto Protocol, h Handler) netip.AddrPort {
	t.Helper()
	c := newTestContext(t, config)
	c.Handle(h)
	addr, err := c.Listen(loopback, proto)
	require.NoError(t, err)
	return addr
}

// connect opens a session without credentials.
func connect(t testing.TB, config *Config, addr netip.AddrPort, proto Protocol) *Session {
	t.Helper()
	s, err := newTestContext(t, config).NewClientSession(netip.AddrPort{}, addr, proto)
	require.NoError(t, err)
	return s
}

// hello answers every request with "hello".
var hello = HandlerFunc(func(w ResponseWriter, r *Request) { w.Write([]byte("hello")) })

func get() *Request { return &Request{Method: MethodGet} }

func receive[T any](t testing.TB, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(wait):
		require.Fail(t, "nothing came")
	}
	return v
}

// A rawPeer is a UDP socket that sends what it is told to, and no more.
type rawPeer struct {
	*net.UDPConn
	addr netip.AddrPort
}

func newRawPeer(t testing.TB) *rawPeer {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(loopback))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return &rawPeer{conn, conn.LocalAddr().(*net.UDPAddr).AddrPort()}
}

// A rawMessage is the head of a message; what follows the token is rest.
type rawMessage struct {
	typ, code byte
	id        uint16
	token     []byte
	rest      []byte
	from      netip.AddrPort
}

func (p *rawPeer) next(t testing.TB) rawMessage {
	t.Helper()
	require.NoError(t, p.SetReadDeadline(time.Now().Add(wait)))
	buf := make([]byte, 2048)
	n, from, err := p.ReadFromUDPAddrPort(buf)
	require.NoError(t, err)
	require.GreaterOrEqual(t, n, 4)
	end := 4 + int(buf[0]&15)
	require.GreaterOrEqual(t, n, end)
	return rawMessage{
		typ: buf[0] >> 4 & 3, code: buf[1], id: uint16(buf[2])<<8 | uint16(buf[3]),
		token: buf[4:end], rest: buf[end:n], from: from,
	}
}

func (p *rawPeer) send(t testing.TB, m rawMessage) {
	t.Helper()
	head := []byte{1<<6 | m.typ<<4 | byte(len(m.token)), m.code, byte(m.id >> 8), byte(m.id)}
	_, err := p.WriteToUDPAddrPort(append(append(head, m.token...), m.rest...), m.from)
	require.NoError(t, err)
}

// Types and codes of messages on the wire.
const (
	wireCON, wireNON, wireACK, wireRST = 0, 1, 2, 3
	wireContent                        = 2<<5 | 5
)

// nothingLeft waits until all that earlier tests left to the garbage collector
// is freed, so that counts tell of one test alone.
func nothingLeft(t testing.TB) {
	t.Helper()
	collect(t, func() bool { return LiveObjects().Total() == 0 })
}

// collect collects garbage until what it frees is freed.
func collect(t testing.TB, freed func() bool) {
	t.Helper()
	for deadline := time.Now().Add(wait); !freed(); {
		require.True(t, time.Now().Before(deadline), "not freed")
		runtime.GC()
		runtime.Gosched()
	}
}
