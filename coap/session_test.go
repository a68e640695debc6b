package coap

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

// The statements of the manual page coap_session(3), in its order.

func TestClientSessionUsesTheDefaultPort(t *testing.T) {
	c := newTestNode(t, nil)
	for proto, port := range map[Protocol]uint16{UDP: 5683, DTLS: 5684, TCP: 5683, TLS: 5684} {
		s, err := c.NewClientSession(netip.AddrPort{}, loopback, proto)
		require.NoError(t, err)
		assert.Equal(t, port, s.RemoteAddr().Port(), proto)
		assert.Equal(t, proto, s.Protocol())
		assert.False(t, s.IsServer())
		require.NoError(t, s.Close())
	}
}

func TestClientSessionIsBoundToALocalAddress(t *testing.T) {
	from := make(chan netip.AddrPort, 1)
	addr := listen(t, nil, UDP,
		HandlerFunc(func(w ResponseWriter, r *Request) { from <- r.Session.RemoteAddr() }))
	// The second session takes the address and the port that the first had.
	first := connect(t, nil, addr, UDP)
	local := first.LocalAddr()
	assert.True(t, local.Addr().IsLoopback())
	require.NoError(t, first.Close())

	s, err := newTestNode(t, nil).NewClientSession(local, addr, UDP)
	require.NoError(t, err)
	_, err = s.Do(waitContext(t), get())
	require.NoError(t, err)
	assert.Equal(t, local, receive(t, from))
	assert.Equal(t, local, s.LocalAddr())
	assert.Equal(t, addr, s.RemoteAddr())
}

func TestSessionsShareANode(t *testing.T) {
	c := newTestNode(t, nil)
	var sessions []*Session
	for _, proto := range unsecuredProtocols {
		addr := listen(t, nil, proto, hello)
		for range 3 {
			s, err := c.NewClientSession(netip.AddrPort{}, addr, proto)
			require.NoError(t, err)
			sessions = append(sessions, s)
			r, err := s.Do(waitContext(t), get())
			require.NoError(t, err)
			assert.Equal(t, "hello", string(r.Body))
		}
	}
	assert.Equal(t, 6, conns(c))
	runtime.KeepAlive(sessions) // else they are closed
}

func TestReferencesAreCounted(t *testing.T) {
	nothingLeft(t)
	peer := coappeer.NewUDP(t)
	s := connect(t, nil, peer.Addr(), UDP)
	assert.EqualValues(t, 1, LiveObjects().Sessions)
	assert.Same(t, s, s.Reference())
	s.Reference()
	assert.EqualValues(t, 1, LiveObjects().Sessions, "one native reference")

	require.NoError(t, s.Release())
	require.NoError(t, s.Release())
	assert.NoError(t, s.Err())
	require.NoError(t, s.Release())
	assert.ErrorIs(t, s.Err(), net.ErrClosed)
	assert.Zero(t, LiveObjects().Sessions)

	assert.ErrorIs(t, s.Release(), net.ErrClosed, "released once too often")
	assert.NoError(t, s.Close(), "closed twice")
	assert.NoError(t, s.Close())
}

func TestUseAfterClose(t *testing.T) {
	peer := coappeer.NewUDP(t)
	s := connect(t, nil, peer.Addr(), UDP)
	require.NoError(t, s.Close())
	assert.ErrorIs(t, s.SetMTU(500), net.ErrClosed)
	assert.Zero(t, s.MaxPDUSize())
	assert.Equal(t, StateClosed, s.State())
	assert.Contains(t, s.String(), "closed")
	assert.ErrorIs(t, s.Ready(waitContext(t)), net.ErrClosed)
	assert.ErrorIs(t, s.Ping(waitContext(t)), net.ErrClosed)
	s.SetAppData(1)
	assert.Equal(t, 1, s.AppData())
}

func TestNodeClosedTwiceAndUsedAfter(t *testing.T) {
	c := newTestNode(t, nil)
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
	_, err := c.NewClientSession(netip.AddrPort{}, loopback, UDP)
	assert.ErrorIs(t, err, net.ErrClosed)
	_, err = c.Listen(loopback, UDP)
	assert.ErrorIs(t, err, net.ErrClosed)
}

func TestMTUBoundsMessages(t *testing.T) {
	s := connect(t, &Config{MTU: 600}, listen(t, nil, UDP, hello), UDP)
	assert.Equal(t, 600-4, s.MaxPDUSize(), "without the header")
	require.NoError(t, s.SetMTU(200))
	assert.Equal(t, 200-4, s.MaxPDUSize())
	for _, bytes := range []int{-1, 0, 63, 65536} {
		assert.ErrorContains(t, s.SetMTU(bytes), "MTU")
	}
	assert.Equal(t, 200-4, s.MaxPDUSize())
}

