//go:build !libcoap2

package native_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/coap/native"
	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/cprogram"
)

// A shared is a C program with the Node that Go has of its context.
type shared struct {
	*cprogram.Program
	*coap.Node
	mux coap.Mux
}

// adopted returns a program whose loop Go runs.
func adopted(t *testing.T, blockMode int) *shared {
	t.Helper()
	s := &shared{Program: cprogram.New(blockMode)}
	var err error
	s.Node, err = native.Adopt(s.Program.Context(), nil)
	require.NoError(t, err)
	s.Node.Handle(&s.mux)
	t.Cleanup(func() {
		assert.NoError(t, s.Close())
		s.Free(false)
	})
	return s
}

// borrowed returns a program that runs its loop, until the test ends or stop is called.
func borrowed(t *testing.T, blockMode int) (s *shared, stop func()) {
	t.Helper()
	s = &shared{Program: cprogram.New(blockMode)}
	began, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		var err error
		s.Node, err = native.Borrow(s.Program.Context(), nil)
		began <- err
		s.Run()
	}()
	require.NoError(t, receive(t, began))
	s.Node.Handle(&s.mux)
	stop = func() {
		s.Stop()
		receive(t, ended)
	}
	t.Cleanup(func() {
		stop()
		assert.NoError(t, s.Close())
		s.Free(true)
	})
	return s, stop
}

// inBothWays runs a test with a program that is adopted, and with one that is borrowed.
func inBothWays(t *testing.T, blockMode int, test func(t *testing.T, s *shared)) {
	t.Run("adopted", func(t *testing.T) { test(t, adopted(t, blockMode)) })
	t.Run("borrowed", func(t *testing.T) {
		s, _ := borrowed(t, blockMode)
		test(t, s)
	})
}

func (s *shared) addr() netip.AddrPort {
	return netip.AddrPortFrom(loopback.Addr(), s.Port())
}

// client returns a session of another context with the program's server.
func (s *shared) client(t *testing.T, proto coap.Protocol) *coap.Session {
	t.Helper()
	return connect(t, s.addr(), proto)
}

func body(t *testing.T, r *coap.Response, err error) string {
	t.Helper()
	require.NoError(t, err)
	return string(r.Body)
}

func TestResourcesOfTheProgramAndOfGoAnswer(t *testing.T) {
	for _, proto := range []coap.Protocol{coap.UDP, coap.TCP} {
		t.Run(proto.String(), func(t *testing.T) {
			inBothWays(t, cprogram.Blocks, func(t *testing.T, s *shared) {
				s.mux.HandleFunc("GET /go",
					func(w coap.ResponseWriter, r *coap.Request) { w.Write([]byte("Go")) })
				ctx, client := waitContext(t), s.client(t, proto)
				r, err := client.Get(ctx, "/go")
				assert.Equal(t, "Go", body(t, r, err))
				r, err = client.Get(ctx, "/c")
				assert.Equal(t, "C: 42", body(t, r, err), "the app data is the program's")
				r, err = client.Get(ctx, "/nobody's")
				require.NoError(t, err)
				assert.Equal(t, coap.CodeNotFound, r.Code)
				r, err = client.Get(ctx, "/.well-known/core")
				assert.Contains(t, body(t, r, err), "</c>")
			})
		})
	}
}

func TestResourceMovesToGoWhenTheProgramDeletesIt(t *testing.T) {
	inBothWays(t, cprogram.Blocks, func(t *testing.T, s *shared) {
		s.mux.HandleFunc("/c", func(w coap.ResponseWriter, r *coap.Request) { w.Write([]byte("Go")) })
		ctx, client := waitContext(t), s.client(t, coap.UDP)
		r, err := client.Get(ctx, "/c")
		assert.Equal(t, "C: 42", body(t, r, err))
		require.True(t, s.Delete())
		r, err = client.Get(ctx, "/c")
		assert.Equal(t, "Go", body(t, r, err))
	})
}

func TestLargeBodiesReachBoth(t *testing.T) {
	large := []byte(strings.Repeat("0123456789", 499) + "012345678z")
	tests := []struct {
		name    string
		mode    int
		program string // what the program answers
	}{
		{"the program deals with blocks", cprogram.Blocks, ""},
		{"libcoap hands blocks on", cprogram.Libcoap, ""},
		{"libcoap puts bodies together", cprogram.SingleBody, "C: 5000 bytes of 5000, ends z"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inBothWays(t, test.mode, func(t *testing.T, s *shared) {
				s.mux.HandleFunc("/go",
					func(w coap.ResponseWriter, r *coap.Request) { w.Write(bytes.ToUpper(r.Body)) })
				ctx, client := waitContext(t), s.client(t, coap.UDP)
				r, err := client.Put(ctx, "/go", coap.TextPlain, large)
				assert.Equal(t, strings.ToUpper(string(large)), body(t, r, err))
				if test.program != "" {
					r, err = client.Put(ctx, "/c", coap.TextPlain, large)
					assert.Equal(t, test.program, body(t, r, err))
				}
			})
		})
	}
}

