package coap

import (
	"context"
	"iter"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// pull iterates step by step, and stops with the test.
func pull(t testing.TB, seq iter.Seq2[*Response, error]) func() (string, error) {
	next, stop := iter.Pull2(seq)
	t.Cleanup(stop)
	return func() (string, error) {
		t.Helper()
		r, err, ok := next()
		require.True(t, ok, "the iteration is over")
		if err != nil {
			return "", err
		}
		return string(r.Body), nil
	}
}

// state takes the next state, for which the peer has sent something already.
func state(t testing.TB, next func() (string, error)) string {
	t.Helper()
	body, err := next()
	require.NoError(t, err)
	return body
}

// notification is a message for an observer.
func notifies(request coappeer.Received, typ coappeer.Type, id uint16, sequence uint32, body string,
	options ...coappeer.Option) coappeer.Message {
	options = append(options, coappeer.Uint(coappeer.Observe, sequence))
	return request.Separate(typ, id, coappeer.Content, []byte(body), options...)
}

func registers(t testing.TB, server *coappeer.UDP, want uint32) coappeer.Received {
	t.Helper()
	m := server.Expect(t, coappeer.CON, coappeer.GET)
	observe, ok := m.Uint(coappeer.Observe)
	require.True(t, ok)
	require.Equal(t, want, observe)
	return m
}

func TestObserveOverEachTransport(t *testing.T) {
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		res := newCounter()
		s := connect(t, nil, listen(t, nil, proto, res), proto)
		seen := 0
		for r, err := range s.Observe(waitContext(t), get()) {
			require.NoError(t, err)
			require.Equal(t, CodeContent, r.Code)
			require.Equal(t, string(rune('0'+seen)), string(r.Body))
			if seen++; seen == 5 {
				break
			}
			res.set(seen)
		}
		assert.Equal(t, 5, seen)
		res.awaitObservers(t, 0)
	})
	eachSecure(t, func(t *testing.T, proto Protocol) {
		res := newCounter()
		addr := listen(t, &Config{ServerPSK: pskServer}, proto, res)
		s, err := newTestNode(t, nil).NewClientSessionPSK(netip.AddrPort{}, addr, proto, "client1",
			testKey)
		require.NoError(t, err)
		next := pull(t, s.Observe(waitContext(t), get()))
		require.Equal(t, "0", state(t, next))
		for i := 1; i < 5; i++ { // each is acknowledged
			res.set(i)
			require.Equal(t, string(rune('0'+i)), state(t, next))
		}
	})
}

func TestLateNotificationIsLeftOut(t *testing.T) {
	server := coappeer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	next := pull(t, s.Observe(waitContext(t), get()))
	registered := make(chan coappeer.Received, 1)
	go func() {
		m := server.Receive(t)
		server.Send(m.From, notifies(m, coappeer.ACK, m.ID, 10, "ten"))
		registered <- m
	}()
	require.Equal(t, "ten", state(t, next))
	m := receive(t, registered)
	for _, n := range []coappeer.Message{
		notifies(m, coappeer.CON, 100, 9, "nine"),
		notifies(m, coappeer.CON, 101, 10, "ten again"),
	} {
		server.Send(m.From, n)
		server.ExpectReply(t, coappeer.ACK, coappeer.Empty, n.ID)
	}
	server.Send(m.From, notifies(m, coappeer.CON, 102, 11, "eleven"))
	require.Equal(t, "eleven", state(t, next))
	server.Send(m.From, notifies(m, coappeer.CON, 103, 1<<23+10, "far"))
	require.Equal(t, "far", state(t, next))
	server.Send(m.From, notifies(m, coappeer.NON, 104, 2, "wrapped"))
	require.Equal(t, "wrapped", state(t, next))
}

