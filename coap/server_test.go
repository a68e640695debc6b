package coap

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

// newServer listens on loopback with several transports.
func newServer(t testing.TB, h Handler, config *Config, protos ...Protocol) (*Server, []Endpoint) {
	t.Helper()
	s := &Server{Handler: h, Config: config}
	t.Cleanup(func() { s.Close() })
	var uris []string
	for _, proto := range protos {
		uris = append(uris, proto.Scheme()+"://127.0.0.1:0")
	}
	endpoints, err := s.Listen(uris...)
	require.NoError(t, err)
	return s, endpoints
}

func dialEndpoint(t testing.TB, e Endpoint) *Session {
	t.Helper()
	s, err := Dial(waitContext(t), e.String(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestServerListensOnSeveralEndpoints(t *testing.T) {
	_, endpoints := newServer(t, hello, nil, UDP, TCP, UDP)
	require.Len(t, endpoints, 3)
	for i, proto := range []Protocol{UDP, TCP, UDP} {
		assert.Equal(t, proto, endpoints[i].Protocol)
		r, err := dialEndpoint(t, endpoints[i]).Get(waitContext(t), "/")
		require.NoError(t, err)
		assert.Equal(t, "hello", string(r.Body))
	}
}

func TestServerOnAllAddresses(t *testing.T) {
	s := &Server{Handler: HandlerFunc(func(w ResponseWriter, r *Request) {
		fmt.Fprint(w, r.Session.RemoteAddr().Addr(), " ", r.Session.LocalAddr().Addr())
	})}
	defer s.Close()
	endpoints, err := s.Listen("coap://:0")
	require.NoError(t, err)
	port := endpoints[0].Addr.Port()
	for _, ip := range []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")} {
		if ip.Is6() && endpoints[0].Addr.Addr().Is4() {
			continue // a machine without IPv6
		}
		r, err := dialEndpoint(t, Endpoint{UDP, netip.AddrPortFrom(ip, port)}).Get(waitContext(t), "/")
		require.NoError(t, err, ip)
		assert.Equal(t, fmt.Sprint(ip, " ", ip), string(r.Body), "addresses of IPv4 are written as such")
	}
}

func TestServerRefusesBadEndpoints(t *testing.T) {
	nothingLeft(t)
	for uri, problem := range map[string]string{
		"":                       "does not begin with one of",
		"http://x":               "does not begin with one of",
		"coap://127.0.0.1:70000": `port "70000"`,
		"coap://192.0.2.1:0":     "listen udp 192.0.2.1:0",
		"coap://no such host":    "no such host",
	} {
		s := &Server{Handler: hello}
		_, err := s.Listen("coap://127.0.0.1:0", uri)
		assert.ErrorContains(t, err, problem, uri)
	}
	assert.Zero(t, LiveObjects().Total(), "none of them listens")
}

func TestListenAndServeEndsWithTheServer(t *testing.T) {
	for name, end := range map[string]func(*Server) error{
		"close":    (*Server).Close,
		"shutdown": func(s *Server) error { return s.Shutdown(context.Background()) },
	} {
		s := &Server{Handler: hello}
		served := make(chan error, 1)
		go func() { served <- s.ListenAndServe("coap://127.0.0.1:0") }()
		require.NoError(t, end(s), name)
		assert.ErrorIs(t, receive(t, served), ErrServerClosed, name)
		assert.ErrorIs(t, s.ListenAndServe("coap://127.0.0.1:0"), ErrServerClosed, name)
	}
}

func TestShutdownWaitsForHandlers(t *testing.T) {
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		started, goOn := make(chan struct{}), make(chan struct{})
		server, endpoints := newServer(t, HandlerFunc(func(w ResponseWriter, r *Request) {
			close(started)
			<-goOn
			w.Write([]byte("finished"))
		}), nil, proto)
		s := dialEndpoint(t, endpoints[0])
		c := start(waitContext(t), s, get())
		receive(t, started)
		shut := make(chan error, 1)
		go func() { shut <- server.Shutdown(waitContext(t)) }()
		refused := func() bool {
			r, err := dialEndpoint(t, endpoints[0]).Do(waitContext(t),
				&Request{Method: MethodGet, NonConfirmable: true})
			return err == nil && r.Code == CodeServiceUnavailable
		}
		<-server.ended()
		assert.True(t, refused())
		close(goOn)
		got := receive(t, c)
		require.NoError(t, got.err)
		assert.Equal(t, "finished", string(got.Body))
		assert.NoError(t, receive(t, shut))
	})
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	started, goOn := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	server, endpoints := newServer(t, HandlerFunc(func(w ResponseWriter, r *Request) {
		close(started)
		<-r.Context().Done()
		ended <- context.Cause(r.Context())
		<-goOn
	}), nil, UDP)
	c := start(waitContext(t), dialEndpoint(t, endpoints[0]),
		&Request{Method: MethodGet, NonConfirmable: true})
	receive(t, started)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	assert.ErrorIs(t, server.Shutdown(ctx), context.Canceled)
	assert.ErrorIs(t, receive(t, ended), net.ErrClosed, "the context of the handler ends")
	close(goOn)
	select {
	case got := <-c:
		t.Errorf("an answer: %v", got)
	default:
	}
}

