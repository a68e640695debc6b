package coap

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

func TestSharesLoseFromTheLargest(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	var s shares
	var held [6]holding
	for i := range held {
		held[i].owner = i
		addr := a
		if i == 2 {
			addr = b
		}
		s.add(&held[i], addr, 10)
	}
	s.use(&held[0])
	assert.Equal(t, 1, s.largest())
	s.weigh(&held[2], 100)
	assert.Equal(t, 2, s.largest())
	s.move(&held[2], a)
	s.remove(&held[1])
	assert.Equal(t, 3, s.largest())
	for i := range held {
		s.remove(&held[i])
	}
	assert.Empty(t, s.heap)
	assert.Empty(t, s.byAddr)
}

func putBlock(id uint16, path string, num uint32, more bool, body []byte) coappeer.Message {
	b := coappeer.Block{Num: num, More: more, SZX: 2}
	return coappeer.Message{Code: coappeer.PUT, ID: id, Token: []byte{1}, Payload: body,
		Options: append(coappeer.Path(path), b.Option(coappeer.Block1))}
}

func TestUploadsFromMadeUpAddressesDoNotEvictOthers(t *testing.T) {
	got := make(chan []byte, 1)
	c := newTestNode(t, &Config{MaxBody: 4096}) // 32 KiB in all
	addr := listenOn(t, c, UDP, HandlerFunc(func(w ResponseWriter, r *Request) { got <- r.Body }))
	body := randomBytes(128)
	flood := func() {
		crowd := coappeer.NewCrowd(t)
		for i := range 900 {
			m := putBlock(uint16(i), "/up", 0, true, body[:64])
			m.Type = coappeer.NON
			crowd.Send(i, addr, m)
		}
		s := connect(t, nil, addr, UDP) // all of them have come
		require.NoError(t, s.Ping(waitContext(t)))
	}
	flood()
	peer := coappeer.NewUDP(t)
	peer.Send(addr, putBlock(1, "/up", 0, true, body[:64]))
	m := peer.Receive(t)
	for m.Type != coappeer.CON { // the address must be proved, since it gets tight
		m = peer.Receive(t)
	}
	assert.Equal(t, coappeer.Empty, m.Code)
	peer.Send(addr, m.Reset())
	flood()
	peer.Send(addr, putBlock(2, "/up", 1, false, body[64:]))
	assert.Equal(t, body, receive(t, got))
}

func TestObserversFromMadeUpAddressesDoNotShutOthersOut(t *testing.T) {
	const most = 20
	var handled atomic.Int64
	res := NewResource(HandlerFunc(func(w ResponseWriter, r *Request) { handled.Add(1) }))
	c := newTestNode(t, &Config{MaxObservers: most})
	addr := listenOn(t, c, UDP, res)
	flood := func() {
		crowd := coappeer.NewCrowd(t)
		for i := range 10 * most {
			before := handled.Load()
			crowd.Send(i, addr, from(i, "/", coappeer.Option{Number: coappeer.Observe}))
			await(t, func() bool { return handled.Load() > before })
		}
		assert.Equal(t, most, res.Observers())
	}
	flood()
	peer := coappeer.NewUDP(t)
	m := from(1, "/", coappeer.Option{Number: coappeer.Observe})
	peer.Send(addr, m)
	r := peer.Receive(t)
	require.Equal(t, coappeer.CON, r.Type, "it must prove its address")
	require.True(t, hasObserve(r))
	peer.Send(addr, r.Acknowledge())
	flood()
	res.Notify()
	assert.Equal(t, m.Token, peer.Receive(t).Token)
	for i := range uint16(2 * most) { // its own share has a limit too
		m.ID, m.Token = 100+i, []byte{9, byte(i)}
		peer.Send(addr, m)
	}
	await(t, func() bool {
		all := peer.Captured()
		last := all[len(all)-1]
		return last.Code == coappeer.Content && !hasObserve(last)
	})
	assert.Equal(t, most, res.Observers())
}

func hasObserve(r coappeer.Received) bool {
	_, ok := r.Option(coappeer.Observe)
	return ok
}

func TestObserversThatAreGoneAreForgotten(t *testing.T) {
	for _, proto := range []Protocol{UDP, TCP} {
		t.Run(proto.String(), func(t *testing.T) {
			res := NewResource(hello)
			c := newTestNode(t, &Config{IdleTimeout: time.Second, ObserverCheck: 1})
			addr := listenOn(t, c, proto, res)
			s := connect(t, nil, addr, proto)
			states := observeStates(t, s)
			receive(t, states)
			if proto == UDP {
				peer := coappeer.NewUDP(t)
				peer.Send(addr, from(1, "/", coappeer.Option{Number: coappeer.Observe}))
				peer.Receive(t)
				assert.Equal(t, 2, res.Observers())
				ping := peer.Receive(t)
				assert.Equal(t, []any{coappeer.CON, coappeer.Empty}, []any{ping.Type, ping.Code})
				c.l.look()
				for _, one := range c.l.conns {
					if one.remote == peer.Addr() {
						one.observers.answered(false) // as when libcoap gives up, in 93 s
					}
				}
				c.l.endLook()
			}
			var heard time.Time
			server := func() *conn {
				for _, one := range c.l.conns {
					if len(one.observers.byToken) > 0 {
						return one
					}
				}
				return nil
			}
			c.l.look()
			heard = server().usage.alive
			c.l.endLook()
			await(t, func() bool { // it answers, and so it stays
				c.l.look()
				defer c.l.endLook()
				one := server()
				return one != nil && one.usage.alive.After(heard) && one.observers.asked == nil
			})
			assert.Equal(t, 1, res.Observers())
		})
	}
}

// observeStates observes until the test is over.
func observeStates(t *testing.T, s *Session) <-chan *Response {
	states := make(chan *Response, 10)
	ctx := waitContext(t)
	go func() {
		for r, err := range s.Observe(ctx, get()) {
			if err != nil {
				return
			}
			states <- r
		}
	}()
	return states
}
