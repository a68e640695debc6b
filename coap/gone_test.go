package coap

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// Peers that go away in the middle of a body.

func TestServerGoesAwayDuringATransfer(t *testing.T) {
	t.Parallel()
	config := &Config{AckTimeout: time.Second, AckRandomFactor: 1, MaxRetransmit: 1}
	requests := map[string]*Request{
		"upload":          {Method: MethodPut, Body: randomBytes(5000)},
		"streamed upload": {Method: MethodPut, Source: strings.NewReader(strings.Repeat("x", 5000))},
		"download":        {Method: MethodGet},
		"to a sink":       {Method: MethodGet, Sink: io.Discard},
	}
	next := func(m coappeer.Message, more bool) coappeer.Message {
		if b, ok := m.Block(coappeer.Block1); ok {
			return m.Respond(coappeer.Continue, nil, b.Option(coappeer.Block1))
		}
		b, _ := m.Block(coappeer.Block2)
		b.More, b.SZX = more, 6
		return m.Respond(coappeer.Content, randomBytes(1024), b.Option(coappeer.Block2))
	}
	for name, r := range requests {
		t.Run(name+" over udp, silence", func(t *testing.T) {
			t.Parallel()
			peer := coappeer.NewUDP(t)
			c := start(waitContext(t), connect(t, config, peer.Addr(), UDP),
				&Request{Method: r.Method, Body: r.Body, Source: sourceOf(r), Sink: r.Sink})
			for range 2 {
				m := peer.Receive(t)
				peer.Send(m.From, next(m.Message, true))
			}
			assert.ErrorIs(t, receive(t, c).err, ErrRetriesExhausted)
		})
		t.Run(name+" over udp, closed socket", func(t *testing.T) {
			peer := coappeer.NewUDP(t)
			c := start(waitContext(t), connect(t, config, peer.Addr(), UDP),
				&Request{Method: r.Method, Body: r.Body, Source: sourceOf(r), Sink: r.Sink})
			m := peer.Receive(t)
			peer.Send(m.From, next(m.Message, true))
			peer.Receive(t)
			peer.Close()
			err := receive(t, c).err // another socket may get the port
			assert.True(t, errors.Is(err, ErrUnreachable) || errors.Is(err, ErrRetriesExhausted), err)
		})
	}
	for _, leave := range []struct {
		name string
		how  func(*coappeer.TCP)
	}{{"closes", (*coappeer.TCP).Close}, {"resets", (*coappeer.TCP).Abandon}} {
		t.Run("over tcp, the server "+leave.name, func(t *testing.T) {
			ln := coappeer.ListenTCP(t)
			s := connect(t, nil, ln.Addr(), TCP)
			peer := ln.Accept(t)
			peer.ExchangeCSM(t, coappeer.Uint(coappeer.MaxMessageSize, 1152),
				coappeer.Option{Number: coappeer.BlockWiseTransfer})
			c := start(waitContext(t), s, &Request{Method: MethodPut, Body: randomBytes(5000)})
			peer.Send(next(peer.Expect(t, coappeer.PUT).Message, true))
			peer.Expect(t, coappeer.PUT)
			leave.how(peer)
			assert.ErrorIs(t, receive(t, c).err, ErrDisconnected)
			<-s.Done()
			assert.ErrorIs(t, s.Err(), ErrDisconnected)
		})
	}
}

// sourceOf returns a Source of its own for each use of a request.
func sourceOf(r *Request) io.Reader {
	if r.Source == nil {
		return nil
	}
	return strings.NewReader(strings.Repeat("x", 5000))
}

func TestClientGoesAwayDuringATransfer(t *testing.T) {
	for _, leave := range []func(*coappeer.TCP){(*coappeer.TCP).Close, (*coappeer.TCP).Abandon,
		(*coappeer.TCP).CloseWrite} {
		c := newTestNode(t, nil)
		addr := listenOn(t, c, TCP, hello)
		peer := coappeer.DialTCP(t, addr)
		peer.ExchangeCSM(t)
		peer.Send(coappeer.Message{Code: coappeer.PUT, Token: []byte{1}, Payload: randomBytes(1024),
			Options: []coappeer.Option{coappeer.Block{More: true, SZX: 6}.Option(coappeer.Block1)}})
		peer.Expect(t, coappeer.Continue)
		kept := func() (sessions, bodies int) {
			c.l.look()
			defer c.l.endLook()
			return len(c.l.conns), c.l.store.used.Len()
		}
		sessions, bodies := kept()
		assert.Equal(t, []int{1, 1}, []int{sessions, bodies})
		leave(peer)
		await(t, func() bool {
			sessions, bodies := kept()
			return sessions == 0 && bodies == 0
		})
	}
}