func TestHandlerThatFails(t *testing.T) {
	for name, handler := range map[string]func(){
		"panics": func() { panic("oh no") },
		"exits":  runtime.Goexit,
	} {
		logger, lines := logs()
		_, endpoints := newServer(t, HandlerFunc(func(w ResponseWriter, r *Request) {
			w.Write([]byte("half"))
			handler()
		}), &Config{Logger: logger}, UDP)
		s := dialEndpoint(t, endpoints[0])
		for range 2 {
			r, err := s.Get(waitContext(t), "/")
			require.NoError(t, err, name)
			assert.Equal(t, CodeInternalServerError, r.Code, name)
			assert.Empty(t, r.Body, name)
			assert.Contains(t, receive(t, lines), "handler panicked", name)
		}
	}
}

func TestInlineHandlers(t *testing.T) {
	var m Mux
	m.Handle("/fast", Inline(hello))
	m.Handle("/panics", Inline(HandlerFunc(func(ResponseWriter, *Request) { panic(1) })))
	m.HandleFunc("/slow", func(w ResponseWriter, r *Request) { <-r.Context().Done() })
	_, endpoints := newServer(t, &m, nil, UDP, TCP)
	for _, e := range endpoints {
		s := dialEndpoint(t, e)
		slow, cancel := context.WithCancel(context.Background())
		c := start(slow, s, &Request{Method: MethodGet, Options: Options{{OptionURIPath, []byte("slow")}},
			NonConfirmable: true})
		for range 10 {
			r, err := s.Get(waitContext(t), "/fast")
			require.NoError(t, err)
			assert.Equal(t, "hello", string(r.Body))
			r, err = s.Get(waitContext(t), "/panics")
			require.NoError(t, err)
			assert.Equal(t, CodeInternalServerError, r.Code)
		}
		cancel()
		assert.ErrorIs(t, receive(t, c).err, context.Canceled)
	}
}

func TestNoResponse(t *testing.T) {
	var m Mux
	m.Handle("/ok", hello)
	_, endpoints := newServer(t, &m, nil, UDP)
	peer := coappeer.NewUDP(t)
	for i, test := range []struct {
		path string
		no   byte
		code coappeer.Code
	}{
		{"ok", 2, coappeer.Empty},
		{"ok", 8 | 16, coappeer.Content},
		{"ok", 0, coappeer.Content},
		{"no", 8, coappeer.Empty},
		{"no", 2, coappeer.NotFound},
	} {
		id := uint16(100 + i)
		peer.Send(endpoints[0].Addr, coappeer.Message{Code: coappeer.GET, ID: id, Token: []byte{9},
			Options: append(coappeer.Path(test.path),
				coappeer.Option{Number: coappeer.NoResponse, Value: []byte{test.no}})})
		m := peer.Receive(t)
		assert.Equal(t, []any{coappeer.ACK, test.code, id}, []any{m.Type, m.Code, m.ID}, test)
	}
}

