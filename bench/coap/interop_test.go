package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	piondtls "github.com/pion/dtls/v3"
	"github.com/plgd-dev/go-coap/v3/dtls"
	dtlsserver "github.com/plgd-dev/go-coap/v3/dtls/server"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/message/pool"
	coapnet "github.com/plgd-dev/go-coap/v3/net"
	"github.com/plgd-dev/go-coap/v3/net/responsewriter"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/tcp"
	tcpclient "github.com/plgd-dev/go-coap/v3/tcp/client"
	tcpserver "github.com/plgd-dev/go-coap/v3/tcp/server"
	"github.com/plgd-dev/go-coap/v3/udp"
	udpclient "github.com/plgd-dev/go-coap/v3/udp/client"
	udpserver "github.com/plgd-dev/go-coap/v3/udp/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/coap"
)

// A note is what PUT has left and GET returns.
type note struct {
	mu   sync.Mutex
	body []byte
}

func (n *note) set(body []byte) {
	n.mu.Lock()
	n.body = body
	n.mu.Unlock()
}

func (n *note) get() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.body
}

func ofGoCoAP[C responsewriter.Client](t *testing.T,
	n *note) func(*responsewriter.ResponseWriter[C], *pool.Message) {
	return func(w *responsewriter.ResponseWriter[C], r *pool.Message) {
		code, body := codes.Changed, []byte(nil)
		if r.Code() == codes.PUT {
			received, err := r.ReadBody()
			assert.NoError(t, err)
			n.set(received)
		} else {
			code, body = codes.Content, n.get()
		}
		assert.NoError(t, w.SetResponse(code, message.AppOctets, bytes.NewReader(body)))
	}
}

// startGoCoAP runs a server of go-coap, and returns its URI.
func startGoCoAP(t *testing.T, proto coap.Protocol, n *note) string {
	const addr = "127.0.0.1:0"
	var where net.Addr
	var serve func() error
	var listener io.Closer
	var stop func()
	switch proto {
	case coap.TCP:
		l, err := coapnet.NewTCPListener("tcp", addr)
		require.NoError(t, err)
		s := tcp.NewServer(goCoAPErrors, goCoAPBlockwise, goCoAPMaxSize,
			options.WithHandlerFunc(tcpserver.HandlerFunc(ofGoCoAP[*tcpclient.Conn](t, n))))
		where, listener, stop, serve = l.Addr(), l, s.Stop, func() error { return s.Serve(l) }
	case coap.DTLS:
		l, err := coapnet.NewDTLSListener("udp", addr, coapnet.NewDTLSServerOptions(
			piondtls.WithPSK(pionKey), piondtls.WithCipherSuites(pionSuite)))
		require.NoError(t, err)
		s := dtls.NewServer(goCoAPErrors, goCoAPBlockwise, goCoAPMaxSize,
			options.WithHandlerFunc(dtlsserver.HandlerFunc(ofGoCoAP[*udpclient.Conn](t, n))))
		where, listener, stop, serve = l.Addr(), l, s.Stop, func() error { return s.Serve(l) }
	default:
		l, err := coapnet.NewListenUDP("udp", addr)
		require.NoError(t, err)
		s := udp.NewServer(goCoAPErrors, goCoAPBlockwise, goCoAPMaxSize,
			options.WithHandlerFunc(udpserver.HandlerFunc(ofGoCoAP[*udpclient.Conn](t, n))))
		where, listener, stop, serve = l.LocalAddr(), l, s.Stop, func() error { return s.Serve(l) }
	}
	ended := make(chan error, 1)
	go func() { ended <- serve() }()
	t.Cleanup(func() {
		stop()
		listener.Close()
		<-ended
	})
	return fmt.Sprintf("%s://%s", proto.Scheme(), where)
}

func TestOurClientWithServerOfGoCoAP(t *testing.T) {
	for _, proto := range []coap.Protocol{coap.UDP, coap.DTLS, coap.TCP} {
		t.Run(proto.String(), func(t *testing.T) {
			n := &note{}
			uri := startGoCoAP(t, proto, n)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			config := &coap.Config{}
			if proto.Secure() {
				config.PSK = coap.PSK{Identity: identity, Key: []byte(key)}
			}
			s, err := coap.Dial(ctx, uri, config)
			require.NoError(t, err)
			defer s.Close()
			for _, size := range []int{10, 1024, 5000, 100_000} {
				body := bytes.Repeat([]byte("0123456789"), size/10)
				r, err := s.Put(ctx, "/note", coap.OctetStream, body)
				require.NoError(t, err)
				assert.Equal(t, coap.CodeChanged, r.Code)
				assert.True(t, bytes.Equal(body, n.get()), "%d bytes: %d", size, len(n.get()))
				r, err = s.Get(ctx, "/note")
				require.NoError(t, err)
				assert.Equal(t, coap.CodeContent, r.Code)
				assert.True(t, bytes.Equal(body, r.Body), "%d bytes", size)
			}
		})
	}
}

func TestClientOfGoCoAPWithOurServer(t *testing.T) {
	for proto, name := range map[coap.Protocol]string{coap.UDP: "udp", coap.DTLS: "dtls",
		coap.TCP: "tcp"} {
		t.Run(name, func(t *testing.T) {
			n := &note{}
			server := &coap.Server{
				Handler: coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
					if r.Method == coap.MethodPut {
						n.set(r.Body)
						return
					}
					w.Write(n.get())
				}),
				Config: &coap.Config{ServerPSK: coap.ServerPSK{GetKey: func(string, string) ([]byte, error) {
					return []byte(key), nil
				}}},
			}
			endpoints, err := server.Listen(proto.Scheme() + "://127.0.0.1:0")
			require.NoError(t, err)
			defer server.Close()
			s, err := dialGoCoAP(name, int(endpoints[0].Addr.Port()), 1)
			require.NoError(t, err)
			c := s.(goCoAPSession).c
			defer c.Close()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			for _, size := range []int{10, 1024, 5000, 100_000} {
				body := bytes.Repeat([]byte("0123456789"), size/10)
				m, err := c.Put(ctx, "/note", message.AppOctets, bytes.NewReader(body))
				require.NoError(t, err)
				assert.Equal(t, codes.Changed, m.Code())
				assert.True(t, bytes.Equal(body, n.get()), "%d bytes: %d", size, len(n.get()))
				c.ReleaseMessage(m)
				m, err = c.Get(ctx, "/note")
				require.NoError(t, err)
				assert.True(t, sameBody(m, body), "%d bytes", size)
				c.ReleaseMessage(m)
			}
		})
	}
}