func TestPointersThatCannotBeTakenAreRefused(t *testing.T) {
	_, err := native.Adopt(nil, nil)
	assert.EqualError(t, err, "coap: adopt: the pointer is NULL")
	_, err = native.Borrow(nil, nil)
	assert.EqualError(t, err, "coap: borrow: the pointer is NULL")
	_, err = native.WrapSession(nil)
	assert.EqualError(t, err, "coap: wrap: the pointer is NULL")

	s := adopted(t, cprogram.Blocks)
	for _, again := range []func(unsafe.Pointer, *coap.Config) (*coap.Node, error){native.Adopt,
		native.Borrow} {
		_, err = again(s.Program.Context(), nil)
		assert.ErrorContains(t, err, "the context is adopted or borrowed already, or Go has made it")
	}
	require.NoError(t, native.Use(newTestNode(t, nil), func(p unsafe.Pointer) {
		_, err = native.Adopt(p, nil)
		assert.ErrorContains(t, err, "or Go has made it")
	}))

	p := cprogram.New(cprogram.Blocks)
	defer p.Free(true)
	_, err = native.Adopt(p.Context(), &coap.Config{MTU: 1})
	assert.ErrorContains(t, err, "Config.MTU")
	require.True(t, p.Connect(cprogram.UDP, 5683))
	_, err = native.WrapSession(p.Client())
	assert.EqualError(t, err, "coap: wrap: the session's context is neither adopted nor borrowed")
	p.Disconnect()
}

func TestContextGoesBackToTheProgram(t *testing.T) {
	p := cprogram.New(cprogram.Blocks)
	defer p.Free(true)
	ended := make(chan struct{})
	for range 2 {
		done := make(chan *coap.Node)
		p := p
		go func() {
			c, err := native.Borrow(p.Context(), nil)
			assert.NoError(t, err)
			done <- c
			for ; !isClosed(c); p.Process(10) {
			}
			p.Process(cprogramNoWait)
			ended <- struct{}{}
		}()
		c := receive(t, done)
		c.Handle(hello)
		client := connect(t, netip.AddrPortFrom(loopback.Addr(), p.Port()), coap.UDP)
		r, err := client.Get(waitContext(t), "/go")
		assert.Equal(t, "hello", body(t, r, err))
		require.NoError(t, c.Close())
		require.NoError(t, c.Close())
		receive(t, ended)
		_, err = c.NewClientSession(netip.AddrPort{}, netip.AddrPortFrom(loopback.Addr(), p.Port()),
			coap.UDP)
		assert.ErrorIs(t, err, net.ErrClosed)

		// Now libcoap answers alone, on whatever thread.
		answered := make(chan *coap.Response, 1)
		go func() {
			r, err := client.Get(waitContext(t), "/go")
			assert.NoError(t, err)
			answered <- r
		}()
		for waiting := true; waiting; {
			p.Process(10)
			select {
			case r := <-answered:
				assert.Equal(t, coap.CodeNotFound, r.Code)
				waiting = false
			default:
			}
		}
	}
}

const cprogramNoWait = 1<<32 - 1

func isClosed(c *coap.Node) bool { return native.Use(c, func(unsafe.Pointer) {}) != nil }

func TestLoopOfAnAdoptedContextIsRefused(t *testing.T) {
	s := adopted(t, cprogram.Blocks)
	assert.Equal(t, -1, s.Process(cprogramNoWait))
}

