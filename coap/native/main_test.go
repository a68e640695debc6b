package native_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, func() (any, int64) {
		counts := coap.LiveObjects()
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

func receive[T any](t testing.TB, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(wait):
		require.Fail(t, "nothing came")
	}
	return v
}

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

func newTestNode(t testing.TB, config *coap.Config) *coap.Node {
	t.Helper()
	n, err := coap.NewNode(config)
	require.NoError(t, err)
	t.Cleanup(func() { n.Close() })
	return n
}

// listen serves h on a free port.
func listen(t testing.TB, config *coap.Config, proto coap.Protocol, h coap.Handler) netip.AddrPort {
	t.Helper()
	n := newTestNode(t, config)
	n.Handle(h)
	addr, err := n.Listen(loopback, proto)
	require.NoError(t, err)
	return addr
}

// connect opens a session without credentials.
func connect(t testing.TB, addr netip.AddrPort, proto coap.Protocol) *coap.Session {
	t.Helper()
	s, err := newTestNode(t, nil).NewClientSession(netip.AddrPort{}, addr, proto)
	require.NoError(t, err)
	return s
}

// hello answers every request with "hello".
var hello = coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
	w.Write([]byte("hello"))
})

func get() *coap.Request { return &coap.Request{Method: coap.MethodGet} }
