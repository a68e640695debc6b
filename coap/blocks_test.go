package coap

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func randomBytes(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// serveBlocks starts a server and returns a session with it.
func serveBlocks(t testing.TB, proto Protocol, server, client *Config, h HandlerFunc) *Session {
	c, err := NewContext(server)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	c.Handle(h)
	addr, err := c.Listen(netip.MustParseAddrPort("127.0.0.1:0"), proto)
	require.NoError(t, err)
	cc, err := NewContext(client)
	require.NoError(t, err)
	t.Cleanup(func() { cc.Close() })
	s, err := cc.NewClientSession(netip.AddrPort{}, addr, proto)
	require.NoError(t, err)
	return s
}

func TestBodiesArriveWhole(t *testing.T) {
	for _, proto := range []Protocol{UDP, TCP} {
		for _, size := range []int{0, 1, 1023, 1024, 1025, 5000, 1 << 20} {
			t.Run(fmt.Sprint(proto, size), func(t *testing.T) {
				body := randomBytes(size)
				s := serveBlocks(t, proto, nil, nil, func(w ResponseWriter, r *Request) {
					assert.True(t, bytes.Equal(body, r.Body))
					w.Write(r.Body)
				})
				r, err := s.Do(waitContext(t), &Request{Method: MethodPost, Body: body})
				require.NoError(t, err)
				assert.Equal(t, CodeChanged, r.Code)
				assert.True(t, bytes.Equal(body, r.Body))
			})
		}
	}
}