func TestStatesThatWereNotTakenAreReplaced(t *testing.T) {
	res := newCounter()
	s := connect(t, nil, listen(t, nil, UDP, res), UDP)
	next := pull(t, s.Observe(waitContext(t), get()))
	require.Equal(t, "0", state(t, next))
	for i := 1; i <= 50; i++ {
		res.set(i)
	}
	for state := state(t, next); state != "50"; {
		var err error
		state, err = next()
		require.NoError(t, err)
	}
}

func TestSilenceRegistersAgain(t *testing.T) {
	t.Parallel()
	server := coappeer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	next := pull(t, s.Observe(waitContext(t), get()))
	first := make(chan coappeer.Received, 1)
	again := make(chan coappeer.Received, 1)
	go func() {
		m := server.Receive(t)
		server.Send(m.From,
			notifies(m, coappeer.ACK, m.ID, 10, "before", coappeer.Uint(coappeer.MaxAge, 0)))
		first <- m
		m = server.Receive(t)
		server.Send(m.From, notifies(m, coappeer.ACK, m.ID, 11, "after"))
		again <- m
	}()
	require.Equal(t, "before", state(t, next))
	start := time.Now()
	require.Equal(t, "after", state(t, next))
	assert.Greater(t, time.Since(start), 4*time.Second, "RFC 7641, section 3.3.1")
	a, b := receive(t, first), receive(t, again)
	assert.Equal(t, a.Token, b.Token)
	assert.Equal(t, a.Options, b.Options)
	assert.NotEqual(t, a.ID, b.ID)
}

func TestLeavingTheLoopTellsTheServer(t *testing.T) {
	server := coappeer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range s.Observe(waitContext(t), get()) {
			break
		}
	}()
	m := registers(t, server, 0)
	server.Send(m.From, notifies(m, coappeer.ACK, m.ID, 1, "x"))
	end := registers(t, server, 1)
	assert.Equal(t, m.Token, end.Token)
	receive(t, done)
	server.Send(m.From, end.Respond(coappeer.Content, nil))
	server.Send(m.From, notifies(m, coappeer.CON, 101, 3, "too late"))
	if ccoap.Rejects {
		server.ExpectReply(t, coappeer.RST, coappeer.Empty, 101)
	} else {
		server.ExpectReply(t, coappeer.ACK, coappeer.Empty, 101)
	}
}

func TestObserveEndsWithItsContext(t *testing.T) {
	res := newCounter()
	s := connect(t, nil, listen(t, nil, UDP, res), UDP)
	ctx, cancel := context.WithCancel(waitContext(t))
	next := pull(t, s.Observe(ctx, get()))
	state(t, next)
	cancel()
	_, err := next()
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "coap: observe coap://")
	res.awaitObservers(t, 0)
}

func TestWhatEndsAnObservation(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(s *Session, res *counter)
		code Code
		is   error
	}{
		{"an error", func(_ *Session, res *counter) { res.respond(CodeForbidden); res.Notify() },
			CodeForbidden, nil},
		{"the server", func(_ *Session, res *counter) { res.Cancel(CodeNotFound) }, CodeNotFound, nil},
		{"the session", func(s *Session, _ *counter) { s.Close() }, 0, net.ErrClosed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := newCounter()
			s := connect(t, nil, listen(t, nil, UDP, res), UDP)
			steps := 0
			for r, err := range s.Observe(waitContext(t), get()) {
				steps++
				switch {
				case steps == 1:
					require.NoError(t, err)
					tc.end(s, res)
				case tc.is != nil:
					assert.ErrorIs(t, err, tc.is)
				default:
					require.NoError(t, err)
					assert.Equal(t, tc.code, r.Code)
				}
			}
			assert.Equal(t, 2, steps)
		})
	}
}

func TestObservingWhatCannotBeObserved(t *testing.T) {
	s := connect(t, nil, listen(t, nil, UDP, hello), UDP)
	var bodies []string
	for r, err := range s.Observe(waitContext(t), get()) {
		require.NoError(t, err)
		bodies = append(bodies, string(r.Body))
	}
	assert.Equal(t, []string{"hello"}, bodies)
}