func TestCallsOnTheThreadOfTheLoop(t *testing.T) {
	inBothWays(t, cprogram.Blocks, func(t *testing.T, s *shared) {
		other := listen(t, nil, coap.UDP, hello)
		s.mux.Handle("/go", hello)
		res := coap.NewResource(hello)
		s.mux.Handle("/observed", res)
		client := s.client(t, coap.UDP)
		server, err := s.NewClientSession(netip.AddrPort{}, other, coap.UDP)
		require.NoError(t, err)
		ctx := waitContext(t)
		s.Called = func(session unsafe.Pointer) bool {
			_, err := server.Get(ctx, "/")
			assert.ErrorContains(t, err, "the call would wait for itself")
			assert.ErrorContains(t, server.Ping(ctx), "the call would wait for itself")
			assert.ErrorContains(t, server.Ready(ctx), "the call would wait for itself")
			assert.ErrorContains(t, s.Node.Close(), "on this thread")
			assert.Error(t, native.TakeOver(s.Node), "it is adopted, or the program is at work")
			for _, err := range server.Observe(ctx, get()) {
				assert.ErrorContains(t, err, "the call would wait for itself")
			}
			assert.Equal(t, -1, s.Process(cprogramNoWait))
			res.Notify()
			wrapped, err := native.WrapSession(session)
			if assert.NoError(t, err) {
				assert.Equal(t, client.LocalAddr(), wrapped.RemoteAddr())
				assert.NoError(t, wrapped.Release())
			}
			opened, err := s.NewClientSession(netip.AddrPort{}, other, coap.UDP)
			if assert.NoError(t, err) {
				assert.NoError(t, opened.Close())
			}
			return true
		}
		states := make(chan string, 8)
		observing, end := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for r, err := range client.Observe(observing,
				&coap.Request{Method: coap.MethodGet, Options: pathOptions(t, "/observed")}) {
				if err != nil {
					assert.ErrorIs(t, err, context.Canceled)
					return
				}
				states <- string(r.Body)
			}
		}()
		assert.Equal(t, "hello", receive(t, states))
		r, err := client.Get(ctx, "/go-on")
		require.NoError(t, err)
		assert.Equal(t, coap.CodeChanged, r.Code)
		assert.Equal(t, "hello", receive(t, states), "what was notified out of a callback arrives")
		end()
		receive(t, done)
		r, err = server.Get(ctx, "/")
		assert.Equal(t, "hello", body(t, r, err), "the session works on other goroutines")
	})
}

func pathOptions(t *testing.T, path string) coap.Options {
	t.Helper()
	var o coap.Options
	o.AddString(coap.OptionURIPath, strings.TrimPrefix(path, "/"))
	return o
}

func TestClosedOnTheThreadOfTheLoop(t *testing.T) {
	p := cprogram.New(cprogram.Blocks)
	defer p.Free(true)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c, err := native.Borrow(p.Context(), nil)
	require.NoError(t, err)
	defer runtime.UnlockOSThread()
	assert.GreaterOrEqual(t, p.Process(cprogramNoWait), 0)
	require.NoError(t, c.Close())
	closed := make(chan error)
	go func() { closed <- native.Use(c, func(unsafe.Pointer) {}) }()
	assert.ErrorIs(t, receive(t, closed), net.ErrClosed, "other goroutines do not wait for the thread")
}

func TestSessionOfTheProgramServesGoToo(t *testing.T) {
	large := strings.Repeat("0123456789", 500)
	for name, mode := range map[string]int{"by hand": cprogram.Blocks,
		"libcoap": cprogram.SingleBody} {
		t.Run(name, func(t *testing.T) {
			inBothWays(t, mode, func(t *testing.T, s *shared) {
				var mux coap.Mux
				mux.HandleFunc("/", func(w coap.ResponseWriter, r *coap.Request) { w.Write([]byte(large)) })
				mux.HandleFunc("PUT /size",
					func(w coap.ResponseWriter, r *coap.Request) { w.Write([]byte{byte(len(r.Body) / 100)}) })
				addr := listen(t, nil, coap.UDP, &mux)
				var wrapped *coap.Session
				require.NoError(t, native.Use(s.Node, func(unsafe.Pointer) {
					require.True(t, s.NameHandlers())
					require.True(t, s.Connect(cprogram.UDP, addr.Port()))
					var err error
					wrapped, err = native.WrapSession(s.Client())
					require.NoError(t, err)
					again, err := native.WrapSession(s.Client())
					require.NoError(t, err)
					assert.Same(t, wrapped, again)
				}))
				ctx := waitContext(t)
				assert.False(t, wrapped.IsServer())
				r, err := wrapped.Get(ctx, "/")
				assert.Equal(t, large, body(t, r, err))
				r, err = wrapped.Put(ctx, "/size", coap.TextPlain, []byte(large))
				assert.Equal(t, string([]byte{50}), body(t, r, err))
				require.NoError(t, wrapped.Ping(ctx))
				assert.Zero(t, s.Counts().Responses, "what Go asked for is Go's")

				require.NoError(t, wrapped.Release())
				require.NoError(t, wrapped.Release())
				assert.ErrorIs(t, wrapped.Release(), net.ErrClosed)
				require.NoError(t, native.Use(s.Node, func(unsafe.Pointer) { require.True(t, s.Request()) }))
				require.Eventually(t, func() bool { return s.Counts().Responses > 0 }, wait, time.Millisecond,
					"the program's session goes on without Go, and its response comes to it")
				require.NoError(t, native.Use(s.Node, func(unsafe.Pointer) { s.Disconnect() }))
			})
		})
	}
}

