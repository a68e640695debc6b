package coap

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func echoServer(t testing.TB, proto Protocol) netip.AddrPort {
	c, err := NewContext(nil)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	c.Handle(HandlerFunc(func(w ResponseWriter, r *Request) { w.Write([]byte("hello")) }))
	addr, err := c.Listen(netip.MustParseAddrPort("127.0.0.1:0"), proto)
	require.NoError(t, err)
	return addr
}

func TestThin(t *testing.T) {
	for _, proto := range []Protocol{UDP, TCP} {
		t.Run(proto.String(), func(t *testing.T) {
			addr := echoServer(t, proto)
			c, err := NewContext(&Config{NSTART: 16})
			require.NoError(t, err)
			defer c.Close()
			s, err := c.NewClientSession(netip.AddrPort{}, addr, proto)
			require.NoError(t, err)
			var wg sync.WaitGroup
			for i := 0; i < 16; i++ {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for i := 0; i < 1000; i++ {
						r, err := s.Do(waitContext(t), &Request{Method: MethodGet, Options: Options{{OptionURIPath, []byte("x")}}})
						if !assert.NoError(t, err) {
							return
						}
						assert.Equal(t, "hello", string(r.Body))
					}
				}()
			}
			wg.Wait()
			t.Log(s.String(), s.MaxPDUSize(), s.State())
			require.NoError(t, s.Close())
		})
	}
}

func BenchmarkThin(b *testing.B) {
	for _, proto := range []Protocol{UDP, TCP} {
		b.Run(proto.String(), func(b *testing.B) {
			addr := echoServer(b, proto)
			c, err := NewContext(&Config{NSTART: 16})
			require.NoError(b, err)
			defer c.Close()
			s, err := c.NewClientSession(netip.AddrPort{}, addr, proto)
			require.NoError(b, err)
			ctx := waitContext(b)
			b.SetParallelism(8)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r, err := s.Do(ctx, &Request{Method: MethodGet, Options: Options{{OptionURIPath, []byte("x")}}})
					if err != nil || len(r.Body) != 5 {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
