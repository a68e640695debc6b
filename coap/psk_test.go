package coap

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var secureProtocols = []Protocol{DTLS, TLS}

var testKey = []byte("a key of 16 byte")

func pskServer() ServerPSK {
	return ServerPSK{GetKey: func(identity, _ string) ([]byte, error) {
		if identity == "client1" {
			return testKey, nil
		}
		return nil, nil
	}}
}

func TestPSK(t *testing.T) {
	for _, proto := range secureProtocols {
		t.Run(proto.String(), func(t *testing.T) {
			identity := make(chan string, 1)
			addr := listen(t, &Config{ServerPSK: pskServer()}, proto, HandlerFunc(func(w ResponseWriter, r *Request) {
				identity <- r.Session.PeerIdentity()
			}))
			c := newTestContext(t, nil)
			s, err := c.NewClientSessionPSK(netip.AddrPort{}, addr, proto, "client1", testKey)
			require.NoError(t, err)
			require.NoError(t, s.Ready(waitContext(t)))
			r, err := s.Do(waitContext(t), get())
			require.NoError(t, err)
			assert.Equal(t, CodeContent, r.Code)
			assert.Equal(t, "client1", receive(t, identity))
			state, ok := s.TLS()
			require.True(t, ok)
			assert.True(t, state.PSK)
			t.Log(state.CipherSuiteName, state.Version)
		})
	}
}