func TestHandlersOfTheProgramGetWhatIsNotForGo(t *testing.T) {
	p := cprogram.New(cprogram.Blocks)
	defer p.Free(true)
	server := listen(t, nil, coap.UDP, hello)
	ctx := waitContext(t)
	runtime.LockOSThread() // as a thread of the program
	defer runtime.UnlockOSThread()
	c, err := native.Borrow(p.Context(), nil)
	require.NoError(t, err)
	defer runtime.UnlockOSThread()
	require.True(t, p.NameHandlers())
	process := func(until func() bool) {
		t.Helper()
		for !until() {
			require.NoError(t, ctx.Err())
			p.Process(10)
		}
	}

	client := connect(t, netip.AddrPortFrom(loopback.Addr(), p.Port()), coap.TCP)
	pinged := make(chan error, 1)
	go func() {
		if err := client.Ready(ctx); err != nil {
			pinged <- err
			return
		}
		pinged <- client.Ping(ctx)
	}()
	process(func() bool { return len(pinged) > 0 })
	assert.NoError(t, <-pinged)
	assert.EqualValues(t, 1, p.Counts().Pings)
	assert.Positive(t, p.Counts().Events, "a connection has come")

	require.True(t, p.Connect(cprogram.UDP, server.Port()))
	require.True(t, p.Request())
	process(func() bool { return p.Counts().Responses == 1 })
	peer := coappeer.NewUDP(t)
	p.Disconnect()
	require.True(t, p.Connect(cprogram.UDP, peer.Addr().Port()))
	require.True(t, p.Request())
	request := peer.Receive(t)
	peer.Send(request.From, request.Reset())
	process(func() bool { return p.Counts().Nacks == 1 })
	p.Disconnect()

	require.NoError(t, c.Close())
	assert.False(t, p.NameHandlers(), "Go does not have the context")
	require.True(t, p.Connect(cprogram.UDP, server.Port()))
	require.True(t, p.Request())
	process(func() bool { return p.Counts().Responses == 2 })
	p.Disconnect()
}

func TestObserversHearOfEachChange(t *testing.T) {
	inBothWays(t, cprogram.Blocks, func(t *testing.T, s *shared) {
		n := make(chan string, 1)
		res := coap.NewResource(coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
			w.Write([]byte(<-n))
		}))
		s.mux.Handle("/observed", res)
		states := []string{"a", "b", "c", "d"}
		n <- states[0]
		ctx, end := context.WithCancel(waitContext(t))
		defer end()
		for r, err := range s.client(t, coap.UDP).Observe(ctx,
			&coap.Request{Method: coap.MethodGet, Options: pathOptions(t, "/observed")}) {
			assert.Equal(t, states[0], body(t, r, err))
			if states = states[1:]; len(states) == 0 {
				break
			}
			n <- states[0]
			res.Notify()
		}
	})
}

func TestSecuredSessionsOfTheProgram(t *testing.T) {
	inBothWays(t, cprogram.Blocks, func(t *testing.T, s *shared) {
		var port uint16
		require.NoError(t, native.Use(s.Node, func(unsafe.Pointer) { port = s.Secure(cprogram.DTLS) }))
		require.NotZero(t, port)
		s.mux.HandleFunc("/who",
			func(w coap.ResponseWriter, r *coap.Request) { w.Write([]byte(r.Session.PeerIdentity())) })
		client, err := newTestNode(t, nil).NewClientSessionPSK(netip.AddrPort{},
			netip.AddrPortFrom(loopback.Addr(), port), coap.DTLS, "me", []byte(cprogram.Key))
		require.NoError(t, err)
		ctx := waitContext(t)
		r, err := client.Get(ctx, "/who")
		assert.Equal(t, "me", body(t, r, err))
		r, err = client.Get(ctx, "/c")
		assert.Equal(t, "C: 42", body(t, r, err))
	})
}

// Sessions that libcoap makes are not the only ones that are made while it works.
func TestProgramHasTLSSessionsOfItsOwn(t *testing.T) {
	inBothWays(t, cprogram.Blocks, func(t *testing.T, s *shared) {
		r, err := s.client(t, coap.UDP).Get(waitContext(t), "/tls")
		require.NoError(t, err)
		assert.Equal(t, coap.CodeChanged, r.Code)
	})
}

// Connections that libcoap reads are not the only ones that are read while it works.
func TestProgramReadsFromConnectionsOfItsOwn(t *testing.T) {
	inBothWays(t, cprogram.Blocks, func(t *testing.T, s *shared) {
		r, err := s.client(t, coap.UDP).Get(waitContext(t), "/socket")
		require.NoError(t, err)
		assert.Equal(t, coap.CodeChanged, r.Code)
	})
}

