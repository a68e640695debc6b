package coap

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// isClientHello reports whether a datagram of DTLS begins a handshake.
func isClientHello(b []byte) bool {
	const handshake, clientHello = 22, 1
	return len(b) > 13 && b[0] == handshake && b[3] == 0 && b[4] == 0 && b[13] == clientHello
}

// countConnections returns an address before a server, and the number of connections that came
// there.
func countConnections(t *testing.T, server netip.AddrPort) (netip.AddrPort, *atomic.Int64) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	var n atomic.Int64
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			n.Add(1)
			go func() {
				defer client.Close()
				to, err := net.Dial("tcp", server.String())
				if err != nil {
					return
				}
				defer to.Close()
				go func() {
					io.Copy(to, client)
					to.Close()
				}()
				io.Copy(client, to)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort(), &n
}

// libcoap would open a session again that something is to be sent in.
func TestNothingIsSentInASessionThatIsOver(t *testing.T) {
	eachSecure(t, func(t *testing.T, proto Protocol) {
		asked, end, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
		server := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}}, proto,
			HandlerFunc(func(w ResponseWriter, r *Request) {
				close(asked)
				<-end
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				_, _ = r.Session.exchange(ctx, get().message(nil, nil)) // it is sent all the same
				r.Session.Close()
				close(ended)
			}))
		relay := coappeer.NewRelay(t, server)
		addr := relay.Addr()
		var connections *atomic.Int64
		if proto == TLS {
			addr, connections = countConnections(t, server)
		}

		c := newTestNode(t, nil)
		open := func(name string) *Session {
			pki := &PKI{RootCAs: pool(t, "ca"), ServerName: name}
			if proto == TLS {
				pki.Certificates = pairs(t, "client")
			}
			s, err := c.NewClientSessionPKI(netip.AddrPort{}, addr, proto, pki)
			require.NoError(t, err)
			require.NoError(t, s.Ready(waitContext(t)))
			return s
		}
		first, second := open("example.test"), open("a.wild.test")
		require.NoError(t, second.Close())
		got := start(waitContext(t), first, get())
		receive(t, asked)
		before := len(relay.Captured())
		require.NoError(t, c.use(func(ccoap.NativeContext) { // what the server sends is read in one poll
			close(end)
			receive(t, ended)
		}))
		assert.ErrorIs(t, receive(t, got).err, ErrDisconnected)
		receive(t, first.Done())

		last := open("example.test") // the relay has seen what came before
		if proto == TLS {
			assert.EqualValues(t, 3, connections.Load())
			return
		}
		for _, d := range relay.Captured()[before:] {
			if isClientHello(d.Data) {
				assert.Equal(t, last.LocalAddr(), d.From, "a session that is over begins a handshake")
			}
		}
	})
}

// libcoap would make itself the client of a client.
func TestServerBeginsNoHandshake(t *testing.T) {
	server := newTestNode(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}})
	addr, err := server.Listen(loopback, DTLS)
	require.NoError(t, err)
	relay := coappeer.NewRelay(t, addr)
	client := newTestNode(t, &Config{PKI: PKI{RootCAs: pool(t, "ca")}})
	s, err := client.NewClientSession(netip.AddrPort{}, relay.Addr(), DTLS)
	require.NoError(t, err)
	require.NoError(t, s.Ready(waitContext(t)))
	// there is no handler: it is answered in the poll that reads it
	r, err := s.Do(waitContext(t), get())
	require.NoError(t, err)
	require.Equal(t, CodeNotFound, r.Code)
	before := len(relay.Captured())
	require.NoError(t, server.use(func(ccoap.NativeContext) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, _ = s.exchange(ctx, get().message(nil, nil)) // it is sent all the same
		s.Close()
		await(t, func() bool { return len(relay.Captured()) == before+2 })
	}))
	s, err = client.NewClientSession(netip.AddrPort{}, relay.Addr(), DTLS)
	require.NoError(t, err)
	require.NoError(t, s.Ready(waitContext(t)))
	for _, d := range relay.Captured()[before:] {
		assert.False(t, d.Direction == coappeer.ToClient && isClientHello(d.Data))
	}
}
