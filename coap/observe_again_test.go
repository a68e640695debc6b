package coap

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// registerAgain does what an observing session does after a silence.
func registerAgain(t testing.TB, s *Session) {
	t.Helper()
	s.c.l.look()
	var g *registration
	for _, x := range s.c.exchanges {
		g, _ = x.to.(*registration)
	}
	s.c.l.endLook()
	require.NotNil(t, g, "nothing is observed")
	o := &observation{t: g.t, reg: g}
	require.NoError(t, o.register())
}

// observes registers at a peer, which answers with a state of a number.
func observes(t testing.TB, server *coappeer.UDP, s *Session,
	sequence uint32) (next func() (string, error), request coappeer.Received) {
	t.Helper()
	next = pull(t, s.Observe(waitContext(t), get()))
	registered := make(chan coappeer.Received, 1)
	go func() {
		m := registers(t, server, 0)
		server.Send(m.From, notifies(m, coappeer.ACK, m.ID, sequence, "first"))
		registered <- m
	}()
	require.Equal(t, "first", state(t, next))
	return next, receive(t, registered)
}

// A server that has started again counts from the start (RFC 7641, sections 3.4 and 4.4).
func TestAnswerToARegistrationIsTheNewest(t *testing.T) {
	for name, answer := range map[string]func(t *testing.T, server *coappeer.UDP, m coappeer.Received){
		"piggybacked": func(t *testing.T, server *coappeer.UDP, m coappeer.Received) {
			server.Send(m.From, notifies(m, coappeer.ACK, m.ID, 1, "again"))
		},
		"piggybacked, with the number of before": func(t *testing.T, server *coappeer.UDP,
			m coappeer.Received) {
			server.Send(m.From, notifies(m, coappeer.ACK, m.ID, 1000, "again"))
		},
		"separate": func(t *testing.T, server *coappeer.UDP, m coappeer.Received) {
			server.Send(m.From, m.Acknowledge(), notifies(m, coappeer.CON, 7, 1, "again"))
			server.ExpectReply(t, coappeer.ACK, coappeer.Empty, 7)
		},
		"separate, and the acknowledgement is lost": func(t *testing.T, server *coappeer.UDP,
			m coappeer.Received) {
			server.Send(m.From, notifies(m, coappeer.CON, 7, 1, "again"))
			server.ExpectReply(t, coappeer.ACK, coappeer.Empty, 7)
			if ccoap.TellsEmpty() {
				m = registers(t, server, 0)
				server.Send(m.From, m.Acknowledge(), notifies(m, coappeer.CON, 8, 1, "again"))
				server.ExpectReply(t, coappeer.ACK, coappeer.Empty, 8)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := coappeer.NewUDP(t)
			s := connect(t, nil, server.Addr(), UDP)
			next, m := observes(t, server, s, 1000)
			registerAgain(t, s)
			answer(t, server, registers(t, server, 0))
			require.Equal(t, "again", state(t, next))
			server.Send(m.From, notifies(m, coappeer.CON, 20, 1001, "next"))
			server.ExpectReply(t, coappeer.ACK, coappeer.Empty, 20)
			require.Equal(t, "next", state(t, next), "it is newer than the answer")
		})
	}
}

func TestWhatIsNoAnswerToARegistrationIsJudgedByItsNumber(t *testing.T) {
	server := coappeer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	next, m := observes(t, server, s, 10)
	registerAgain(t, s)
	again := registers(t, server, 0)
	server.Send(m.From, notifies(m, coappeer.CON, 100, 9, "overtaken"))
	server.ExpectReply(t, coappeer.ACK, coappeer.Empty, 100)
	if ccoap.TellsEmpty() {
		again = registers(t, server, 0) // libcoap sends the first one no more
	}
	server.Send(m.From, notifies(again, coappeer.ACK, again.ID, 11, "eleven"))
	if !ccoap.TellsEmpty() {
		require.Equal(t, "overtaken", state(t, next))
	}
	require.Equal(t, "eleven", state(t, next))

	registerAgain(t, s)
	again = registers(t, server, 0)
	server.Send(m.From, notifies(m, coappeer.CON, 101, 12, "twelve"))
	server.ExpectReply(t, coappeer.ACK, coappeer.Empty, 101)
	require.Equal(t, "twelve", state(t, next))
	server.Send(m.From, notifies(again, coappeer.ACK, again.ID, 11, "an answer that was overtaken"))
	server.Send(m.From, notifies(m, coappeer.CON, 102, 13, "thirteen"))
	server.ExpectReply(t, coappeer.ACK, coappeer.Empty, 102)
	require.Equal(t, "thirteen", state(t, next))
}