func TestCredentialsAreTheProgramsBusiness(t *testing.T) {
	const notOurs = "the C program secures this context; " +
		"another Node may have sessions with DTLS and TLS"
	s := adopted(t, cprogram.Blocks)
	assert.ErrorContains(t, s.SetPSK(&coap.ServerPSK{
		GetKey: func(string, string) ([]byte, error) { return []byte("key"), nil },
	}), notOurs)
	_, err := s.NewClientSessionPSK(netip.AddrPort{}, s.addr(), coap.DTLS, "me", []byte("key"))
	assert.ErrorContains(t, err, notOurs)
}

func TestConfigsThatProgramsCannotHave(t *testing.T) {
	p := cprogram.New(cprogram.Blocks)
	defer p.Free(true)
	for problem, config := range map[string]*coap.Config{
		"sessions that resume: the C program secures this context": {SessionTickets: 1},
		"Config.MaxMessage: it is the C program that sets it":      {MaxMessage: 1000},
		"Config.MTU is 1": {MTU: 1},
	} {
		for _, take := range []func(unsafe.Pointer, *coap.Config) (*coap.Node, error){native.Adopt,
			native.Borrow} {
			_, err := take(p.Context(), config)
			assert.ErrorContains(t, err, problem)
		}
	}
}

func TestSessionsOfPeersAreLetGoWhenIdle(t *testing.T) {
	p := cprogram.New(cprogram.Blocks)
	c, err := native.Adopt(p.Context(), &coap.Config{IdleTimeout: time.Second})
	require.NoError(t, err)
	defer p.Free(false)
	defer c.Close()
	sessions := make(chan *coap.Session, 1)
	c.Handle(coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) { sessions <- r.Session }))
	client := connect(t, netip.AddrPortFrom(loopback.Addr(), p.Port()), coap.TCP)
	ctx := waitContext(t)
	_, err = client.Get(ctx, "/go")
	require.NoError(t, err)
	receive(t, receive(t, sessions).Done())
	r, err := client.Get(ctx, "/c")
	assert.Equal(t, "C: 42", body(t, r, err), "the connection stands: the program may use it")
}

func TestManyGoroutinesShareAContextWithItsProgram(t *testing.T) {
	inBothWays(t, cprogram.Blocks, func(t *testing.T, s *shared) {
		s.mux.Handle("/go", hello)
		other := listen(t, nil, coap.UDP, hello)
		ctx := waitContext(t)
		done := make(chan struct{})
		const goroutines = 8
		for i := range goroutines {
			client := s.client(t, coap.UDP)
			go func() {
				defer func() { done <- struct{}{} }()
				own, err := s.NewClientSession(netip.AddrPort{}, other, coap.UDP)
				if !assert.NoError(t, err) {
					return
				}
				defer own.Close()
				for range 25 {
					path := "/go"
					if i%2 == 0 {
						path = "/c"
					}
					_, err := client.Get(ctx, path)
					assert.NoError(t, err)
					_, err = own.Get(ctx, "/")
					assert.NoError(t, err)
				}
			}()
		}
		for range goroutines {
			receive(t, done)
		}
	})
}

func TestAdoptingABorrowedContextLosesNothing(t *testing.T) {
	p := cprogram.New(cprogram.Blocks)
	began, ended := make(chan *coap.Node), make(chan struct{})
	go func() {
		defer close(ended)
		c, err := native.Borrow(p.Context(), nil)
		assert.NoError(t, err)
		began <- c
		p.Run() // it ends although nobody calls Stop
	}()
	c := receive(t, began)
	defer p.Free(false)
	defer c.Close()
	var mux coap.Mux
	res := coap.NewResource(hello)
	mux.Handle("/observed", res)
	arrived, proceed := make(chan struct{}), make(chan struct{})
	mux.HandleFunc("/slow", func(w coap.ResponseWriter, r *coap.Request) {
		close(arrived)
		<-proceed
		w.Write([]byte("at last"))
	})
	c.Handle(&mux)

	ctx := waitContext(t)
	client := connect(t, netip.AddrPortFrom(loopback.Addr(), p.Port()), coap.UDP)
	states := make(chan string)
	go func() {
		for r, err := range client.Observe(ctx,
			&coap.Request{Method: coap.MethodGet, Options: pathOptions(t, "/observed")}) {
			if err != nil {
				return
			}
			states <- string(r.Body)
		}
	}()
	assert.Equal(t, "hello", receive(t, states))
	slow := make(chan string, 1)
	go func() {
		r, err := client.Get(ctx, "/slow")
		slow <- body(t, r, err)
	}()
	receive(t, arrived)

	require.NoError(t, native.TakeOver(c))
	receive(t, ended)
	assert.Equal(t, -1, p.Process(cprogramNoWait))
	close(proceed)
	assert.Equal(t, "at last", receive(t, slow))
	res.Notify()
	assert.Equal(t, "hello", receive(t, states))
	r, err := client.Get(ctx, "/c")
	assert.Equal(t, "C: 42", body(t, r, err))

	assert.EqualError(t, native.TakeOver(c), "coap: adopt: the context is not borrowed")
	require.NoError(t, c.Close())
	assert.ErrorIs(t, native.TakeOver(c), net.ErrClosed)
}

