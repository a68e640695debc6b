package coap

import (
	"bytes"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

// serveTo starts a server, and returns a session with it.
func serveTo(t testing.TB, proto Protocol, server, client *Config, h HandlerFunc) *Session {
	t.Helper()
	return connect(t, client, listen(t, server, proto, h), proto)
}

func TestBodiesArriveWhole(t *testing.T) {
	configs := []struct {
		name           string
		server, client *Config
	}{
		{"default", nil, nil},
		{"small server", &Config{BlockSize: 256}, nil},
		{"small client", nil, &Config{BlockSize: 64}},
		{"low MTU of the client", nil, &Config{MTU: 200}},
		{"low MTU of the server", &Config{MTU: 200}, nil},
	}
	for _, proto := range unsecuredProtocols {
		for _, config := range configs {
			for _, size := range []int{0, 1, 63, 64, 65, 256, 1023, 1024, 1025, 5000, 1 << 20} {
				if size > 5000 && config.client != nil {
					continue
				}
				t.Run(fmt.Sprint(proto, " ", config.name, " ", size), func(t *testing.T) {
					body := randomBytes(size)
					s := serveTo(t, proto, config.server, config.client, func(w ResponseWriter, r *Request) {
						assert.True(t, bytes.Equal(body, r.Body))
						assert.False(t, r.Options.hasBlocks())
						w.Write(r.Body)
					})
					r, err := s.Do(waitContext(t), &Request{Method: MethodPost, Body: body})
					require.NoError(t, err)
					assert.Equal(t, CodeChanged, r.Code)
					assert.True(t, bytes.Equal(body, r.Body))
					assert.False(t, r.Options.hasBlocks())
				})
			}
		}
	}
}

func BenchmarkMebibyte(b *testing.B) {
	body := randomBytes(1 << 20)
	for _, proto := range unsecuredProtocols {
		for _, method := range []Code{MethodGet, MethodPut} {
			b.Run(proto.String()+" "+method.String(), func(b *testing.B) {
				s := serveTo(b, proto, nil, nil, func(w ResponseWriter, r *Request) {
					if r.Method == MethodGet {
						w.Write(body)
					}
				})
				r := &Request{Method: method}
				if method == MethodPut {
					r.Body = body
				}
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					_, err := s.Do(waitContext(b), r)
					require.NoError(b, err)
				}
			})
		}
	}
}

// lossy forwards datagrams to a server and back. It loses every fourth message once,
// but for empty ones, and sends each again after the next one.
func lossy(t testing.TB, server netip.AddrPort) netip.AddrPort {
	relay := coappeer.NewRelay(t, server)
	known := map[coappeer.Direction]map[string]bool{coappeer.ToServer: {}, coappeer.ToClient: {}}
	relay.Rule(func(d coappeer.Datagram) coappeer.Verdict {
		known := known[d.Direction]
		if head := string(d.Data[:min(len(d.Data), 16)]); len(d.Data) > 4 && !known[head] {
			known[head] = true
			if len(known)%4 == 3 {
				return coappeer.Drop
			}
		}
		return coappeer.Repeat
	})
	return relay.Addr()
}

func TestBodiesSurviveLossAndReordering(t *testing.T) {
	t.Parallel()
	body := randomBytes(5000)
	var calls atomic.Int32
	addr := lossy(t, listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		calls.Add(1)
		assert.True(t, bytes.Equal(body, r.Body))
		w.Write(r.Body)
	})))
	s := connect(t, &Config{AckTimeout: time.Second, AckRandomFactor: 1.001}, addr, UDP)
	r, err := s.Do(waitContext(t), &Request{Method: MethodPost, Body: body})
	require.NoError(t, err)
	assert.True(t, bytes.Equal(body, r.Body))
	assert.EqualValues(t, 1, calls.Load())
}
