package coap

import (
	"bytes"
	"fmt"
	"math/rand/v2"
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
	for _, proto := range []Protocol{UDP, TCP} {
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