// observeChanges observes a resource, which answers what is in state behind large, through
// two changes, and waits until the server has forgotten the observer.
func observeChanges(t *testing.T, session *coap.Session, res *coap.Resource, state *atomic.Value,
	large string) {
	t.Helper()
	states := []string{"a", "b", "c"}
	state.Store(states[0])
	for r, err := range session.Observe(waitContext(t),
		&coap.Request{Method: coap.MethodGet, Options: pathOptions(t, "/observed")}) {
		assert.Equal(t, large+states[0], body(t, r, err))
		if states = states[1:]; len(states) == 0 {
			break
		}
		state.Store(states[0])
		res.Notify()
	}
	assert.Empty(t, states, "it has ended early")
	require.Eventually(t, func() bool { return res.Observers() == 0 }, wait, time.Millisecond,
		"the observer is forgotten")
}

// libcoap deals with blocks and observations of a program's sessions: it may also change
// the tokens of their requests.
func TestGoUsesSessionsOfAProgramInEachBlockMode(t *testing.T) {
	large := strings.Repeat("0123456789", 500)
	for name, mode := range map[string]int{"by hand": cprogram.Blocks, "libcoap": cprogram.Libcoap,
		"single body": cprogram.SingleBody} {
		for _, proto := range []coap.Protocol{coap.UDP, coap.TCP} {
			t.Run(name+" "+proto.String(), func(t *testing.T) {
				s := adopted(t, mode)
				var mux coap.Mux
				var n atomic.Value
				res := coap.NewResource(coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
					w.Write([]byte(large + n.Load().(string)))
				}))
				mux.Handle("/observed", res)
				mux.HandleFunc("PUT /size",
					func(w coap.ResponseWriter, r *coap.Request) { w.Write([]byte{byte(len(r.Body) / 100)}) })
				addr := listen(t, nil, proto, &mux)
				session, err := s.NewClientSession(netip.AddrPort{}, addr, proto)
				require.NoError(t, err)
				defer session.Close()
				ctx := waitContext(t)
				r, err := session.Put(ctx, "/size", coap.TextPlain, []byte(large))
				assert.Equal(t, string([]byte{50}), body(t, r, err))
				for range 2 {
					n.Store("get")
					r, err = session.Get(ctx, "/observed")
					assert.Equal(t, large+"get", body(t, r, err))
					observeChanges(t, session, res, &n, large)
				}
			})
		}
	}
}

func TestObserversOfGoInEachBlockMode(t *testing.T) {
	large := strings.Repeat("0123456789", 500)
	for name, mode := range map[string]int{"libcoap": cprogram.Libcoap,
		"single body": cprogram.SingleBody} {
		for _, proto := range []coap.Protocol{coap.UDP, coap.TCP} {
			t.Run(name+" "+proto.String(), func(t *testing.T) {
				inBothWays(t, mode, func(t *testing.T, s *shared) {
					var n atomic.Value
					res := coap.NewResource(coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
						w.Write([]byte(large + n.Load().(string)))
					}))
					s.mux.Handle("/observed", res)
					observeChanges(t, s.client(t, proto), res, &n, large)
				})
			})
		}
	}
}

func TestSessionsThatLibcoapFreesCannotBeWrapped(t *testing.T) {
	inBothWays(t, cprogram.Blocks, func(t *testing.T, s *shared) {
		ended := make(chan error, 1)
		s.Event = func(session unsafe.Pointer, event int) {
			if event == cprogram.SessionDeleted {
				_, err := native.WrapSession(session)
				ended <- err
			}
		}
		require.NoError(t, native.Use(s.Node, func(unsafe.Pointer) {
			require.True(t, s.NameHandlers())
			s.LimitIdle(1)
		}))
		ctx := waitContext(t)
		for range 2 {
			r, err := s.client(t, coap.UDP).Get(ctx, "/c")
			assert.Equal(t, "C: 42", body(t, r, err))
		}
		assert.EqualError(t, receive(t, ended), "coap: wrap: libcoap is about to free the session")
	})
}