func TestClientObservesOnAfterItsServerHasStartedAgain(t *testing.T) {
	server := coappeer.NewUDP(t)
	// A registration that is sent again, to a peer that is slow, would be taken for the second one.
	client := newTestClient(t, "coap://"+server.Addr().String(), &Config{AckTimeout: wait})
	next := pull(t, client.Observe(waitContext(t), get()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		m := registers(t, server, 0)
		server.Send(m.From, notifies(m, coappeer.ACK, m.ID, 1000, "before"))
		m = registers(t, server, 0)
		server.Send(m.From, notifies(m, coappeer.ACK, m.ID, 1, "after"),
			notifies(m, coappeer.CON, 20, 2, "next"))
		server.ExpectReply(t, coappeer.ACK, coappeer.Empty, 20)
	}()
	require.Equal(t, "before", state(t, next))
	s, err := client.Session(waitContext(t))
	require.NoError(t, err)
	defer s.Release()
	registerAgain(t, s)
	for got := ""; got != "next"; {
		got = state(t, next)
		require.Contains(t, []string{"after", "next"}, got)
	}
	receive(t, done)
}

// The numbers of a server come from the clock, so that those of one that has started again are
// newer.
func TestNumbersOfAServerThatHasStartedAgainAreNewer(t *testing.T) {
	before := NewResource(hello)
	for range 1000 {
		before.Notify()
	}
	await(t, func() bool {
		var f wire.Freshness
		require.True(t, f.Advance(numberOf(before.sequence()), time.Now()))
		return f.Advance(numberOf(NewResource(hello).sequence()), time.Now())
	})
	last := before.sequence()
	before.Notify()
	assert.Greater(t, before.sequence(), last)
}

// newer reports whether a notification has a newer number than another one.
func newer(t testing.TB, m, than coappeer.Received) bool {
	t.Helper()
	var f wire.Freshness
	require.True(t, f.Advance(sequence(t, than), time.Now()))
	return f.Advance(sequence(t, m), time.Now())
}

// The message ID acknowledges (RFC 7252, section 4.2), whatever else there is.
func TestAcknowledgementsOfNotificationsThatHaveACode(t *testing.T) {
	res := newCounter()
	o := observed(t, res, nil)
	o.observe(t, 1, "tok", 0)
	for i, acknowledge := range []func(m coappeer.Received) coappeer.Message{
		func(m coappeer.Received) coappeer.Message {
			return coappeer.Message{Type: coappeer.ACK, ID: m.ID, Code: coappeer.Content, Token: m.Token}
		},
		func(m coappeer.Received) coappeer.Message {
			return coappeer.Message{Type: coappeer.ACK, ID: m.ID, Code: coappeer.Content,
				Payload: []byte("x")}
		},
		func(m coappeer.Received) coappeer.Message {
			return coappeer.Message{Type: coappeer.ACK, ID: m.ID, Code: coappeer.GET, Token: m.Token}
		},
		func(m coappeer.Received) coappeer.Message { return m.Acknowledge() },
	} {
		res.set(i + 1)
		m := o.expect(t, coappeer.CON, string(rune('1'+i)))
		o.Send(o.server, acknowledge(m))
	}
	res.set(5)
	o.Send(o.server, o.expect(t, coappeer.CON, "5").Acknowledge())
}

// ended leaves an observation at a peer, which has told one state.
func ended(t testing.TB, server *coappeer.UDP, s *Session) (registration,
	farewell coappeer.Received) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range s.Observe(waitContext(t), get()) {
			break
		}
	}()
	registration = registers(t, server, 0)
	server.Send(registration.From, notifies(registration, coappeer.ACK, registration.ID, 1, "x"))
	receive(t, done)
	return registration, registers(t, server, 1)
}