func TestRequestsToTheClientOfASession(t *testing.T) {
	answered := make(chan *Response, 1)
	_, endpoints := newServer(t, HandlerFunc(func(w ResponseWriter, r *Request) {
		response, err := r.Session.Get(context.Background(), "/from-server")
		if assert.NoError(t, err) {
			answered <- response
		}
	}), nil, TCP)
	c := newTestNode(t, nil)
	c.Handle(hello)
	s, err := c.NewClientSession(netip.AddrPort{}, endpoints[0].Addr, TCP)
	require.NoError(t, err)
	_, err = s.Get(waitContext(t), "/")
	require.NoError(t, err)
	assert.Equal(t, "hello", string(receive(t, answered).Body))
}

func TestManyClientsWhileTheServerCloses(t *testing.T) {
	server, endpoints := newServer(t, hello, nil, UDP, TCP)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var group sync.WaitGroup
	served := make(chan struct{}, 1000)
	for i := range 8 {
		s := dialEndpoint(t, endpoints[i%2])
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				r := get()
				r.NonConfirmable = true
				short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
				_, err := s.Do(short, r)
				cancel()
				if err != nil {
					return
				}
				select {
				case served <- struct{}{}:
				default:
				}
			}
		}()
	}
	for range 100 {
		receive(t, served)
	}
	require.NoError(t, server.Close())
	group.Wait()
}

func TestInlineClose(t *testing.T) {
	closed := make(chan struct{})
	c := newTestNode(t, nil)
	c.Handle(Inline(HandlerFunc(func(w ResponseWriter, r *Request) { c.Close(); close(closed) })))
	addr, err := c.Listen(loopback, UDP)
	require.NoError(t, err)
	coappeer.NewUDP(t).Send(addr, coappeer.Message{Type: coappeer.NON, Code: coappeer.GET, ID: 1})
	receive(t, closed)
}

func TestInlineGoexit(t *testing.T) {
	addr := listen(t, nil, UDP, Inline(HandlerFunc(func(w ResponseWriter, r *Request) {
		if r.Options.Path() == "/exit" {
			runtime.Goexit()
		}
	})))
	s := connect(t, nil, addr, UDP)
	r, err := s.Get(waitContext(t), "/exit")
	require.NoError(t, err)
	assert.Equal(t, CodeInternalServerError, r.Code)
	for range 5 {
		_, err = s.Get(waitContext(t), "/")
		require.NoError(t, err)
	}
}

func TestCloseDuringShutdown(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	defer close(leave)
	srv, endpoints := newServer(t, HandlerFunc(func(w ResponseWriter, r *Request) {
		if r.Options.Path() == "/slow" {
			close(entered)
			<-leave
		}
	}), nil, UDP)
	s := dialEndpoint(t, endpoints[0])
	go s.Get(waitContext(t), "/slow")
	receive(t, entered)
	over := make(chan error, 1)
	go func() { over <- srv.Shutdown(context.Background()) }()
	await(t, func() bool {
		r, err := s.Get(waitContext(t), "/")
		return err == nil && r.Code == CodeServiceUnavailable
	}, "it is shutting down")
	require.NoError(t, srv.Close())
	receive(t, over)
}

func TestRequestSessionAtClient(t *testing.T) {
	addr := listen(t, nil, TCP, HandlerFunc(func(w ResponseWriter, r *Request) {
		s := r.Session
		go s.Get(context.Background(), "/back")
	}))
	c := newTestNode(t, nil)
	got := make(chan *Session, 1)
	c.Handle(HandlerFunc(func(w ResponseWriter, r *Request) { got <- r.Session }))
	s, err := c.NewClientSession(netip.AddrPort{}, addr, TCP)
	require.NoError(t, err)
	_, err = s.Get(waitContext(t), "/")
	require.NoError(t, err)
	require.NotNil(t, receive(t, got))
}
