package coap

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// start makes a request on a goroutine of its own.
func start(ctx context.Context, s *Session, r *Request) <-chan outcome {
	c := make(chan outcome, 1)
	go func() {
		response, err := s.Do(ctx, r)
		c <- outcome{response, err}
	}()
	return c
}

type outcome struct {
	*Response
	err error
}

func TestManyRequestsAtOnceEachGetTheirResponse(t *testing.T) {
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		addr := listen(t, nil, proto, echo)
		s := connect(t, &Config{NSTART: 16}, addr, proto)
		var group sync.WaitGroup
		for i := range 16 {
			group.Add(1)
			go func() {
				defer group.Done()
				for j := range 200 {
					body := []byte{byte(i), byte(j)}
					r, err := s.Do(waitContext(t), &Request{Method: MethodPut, Body: body})
					if assert.NoError(t, err) {
						assert.Equal(t, CodeChanged, r.Code)
						assert.Equal(t, body, r.Body)
					}
				}
			}()
		}
		group.Wait()
	})
}

func TestSilentPeerExhaustsRetriesOfEachRequest(t *testing.T) {
	t.Parallel()
	peer := coappeer.NewUDP(t)
	s := connect(t, &Config{AckTimeout: time.Second, AckRandomFactor: 1.001, MaxRetransmit: 1,
		NSTART: 400}, peer.Addr(), UDP)
	var outcomes []<-chan outcome
	for range 400 {
		outcomes = append(outcomes, start(waitContext(t), s, get()))
	}
	for _, c := range outcomes {
		err := receive(t, c).err
		require.ErrorIs(t, err, ErrRetriesExhausted)
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		assert.True(t, timeout.Timeout())
	}
	assert.NoError(t, s.Err(), "the session goes on")
}

func TestLostRequestIsSentAgain(t *testing.T) {
	t.Parallel()
	peer := coappeer.NewUDP(t)
	s := connect(t, &Config{AckTimeout: time.Second}, peer.Addr(), UDP)
	c := start(waitContext(t), s, get())
	first := peer.Receive(t)
	again := peer.Receive(t)
	assert.Equal(t, first.Data, again.Data)
	assert.Equal(t, first.From, again.From)
	peer.Send(again.From, again.Respond(coappeer.Content, []byte("x")))
	got := receive(t, c)
	require.NoError(t, got.err)
	assert.Equal(t, "x", string(got.Body))
}

func TestResetIsTheOutcome(t *testing.T) {
	peer := coappeer.NewUDP(t)
	s := connect(t, nil, peer.Addr(), UDP)
	c := start(waitContext(t), s, get())
	m := peer.Receive(t)
	peer.Send(m.From, m.Reset())
	err := receive(t, c).err
	assert.ErrorIs(t, err, ErrReset)
	assert.ErrorContains(t, err, "coap: GET coap://"+peer.Addr().String()+": the peer rejected")
}

func TestNobodyThereIsTheOutcome(t *testing.T) {
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		s := connect(t, nil, nobody, proto)
		_, err := s.Do(waitContext(t), get())
		assert.ErrorIs(t, err, ErrUnreachable)
	})
}

// The answer of the host to one message is an error where the next one is sent.
func TestMessageThatTheNetworkRefuses(t *testing.T) {
	c := connect(t, nil, nobody, UDP).c
	send := func() error {
		m := (&Request{Method: MethodGet, NonConfirmable: true}).message(nil, nil)
		m.ID, m.Token = ccoap.NewID, wire.NewToken().Append(nil, wire.TokenSize)
		_, err := c.send(m)
		return c.sendError(err)
	}
	require.NoError(t, c.l.enter())
	defer c.l.leave()
	assert.NoError(t, send())
	assert.ErrorIs(t, send(), ErrUnreachable)
}

func TestResponsesThatDoNotMatchAreRefused(t *testing.T) {
	peer := coappeer.NewUDP(t)
	s := connect(t, nil, peer.Addr(), UDP)
	c := start(waitContext(t), s, get())
	m := peer.Receive(t)
	wrong := m.Message
	wrong.Token = slices.Clone(m.Token)
	wrong.Token[0]++
	peer.Send(m.From, wrong.Separate(coappeer.NON, 1, coappeer.Content, []byte("wrong token")))
	peer.Send(m.From, wrong.Separate(coappeer.CON, 2, coappeer.Content, []byte("wrong token")))
	if ccoap.Rejects {
		for id := range uint16(2) {
			peer.ExpectReply(t, coappeer.RST, coappeer.Empty, id+1)
		}
	} else { // and dropped
		peer.ExpectReply(t, coappeer.ACK, coappeer.Empty, 2)
	}
	short, other := m.Message, m.Message
	short.Token = m.Token[:4]
	other.ID++
	peer.Send(m.From, short.Separate(coappeer.NON, 3, coappeer.Content, []byte("short token")))
	peer.Send(m.From, other.Respond(coappeer.Content, []byte("wrong ID")))
	peer.Send(m.From, m.Respond(coappeer.Content, []byte("right")))
	got := receive(t, c)
	require.NoError(t, got.err)
	assert.Equal(t, "right", string(got.Body))
}

