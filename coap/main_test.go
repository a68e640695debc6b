package coap

import (
	"context"
	"math/rand/v2"
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

// On a busy machine a handler may wait long for its turn, and most tests want a piggybacked
// response. The peers send requests again after 2 s.
func init() { ackDelay = 1500 * time.Millisecond }

// wait bounds what a test waits for; nothing takes this long.
const wait = 20 * time.Second

func waitContext(t testing.TB) context.Context { return within(t, wait) }

// prompt bounds what must not wait for retransmissions to run out.
func prompt(t testing.TB) context.Context { return within(t, 8*time.Second) }

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// nobody is where nobody listens: port 1 is not given to those who ask for any port.
var nobody = netip.MustParseAddrPort("127.0.0.1:1")

var unsecuredProtocols, secureProtocols = []Protocol{UDP, TCP}, []Protocol{DTLS, TLS}

// eachUnsecured runs a test over UDP and TCP.
func eachUnsecured(t *testing.T, f func(t *testing.T, proto Protocol)) {
	t.Helper()
	eachProtocol(t, unsecuredProtocols, f)
}

// eachSecure runs a test over DTLS and TLS.
func eachSecure(t *testing.T, f func(t *testing.T, proto Protocol)) {
	t.Helper()
	eachProtocol(t, secureProtocols, f)
}

func eachProtocol(t *testing.T, protos []Protocol, f func(t *testing.T, proto Protocol)) {
	for _, proto := range protos {
		t.Run(proto.String(), func(t *testing.T) { f(t, proto) })
	}
}

func newTestNode(t testing.TB, config *Config) *Node {
	t.Helper()
	c, err := NewNode(config)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// listen serves h on a free port.
func listen(t testing.TB, config *Config, proto Protocol, h Handler) netip.AddrPort {
	t.Helper()
	return listenOn(t, newTestNode(t, config), proto, h)
}

// listenOn is listen for a context that the test needs as well.
func listenOn(t testing.TB, c *Node, proto Protocol, h Handler) netip.AddrPort {
	t.Helper()
	c.Handle(h)
	addr, err := c.Listen(loopback, proto)
	require.NoError(t, err)
	return addr
}

// connect opens a session without credentials.
func connect(t testing.TB, config *Config, addr netip.AddrPort, proto Protocol) *Session {
	t.Helper()
	s, err := newTestNode(t, config).NewClientSession(netip.AddrPort{}, addr, proto)
	require.NoError(t, err)
	return s
}

// hello answers every request with "hello".
var hello = HandlerFunc(func(w ResponseWriter, r *Request) { w.Write([]byte("hello")) })

// echo answers with the body of the request.
var echo = HandlerFunc(func(w ResponseWriter, r *Request) { w.Write(r.Body) })

func get() *Request { return &Request{Method: MethodGet} }

// randomBytes returns n bytes, the same ones each time.
func randomBytes(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
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

// await waits until something is so.
func await(t testing.TB, so func() bool, message ...any) {
	t.Helper()
	require.Eventually(t, so, wait, time.Millisecond, message...)
}

// nothingLeft waits until all that earlier tests left to the garbage collector
// is freed, so that counts tell of one test alone.
func nothingLeft(t testing.TB) {
	t.Helper()
	collect(t, func() bool { return LiveObjects().Total() == 0 })
}

// collect collects garbage until what it frees is freed.
func collect(t testing.TB, freed func() bool) {
	t.Helper()
	await(t, func() bool {
		runtime.GC()
		return freed()
	}, "not freed")
}
