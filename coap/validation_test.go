package coap

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

// manyBlocks answers with more than one block.
var manyBlocks = HandlerFunc(func(w ResponseWriter, r *Request) { w.Write(make([]byte, 5000)) })

// oneBlock answers with one.
var oneBlock = HandlerFunc(func(w ResponseWriter, r *Request) { w.Write(make([]byte, 900)) })

func askBig(id uint16, options ...coappeer.Option) coappeer.Message {
	return coappeer.Message{Type: coappeer.NON, Code: coappeer.GET, ID: id, Token: []byte{7},
		Options: options}
}

// challenged is the Echo option of a response that wants it back.
func challenged(t *testing.T, m coappeer.Received) coappeer.Option {
	t.Helper()
	require.Equal(t, coappeer.Code(CodeUnauthorized), m.Code)
	value, ok := m.Option(uint16(OptionEcho))
	require.True(t, ok)
	return coappeer.Option{Number: uint16(OptionEcho), Value: value}
}

func TestAddressWithoutProofGetsLittle(t *testing.T) {
	for name, handler := range map[string]Handler{"blocks": manyBlocks, "one": oneBlock} {
		t.Run(name, func(t *testing.T) {
			addr := listen(t, nil, UDP, handler)
			peer := coappeer.NewUDP(t)
			got, sent, asked := 0, 0, 0
			var echo coappeer.Option
			for id := uint16(1); ; id++ {
				require.Less(t, id, uint16(200))
				peer.Send(addr, askBig(id))
				sent += len(askBig(id).AppendUDP(nil))
				m := peer.Receive(t)
				for ; m.Code == coappeer.Empty; m = peer.Receive(t) {
					asked++
				}
				if m.Type == coappeer.CON {
					asked++
				}
				if m.Code == coappeer.Content {
					got += len(m.Data)
					continue
				}
				echo = challenged(t, m)
				assert.LessOrEqual(t, len(m.Data), creditAmount*len(askBig(id).AppendUDP(nil)))
				break
			}
			assert.Positive(t, asked)
			assert.Greater(t, got, creditBytes*3/4)
			assert.LessOrEqual(t, got, creditBytes+creditAmount*sent+1200)

			for id := range uint16(30) { // its address is proved
				peer.Send(addr, askBig(1000+id, echo))
				require.Equal(t, coappeer.Content, peer.Receive(t).Code)
			}
		})
	}
}

// A ping or its answer may be lost.
func TestRequestsWaitForTheAnswerToAPing(t *testing.T) {
	c := newTestNode(t, nil)
	addr := listenOn(t, c, UDP, manyBlocks)
	peer := coappeer.NewUDP(t)
	ask := func(kind coappeer.Type, id uint16) {
		m := askBig(id)
		m.Type, m.Token = kind, []byte{byte(id)}
		peer.Send(addr, m)
	}
	var ping coappeer.Received
	for id := uint16(100); ping.Code != coappeer.Empty || id == 100; id++ {
		ask(coappeer.NON, id)
		ping = peer.Receive(t)
	}
	c.l.look()
	c.l.validation.credit.of(peer.Addr().Addr()).used = 2 * creditBytes
	c.l.endLook()
	ask(coappeer.CON, 1)
	ask(coappeer.NON, 2)
	r := peer.Receive(t)
	if r.Code == coappeer.Content { // that came with the ping
		r = peer.Receive(t)
	}
	challenged(t, r)
	require.Equal(t, []byte{2}, r.Token, "the first one must come again")
	peer.Send(addr, ping.Reset())
	ask(coappeer.CON, 1)
	r = peer.Receive(t)
	assert.Equal(t, []any{coappeer.ACK, coappeer.Content, uint16(1)}, []any{r.Type, r.Code, r.ID})
}

// Clients that take no separate response in the middle of a body get it all the same.
func TestAnsweredPingVerifiesTheAddress(t *testing.T) {
	for name, answer := range map[string]func(coappeer.Message) coappeer.Message{
		"reset": coappeer.Message.Reset, "acknowledgement": coappeer.Message.Acknowledge, // go-coap 3.8.1
	} {
		t.Run(name, func(t *testing.T) { testAnsweredPing(t, answer) })
	}
}

func testAnsweredPing(t *testing.T, answer func(coappeer.Message) coappeer.Message) {
	c := newTestNode(t, nil)
	addr := listenOn(t, c, UDP, manyBlocks)
	peer := coappeer.NewUDP(t)
	pings, got := 0, 0
	for id := uint16(1); got < 2*creditBytes; id++ {
		m := askBig(id)
		m.Type = coappeer.CON
		peer.Send(addr, m)
		r := peer.Receive(t)
		for ; r.Code == coappeer.Empty; r = peer.Receive(t) {
			assert.Equal(t, coappeer.CON, r.Type)
			pings++
			peer.Send(addr, answer(r.Message))
		}
		require.Equal(t, []any{coappeer.ACK, coappeer.Content}, []any{r.Type, r.Code})
		got += len(r.Data)
	}
	assert.Equal(t, 1, pings)

	// It may be a victim that speaks CoAP: what it gets is bounded, until it consents.
	c.l.look()
	for _, session := range c.l.conns {
		assert.Less(t, session.address.spent.used, 2*creditBytes)
		session.address.spent.used = reachableTimes*creditBytes + 1000
	}
	c.l.endLook()
	peer.Send(addr, askBig(5000))
	echo := challenged(t, peer.Receive(t))
	for id := range uint16(3) {
		peer.Send(addr, askBig(6000+id, echo))
		require.Equal(t, coappeer.Content, peer.Receive(t).Code)
	}
}