func TestObserveRefusesWhatItCannotDo(t *testing.T) {
	s := connect(t, nil, nobody, UDP)
	for want, r := range map[string]*Request{
		"only GET and FETCH can observe, not PUT": {Method: MethodPut},
		"cannot have a Source or a Sink":          {Method: MethodGet, Sink: &strings.Builder{}},
	} {
		steps := 0
		for _, err := range s.Observe(waitContext(t), r) {
			steps++
			assert.ErrorContains(t, err, want)
		}
		assert.Equal(t, 1, steps)
	}
}

func TestObservingNobody(t *testing.T) {
	s := connect(t, nil, nobody, UDP)
	_, err := pull(t, s.Observe(waitContext(t), get()))()
	assert.ErrorIs(t, err, ErrUnreachable)
}

func TestLargeStatesAreFetchedWhole(t *testing.T) {
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		states := []string{strings.Repeat("a", 3000), strings.Repeat("b", 5000), "c",
			strings.Repeat("d", 2000)}
		res := newCounter()
		f := HandlerFunc(func(w ResponseWriter, r *Request) { w.Write([]byte(states[res.n.Load()])) })
		res.answer.Store(&f)
		s := connect(t, nil, listen(t, nil, proto, res), proto)
		next := pull(t, s.Observe(waitContext(t), get()))
		for i, want := range states {
			if i > 0 {
				res.set(i)
			}
			require.Equal(t, want, state(t, next))
		}
	})
}

func TestClientObservesOnAfterItsServerWasAway(t *testing.T) {
	res := newCounter()
	server := newTestNode(t, nil)
	addr := listenOn(t, server, TCP, res)
	client := newTestClient(t, "coap+tcp://"+addr.String(), nil)
	next := pull(t, client.Observe(waitContext(t), get()))
	require.Equal(t, "0", state(t, next))
	server.Close()
	_, err := next()
	require.ErrorIs(t, err, ErrDisconnected)

	again := newTestNode(t, nil)
	again.Handle(res)
	_, err = again.Listen(addr, TCP)
	require.NoError(t, err)
	for {
		body, err := next()
		if err == nil {
			require.Equal(t, "0", body)
			break
		}
		require.ErrorIs(t, err, ErrUnreachable)
	}
	res.set(1)
	require.Equal(t, "1", state(t, next))
	client.Close()
	_, err = next()
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestObserveLibcoapServer(t *testing.T) {
	t.Parallel()
	for _, flavour := range testenv.CoAPFlavours {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			server := testenv.StartCoAPServer(t, flavour, testenv.CoAPServerPSK(string(testKey))...)
			eachTransport(t, func(t *testing.T, proto Protocol, config *Config, _ []string) {
				t.Parallel()
				if oldTools && flavour == "gnutls" && proto == DTLS {
					return // it does nothing else any more some seconds after a handshake
				}
				s, err := Dial(waitContext(t), server.URI(proto.Scheme(), ""), config)
				require.NoError(t, err)
				defer s.Close()
				r, err := NewRequest(MethodGet, "/time")
				require.NoError(t, err)
				next := pull(t, s.Observe(waitContext(t), r))
				states := 3 // one a second
				if oldTools {
					states = 2 // it tells of them when it has something else to do
				}
				for seen := map[string]bool{}; len(seen) < states; {
					seen[state(t, next)] = true
				}
			})
		})
	}
}

func TestFarewellLost(t *testing.T) {
	server := coappeer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	ctx, cancel := context.WithCancel(context.Background())
	req := &Request{Method: MethodGet, NonConfirmable: true}
	next := pull(t, s.Observe(ctx, req))
	go func() {
		m := server.Expect(t, coappeer.NON, coappeer.GET)
		server.Send(m.From, notifies(m, coappeer.NON, 1, 1, "a"))
	}()
	require.Equal(t, "a", state(t, next))
	cancel()
	_, err := next()
	require.Error(t, err)
	for range 2 { // the first one is lost
		registers(t, server, 1)
	}
}