func TestAppDataIsAnyValue(t *testing.T) {
	peer := coappeer.NewUDP(t)
	s := connect(t, nil, peer.Addr(), UDP)
	assert.Nil(t, s.AppData())
	type mine struct{ n int }
	s.SetAppData(&mine{1})
	assert.Equal(t, &mine{1}, s.AppData())
	s.SetAppData(nil)
	assert.Nil(t, s.AppData())
}

func TestStringDescribesTheSession(t *testing.T) {
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		s := connect(t, nil, listen(t, nil, proto, hello), proto)
		require.NoError(t, s.Ready(waitContext(t)))
		assert.Regexp(t, `^127\.0\.0\.1:\d+ <-> 127\.0\.0\.1:\d+ .*(UDP|TCP)`, s.String())
		assert.Contains(t, s.String(), s.RemoteAddr().String())
		assert.Contains(t, s.String(), s.LocalAddr().String())
		assert.Equal(t, StateEstablished, s.State())
	})
}

func TestServerSessionsAreEvictedWhenIdle(t *testing.T) {
	t.Parallel()
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		t.Parallel()
		sessions := make(chan *Session, 2)
		addr := listen(t, &Config{IdleTimeout: time.Second}, proto,
			HandlerFunc(func(w ResponseWriter, r *Request) {
				assert.True(t, r.Session.IsServer())
				r.Session.SetAppData("kept")
				sessions <- r.Session
			}))
		request := func() *Session {
			s := connect(t, nil, addr, proto)
			t.Cleanup(func() { s.Close() }) // it must not be collected before
			_, err := s.Do(waitContext(t), get())
			require.NoError(t, err)
			server := receive(t, sessions)
			assert.Equal(t, s.LocalAddr(), server.RemoteAddr())
			assert.Equal(t, proto, server.Protocol())
			return server
		}
		begin := time.Now()
		kept, idle := request(), request()
		kept.Reference()
		assert.NotSame(t, kept, idle)
		receive(t, idle.Done())
		assert.GreaterOrEqual(t, time.Since(begin), time.Second)
		assert.ErrorIs(t, idle.Err(), net.ErrClosed)
		assert.NoError(t, kept.Err())
		assert.Equal(t, "kept", kept.AppData())
		require.NoError(t, kept.Release())
		assert.ErrorIs(t, kept.Release(), net.ErrClosed,
			"the context's own reference is not to be given back")
		receive(t, kept.Done())
	})
}

func TestBusyServerSessionIsNotEvicted(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	addr := listen(t, &Config{IdleTimeout: time.Second}, UDP,
		HandlerFunc(func(w ResponseWriter, r *Request) {
			if len(r.Body) > 0 {
				<-goOn
			}
		}))
	busy := connect(t, nil, addr, UDP)
	c := start(waitContext(t), busy, &Request{Method: MethodPut, Body: []byte("slow")})
	// Two idle times pass, as other sessions of the server show.
	sessions := make(chan *Session, 1)
	other := listen(t, &Config{IdleTimeout: 2 * time.Second}, UDP,
		HandlerFunc(func(w ResponseWriter, r *Request) { sessions <- r.Session }))
	_, err := connect(t, nil, other, UDP).Do(waitContext(t), get())
	require.NoError(t, err)
	receive(t, receive(t, sessions).Done())
	close(goOn)
	assert.NoError(t, receive(t, c).err)
}

func TestOldestIdleSessionMakesRoom(t *testing.T) {
	sessions := make(chan *Session, 1)
	addr := listen(t, &Config{MaxSessions: 2}, UDP,
		HandlerFunc(func(w ResponseWriter, r *Request) { sessions <- r.Session }))
	var seen []*Session
	for range 3 {
		_, err := connect(t, nil, addr, UDP).Do(waitContext(t), get())
		require.NoError(t, err)
		seen = append(seen, receive(t, sessions))
	}
	receive(t, seen[0].Done())
	assert.NoError(t, seen[1].Err())
	assert.NoError(t, seen[2].Err())
}

func TestSessionThatIsForgottenIsClosed(t *testing.T) {
	peer := coappeer.NewUDP(t)
	nothingLeft(t)
	func() {
		c, err := NewNode(nil)
		require.NoError(t, err)
		_, err = c.NewClientSession(netip.AddrPort{}, peer.Addr(), UDP)
		require.NoError(t, err)
		assert.EqualValues(t, 1, LiveObjects().Sessions)
	}()
	nothingLeft(t)
}