// RFC 7641, section 3.6.
func TestNotificationsAfterTheEndAreRejected(t *testing.T) {
	if !ccoap.Rejects {
		t.Skip("this version acknowledges every response")
	}
	for name, between := range map[string]func(t *testing.T, server *coappeer.UDP,
		farewell coappeer.Received){
		"the farewell is lost": func(*testing.T, *coappeer.UDP, coappeer.Received) {},
		"its answer has come": func(_ *testing.T, server *coappeer.UDP, m coappeer.Received) {
			server.Send(m.From, m.Respond(coappeer.Content, nil))
		},
		"it is only acknowledged": func(_ *testing.T, server *coappeer.UDP, m coappeer.Received) {
			server.Send(m.From, m.Acknowledge())
		},
		"it is answered later": func(t *testing.T, server *coappeer.UDP, m coappeer.Received) {
			server.Send(m.From, m.Acknowledge(), m.Separate(coappeer.CON, 99, coappeer.Content, nil))
			server.ExpectReply(t, coappeer.ACK, coappeer.Empty, 99)
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := coappeer.NewUDP(t)
			m, farewell := ended(t, server, connect(t, nil, server.Addr(), UDP))
			between(t, server, farewell)
			for i := range uint16(5) {
				typ := []coappeer.Type{coappeer.CON, coappeer.NON}[i%2]
				server.Send(m.From, notifies(m, typ, 100+i, uint32(2+i), "x"))
				server.ExpectReply(t, coappeer.RST, coappeer.Empty, 100+i)
			}
		})
	}
}

// One datagram that is lost keeps no observation alive: the farewell, its answer, or a reset.
func TestALostDatagramKeepsNoObservationAlive(t *testing.T) {
	for name, lost := range map[string]func(d coappeer.Datagram) bool{
		"none": func(coappeer.Datagram) bool { return false },
		"the farewell": func(d coappeer.Datagram) bool {
			v, ok := d.Uint(coappeer.Observe)
			return d.Direction == coappeer.ToServer && ok && v == 1
		},
		"its answer": func(d coappeer.Datagram) bool {
			_, notifies := d.Uint(coappeer.Observe)
			return d.Direction == coappeer.ToClient && d.Type == coappeer.ACK && d.Code != coappeer.Empty &&
				!notifies
		},
		"a reset": func(d coappeer.Datagram) bool { return d.Type == coappeer.RST },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := newCounter()
			relay := coappeer.NewRelay(t, listen(t, nil, UDP, res))
			once := false
			relay.Rule(func(d coappeer.Datagram) coappeer.Verdict {
				if !once && lost(d) {
					once = true
					return coappeer.Drop
				}
				return coappeer.Forward
			})
			s := connect(t, nil, relay.Addr(), UDP)
			for range s.Observe(waitContext(t), get()) {
				break
			}
			n := 0
			await(t, func() bool {
				n++
				res.set(n)
				return res.Observers() == 0
			}, "it goes on")
		})
	}
}

func TestANotificationThatComesAgainIsAcknowledgedAgain(t *testing.T) {
	if !ccoap.TellsEmpty() {
		t.Skip("this program does not hear of what libcoap drops")
	}
	server := coappeer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	next, m := observes(t, server, s, 1)
	for range 3 { // the acknowledgements of two are lost
		server.Send(m.From, notifies(m, coappeer.CON, 50, 2, "second"))
		server.ExpectReply(t, coappeer.ACK, coappeer.Empty, 50)
	}
	require.Equal(t, "second", state(t, next))
	server.Send(m.From, notifies(m, coappeer.CON, 51, 3, "third"))
	server.ExpectReply(t, coappeer.ACK, coappeer.Empty, 51)
	require.Equal(t, "third", state(t, next))
	if !ccoap.Rejects {
		return
	}
	for range 3 {
		server.Send(m.From,
			coappeer.Message{Type: coappeer.CON, Code: coappeer.Content, ID: 52, Token: []byte("nobody's")})
		server.ExpectReply(t, coappeer.RST, coappeer.Empty, 52)
	}
}