func TestSeparateResponseIsAcknowledged(t *testing.T) {
	peer := coappeer.NewUDP(t)
	s := connect(t, nil, peer.Addr(), UDP)
	c := start(waitContext(t), s, get())
	m := peer.Receive(t)
	peer.Send(m.From, m.Acknowledge())
	peer.Send(m.From, m.Separate(coappeer.CON, 77, coappeer.Content, []byte("later")))
	peer.ExpectReply(t, coappeer.ACK, coappeer.Empty, 77)
	got := receive(t, c)
	require.NoError(t, got.err)
	assert.Equal(t, "later", string(got.Body))
}

func TestContextEndsARequestAndItsLateAnswerIsDropped(t *testing.T) {
	peer := coappeer.NewUDP(t)
	s := connect(t, &Config{NSTART: 2}, peer.Addr(), UDP)
	ctx, cancel := context.WithCancel(context.Background())
	c := start(ctx, s, get())
	late := peer.Receive(t)
	cancel()
	assert.ErrorIs(t, receive(t, c).err, context.Canceled)

	c = start(waitContext(t), s, get())
	m := peer.Receive(t)
	peer.Send(m.From, late.Respond(coappeer.Content, []byte("late")))
	peer.Send(m.From, m.Respond(coappeer.Content, []byte("new")))
	got := receive(t, c)
	require.NoError(t, got.err)
	assert.Equal(t, "new", string(got.Body))
}

func TestDeadlineOfAContextIsATimeout(t *testing.T) {
	peer := coappeer.NewUDP(t)
	s := connect(t, nil, peer.Addr(), UDP)
	r := get()
	r.NonConfirmable = true
	_, err := s.Do(within(t, time.Millisecond), r)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	assert.True(t, timeout.Timeout())
	assert.False(t, errors.Is(err, os.ErrDeadlineExceeded), "no deadline of a connection")
}

func TestNonConfirmableRequest(t *testing.T) {
	peer := coappeer.NewUDP(t)
	s := connect(t, nil, peer.Addr(), UDP)
	r := get()
	r.NonConfirmable = true
	c := start(waitContext(t), s, r)
	m := peer.Expect(t, coappeer.NON, coappeer.GET)
	peer.Send(m.From, m.Separate(coappeer.NON, 5, coappeer.Content, nil))
	assert.NoError(t, receive(t, c).err)
}

func TestCloseEndsWhatIsInFlight(t *testing.T) {
	for _, closer := range []struct {
		name  string
		close func(*Node, *Session) error
	}{
		{"session closed", func(_ *Node, s *Session) error { return s.Close() }},
		{"session released", func(_ *Node, s *Session) error { return s.Release() }},
		{"context closed", func(c *Node, _ *Session) error { return c.Close() }},
	} {
		t.Run(closer.name, func(t *testing.T) {
			peer := coappeer.NewUDP(t)
			c := newTestNode(t, &Config{NSTART: 5})
			s, err := c.NewClientSession(netip.AddrPort{}, peer.Addr(), UDP)
			require.NoError(t, err)
			var outcomes []<-chan outcome
			for range 10 { // 5 of them are not sent yet
				outcomes = append(outcomes, start(waitContext(t), s, get()))
			}
			pong := make(chan error, 1)
			for range 5 {
				peer.Receive(t)
			}
			go func() { pong <- s.Ping(waitContext(t)) }()
			require.NoError(t, closer.close(c, s))
			for _, c := range outcomes {
				assert.ErrorIs(t, receive(t, c).err, net.ErrClosed)
			}
			assert.ErrorIs(t, receive(t, pong), net.ErrClosed)
			<-s.Done()
			assert.ErrorIs(t, s.Err(), net.ErrClosed)
			_, err = s.Do(waitContext(t), get())
			assert.ErrorIs(t, err, net.ErrClosed)
		})
	}
}

func TestPing(t *testing.T) {
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		s := connect(t, nil, listen(t, nil, proto, hello), proto)
		require.NoError(t, s.Ready(waitContext(t)))
		assert.NoError(t, s.Ping(waitContext(t)))
		if proto.Reliable() { // libcoap answers 4 of the others a second
			assert.NoError(t, s.Ping(waitContext(t)))
		}
	})
}