// All that can be done with a session, by several goroutines, while it is closed and after.
func TestEverythingAfterClose(t *testing.T) {
	for _, closer := range []struct {
		name  string
		close func(*Node, *Session)
	}{
		{"session", func(_ *Node, s *Session) { s.Close() }},
		{"last reference", func(_ *Node, s *Session) { s.Release() }},
		{"context", func(c *Node, _ *Session) { c.Close() }},
	} {
		eachUnsecured(t, func(t *testing.T, proto Protocol) {
			t.Run(closer.name, func(t *testing.T) {
				nothingLeft(t)
				addr := listen(t, nil, proto, NewResource(echo))
				c := newTestNode(t, nil)
				s, err := c.NewClientSession(netip.AddrPort{}, addr, proto)
				require.NoError(t, err)
				require.NoError(t, s.Ready(waitContext(t)))
				require.NoError(t, s.SetMTU(1152)) // one that shrinks fails what is on its way
				ctx := waitContext(t)
				calls := []func() error{
					func() error { _, err := s.Do(ctx, get()); return err },
					func() error {
						_, err := s.Do(ctx, &Request{Method: MethodPut, Body: randomBytes(5000)})
						return err
					},
					func() error { return s.Ping(ctx) },
					func() error { return s.SetMTU(1152) },
					func() error { return s.Ready(ctx) },
					func() error { return s.Err() },
					func() error {
						for _, err := range s.Observe(ctx, get()) {
							return err
						}
						return nil
					},
				}
				silent := []func(){
					func() { s.LocalAddr(); s.RemoteAddr(); s.PeerIdentity(); s.PeerCertificates(); s.TLS() },
					func() { _ = s.String(); s.State(); s.MaxPDUSize(); s.AppData(); s.SetAppData(1) },
				}
				var group sync.WaitGroup
				var begun, left atomic.Int32
				for i := range calls {
					group.Add(1)
					go func() {
						defer group.Done()
						begun.Add(1)
						for err := error(nil); !errors.Is(err, net.ErrClosed); {
							if err = calls[i](); err != nil && !errors.Is(err, net.ErrClosed) {
								assert.NoError(t, err, "call %d", i)
								return
							}
							silent[i%len(silent)]()
						}
						left.Add(1)
					}()
				}
				await(t, func() bool { return int(begun.Load()) == len(calls) })
				closer.close(c, s)
				group.Wait()
				assert.EqualValues(t, len(calls), left.Load())
				for i, call := range calls {
					assert.ErrorIs(t, call(), net.ErrClosed, "call %d", i)
				}
				for _, call := range silent {
					call()
				}
				assert.ErrorIs(t, s.Release(), net.ErrClosed)
				assert.NoError(t, s.Close())
				assert.NoError(t, c.Close())
				await(t, func() bool {
					return LiveObjects().Sessions <= serverSessions(proto)
				}, "the server has noticed")
			})
		})
	}
}

// serverSessions is how many sessions the server of the test may still have: over UDP
// it has one if anything reached it.
func serverSessions(proto Protocol) int64 {
	if proto.Reliable() {
		return 0
	}
	return 1
}

// A handler keeps its session longer than it may.
func TestServerSessionAfterTheServerIsClosed(t *testing.T) {
	kept := make(chan *Session, 1)
	c := newTestNode(t, nil)
	addr := listenOn(t, c, UDP, HandlerFunc(func(w ResponseWriter, r *Request) { kept <- r.Session }))
	_, err := connect(t, nil, addr, UDP).Do(waitContext(t), get())
	require.NoError(t, err)
	s := receive(t, kept)
	assert.ErrorIs(t, s.Release(), net.ErrClosed, "a reference that it never had")
	assert.NoError(t, s.Err())
	s.Reference()
	require.NoError(t, c.Close())
	assert.ErrorIs(t, s.Release(), net.ErrClosed)
	assert.ErrorIs(t, s.Err(), net.ErrClosed)
	_, err = s.Do(waitContext(t), get())
	assert.ErrorIs(t, err, net.ErrClosed)
	assert.NoError(t, s.Close())
}

