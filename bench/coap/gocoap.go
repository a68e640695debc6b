package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"time"

	piondtls "github.com/pion/dtls/v3"
	"github.com/plgd-dev/go-coap/v3/dtls"
	dtlsserver "github.com/plgd-dev/go-coap/v3/dtls/server"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/message/pool"
	coapnet "github.com/plgd-dev/go-coap/v3/net"
	"github.com/plgd-dev/go-coap/v3/net/blockwise"
	"github.com/plgd-dev/go-coap/v3/net/responsewriter"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/tcp"
	tcpclient "github.com/plgd-dev/go-coap/v3/tcp/client"
	tcpserver "github.com/plgd-dev/go-coap/v3/tcp/server"
	"github.com/plgd-dev/go-coap/v3/udp"
	udpclient "github.com/plgd-dev/go-coap/v3/udp/client"
	udpserver "github.com/plgd-dev/go-coap/v3/udp/server"

	"github.com/gnucoap/gnucoap/bench/coap/cpeer"
)

// Options of go-coap that its defaults are too small or too loud for.
var (
	// of sessions that end; a request that fails tells
	goCoAPErrors    = options.WithErrors(func(error) {})
	goCoAPBlockwise = options.WithBlockwise(true, blockwise.SZX1024, patience)
	goCoAPMaxSize   = options.WithMaxMessageSize(4 << 20)
	// Sessions stay as long as those of the others.
	goCoAPIdleUDP = options.WithInactivityMonitor(5*time.Minute, func(c *udpclient.Conn) { c.Close() })
	goCoAPIdleTCP = options.WithInactivityMonitor(5*time.Minute, func(c *tcpclient.Conn) { c.Close() })
)

func pionKey([]byte) ([]byte, error) { return []byte(key), nil }

// pionSuite is what gnutlsPriority leaves to the others.
var pionSuite = piondtls.TLS_PSK_WITH_AES_128_GCM_SHA256

func serveGoCoAP(proto string, ready func(port int)) error {
	const addr = "127.0.0.1:0"
	switch proto {
	case "tcp":
		l, err := coapnet.NewTCPListener("tcp", addr)
		if err != nil {
			return err
		}
		s := tcp.NewServer(goCoAPErrors, goCoAPBlockwise, goCoAPMaxSize, goCoAPIdleTCP,
			options.WithHandlerFunc(tcpserver.HandlerFunc(handleGoCoAP[*tcpclient.Conn])))
		ready(l.Addr().(*net.TCPAddr).Port)
		return s.Serve(l)
	case "dtls":
		l, err := coapnet.NewDTLSListener("udp", addr, coapnet.NewDTLSServerOptions(
			piondtls.WithPSK(pionKey), piondtls.WithCipherSuites(pionSuite)))
		if err != nil {
			return err
		}
		s := dtls.NewServer(goCoAPErrors, goCoAPBlockwise, goCoAPMaxSize, goCoAPIdleUDP,
			options.WithHandlerFunc(dtlsserver.HandlerFunc(handleGoCoAP[*udpclient.Conn])))
		ready(l.Addr().(*net.UDPAddr).Port)
		return s.Serve(l)
	default:
		l, err := coapnet.NewListenUDP("udp", addr)
		if err != nil {
			return err
		}
		s := udp.NewServer(goCoAPErrors, goCoAPBlockwise, goCoAPMaxSize, goCoAPIdleUDP,
			options.WithHandlerFunc(udpserver.HandlerFunc(handleGoCoAP[*udpclient.Conn])))
		ready(l.LocalAddr().(*net.UDPAddr).Port)
		return s.Serve(l)
	}
}

func handleGoCoAP[C responsewriter.Client](w *responsewriter.ResponseWriter[C], r *pool.Message) {
	code, format, body := codes.BadRequest, message.TextPlain, io.ReadSeeker(nil)
	switch path, _ := r.Options().GetString(message.URIPath); {
	case path == "small" && r.Code() == codes.GET:
		code, body = codes.Content, bytes.NewReader(small)
	case path == "large" && r.Code() == codes.GET:
		code, format, body = codes.Content, message.AppOctets, bytes.NewReader(large)
	case path == "large" && r.Code() == codes.PUT && sameBody(r, large):
		code = codes.Changed
	}
	if err := w.SetResponse(code, format, body); err != nil {
		panic(err)
	}
}

func sameBody(m *pool.Message, want []byte) bool {
	body, err := m.ReadBody()
	return err == nil && bytes.Equal(body, want)
}

// A goCoAPConn is a session over any transport.
type goCoAPConn interface {
	Get(ctx context.Context, path string, opts ...message.Option) (*pool.Message, error)
	Put(ctx context.Context, path string, format message.MediaType, body io.ReadSeeker,
		opts ...message.Option) (*pool.Message, error)
	ReleaseMessage(*pool.Message)
	Close() error
}

type goCoAPSession struct{ c goCoAPConn }

func dialGoCoAP(proto string, port, inFlight int) (session, error) {
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	// go-coap's NSTART bounds what is sent in a session in each direction.
	transmission := options.WithTransmission(uint32(inFlight), 2*time.Second, 4)
	limit := options.WithLimitClientParallelRequest(int64(inFlight))
	limitPath := options.WithLimitClientEndpointParallelRequest(int64(inFlight))
	var c goCoAPConn
	var err error
	switch proto {
	case "tcp":
		c, err = tcp.Dial(addr, goCoAPErrors, goCoAPBlockwise, goCoAPMaxSize, limit, limitPath)
	case "dtls":
		c, err = dtls.Dial(addr, dtls.NewDTLSClientOptions(piondtls.WithPSK(pionKey),
			piondtls.WithPSKIdentityHint([]byte(identity)), piondtls.WithCipherSuites(pionSuite)),
			goCoAPErrors, goCoAPBlockwise, goCoAPMaxSize, transmission, limit, limitPath)
	default:
		c, err = udp.Dial(addr, goCoAPErrors, goCoAPBlockwise, goCoAPMaxSize, transmission, limit,
			limitPath)
	}
	if err != nil {
		return nil, err
	}
	return goCoAPSession{c}, nil
}

func (s goCoAPSession) do(ctx context.Context, k cpeer.Kind) error {
	var m *pool.Message
	var err error
	code, body := codes.Content, small
	switch k {
	case cpeer.Get:
		body = large
		m, err = s.c.Get(ctx, "/large")
	case cpeer.Put:
		code, body = codes.Changed, nil
		m, err = s.c.Put(ctx, "/large", message.AppOctets, bytes.NewReader(large))
	default:
		m, err = s.c.Get(ctx, "/small")
	}
	if err != nil {
		return err
	}
	defer s.c.ReleaseMessage(m)
	if m.Code() != code || !sameBody(m, body) {
		return fmt.Errorf("%w: %v", errWrong, m.Code())
	}
	return nil
}

func (s goCoAPSession) close() error { return s.c.Close() }
