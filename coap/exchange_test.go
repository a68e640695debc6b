package coap

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	peer "github.com/gnucoap/gnucoap/internal/coappeer"

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
	for _, proto := range []Protocol{UDP, TCP} {
		t.Run(proto.String(), func(t *testing.T) {
			addr := listen(t, nil, proto, HandlerFunc(func(w ResponseWriter, r *Request) { w.Write(r.Body) }))
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
}

func TestSilentPeerExhaustsRetriesOfEachRequest(t *testing.T) {
	t.Parallel()
	peer := newRawPeer(t)
	s := connect(t, &Config{AckTimeout: time.Second, AckRandomFactor: 1.001, MaxRetransmit: 1, NSTART: 400}, peer.addr, UDP)
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
	peer := newRawPeer(t)
	s := connect(t, &Config{AckTimeout: time.Second}, peer.addr, UDP)
	c := start(waitContext(t), s, get())
	first := peer.next(t)
	again := peer.next(t)
	assert.Equal(t, first, again)
	peer.send(t, rawMessage{wireACK, wireContent, again.id, again.token, []byte("\xffx"), again.from})
	got := receive(t, c)
	require.NoError(t, got.err)
	assert.Equal(t, "x", string(got.Body))
}

func TestResetIsTheOutcome(t *testing.T) {
	peer := newRawPeer(t)
	s := connect(t, nil, peer.addr, UDP)
	c := start(waitContext(t), s, get())
	m := peer.next(t)
	peer.send(t, rawMessage{wireRST, 0, m.id, nil, nil, m.from})
	err := receive(t, c).err
	assert.ErrorIs(t, err, ErrReset)
	assert.ErrorContains(t, err, "coap: GET coap://"+peer.addr.String()+": the peer rejected")
}

func TestNobodyThereIsTheOutcome(t *testing.T) {
	// Port 1 is not given to those who ask for any port.
	for _, proto := range []Protocol{UDP, TCP} {
		t.Run(proto.String(), func(t *testing.T) {
			s := connect(t, nil, netip.MustParseAddrPort("127.0.0.1:1"), proto)
			_, err := s.Do(waitContext(t), get())
			assert.ErrorIs(t, err, ErrUnreachable)
		})
	}
}

func TestResponsesThatDoNotMatchAreRefused(t *testing.T) {
	peer := newRawPeer(t)
	s := connect(t, nil, peer.addr, UDP)
	c := start(waitContext(t), s, get())
	m := peer.next(t)
	wrong := append([]byte(nil), m.token...)
	wrong[0]++
	peer.send(t, rawMessage{wireNON, wireContent, 1, wrong, []byte("\xffwrong token"), m.from})
	peer.send(t, rawMessage{wireCON, wireContent, 2, wrong, []byte("\xffwrong token"), m.from})
	if ccoap.Rejects {
		for id := range uint16(2) {
			reset := peer.next(t)
			assert.Equal(t, []any{byte(wireRST), id + 1}, []any{reset.typ, reset.id}, "rejected")
		}
	} else {
		ack := peer.next(t)
		assert.Equal(t, []any{byte(wireACK), uint16(2)}, []any{ack.typ, ack.id}, "and dropped")
	}
	peer.send(t, rawMessage{wireNON, wireContent, 3, m.token[:4], []byte("\xffshort token"), m.from})
	peer.send(t, rawMessage{wireACK, wireContent, m.id + 1, m.token, []byte("\xffwrong ID"), m.from})
	peer.send(t, rawMessage{wireACK, wireContent, m.id, m.token, []byte("\xffright"), m.from})
	got := receive(t, c)
	require.NoError(t, got.err)
	assert.Equal(t, "right", string(got.Body))
}

func TestSeparateResponseIsAcknowledged(t *testing.T) {
	peer := newRawPeer(t)
	s := connect(t, nil, peer.addr, UDP)
	c := start(waitContext(t), s, get())
	m := peer.next(t)
	peer.send(t, rawMessage{wireACK, 0, m.id, nil, nil, m.from})
	peer.send(t, rawMessage{wireCON, wireContent, 77, m.token, []byte("\xfflater"), m.from})
	ack := peer.next(t)
	assert.Equal(t, []any{byte(wireACK), byte(0), uint16(77)}, []any{ack.typ, ack.code, ack.id})
	got := receive(t, c)
	require.NoError(t, got.err)
	assert.Equal(t, "later", string(got.Body))
}

func TestContextEndsARequestAndItsLateAnswerIsDropped(t *testing.T) {
	peer := newRawPeer(t)
	s := connect(t, &Config{NSTART: 2}, peer.addr, UDP)
	ctx, cancel := context.WithCancel(context.Background())
	c := start(ctx, s, get())
	late := peer.next(t)
	cancel()
	assert.ErrorIs(t, receive(t, c).err, context.Canceled)

	c = start(waitContext(t), s, get())
	m := peer.next(t)
	peer.send(t, rawMessage{wireACK, wireContent, late.id, late.token, []byte("\xfflate"), m.from})
	peer.send(t, rawMessage{wireACK, wireContent, m.id, m.token, []byte("\xffnew"), m.from})
	got := receive(t, c)
	require.NoError(t, got.err)
	assert.Equal(t, "new", string(got.Body))
}

func TestDeadlineOfAContextIsATimeout(t *testing.T) {
	peer := newRawPeer(t)
	s := connect(t, nil, peer.addr, UDP)
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	r := get()
	r.NonConfirmable = true
	_, err := s.Do(ctx, r)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	assert.True(t, timeout.Timeout())
	assert.False(t, errors.Is(err, os.ErrDeadlineExceeded), "no deadline of a connection")
}

func TestNonConfirmableRequest(t *testing.T) {
	peer := newRawPeer(t)
	s := connect(t, nil, peer.addr, UDP)
	r := get()
	r.NonConfirmable = true
	c := start(waitContext(t), s, r)
	m := peer.next(t)
	assert.EqualValues(t, wireNON, m.typ)
	peer.send(t, rawMessage{wireNON, wireContent, 5, m.token, nil, m.from})
	assert.NoError(t, receive(t, c).err)
}

func TestCloseEndsWhatIsInFlight(t *testing.T) {
	for _, closer := range []struct {
		name  string
		close func(*Context, *Session) error
	}{
		{"session closed", func(_ *Context, s *Session) error { return s.Close() }},
		{"session released", func(_ *Context, s *Session) error { return s.Release() }},
		{"context closed", func(c *Context, _ *Session) error { return c.Close() }},
	} {
		t.Run(closer.name, func(t *testing.T) {
			peer := newRawPeer(t)
			c := newTestContext(t, &Config{NSTART: 5})
			s, err := c.NewClientSession(netip.AddrPort{}, peer.addr, UDP)
			require.NoError(t, err)
			var outcomes []<-chan outcome
			for range 10 { // 5 of them are not sent yet
				outcomes = append(outcomes, start(waitContext(t), s, get()))
			}
			pong := make(chan error, 1)
			for range 5 {
				peer.next(t)
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
	for _, proto := range []Protocol{UDP, TCP} {
		t.Run(proto.String(), func(t *testing.T) {
			s := connect(t, nil, listen(t, nil, proto, hello), proto)
			require.NoError(t, s.Ready(waitContext(t)))
			assert.NoError(t, s.Ping(waitContext(t)))
			if proto.Reliable() { // libcoap answers 4 of the others a second
				assert.NoError(t, s.Ping(waitContext(t)))
			}
		})
	}
}

func TestPingWithoutAnswer(t *testing.T) {
	t.Parallel()
	peer := newRawPeer(t)
	s := connect(t, &Config{AckTimeout: time.Second, MaxRetransmit: 1}, peer.addr, UDP)
	assert.ErrorIs(t, s.Ping(waitContext(t)), ErrRetriesExhausted)
}

func TestDuplicateRequestIsHandledOnce(t *testing.T) {
	var handled atomic.Int32
	addr := listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		handled.Add(1)
		w.Write([]byte("once"))
	}))
	peer := newRawPeer(t)
	request := rawMessage{wireCON, byte(MethodGet), 1000, []byte{1}, nil, addr}
	for range 3 {
		peer.send(t, request)
		m := peer.next(t)
		assert.Equal(t, []any{byte(wireACK), uint16(1000), []byte{1}, "\xffonce"}, []any{m.typ, m.id, m.token, string(m.rest)})
	}
	assert.EqualValues(t, 1, handled.Load())

	request.token = []byte{2} // the ID is used again for something else
	peer.send(t, request)
	assert.Equal(t, []byte{2}, peer.next(t).token)
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
	peer := newRawPeer(t)
	request := rawMessage{wireCON, byte(MethodGet), 7, []byte{1, 2}, nil, addr}
	peer.send(t, request)
	ack := peer.next(t)
	assert.Equal(t, []any{byte(wireACK), byte(0), uint16(7), []byte{}}, []any{ack.typ, ack.code, ack.id, ack.token})
	peer.send(t, request) // the acknowledgement was lost
	ack = peer.next(t)
	assert.Equal(t, []any{byte(wireACK), byte(0), uint16(7)}, []any{ack.typ, ack.code, ack.id})
	// Somebody else is served meanwhile.
	peer.send(t, rawMessage{wireNON, byte(MethodGet), 8, []byte{3}, nil, addr})
	assert.Equal(t, []byte{3}, peer.next(t).token)

	close(goOn)
	m := peer.next(t)
	assert.Equal(t, []any{byte(wireCON), byte(wireContent), []byte{1, 2}, "\xffat last"}, []any{m.typ, m.code, m.token, string(m.rest)})
	peer.send(t, rawMessage{wireACK, 0, m.id, nil, nil, addr})
	assert.EqualValues(t, 1, handled.Load())
}

func TestReasonThatIsNotKnownIsAnErrorToo(t *testing.T) {
	peer := newRawPeer(t)
	s := connect(t, nil, peer.addr, UDP)
	waiting := start(waitContext(t), s, get())
	request := peer.next(t)
	require.NoError(t, s.c.l.lock())
	s.c.l.onNack(s.c.id, 1000, ccoap.Message{Code: int(MethodGet), Token: request.token})
	s.c.l.unlock()
	assert.ErrorIs(t, receive(t, waiting).err, errBadMessage)
}

// libcoap by itself sends no other request then.
func TestMessagesOfBothSidesMayHaveTheSameID(t *testing.T) {
	server := peer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	for range 3 {
		c := start(waitContext(t), s, get())
		m := server.Expect(t, peer.CON, peer.GET)
		server.Send(m.From,
			peer.Message{Type: peer.NON, Code: peer.Content, ID: m.ID, Token: []byte("another"), Payload: []byte("crossing")},
			m.Respond(peer.Content, []byte("hello")))
		got := receive(t, c)
		require.NoError(t, got.err)
		assert.Equal(t, "hello", string(got.Body))
		server.Expect(t, peer.RST, peer.Empty)
	}
}
