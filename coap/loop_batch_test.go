package coap

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

func TestHandlersThatWaitForEachOther(t *testing.T) {
	const n = 8
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		var all sync.WaitGroup
		all.Add(n)
		addr := listen(t, nil, proto, HandlerFunc(func(w ResponseWriter, r *Request) {
			all.Done()
			all.Wait()
			w.Write([]byte("together"))
		}))
		s := connect(t, &Config{NSTART: n}, addr, proto)
		var outcomes []<-chan outcome
		for range n {
			outcomes = append(outcomes, start(waitContext(t), s, get()))
		}
		for _, c := range outcomes {
			o := receive(t, c)
			require.NoError(t, o.err)
			assert.Equal(t, "together", string(o.Body))
		}
	})
}

func TestHandlerUsesItsOwnContext(t *testing.T) {
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		c := newTestNode(t, &Config{NSTART: 2})
		var self *Session
		m := &Mux{}
		m.Handle("/inner", hello)
		m.HandleFunc("/outer", func(w ResponseWriter, r *Request) {
			response, err := self.Get(waitContext(t), "/inner")
			if assert.NoError(t, err) {
				w.Write(response.Body)
			}
		})
		addr := listenOn(t, c, proto, m)
		self, err := c.NewClientSession(netip.AddrPort{}, addr, proto)
		require.NoError(t, err)
		for range 3 { // the first finds out that the handler waits
			response, err := self.Get(waitContext(t), "/outer")
			require.NoError(t, err)
			assert.Equal(t, "hello", string(response.Body))
		}
	})
}

func TestDatagramsThatComeTogether(t *testing.T) {
	const peers, each = 3, 40
	addr := listen(t, nil, UDP, echo)
	var clients []*coappeer.UDP
	for range peers {
		clients = append(clients, coappeer.NewUDP(t))
	}
	for i := range each {
		for p, client := range clients {
			client.Send(addr, coappeer.Message{Type: coappeer.NON, Code: coappeer.POST, ID: uint16(i),
				Token: []byte{byte(i)}, Payload: []byte{byte(p)}})
		}
	}
	for p, client := range clients {
		answered := make(map[byte]bool)
		for range each {
			m := client.Receive(t)
			require.Len(t, m.Token, 1)
			assert.Equal(t, m.Separate(coappeer.NON, m.ID, coappeer.Changed, []byte{byte(p)}), m.Message)
			answered[m.Token[0]] = true
		}
		assert.Len(t, answered, each, "each token once")
	}
}

func TestCancelledRequestsHoldNothingBack(t *testing.T) {
	const n = 16
	addr := listen(t, nil, TCP, hello)
	s := connect(t, nil, addr, TCP)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for range 20 {
		var outcomes []<-chan outcome
		for range n {
			outcomes = append(outcomes, start(waitContext(t), s, get()), start(ended, s, get()))
		}
		for i, c := range outcomes {
			o := receive(t, c)
			if i%2 == 0 {
				require.NoError(t, o.err)
				assert.Equal(t, "hello", string(o.Body))
			}
		}
	}
}

func TestBatchThatTakesLongIsSpread(t *testing.T) {
	l := makeLoop(Config{})
	s := &l.batches
	assert.Nil(t, s.take(false), "nothing has come")
	s.add(job{}, false)
	b := s.take(false)
	require.NotNil(t, b)
	assert.Len(t, b.jobs, 1)
	assert.Nil(t, s.take(false), "it is taken")
	assert.Equal(t, []*batch{b}, s.running)
	require.NotNil(t, b.claim())
	assert.Nil(t, b.claim(), "each job is run once")

	b.begun = time.Now().Add(time.Hour)
	assert.Positive(t, s.spread(), "it has time left")
	b.begun = time.Now().Add(-time.Hour)
	assert.Positive(t, s.spread(), "a second chance")
	assert.True(t, b.late)
	assert.Equal(t, []*batch{b}, s.running)
	b.begun = time.Now().Add(-time.Hour)
	assert.Zero(t, s.spread())
	assert.Empty(t, s.running)
	assert.True(t, s.slowUntil.After(time.Now()))

	s.add(job{}, true)
	b = s.take(true)
	require.NotNil(t, b, "the inline ones are not spread")
	assert.Len(t, b.inline, 1)
	assert.Empty(t, s.running)
	s.remove(b)
}