// go-coap 3.8.1 acknowledges pings.
func TestAcknowledgedPing(t *testing.T) {
	peer := coappeer.NewUDP(t)
	s := connect(t, nil, peer.Addr(), UDP)
	result := make(chan error, 1)
	go func() { result <- s.Ping(waitContext(t)) }()
	m := peer.Receive(t)
	peer.Send(m.From, m.Acknowledge())
	assert.NoError(t, receive(t, result))
	s.c.l.look()
	defer s.c.l.endLook()
	assert.Empty(t, s.c.l.hearers)
}

func TestPingWithoutAnswer(t *testing.T) {
	t.Parallel()
	peer := coappeer.NewUDP(t)
	s := connect(t, &Config{AckTimeout: time.Second, MaxRetransmit: 1}, peer.Addr(), UDP)
	assert.ErrorIs(t, s.Ping(waitContext(t)), ErrRetriesExhausted)
}

// A Pong does not say which Ping it answers.
func TestPongOfAPingThatNobodyWaitsForIsNotTakenForAnother(t *testing.T) {
	ln := coappeer.ListenTCP(t)
	s := connect(t, nil, ln.Addr(), TCP)
	server := ln.Accept(t)
	server.ExchangeCSM(t)
	ctx, cancel := context.WithCancel(waitContext(t))
	given, second := make(chan error, 1), make(chan error, 1)
	go func() { given <- s.Ping(ctx) }()
	ping := server.Expect(t, coappeer.Ping)
	cancel()
	require.ErrorIs(t, receive(t, given), context.Canceled)
	go func() { second <- s.Ping(waitContext(t)) }()
	server.Expect(t, coappeer.Ping)
	server.Send(coappeer.Message{Code: coappeer.Pong, Token: ping.Token})
	server.Abandon()
	assert.ErrorIs(t, receive(t, second), ErrDisconnected)
}

func TestDuplicateRequestIsHandledOnce(t *testing.T) {
	var handled atomic.Int32
	addr := listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		handled.Add(1)
		w.Write([]byte("once"))
	}))
	peer := coappeer.NewUDP(t)
	request := coappeer.Message{Code: coappeer.GET, ID: 1000, Token: []byte{1}}
	for range 3 {
		peer.Send(addr, request)
		assert.Equal(t, request.Respond(coappeer.Content, []byte("once")), peer.Receive(t).Message)
	}
	assert.EqualValues(t, 1, handled.Load())

	request.Token = []byte{2} // the ID is used again for something else
	peer.Send(addr, request)
	assert.Equal(t, []byte{2}, peer.Receive(t).Token)
	assert.EqualValues(t, 2, handled.Load())
}

func TestSlowHandlerGetsASeparateResponse(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	var handled atomic.Int32
	addr := listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		if r.NonConfirmable {
			return
		}
		handled.Add(1)
		<-goOn
		w.Write([]byte("at last"))
	}))
	peer := coappeer.NewUDP(t)
	request := coappeer.Message{Code: coappeer.GET, ID: 7, Token: []byte{1, 2}}
	for range 2 { // the first acknowledgement was lost
		peer.Send(addr, request)
		assert.Equal(t, request.Acknowledge(), peer.Receive(t).Message)
	}
	// Somebody else is served meanwhile.
	peer.Send(addr, coappeer.Message{Type: coappeer.NON, Code: coappeer.GET, ID: 8, Token: []byte{3}})
	assert.Equal(t, []byte{3}, peer.Receive(t).Token)

	close(goOn)
	m := peer.Receive(t)
	assert.Equal(t, request.Separate(coappeer.CON, m.ID, coappeer.Content, []byte("at last")),
		m.Message)
	peer.Send(addr, m.Acknowledge())
	assert.EqualValues(t, 1, handled.Load())
}

func TestReasonThatIsNotKnownIsAnErrorToo(t *testing.T) {
	peer := coappeer.NewUDP(t)
	s := connect(t, nil, peer.Addr(), UDP)
	waiting := start(waitContext(t), s, get())
	request := peer.Receive(t)
	require.NoError(t, s.c.l.enter())
	s.c.l.onNack(s.c.id, 1000, ccoap.Message{Code: int(MethodGet), Token: request.Token})
	s.c.l.leave()
	assert.ErrorIs(t, receive(t, waiting).err, errBadMessage)
}

// libcoap by itself sends no other request then.
func TestMessagesOfBothSidesMayHaveTheSameID(t *testing.T) {
	server := coappeer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	for range 3 {
		c := start(waitContext(t), s, get())
		m := server.Expect(t, coappeer.CON, coappeer.GET)
		server.Send(m.From,
			coappeer.Message{Type: coappeer.NON, Code: coappeer.Content, ID: m.ID, Token: []byte("another"),
				Payload: []byte("crossing")},
			m.Respond(coappeer.Content, []byte("hello")))
		got := receive(t, c)
		require.NoError(t, got.err)
		assert.Equal(t, "hello", string(got.Body))
		if ccoap.Rejects {
			server.Expect(t, coappeer.RST, coappeer.Empty)
		}
	}
}