func TestServerSessionEndsWithItsConnection(t *testing.T) {
	sessions := make(chan *Session, 1)
	addr := listen(t, nil, TCP,
		HandlerFunc(func(w ResponseWriter, r *Request) { sessions <- r.Session }))
	s := connect(t, nil, addr, TCP)
	_, err := s.Do(waitContext(t), get())
	require.NoError(t, err)
	server := receive(t, sessions)
	require.NoError(t, s.Close())
	receive(t, server.Done())
	assert.ErrorIs(t, server.Err(), ErrDisconnected)
}

func TestClientSessionEndsWithItsConnection(t *testing.T) {
	c := newTestNode(t, nil)
	addr := listenOn(t, c, TCP, hello)
	s := connect(t, nil, addr, TCP)
	_, err := s.Do(waitContext(t), get())
	require.NoError(t, err)
	require.NoError(t, c.Close())
	receive(t, s.Done())
	assert.ErrorIs(t, s.Err(), ErrDisconnected)
	_, err = s.Do(waitContext(t), get())
	assert.ErrorIs(t, err, ErrDisconnected)
}

func TestBadAddresses(t *testing.T) {
	c := newTestNode(t, nil)
	_, err := c.NewClientSession(netip.AddrPort{}, netip.AddrPort{}, UDP)
	assert.ErrorContains(t, err, "no IP address")
	_, err = c.NewClientSession(netip.MustParseAddrPort("[::1]:0"), loopback, UDP)
	assert.ErrorContains(t, err, "another family")
	_, err = c.Listen(netip.AddrPort{}, UDP)
	assert.ErrorContains(t, err, "no IP address")
	_, err = c.Listen(netip.MustParseAddrPort("192.0.2.1:0"), UDP)
	assert.EqualError(t, err, "coap: listen udp 192.0.2.1:0: cannot assign requested address")
}

func TestPortThatIsTaken(t *testing.T) {
	c := newTestNode(t, nil)
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		addr, err := c.Listen(loopback, proto)
		require.NoError(t, err)
		_, err = newTestNode(t, nil).Listen(addr, proto)
		assert.ErrorIs(t, err, syscall.EADDRINUSE)
	})
}

func TestMaxPDUSizeBeforeTheConnectionStands(t *testing.T) {
	silent := coappeer.ListenTCP(t) // that never sends its capabilities
	s := connect(t, nil, silent.Addr(), TCP)
	assert.Equal(t, 1152, s.MaxPDUSize())
}

func TestReadyEndsWithItsContext(t *testing.T) {
	silent := coappeer.ListenTCP(t) // that never sends its capabilities
	s := connect(t, nil, silent.Addr(), TCP)
	assert.ErrorIs(t, s.Ready(within(t, 10*time.Millisecond)), context.DeadlineExceeded)
}

func TestAContextThatListensIsNotCollected(t *testing.T) {
	l, addr := func() (*loop, netip.AddrPort) {
		c, err := NewNode(nil)
		require.NoError(t, err)
		addr := listenOn(t, c, UDP, hello)
		return c.l, addr
	}()
	t.Cleanup(func() { l.driver.close() })
	s := connect(t, nil, addr, UDP)
	for range 5 {
		runtime.GC()
		_, err := s.Get(waitContext(t), "/")
		require.NoError(t, err)
	}
}

func TestMaxSessionsWithABusyOne(t *testing.T) {
	sessions := make(chan *Session, 20)
	addr := listen(t, &Config{MaxSessions: 2}, UDP,
		HandlerFunc(func(w ResponseWriter, r *Request) { sessions <- r.Session }))
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
		return open == 2
	}, wait, time.Millisecond)
	assert.NoError(t, seen[0].Err())
}

func TestContextOfASessionIsMadeOnceAndEndsWithIt(t *testing.T) {
	var c contextOf
	c.end(ErrDisconnected) // nobody has asked for it yet
	ctx := c.get(nil)
	assert.Same(t, ctx, c.get(nil))
	c.end(nil)
	assert.NoError(t, ctx.Err(), "the session is not over")
	c.end(ErrDisconnected)
	assert.Equal(t, ErrDisconnected, context.Cause(ctx))

	var late contextOf
	assert.Equal(t, net.ErrClosed, context.Cause(late.get(net.ErrClosed)))
}
