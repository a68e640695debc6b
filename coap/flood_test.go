package coap

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

// from is a request of one of a crowd.
func from(i int, path string, options ...coappeer.Option) coappeer.Message {
	return coappeer.Message{Type: coappeer.NON, Code: coappeer.GET, ID: uint16(i),
		Token:   []byte{byte(i >> 8), byte(i)},
		Options: append(options, coappeer.Path(path)...)}
}

func TestHonestClientIsAnsweredDuringAFlood(t *testing.T) {
	const most = 100
	c := newTestNode(t, &Config{MaxSessions: most})
	addr := listenOn(t, c, UDP, hello)
	crowd := coappeer.NewCrowd(t)
	s := connect(t, nil, addr, UDP)
	for i := range 5000 {
		m := from(i, "/")
		if i%2 == 0 {
			m = coappeer.Message{Type: coappeer.RST, ID: uint16(i)}
		}
		crowd.Send(i, addr, m)
		if i%250 == 0 {
			_, err := s.Get(waitContext(t), "/")
			require.NoError(t, err)
		}
	}
	await(t, func() bool { return conns(c) == most })
}

// conns is how many sessions a context has.
func conns(c *Node) int {
	c.l.look()
	defer c.l.endLook()
	return len(c.l.conns)
}

func TestRequestsBeingHandledAreBounded(t *testing.T) {
	const most = 40
	var handling atomic.Int64
	leave := make(chan struct{})
	c := newTestNode(t, &Config{MaxRequests: most, MaxSessions: 10, MaxSessionRequests: 2})
	addr := listenOn(t, c, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		handling.Add(1)
		<-leave
	}))
	goroutines := runtime.NumGoroutine()
	crowd := coappeer.NewCrowd(t)
	for i := range 10 * most {
		crowd.Send(i, addr, from(i, "/slow"))
	}
	await(t, func() bool { return handling.Load() == most*3/4 })
	require.NoError(t, connect(t, nil, addr, UDP).Ping(waitContext(t))) // the socket has room again

	peer := coappeer.NewUDP(t) // no better than they are
	peer.Send(addr, coappeer.Message{Code: coappeer.GET, ID: 7})
	m := peer.Receive(t)
	assert.Equal(t, coappeer.Code(CodeServiceUnavailable), m.Code)
	age, _ := m.Uint(coappeer.MaxAge)
	assert.EqualValues(t, busyAge/time.Second, age)
	assert.EqualValues(t, most*3/4, handling.Load())
	assert.Less(t, runtime.NumGoroutine(), goroutines+most+10)
	await(t, func() bool { return conns(c) == most*3/4 }, "sessions in use stay, the others go")
	close(leave)
	await(t, func() bool { return conns(c) == 10 }, "those that are busy count")
}

func TestRequestsOfASessionAreBounded(t *testing.T) {
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		leave := make(chan struct{})
		entered := make(chan struct{}, 10)
		addr := listen(t, &Config{MaxSessionRequests: 2}, proto,
			HandlerFunc(func(w ResponseWriter, r *Request) {
				entered <- struct{}{}
				<-leave
			}))
		s := connect(t, &Config{NSTART: 10}, addr, proto)
		responses := make(chan Code, 10)
		ask := func() {
			r, err := s.Get(waitContext(t), "/")
			if assert.NoError(t, err) {
				responses <- r.Code
			}
		}
		go ask()
		go ask()
		receive(t, entered)
		receive(t, entered)
		go ask()
		assert.Equal(t, CodeServiceUnavailable, receive(t, responses))
		other := connect(t, nil, addr, proto)
		go other.Get(waitContext(t), "/")
		receive(t, entered)
		close(leave)
		receive(t, responses)
		receive(t, responses)
	})
}