func TestSessionIsWrappedBeforeItsHandshake(t *testing.T) {
	for proto, own := range map[coap.Protocol]cprogram.Protocol{coap.DTLS: cprogram.DTLS,
		coap.TLS: cprogram.TLS} {
		t.Run(proto.String(), func(t *testing.T) {
			inBothWays(t, cprogram.Blocks, func(t *testing.T, s *shared) {
				var wrapped *coap.Session
				come := make(chan error, 1)
				s.Event = func(session unsafe.Pointer, event int) {
					if event == cprogram.SessionNew {
						var err error
						wrapped, err = native.WrapSession(session)
						come <- err
					}
				}
				var port uint16
				require.NoError(t, native.Use(s.Node, func(unsafe.Pointer) {
					require.True(t, s.NameHandlers())
					port = s.Secure(own)
				}))
				require.NotZero(t, port)
				client, err := newTestNode(t, nil).NewClientSessionPSK(netip.AddrPort{},
					netip.AddrPortFrom(loopback.Addr(), port), proto, "me", []byte(cprogram.Key))
				require.NoError(t, err)
				require.NoError(t, receive(t, come))
				ctx := waitContext(t)
				require.NoError(t, wrapped.Ready(ctx))
				assert.Equal(t, "me", wrapped.PeerIdentity())
				r, err := client.Get(ctx, "/c")
				assert.Equal(t, "C: 42", body(t, r, err))
				require.NoError(t, wrapped.Release())
			})
		})
	}
}

func TestClientSessionIsWrappedBeforeItIsConnected(t *testing.T) {
	protocols := map[coap.Protocol]cprogram.Protocol{
		coap.UDP: cprogram.UDP, coap.DTLS: cprogram.DTLS, coap.TCP: cprogram.TCP, coap.TLS: cprogram.TLS,
	}
	for proto, own := range protocols {
		t.Run(proto.String(), func(t *testing.T) {
			inBothWays(t, cprogram.SingleBody, func(t *testing.T, s *shared) {
				config := &coap.Config{ServerPSK: coap.ServerPSK{GetKey: func(string, string) ([]byte, error) {
					return []byte(cprogram.Key), nil
				}}}
				addr := listen(t, config, proto, hello)
				var wrapped *coap.Session
				require.NoError(t, native.Use(s.Node, func(unsafe.Pointer) {
					require.True(t, s.Connect(own, addr.Port()))
					var err error
					wrapped, err = native.WrapSession(s.Client())
					require.NoError(t, err)
				}))
				ctx := waitContext(t)
				require.NoError(t, wrapped.Ready(ctx))
				r, err := wrapped.Get(ctx, "/")
				assert.Equal(t, "hello", body(t, r, err))
				require.NoError(t, wrapped.Release())
				require.NoError(t, native.Use(s.Node, func(unsafe.Pointer) { s.Disconnect() }))
			})
		})
	}
}

func TestOneOfManyGoroutinesGetsAContext(t *testing.T) {
	p := cprogram.New(cprogram.Blocks)
	defer p.Free(false)
	type result struct {
		node *coap.Node
		err  error
	}
	results := make(chan result)
	const goroutines = 8
	for range goroutines {
		go func() {
			c, err := native.Adopt(p.Context(), nil)
			results <- result{c, err}
		}()
	}
	var got *coap.Node
	for range goroutines {
		switch r := receive(t, results); {
		case r.err != nil:
			assert.ErrorContains(t, r.err, "adopted or borrowed already")
		case assert.Nil(t, got):
			got = r.node
		}
	}
	require.NotNil(t, got)
	require.NoError(t, got.Close())
}

func TestProgramThatWaitsByItself(t *testing.T) {
	p := cprogram.New(cprogram.Blocks)
	began, ended := make(chan *coap.Node), make(chan struct{})
	go func() {
		defer close(ended)
		c, err := native.Borrow(p.Context(), nil)
		assert.NoError(t, err)
		began <- c
		p.RunSelect()
	}()
	c := receive(t, began)
	defer p.Free(true)
	defer c.Close()
	defer func() {
		p.Stop()
		receive(t, ended)
	}()
	c.Handle(hello)
	// Nobody answers the first message, which is sent again by libcoap in the program's loop.
	peer := coappeer.NewUDP(t)
	session, err := c.NewClientSession(netip.AddrPort{}, peer.Addr(), coap.UDP)
	require.NoError(t, err)
	ctx := waitContext(t)
	answered := make(chan error, 1)
	go func() {
		_, err := session.Get(ctx, "/")
		answered <- err
	}()
	peer.Receive(t)
	client := connect(t, netip.AddrPortFrom(loopback.Addr(), p.Port()), coap.UDP)
	r, err := client.Get(ctx, "/go")
	assert.Equal(t, "hello", body(t, r, err))
	again := peer.Receive(t)
	peer.Send(again.From,
		coappeer.Message{Type: coappeer.ACK, Code: coappeer.Content, ID: again.ID, Token: again.Token})
	assert.NoError(t, receive(t, answered))
}