// Handlers, requests and observations of both sides end with their contexts.
func TestContextsCloseWhileAllIsInFlight(t *testing.T) {
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		for _, server := range []bool{true, false} {
			nothingLeft(t)
			var m Mux
			ended := make(chan error, 10)
			m.HandleFunc("/slow", func(w ResponseWriter, r *Request) {
				ended <- nil
				<-r.Context().Done()
				w.Write(randomBytes(5000))
				ended <- context.Cause(r.Context())
			})
			resource := NewResource(HandlerFunc(func(w ResponseWriter, r *Request) {
				w.Write(randomBytes(3000))
			}))
			m.Handle("/seen", resource)
			listener := newTestNode(t, nil)
			addr := listenOn(t, listener, proto, &m)
			c := newTestNode(t, &Config{NSTART: 20})
			s, err := c.NewClientSession(netip.AddrPort{}, addr, proto)
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(waitContext(t))
			defer cancel()
			slow, err := NewRequest(MethodGet, "/slow")
			require.NoError(t, err)
			seen, err := NewRequest(MethodGet, "/seen")
			require.NoError(t, err)
			var outcomes []<-chan outcome
			for range 3 {
				outcomes = append(outcomes, start(ctx, s, slow))
				require.NoError(t, receive(t, ended))
				outcomes = append(outcomes, startObserving(ctx, s, seen))
			}
			await(t, func() bool { return resource.Observers() == 3 })
			resource.Notify()
			if server {
				require.NoError(t, listener.Close())
				for range 3 {
					assert.ErrorIs(t, receive(t, ended), net.ErrClosed)
				}
				assert.Zero(t, resource.Observers())
				cancel() // over UDP the client does not know
			}
			require.NoError(t, c.Close())
			for _, c := range outcomes {
				err := receive(t, c).err
				assert.True(t, errors.Is(err, net.ErrClosed) || server && (errors.Is(err, context.Canceled) ||
					errors.Is(err, ErrDisconnected) || errors.Is(err, ErrUnreachable)), err)
			}
			if !server {
				require.NoError(t, listener.Close())
				for range 3 {
					require.Error(t, receive(t, ended))
				}
			}
			assert.Zero(t, LiveObjects().Total())
		}
	})
}

// startObserving observes, on a goroutine of its own, until that ends.
func startObserving(ctx context.Context, s *Session, r *Request) <-chan outcome {
	c := make(chan outcome, 1)
	go func() {
		var last outcome
		for response, err := range s.Observe(ctx, r) {
			last = outcome{response, err}
		}
		c <- last
	}()
	return c
}

// libcoap ignores a DTLS client that comes again from the same port, for as long as it has
// the session of before (RFC 6347, section 4.2.8).
func TestDTLSClientThatRestartsFromTheSamePort(t *testing.T) {
	if !ccoap.ChecksCookies() {
		t.Skip("libcoap asks for no cookie, and so cannot know that the client is there again")
	}
	t.Parallel()
	addr := listen(t, &Config{ServerPSK: pskServer}, DTLS, hello)
	relay := coappeer.NewRelay(t, addr)
	local := freePort(t)
	c := newTestNode(t, &Config{MaxRetransmit: 8})
	begin := func() *Session {
		s, err := c.NewClientSessionPSK(local, relay.Addr(), DTLS, "client1", testKey)
		require.NoError(t, err)
		_, err = s.Do(waitContext(t), get())
		require.NoError(t, err)
		return s
	}
	s := begin()
	s.Close()
	at := time.Now()
	s = begin()
	assert.Less(t, time.Since(at), 3*time.Second,
		"the server knows that the old session is over; a ClientHello right behind that may be lost")

	dropped := make(chan struct{}, 100)
	relay.Rule(func(coappeer.Datagram) coappeer.Verdict {
		dropped <- struct{}{}
		return coappeer.Drop
	})
	s.Close()
	<-dropped // the server does not hear of it
	relay.Rule(func(coappeer.Datagram) coappeer.Verdict { return coappeer.Forward })
	begin()
}
