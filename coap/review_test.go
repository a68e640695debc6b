package coap

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
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

func TestInlineClose(t *testing.T) {
	closed := make(chan struct{})
	c := newTestContext(t, nil)
	c.Handle(Inline(HandlerFunc(func(w ResponseWriter, r *Request) { c.Close(); close(closed) })))
	addr, err := c.Listen(loopback, UDP)
	require.NoError(t, err)
	peer.NewUDP(t).Send(addr, peer.Message{Type: peer.NON, Code: peer.GET, ID: 1})
	select {
	case <-closed:
	case <-time.After(3 * time.Second):
		buf := make([]byte, 1<<16)
		t.Fatalf("hangs\n%s", buf[:runtime.Stack(buf, true)])
	}
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
	srv, endpoints := newServer(t, HandlerFunc(func(w ResponseWriter, r *Request) { close(entered); <-leave }), nil, UDP)
	s := dialEndpoint(t, endpoints[0])
	go s.Get(waitContext(t), "/")
	receive(t, entered)
	over := make(chan error, 1)
	go func() { over <- srv.Shutdown(context.Background()) }()
	time.Sleep(50 * time.Millisecond)
	require.NoError(t, srv.Close())
	select {
	case <-over:
	case <-time.After(3 * time.Second):
		t.Fatal("Close did not close")
	}
}

func TestLoggerUsesContext(t *testing.T) {
	var c *Context
	done := make(chan struct{})
	h := &reentrant{f: func() { c.Handle(hello); close(done) }}
	config := &Config{ServerPSK: pskServer, Logger: slog.New(h)}
	c = newTestContext(t, config)
	c.Handle(hello)
	addr, err := c.Listen(loopback, DTLS)
	require.NoError(t, err)
	s, err := newTestContext(t, nil).NewClientSessionPSK(netip.AddrPort{}, addr, DTLS, "nobody", testKey)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	assert.Error(t, s.Ready(ctx))
	select {
	case <-done:
	case <-time.After(3 * time.Second):
		t.Fatal("hangs")
	}
}

type reentrant struct {
	slog.Handler
	f    func()
	once bool
}

func (h *reentrant) Enabled(context.Context, slog.Level) bool { return true }

func (h *reentrant) Handle(context.Context, slog.Record) error {
	if !h.once {
		h.once = true
		h.f()
	}
	return nil
}

func TestMaxSessionsWithABusyOne(t *testing.T) {
	sessions := make(chan *Session, 20)
	addr := listen(t, &Config{MaxSessions: 2}, UDP, HandlerFunc(func(w ResponseWriter, r *Request) { sessions <- r.Session }))
	var seen []*Session
	for i := range 8 {
		_, err := connect(t, nil, addr, UDP).Do(waitContext(t), get())
		require.NoError(t, err)
		s := receive(t, sessions)
		if i == 0 {
			s.Reference()
		}
		seen = append(seen, s)
	}
	assert.Eventually(t, func() bool {
		open := 0
		for _, s := range seen {
			if s.Err() == nil {
				open++
			}
		}
		return open == 3
	}, wait, time.Millisecond)
	assert.NoError(t, seen[0].Err())
}

func TestRequestSessionAtClient(t *testing.T) {
	addr := listen(t, nil, TCP, HandlerFunc(func(w ResponseWriter, r *Request) {
		s := r.Session
		go s.Get(context.Background(), "/back")
	}))
	c := newTestContext(t, nil)
	got := make(chan *Session, 1)
	c.Handle(HandlerFunc(func(w ResponseWriter, r *Request) { got <- r.Session }))
	s, err := c.NewClientSession(netip.AddrPort{}, addr, TCP)
	require.NoError(t, err)
	_, err = s.Get(waitContext(t), "/")
	require.NoError(t, err)
	require.NotNil(t, receive(t, got))
}

func TestFarewellLost(t *testing.T) {
	server := peer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	ctx, cancel := context.WithCancel(context.Background())
	req := &Request{Method: MethodGet, NonConfirmable: true}
	next := pull(t, s.Observe(ctx, req))
	go func() {
		m := server.Expect(t, peer.NON, peer.GET)
		server.Send(m.From, notifies(m, peer.NON, 1, 1, "a"))
	}()
	require.Equal(t, "a", state(t, next))
	cancel()
	_, err := next()
	require.Error(t, err)
	for range 2 { // the first one is lost
		registers(t, server, 1)
	}
}

func TestUnansweredBodiesAreForgotten(t *testing.T) {
	for _, size := range []int{10, 5000} {
		sessions := make(chan *Session, 1)
		addr := listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
			assert.Len(t, r.Body, size)
			sessions <- r.Session
		}))
		r := &Request{Method: MethodPost, Body: make([]byte, size)}
		r.Options.SetUint(OptionNoResponse, 2)
		ctx, cancel := context.WithCancel(waitContext(t))
		over := start(ctx, connect(t, nil, addr, UDP), r)
		c := receive(t, sessions).c
		assert.Eventually(t, func() bool {
			c.l.mu.Lock()
			defer c.l.mu.Unlock()
			kept := 0
			for _, in := range c.recent.ring {
				kept += len(in.m.Body)
			}
			return c.busy == 0 && kept == 0
		}, wait, time.Millisecond)
		cancel()
		receive(t, over)
	}
}