func TestContextIsNotClosedInNative(t *testing.T) {
	inBothWays(t, cprogram.Blocks, func(t *testing.T, s *shared) {
		require.NoError(t, native.Use(s.Node, func(unsafe.Pointer) {
			assert.ErrorContains(t, s.Node.Close(), "uses the context on this thread")
		}))
		s.mux.Handle("/go", hello)
		r, err := s.client(t, coap.UDP).Get(waitContext(t), "/go")
		assert.Equal(t, "hello", body(t, r, err))
	})
}

func TestLoopIsTakenOverWhileTheContextIsUsed(t *testing.T) {
	p := cprogram.New(cprogram.SingleBody)
	began, ended := make(chan *coap.Node), make(chan struct{})
	go func() {
		defer close(ended)
		c, err := native.Borrow(p.Context(), nil)
		assert.NoError(t, err)
		began <- c
		p.Run()
	}()
	c := receive(t, began)
	defer p.Free(false)
	defer c.Close()
	c.Handle(hello)
	ctx := waitContext(t)
	const goroutines, half = 6, 25
	var halves, all sync.WaitGroup
	halves.Add(goroutines)
	all.Add(goroutines)
	for i := range goroutines {
		client := connect(t, netip.AddrPortFrom(loopback.Addr(), p.Port()), coap.UDP)
		go func() {
			defer all.Done()
			for n := range 2 * half {
				if n == half {
					halves.Done()
				}
				if i == 0 {
					assert.True(t, p.NameHandlers(), "as other threads of the program lock the context")
					continue
				}
				r, err := client.Get(ctx, []string{"/go", "/c"}[i%2])
				if assert.NoError(t, err) {
					assert.Contains(t, []string{"hello", "C: 42"}, string(r.Body))
				}
			}
		}()
	}
	halves.Wait()
	assert.NoError(t, native.TakeOver(c))
	receive(t, ended)
	all.Wait()
}

func TestObserversOfTheProgramsResource(t *testing.T) {
	for _, proto := range []coap.Protocol{coap.UDP, coap.TCP} {
		t.Run(proto.String(), func(t *testing.T) {
			inBothWays(t, cprogram.SingleBody, func(t *testing.T, s *shared) {
				s.mux.HandleFunc("/c", func(w coap.ResponseWriter, r *coap.Request) { w.Write([]byte("Go")) })
				ctx, client := waitContext(t), s.client(t, proto)
				n, gone := 0, false
				for r, err := range client.Observe(ctx,
					&coap.Request{Method: coap.MethodGet, Options: pathOptions(t, "/c")}) {
					require.NoError(t, err)
					if gone = r.Code == coap.CodeNotFound; gone {
						continue
					}
					assert.Equal(t, fmt.Sprintf("C: %d", 42+n), string(r.Body))
					if n++; n < 5 {
						s.Notify()
					} else {
						assert.True(t, s.Delete())
					}
				}
				assert.True(t, gone, "the observation ends when the resource moves")
				r, err := client.Get(ctx, "/c")
				assert.Equal(t, "Go", body(t, r, err))
			})
		})
	}
}

func TestContextGoesBackWhileThreadsLockIt(t *testing.T) {
	s, stop := borrowed(t, cprogram.Blocks)
	s.mux.Handle("/go", hello)
	const goroutines = 4
	locking, refused := make(chan struct{}, goroutines), make(chan struct{}, goroutines)
	for range goroutines {
		go func() {
			assert.True(t, s.NameHandlers())
			locking <- struct{}{}
			for s.NameHandlers() {
			}
			refused <- struct{}{}
		}()
	}
	client := s.client(t, coap.UDP)
	r, err := client.Get(waitContext(t), "/go")
	assert.Equal(t, "hello", body(t, r, err))
	for range goroutines {
		receive(t, locking)
	}
	require.NoError(t, s.Node.Close())
	for range goroutines {
		receive(t, refused)
	}
	r, err = client.Get(waitContext(t), "/c")
	assert.Equal(t, "C: 42", body(t, r, err), "libcoap answers in the program's loop, alone")
	stop()
}
