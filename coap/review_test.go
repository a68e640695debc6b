package coap

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	peer "github.com/gnucoap/gnucoap/internal/coappeer"
)

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