func TestAcknowledgementProvesTheAddress(t *testing.T) {
	for _, kind := range []coappeer.Type{coappeer.CON, coappeer.NON} {
		addr := listen(t, nil, UDP, oneBlock)
		peer := coappeer.NewUDP(t)
		proofs := 0
		for id := range uint16(50) {
			m := askBig(id)
			m.Type = kind
			peer.Send(addr, m)
			r := peer.Receive(t)
			if r.Code == coappeer.Empty {
				r = peer.Receive(t)
			}
			require.Equal(t, coappeer.Content, r.Code)
			if r.Type == coappeer.CON {
				proofs++
				peer.Send(addr, r.Acknowledge())
			}
		}
		assert.Equal(t, 1, proofs)
	}
}

func TestResetOfAResponseProvesNothing(t *testing.T) {
	addr := listen(t, nil, UDP, oneBlock)
	peer := coappeer.NewUDP(t)
	for id := uint16(0); ; id++ {
		require.Less(t, id, uint16(200))
		peer.Send(addr, askBig(id))
		r := peer.Receive(t)
		if r.Type == coappeer.CON {
			peer.Send(addr, r.Reset())
		}
		if r.Code != coappeer.Content {
			challenged(t, r)
			return
		}
	}
}

func TestValidateAlways(t *testing.T) {
	handled := make(chan struct{}, 10)
	res := NewResource(HandlerFunc(func(w ResponseWriter, r *Request) { handled <- struct{}{} }))
	addr := listen(t, &Config{AddressValidation: ValidateAlways}, UDP, res)
	peer, other := coappeer.NewUDP(t), coappeer.NewUDP(t)
	observe := coappeer.Option{Number: coappeer.Observe}
	shortest := coappeer.Message{Code: coappeer.GET, ID: 1}
	peer.Send(addr, shortest)
	m := peer.Receive(t)
	challenged(t, m)
	assert.LessOrEqual(t, len(m.Data), creditAmount*len(shortest.AppendUDP(nil)))
	peer.Send(addr, askBig(2, observe))
	echo := challenged(t, peer.Receive(t))
	other.Send(addr, askBig(2, observe, echo))
	challenged(t, other.Receive(t))
	assert.Empty(t, handled)
	assert.Zero(t, res.Observers())

	peer.Send(addr, askBig(3, observe, echo))
	assert.Equal(t, coappeer.Content, peer.Receive(t).Code)
	assert.Equal(t, 1, res.Observers())
	peer.Send(addr, askBig(4))
	assert.Equal(t, coappeer.Content, peer.Receive(t).Code)
}

func TestValidateNever(t *testing.T) {
	addr := listen(t, &Config{AddressValidation: ValidateNever}, UDP, manyBlocks)
	peer := coappeer.NewUDP(t)
	for id := range uint16(50) {
		peer.Send(addr, askBig(id))
		r := peer.Receive(t)
		require.Equal(t, []any{coappeer.NON, coappeer.Content}, []any{r.Type, r.Code})
	}
}

func TestVictimOfAnObservationGetsLittle(t *testing.T) {
	res := NewResource(HandlerFunc(func(w ResponseWriter, r *Request) { w.Write(make([]byte, 900)) }))
	res.NonConfirmable = true
	c := newTestNode(t, nil)
	addr := listenOn(t, c, UDP, res)
	victim := coappeer.NewUDP(t)
	victim.Send(addr, askBig(1, coappeer.Option{Number: coappeer.Observe}))
	victim.Receive(t)
	require.Equal(t, 1, res.Observers())
	kind := coappeer.NON
	for i := 0; kind == coappeer.NON; i++ { // in the end it must be acknowledged before there are more
		require.LessOrEqual(t, i, maxUnchecked)
		res.Notify()
		kind = victim.Receive(t).Type
	}
	res.Notify()
	c.l.look()
	used := c.l.validation.credit.of(victim.Addr().Addr()).used
	c.l.endLook()
	assert.Greater(t, used, 5*900)
	assert.Less(t, used, creditBytes)
}

func TestCreditComesBack(t *testing.T) {
	k := &credit{}
	a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2:0:0:1")
	k.of(a).used = creditBytes
	assert.Equal(t, k.of(a), k.of(b), "one host has all of a /64")
	k.of(a).last = time.Now().Add(-creditPeriod / 2)
	assert.InDelta(t, creditBytes/2, k.of(a).used, 100)
	k.of(a).last = time.Now().Add(-time.Hour)
	assert.Zero(t, k.of(a).used)
}

// Whoever pretends to be the victim may register it again and again.
func TestVictimOfManyObservationsGetsLittle(t *testing.T) {
	res := NewResource(HandlerFunc(func(w ResponseWriter, r *Request) { w.Write(make([]byte, 900)) }))
	res.NonConfirmable = true
	addr := listen(t, nil, UDP, res)
	victim := coappeer.NewUDP(t)
	got := 0
	for id := uint16(1); ; id++ {
		require.Less(t, id, uint16(200))
		m := askBig(id, coappeer.Option{Number: coappeer.Observe})
		m.Token = []byte{byte(id)}
		victim.Send(addr, m)
		r := victim.Receive(t)
		for r.Code == coappeer.Content && r.Token[0] != byte(id) { // a notification
			got += len(r.Data)
			r = victim.Receive(t)
		}
		got += len(r.Data)
		if r.Code != coappeer.Content {
			challenged(t, r)
			break
		}
		res.Notify()
	}
	assert.LessOrEqual(t, got, creditBytes+1200)
}
