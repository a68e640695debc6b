package coap

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
		c := newTestContext(t, &Config{NSTART: 2})
		var self *Session
		m := &Mux{}
		m.Handle("/inner", hello)
		m.HandleFunc("/outer", func(w ResponseWriter, r *Request) {
			response, err := self.Get(waitContext(t), "/inner")
			if assert.NoError(t, err) {
				w.Write(response.Body)
			}
		})
		c.Handle(m)
		addr, err := c.Listen(loopback, proto)
		require.NoError(t, err)
		self, err = c.NewClientSession(netip.AddrPort{}, addr, proto)
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
	var conns []net.Conn
	for range peers {
		conn, err := net.Dial("udp", addr.String())
		require.NoError(t, err)
		defer conn.Close()
		conns = append(conns, conn)
	}
	for i := range each {
		for p, conn := range conns {
			_, err := conn.Write([]byte{0x51, byte(MethodPost), 0, byte(i), byte(i), 0xff, byte(p)})
			require.NoError(t, err)
		}
	}
	for p, conn := range conns {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		answered := make(map[byte]bool)
		for range each {
			var b [64]byte
			n, err := conn.Read(b[:])
			require.NoError(t, err)
			require.Equal(t, 7, n)
			assert.Equal(t, []byte{0x51, byte(CodeChanged)}, b[:2])
			assert.Equal(t, []byte{0xff, byte(p)}, b[5:7])
			answered[b[4]] = true
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
